import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { normaliseRoutePath } from '../../protocol/normalise-path.ts'
import { parseStreamMessage } from '../../protocol/schemas.ts'
import { closed, fragment, host, path, upsert } from './testing/fixtures.ts'
import type { TableReader } from './contract.ts'
import { sharedTable } from './testing/one-thread.ts'
import { isAmbiguous, normalisePath } from './path-readings.ts'
import { FakeClusters } from './testing/clusters.ts'

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
    ['/a%3bx/b', '/a%3Bx/b', ['/a/b', '/a;x/b']],
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

/** How one server could read a path: written apart from path-readings.ts, character by character. */
interface Habits {
  /** Decoded by one server and parsed by the next, which may have resolved dot segments in between. */
  readonly handedOn: boolean
  readonly dotsFirst: boolean
  readonly parameters: 'kept' | 'cut first' | 'cut last'
  readonly slashes: boolean
  readonly backslashes: boolean
}

/** The segments that the server looks at. */
function careless(raw: string, habits: Habits): readonly string[] {
  let text = raw
  if (habits.handedOn) {
    text = decoded(text, /./s)
    text = text.split(/[?#]/)[0] ?? ''
  }
  // Dots may be encoded, separators are not looked for yet.
  if (habits.dotsFirst) text = `/${withoutDots(text.split('/').map(s => decoded(s, /[a-z.]/))).join('/')}`
  if (habits.parameters === 'cut first') text = text.split('/').map(withoutParameters).join('/')
  const all = decoded(text, habits.slashes ? /./s : /[^/]/s)
  let segments = all.split(habits.backslashes ? /[/\\]/ : '/')
  if (habits.parameters === 'cut last') segments = segments.map(withoutParameters)
  return withoutDots(segments)
}

function decoded(text: string, which: RegExp): string {
  let out = ''
  for (let at = 0; at < text.length; at++) {
    const code = text[at] === '%' ? Number(`0x${text.slice(at + 1, at + 3)}`) : Number.NaN
    const char = Number.isNaN(code) ? '' : String.fromCharCode(code)
    if (char !== '' && which.test(char)) {
      out += char
      at += 2
    } else out += text[at] ?? ''
  }
  return out
}

function withoutParameters(segment: string): string {
  return segment.split(';')[0] ?? ''
}

function withoutDots(segments: readonly string[]): readonly string[] {
  const kept: string[] = []
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '.' && segment !== '') kept.push(segment)
  }
  return kept
}

