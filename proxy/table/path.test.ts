import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { normalisePath, normaliseRoutePath } from './path.ts'

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
    expect(normalisePath(raw)).toEqual({ ok: true, path, alternate: null })
  })

  it.each([
    ['/a%2fb', '/a%2Fb', '/a/b'],
    ['/a%2F..%2Fb', '/a%2F..%2Fb', '/b'],
    ['/a\\b', '/a\\b', '/a/b'],
    ['/a%5c..%5Cb', '/a%5C..%5Cb', '/b'],
    ['/a/..;x/b', '/a/..;x/b', '/b'],
  ])('%s reads %s, or %s by a careless server', (raw, path, alternate) => {
    expect(normalisePath(raw)).toEqual({ ok: true, path, alternate })
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
    '/..',
    '/a/../../b',
    '/%2e%2e/a',
    '/%2f..%2f..',
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
        expect(normalisePath(first.path)).toEqual(first)
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
    ['/../a', '/'],
    ['/\ud800', '/%EF%BF%BD'],
  ])('%s is stored as %s', (path, stored) => {
    expect(normaliseRoutePath(path)).toBe(stored)
  })
})
