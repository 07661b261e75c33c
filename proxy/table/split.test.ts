/** What routing cases (e2e/routing) do not show: shares of many requests, every modulo, cost of patterns, words for people. */
import { describe, expect, it } from '@jest/globals'
import type { CanaryModulo, CanaryRule, Fragment } from '../../protocol/objects.ts'
import { MOST_CANARIES, sharesOf } from '../../protocol/canary-shares.ts'
import { MOST_VALUE, compilePattern } from '../../protocol/patterns.ts'
import { decide } from '../exchange/decide.ts'
import { parseTarget } from '../exchange/target.ts'
import { serviceMark } from './session.ts'
import { fitsModulo, type Random } from './split.ts'
import { FakeClusters } from './testing/clusters.ts'
import { fragment, host, path, upsert } from './testing/fixtures.ts'
import { sharedTable, type Table } from './testing/one-thread.ts'

type Rule = Partial<CanaryRule>

function canary(name: string, createdAt: number, rule: Rule): Fragment {
  const hosts = [host('a.example', path('Prefix /', name))]
  return fragment(name, [], { createdAt, canary: { rule: { weight: 0, total: 100, ...rule }, hosts } })
}

/** `main` and canaries, the oldest first. */
function given(...rules: readonly Rule[]): Table {
  const table = sharedTable(new FakeClusters())
  const main = fragment('main', [host('a.example', path('Prefix /', 'main'))], { createdAt: 0 })
  table.apply(upsert(main, ...rules.map((rule, i) => canary(`c${i}`, i + 1, rule))))
  return table
}

function to(table: Table, random: Random, fields: readonly string[] = [], target = '/'): string {
  const decision = decide(parseTarget('GET', target, 'a.example'), table, fields, random)
  return decision.kind === 'forward' ? decision.cluster.service : String(decision.status)
}