describe('isAmbiguous', () => {
  const routes = ['/', '/admin', '/admin/open', '/a', '/a/b', '/x/admin']
  const table = sharedTable(new FakeClusters())
  table.apply(
    upsert(
      fragment('web', [host('h', ...routes.map(r => (r === '/admin' ? closed(`Prefix ${r}`) : path(`Prefix ${r}`))))]),
    ),
  )
  /** By segments, as the names say; all paths of the table are prefixes. */
  const routed = (segments: readonly string[]): string | undefined =>
    routes
      .filter(r =>
        r
          .split('/')
          .filter(s => s !== '')
          .every((s, i) => segments[i] === s),
      )
      .sort((a, b) => b.length - a.length)[0]
  const habits: readonly Habits[] = [true, false].flatMap(handedOn =>
    [true, false].flatMap(dotsFirst =>
      (['kept', 'cut first', 'cut last'] as const).flatMap(parameters =>
        [true, false].flatMap(slashes =>
          [true, false].map(backslashes => ({ handedOn, dotsFirst, parameters, slashes, backslashes })),
        ),
      ),
    ),
  )
  const decided = (raw: string): string | null => {
    const read = normalisePath(raw)
    if (!read.ok) return 'refused'
    const route = table.route('h', read.path)
    return isAmbiguous(table, 'h', route, read.alternates) ? 'refused' : (route?.path ?? null)
  }

  it('is true of every path that some careless server takes for that of another route', () => {
    const pieces = [
      '/',
      '/',
      '.',
      '..',
      'a',
      'b',
      'x',
      'admin',
      'open',
      ';',
      '\\',
      '%',
      '%25',
      '2f',
      '2e',
      '%61',
      '%2561',
    ]
    const encoded = [
      '%2e',
      '%2f',
      '%2F',
      '%5c',
      '%3b',
      '%3f',
      '%23',
      '%252f',
      '%252e',
      '%255c',
      '%253b',
      '%c3',
      '\u00e4',
    ]
    const piece = fc.constantFrom(...pieces, ...encoded)
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), list => {
        const raw = `/${list.join('')}`
        const ours = decided(raw)
        if (ours === 'refused') return
        expect(habits.filter(habit => routed(careless(raw, habit)) !== ours)).toEqual([])
      }),
      { numRuns: 3_000 },
    )
  })

  it.each([
    ['/admin%2fx/../b', 'refused'],
    ['/admin;v=1/x', 'refused'],
    ['/x/..;/admin', 'refused'],
    ['/admin%2f..;/x', 'refused'],
    // Only by cutting first, and only by resolving dots first.
    ['/c;%2fb/..%2fadmin', 'refused'],
    ['/d/c%2fb/../..%2fadmin', 'refused'],
    ['/%2561dmin', 'refused'],
    ['/admin%3fx', 'refused'],
    // Only by handing it on decoded, and cutting before backslashes are slashes.
    ['/\\%3b%5cc/a', 'refused'],
    ['/;%5cc%2f%5ca', 'refused'],
    ['/a/c;v=1/d;w', '/a'],
    ['/a;v=1', 'refused'],
    ['/c;v=1', '/'],
    ['/a/https%3A%2F%2Fe.example%2Fi.png%3Fw%3D1%23x', '/a'],
    ['/a/100%25', '/a'],
  ])('%s: %s', (raw, expected) => {
    expect(decided(raw)).toBe(expected)
  })

  it('compares routes by their numbers: a table may make a new object for each look', () => {
    const other: TableReader = {
      ...{ certificates: () => [], requestHost: () => null, tlsHost: () => null },
      route: (...asked) => {
        const route = table.route(...asked)
        return route && { ...route }
      },
    }
    const ambiguous = (path: string, alternate: string): boolean =>
      isAmbiguous(other, 'h', other.route('h', path), [alternate])
    expect(ambiguous('/a/c%2Fd', '/a/c/d')).toBe(false)
    expect(ambiguous('/admin%2Fx', '/admin/x')).toBe(true)
  })

  it('costs little, whatever comes', () => {
    const started = process.cpuUsage()
    for (let i = 0; i < 20; i++) {
      expect(normalisePath('/a;b%2f..%5c%3b%3f./..'.repeat(1_400)).ok).toBe(false)
      normalisePath('/a;b%2fc'.repeat(2_000))
      normalisePath('/a/b/'.repeat(6_000))
    }
    const { user, system } = process.cpuUsage(started)
    expect((user + system) / 1_000 / 20).toBeLessThan(100)
  })
})

describe('normaliseRoutePath', () => {
  it.each([
    ['/a%2Fb/', true],
    ['/a/../b', false],
    ['/%7euser', false],
  ])('gives the only form in which the stream takes a path: %s', (text, taken) => {
    const line = JSON.stringify({
      ...{ type: 'snapshot-items', assignments: [], certificates: [], endpoints: {} },
      fragments: [fragment('web', [host('a.example', { ...path('Prefix /'), path: text })])],
    })
    const read = (): unknown => parseStreamMessage(line)
    if (taken) expect(read).not.toThrow()
    else expect(read).toThrow('/fragments/0/hosts/0/paths/0/path must match format "normalised-path"')
  })

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

  it('is idempotent, and gives what normalisePath gives to a request for it', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      'a',
      '%2e',
      '%2f',
      '%41',
      '%',
      '\\',
      ';',
      '~',
      '%c3%a4',
      '\u00e4',
      ' ',
      '\ud83d',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), pieces => {
        const stored = normaliseRoutePath(`/${pieces.join('')}`)
        expect(normaliseRoutePath(stored)).toBe(stored)
        const asked = normalisePath(stored)
        if (asked.ok) expect(asked.path).toBe(stored)
      }),
    )
  })
})
