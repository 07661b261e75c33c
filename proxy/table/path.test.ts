import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { normaliseRoutePath } from '../../protocol/path.ts'
import { normalisePath } from './path.ts'

describe('normalisePath', () => {
  it.each([
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a/', '/a/'],
    ['/a//b', '/a/b'],
    ['/a/./b', '/a/b'],
    ['/a/.', '/a/'],
    ['/a/b/..', '/a/'],
    ['/a/..', '/'],
    ['/a/..b', '/a/..b'],
    ['/a..', '/a..'],
    ['/.well-known/x', '/.well-known/x'],
    ['/%41%7e%2D', '/A~-'],
    ['/%e4', '/%E4'],
    ['/%3a', '/%3A'],
    ['/\u00e4', '/%E4'],
    ['/%2e%2e/a'.replace('/', '/x/'), '/a'],
  ])('%s reads %s', (raw, path) => {
    expect(normalisePath(raw)).toEqual({ ok: true, path, alternates: [] })
  })

  it.each([
    ['/a%2fb', '/a%2Fb', ['/a/b']],
    ['/a%2F..%2Fb', '/a%2F..%2Fb', ['/b']],
    ['/a\\b', '/a\\b', ['/a/b']],
    ['/a%5c..%5Cb', '/a%5C..%5Cb', ['/b']],
    ['/a/..;x/b', '/a/..;x/b', ['/b']],
    ['/a;x=1/b', '/a;x=1/b', ['/a/b']],
    ['/a/b;x', '/a/b;x', ['/a/b']],
    ['/a%3bx/b', '/a%3Bx/b', ['/a/b']],
    // A real dot segment does not eat what others decode first.
    ['/x%2fa/../b', '/b', ['/x/b']],
    ['/a%2fx/..', '/', ['/a/']],
    // Cut before it is decoded, or after.
    ['/a;x%2fb', '/a;x%2Fb', ['/a', '/a;x/b', '/a/b']],
    // Decoded and parsed anew.
    ['/x%252fa', '/x%252fa', ['/x%2Fa', '/x/a']],
    ['/%2561', '/%2561', ['/a']],
    ['/a%3fb/c', '/a%3Fb/c', ['/a']],
    ['/a%23b', '/a%23b', ['/a']],
    ['/100%25', '/100%25', []],
    ['/%22%25%c3%A4', '/%22%25%C3%A4', []],
  ])('%s reads %s, or %j by careless servers', (raw, path, alternates) => {
    const read = normalisePath(raw)
    expect(read).toMatchObject({ ok: true, path })
    expect(read.ok && read.alternates.toSorted()).toEqual(alternates.toSorted())
  })

  it.each([
    '',
    'a',
    '*',
    '/%',
    '/%4',
    '/%zz',
    '/%00',
    '/a\u0000',
    '/a b',
    '/a#b',
    '/a?b',
    '/..',
    '/a/../../b',
    '/%2e%2e/a',
    '/%2f..%2f..',
    '/a/..;/..;/b',
    '/a%252f..%252f..%252f..',
    '/\u007f',
  ])('refuses %j', raw => {
    expect(normalisePath(raw)).toMatchObject({ ok: false })
  })

  it('is idempotent, and never gives an element that is empty, a dot or two', () => {
    const piece = fc.constantFrom('/', '.', '..', 'a', '%2e', '%2f', '%41', '%', '\\', ';', '~', '%c3%a4', '\u00e4')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
        const first = normalisePath(`/${pieces.join('')}`)
        if (!first.ok) return
        expect(normalisePath(first.path)).toMatchObject({ ok: true, path: first.path })
        expect(
          first.path
            .slice(1)
            .replace(/\/$/, '')
            .split('/')
            .some(e => e === '.' || e === '..'),
        ).toBe(false)
        expect(first.path).not.toMatch(/\/\//)
      }),
    )
  })
})

describe('normaliseRoutePath', () => {
  it.each([
    ['/caf\u00e9', '/caf%C3%A9'],
    ['/a b', '/a%20b'],
    ['/a%2fb', '/a%2Fb'],
    ['/../a', '/a'],
    ['/a//b/./c/../d/', '/a/b/d/'],
    ['/\ud800', '/%EF%BF%BD'],
  ])('%s is stored as %s', (path, stored) => {
    expect(normaliseRoutePath(path)).toBe(stored)
  })
})