/** mulberry32. */
function seeded(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

describe('weights', () => {
  const REQUESTS = 10_000
  it.each<[string, readonly Rule[]]>([
    ['5 %', [{ weight: 5 }]],
    ['50 %', [{ weight: 50 }]],
    ['99 %', [{ weight: 99 }]],
    ['1 of 1000', [{ weight: 1, total: 1_000 }]],
    ['10, 20 and 30 %', [{ weight: 10 }, { weight: 20 }, { weight: 30 }]],
    ['different totals', [{ weight: 1, total: 1_000 }, { weight: 333, total: 999 }, { weight: 20 }]],
    ['all of them, to ten', Array.from({ length: 10 }, () => ({ weight: 10 }))],
  ])('%s of 10 000 requests are within three standard deviations', (_, rules) => {
    for (const seed of [1, 2, 3]) {
      const table = given(...rules)
      const random = seeded(seed)
      const counts = new Map<string, number>()
      for (let i = 0; i < REQUESTS; i++) {
        const service = to(table, random)
        counts.set(service, (counts.get(service) ?? 0) + 1)
      }
      const shares = rules.map(({ weight = 0, total = 100 }) => weight / total)
      const all = [...shares, 1 - shares.reduce((sum, one) => sum + one, 0)]
      for (const [i, share] of all.entries()) {
        const name = i === rules.length ? 'main' : `c${i}`
        const off = Math.abs((counts.get(name) ?? 0) - REQUESTS * share)
        expect([seed, name, off <= 3 * Math.sqrt(REQUESTS * Math.max(0, share) * (1 - share)) + 1e-6]).toEqual([
          ...[seed, name, true],
        ])
      }
    }
  })

  it('are drawn once, and not at all where nothing has one or something else decides', () => {
    let drawn = 0
    const random: Random = () => {
      drawn++
      return 0.5
    }
    to(given({ weight: 10 }, { weight: 10 }, { weight: 10 }), random)
    expect(drawn).toBe(1)
    to(given({ header: { name: 'X-A' } }), random)
    to(given({ header: { name: 'X-A' }, weight: 10 }), random, ['X-A', 'always'])
    to(given(), random)
    expect(drawn).toBe(1)
  })

  it('of a canary that a request says never to go to the main path, and to no other canary', () => {
    const table = given({ header: { name: 'X-A' }, weight: 30 }, { weight: 30 })
    const of = (drawn: number, ...fields: readonly string[]): string => to(table, () => drawn, fields)
    expect([0, 0.29, 0.3, 0.59, 0.6].map(drawn => of(drawn))).toEqual(['c0', 'c0', 'c1', 'c1', 'main'])
    expect([0, 0.29, 0.3, 0.59, 0.6].map(drawn => of(drawn, 'x-a', 'never'))).toEqual([
      ...['main', 'main', 'c1', 'c1', 'main'],
    ])
  })

  it('beyond all requests are refused one by one', () => {
    const parts = (...weights: readonly number[]): unknown => sharesOf(weights.map(weight => ({ weight, total: 100 })))
    expect(parts(70, 50, 30, 1)).toEqual([0.7, null, 1, null])
    expect(parts(0, 100, 1)).toEqual([null, 1, null])
    // A tenth is no number of base two, and ten of them are all.
    expect(sharesOf(Array.from({ length: 11 }, () => ({ weight: 1, total: 10 }))).slice(-2)).toEqual([1, null])
    const third = { weight: 333_333_333, total: 999_999_999 }
    expect(sharesOf([third, third, third, { weight: 1, total: 2 ** 31 - 1 }]).slice(-2)).toEqual([1, null])
  })

  it('of more canaries than count take nothing', () => {
    const table = given(...Array.from({ length: MOST_CANARIES + 1 }, () => ({ weight: 1, total: 1_000 })))
    expect(table.route('a.example', '/')?.split?.canaries).toHaveLength(MOST_CANARIES)
  })
})

describe('modulo', () => {
  const COMPARE: Readonly<Record<CanaryModulo['operator'], (a: number, b: number) => boolean>> = {
    '==': (a, b) => a === b,
    '!=': (a, b) => a !== b,
    '>': (a, b) => a > b,
    '>=': (a, b) => a >= b,
    '<': (a, b) => a < b,
    '<=': (a, b) => a <= b,
  }
  const operators = Object.keys(COMPARE) as CanaryModulo['operator'][]

  it.each(operators)('%s, for every divisor, remainder and value', operator => {
    const wrong: unknown[] = []
    for (let divisor = 2; divisor <= 100; divisor++) {
      for (let remainder = 0; remainder < divisor; remainder++) {
        for (let value = 0; value < 2 * divisor; value++) {
          const fits = fitsModulo({ divisor, operator, remainder }, String(value))
          if (fits !== COMPARE[operator](value % divisor, remainder)) wrong.push([divisor, remainder, value])
        }
      }
    }
    expect(wrong).toEqual([])
  })

  it('of numbers of any length, and of nothing else', () => {
    for (let divisor = 2; divisor <= 100; divisor++) {
      for (const value of ['9007199254740993', '340282366920938463463374607431768211457', '0'.repeat(50) + '7']) {
        const remainder = Number(BigInt(value) % BigInt(divisor))
        expect(fitsModulo({ divisor, operator: '==', remainder }, value)).toBe(true)
      }
    }
    for (const value of ['', ' 1', '1 ', '-1', '+1', '1.0', '0x1', '1e3', '\u0661', 'always']) {
      expect([value, fitsModulo({ divisor: 2, operator: '>=', remainder: 0 }, value)]).toEqual([value, false])
    }
  })
})

describe('patterns', () => {
  it.each<[string, readonly boolean[]]>([
    ['(\\w+\\s*){30}$', [true, true, true]],
    ['(a?){40}b', [false, false, true]],
    ['(?i)(.?){40}\\d', [false, false, true]],
    ['(a|aa)+$', [true, false, false]],
    ['(.*)*(.*)*(.*)*x', [false, false, false]],
  ])('%s ends, whatever is sent: a backtracking engine would take years', (text, fits) => {
    const pattern = compilePattern(text)
    if (!pattern.ok) throw new Error(pattern.reason)
    const values = ['a'.repeat(MOST_VALUE), 'a '.repeat(MOST_VALUE / 2), 'ab1'.repeat(MOST_VALUE / 3)]
    expect(values.map(value => pattern.fits(value))).toEqual(fits)
  })

  it('say the same of a value that is known, also when there were many others', () => {
    const pattern = compilePattern('^[0-9]*[02468]$')
    if (!pattern.ok) throw new Error(pattern.reason)
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 200; i++) expect([i, pattern.fits(String(i))]).toEqual([i, i % 2 === 0])
    }
  })

  it('look at bytes, and at no value that is longer than they may be', () => {
    const pattern = compilePattern('^\u00e4+$')
    const bytes = Buffer.from('\u00e4').toString('latin1')
    expect([pattern.ok && pattern.fits(bytes), pattern.ok && pattern.fits('\u00e4')]).toEqual([true, false])
    const any = compilePattern('')
    expect([MOST_VALUE, MOST_VALUE + 1].map(length => any.ok && any.fits('a'.repeat(length)))).toEqual([true, false])
  })
})

describe('a path with canaries', () => {
  it('is the same route when canaries come and go, by its number', () => {
    const table = given({ weight: 100 })
    const before = table.route('a.example', '/')
    const clusters = new FakeClusters()
    expect(before?.split?.canaries).toHaveLength(1)
    table.apply({ ...upsert(), objects: { upsert: [], remove: ['Ingress/ns/c0'] } })
    const after = table.route('a.example', '/')
    expect([after?.id, after?.split]).toEqual([before?.id, null])
    table.apply(upsert(canary('c9', 1, { weight: 1 })))
    expect(table.route('a.example', '/')?.id).toBe(before?.id)
    const other = sharedTable(clusters)
    const all = upsert(fragment('main', [host('a.example', path('Prefix /', 'main'))]), canary('c', 1, { weight: 1 }))
    other.apply(all)
    other.route('a.example', '/')
    expect(clusters.counts).toEqual({ main: 1, c: 1 })
    other.apply({ ...upsert(), reset: true })
    other.route('a.example', '/')
    expect(clusters.counts).toEqual({})
  })

  it('says which canary takes a request, and why', () => {
    const table = given({ header: { name: 'X-A' }, weight: 100 }, { cookie: { name: 'c' } }, { weight: 1 }, {})
    const why = (...fields: readonly string[]): readonly string[] =>
      (table.route('a.example', '/')?.split?.explain({ fields, query: '' }) ?? []).map(
        ({ outcome, reason }) => `${outcome}: ${reason}`,
      )
    expect(why('X-A', 'always', 'Cookie', 'c=always')).toEqual([
      'chosen: header X-A fits',
      'not chosen: cookie c fits, but header of Ingress/ns/c0 goes before it',
      expect.stringContaining('beyond what older canaries leave'),
      'not chosen: its rule takes no request',
    ])
    expect(why('X-A', 'never').slice(0, 2)).toEqual([
      'not chosen: header X-A says never; takes 100 of 100 requests that nothing else decides',
      'not chosen: there is no cookie c',
    ])
  })

  it('says whose a session is, which goes before all rules', () => {
    const table = sharedTable(new FakeClusters())
    const settings = { affinity: { mode: 'balanced', name: 'S' } } as const
    const main = fragment('main', [host('a.example', path('Prefix /', 'main'))], { createdAt: 0, settings })
    table.apply(upsert(main, canary('c0', 1, { header: { name: 'X-A' } }), canary('c1', 2, { affinity: 'legacy' })))
    const why = (service: string): readonly string[] =>
      (
        table
          .route('a.example', '/')
          ?.split?.explain({ fields: ['X-A', 'always', 'Cookie', `S=1|${serviceMark(service)}`], query: '' }) ?? []
      ).map(({ outcome, reason }) => `${outcome}: ${reason}`)
    expect(why('main')[0]).toBe('not chosen: the session is with the main path')
    expect(why('c0')).toEqual(['chosen: the session is with it', 'not chosen: the session is with Ingress/ns/c0'])
    // Sessions are not with a canary that says legacy, nor with whom nobody knows.
    for (const other of ['c1', 'another']) expect(why(other)[0]).toBe('chosen: header X-A fits')
  })
})
