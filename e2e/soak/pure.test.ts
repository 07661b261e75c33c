import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { randomOf } from '../../protocol/testing/random.ts'
import { Authority } from '../pki/pki.ts'
import { TestWorld } from '../stream/world.ts'
import { parseRequest, sentOf } from './backend.ts'
import { CHANGE_KINDS, Population } from './population.ts'
import type { Change } from './population.ts'
import { doubtsOf, errorsOf, renderSoak, trendsOf } from './report.ts'
import { Roster } from './roster.ts'
import { commandOf, settingsFrom } from './settings.ts'
import { fitLine, t95, verdictOf, windowMinima } from './slope.ts'
import type { Line, Point } from './slope.ts'
import { paceFor } from './soak.ts'
import type { Outcome } from './soak.ts'
import { Truth, answerOf } from './truth.ts'
import type { Fact, Route } from './truth.ts'
import { cpuBetween, defectsIn, metric, parseAnonymous, parseMetrics } from './watch.ts'
import type { Sample } from './watch.ts'

const line = (...ys: readonly number[]): readonly Point[] => ys.map((y, x) => ({ x, y }))

describe('a line', () => {
  it.each([
    ['rises by two', line(1, 3, 5, 7, 9), 2, 0],
    ['stands still', line(4, 4, 4, 4), 0, 0],
    ['is about one', line(0, 2, 1, 3, 2, 4), 0.6286, 0.21],
  ])('that %s', (_, points, slope, error) => {
    const found = fitLine(points)!
    expect(found.slope).toBeCloseTo(slope, 3)
    expect(found.standardError).toBeCloseTo(error, 3)
    expect((found.low + found.high) / 2).toBeCloseTo(slope, 3)
  })

  it.each([
    ['nothing', []],
    ['three points', line(1, 2, 3)],
    ['one moment', [1, 2, 3, 4].map(y => ({ x: 7, y }))],
  ])('of %s says nothing', (_, points) => {
    expect(fitLine(points)).toBeNull()
  })

  it('is less sure where neighbours resemble each other: what wanders without an aim does not grow', () => {
    const random = randomOf(3)
    const independent = Array.from({ length: 40 }, () => random() - 0.5)
    let wandering = 0
    const wanderings = independent.map(step => (wandering += step))
    const width = (values: readonly number[]): number => {
      const { low, high, standardError } = fitLine(line(...values))!
      return (high - low) / standardError
    }
    expect(width(wanderings)).toBeGreaterThan(width(independent))
  })

  it.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [5, 2.571],
    [10, 2.228],
    [30, 2.042],
    [1_000, 1.962],
  ])('of %d degrees of freedom: %d standard errors', (degrees, expected) => {
    expect(Math.abs(t95(degrees) / expected - 1)).toBeLessThan(0.01)
  })

  it('goes through the least of each window', () => {
    const points = [5, 3, 9, 4, 6, 8].map((y, x) => ({ x: x + 10, y }))
    expect(windowMinima(points, 2).map(({ y }) => y)).toEqual([3, 4, 6])
    expect(windowMinima(points, 100)).toEqual([{ x: 11, y: 3 }])
    expect(windowMinima([], 2)).toEqual([])
  })
})

describe('flat', () => {
  const of = (slope: number, margin: number): Line => ({
    ...{ slope, standardError: margin / 2, low: slope - margin, high: slope + margin, level: 240 },
  })

  // A tenth of 240 in a day is one an hour; to double in a day it takes ten.
  it.each([
    ['nothing moves', 'flat', of(0, 0)],
    ['it shrinks', 'flat', of(-5, 1)],
    ['it grows, but by too little to matter', 'flat', of(0.9, 0.1)],
    ['it may grow, and would not double in a day', 'flat', of(3, 4)],
    ['it may grow, and might double in a day', 'unclear', of(3, 8)],
    ['it grows', 'grows', of(1.1, 1)],
    ['it grows fast', 'grows', of(30, 1)],
    ['there is no line', 'unclear', null],
  ])('where %s: %s', (_, verdict, one) => {
    expect(verdictOf(one)).toBe(verdict)
  })

  it('is a part of the memory whose growth would not matter to the whole', () => {
    expect(verdictOf(of(1.1, 1), 2_400)).toBe('flat')
    expect(verdictOf(of(11, 1), 2_400)).toBe('grows')
  })
})

describe('what is right', () => {
  const route = (service: string, extra: Route['extra'] = null): Route => ({ service, extra })
  const facts = (...more: readonly Fact[]): Truth => {
    const truth = new Truth()
    for (const fact of more) truth.allow(fact)
    return truth
  }
  const HOST = 'a.example'
  const ofRoute = (value: Route | null): Fact => ({ kind: 'route', host: HOST, route: value })
  const ofEndpoint = (service: string, address: string): Fact => ({ kind: 'endpoint', service, address })
  const question = { host: HOST, target: '/', sent: 'GET' }
  const by = (address: string, asked = question): { status: number; body: string } => ({
    ...{ status: 200, body: answerOf(address, asked) },
  })
  const gone = { status: 404, body: 'not found' }

  it('is an answer of the Service of the longest path, whole and of this request', () => {
    const truth = facts(ofRoute(route('s', { path: '/v1', service: 't' })), ofEndpoint('s', '1'), ofEndpoint('t', '2'))
    truth.forbid(ofRoute(null), 5)
    const below = { ...question, target: '/v1/x' }
    expect(truth.faultOf(question, by('1'), 10)).toBeNull()
    expect(truth.faultOf(below, by('2', below), 10)).toBeNull()
    expect(truth.faultOf(question, by('2'), 10)).toContain('answered by 2, which is none of s')
    expect(truth.faultOf(below, by('1', below), 10)).toContain('none of t')
    expect(truth.faultOf(question, by('3'), 10)).toContain('answered by 3')
    expect(truth.faultOf(question, by('1', { ...question, host: 'b.example' }), 10)).toContain('not of a.example/')
    expect(truth.faultOf(question, by('1', { ...question, sent: 'POST x' }), 10)).toContain('not of a.example/')
    expect(truth.faultOf(question, gone, 10)).toContain('status 404')
    expect(truth.faultOf(question, { status: 502, body: 'bad' }, 10)).toBe('status 502: bad')
  })

  it('is what was right at any moment since the request was sent', () => {
    const truth = facts(ofRoute(route('s')), ofEndpoint('s', '1'))
    truth.forbid(ofRoute(null), 5)
    truth.allow(ofRoute(null))
    for (const answer of [by('1'), gone]) expect(truth.faultOf(question, answer, 10)).toBeNull()
    truth.forbid(ofRoute(route('s')), 20)
    expect(truth.faultOf(question, by('1'), 20)).toBeNull()
    expect(truth.faultOf(question, by('1'), 21)).toContain('a host that is gone')
    expect(truth.faultOf(question, gone, 21)).toBeNull()
    truth.allow(ofRoute(route('s')))
    truth.forbid(ofRoute(null), 30)
    expect(truth.faultOf(question, by('1'), 31)).toBeNull()
    expect(truth.faultOf(question, gone, 31)).toContain('status 404')
  })

  it('is forgotten when nobody can ask for it any more', () => {
    const truth = facts(ofRoute(route('s')), ofEndpoint('s', '1'), {
      kind: 'certificate',
      host: HOST,
      fingerprint: 'f',
    })
    expect(truth.size).toBe(3)
    truth.allow(ofRoute(null))
    truth.allow({ kind: 'certificate', host: HOST, fingerprint: null })
    truth.forbid(ofRoute(route('s')), 10)
    truth.forbid(ofEndpoint('s', '1'), 10)
    truth.forbid({ kind: 'certificate', host: HOST, fingerprint: 'f' }, 10)
    truth.forget(10)
    expect(truth.size).toBe(3)
    expect(truth.certificatesSince(HOST, 10)).toEqual([null, 'f'])
    truth.forget(11)
    expect(truth.size).toBe(0)
    expect(truth.certificatesSince(HOST, 5)).toEqual([null])
  })
})

describe('names that come and go', () => {
  it('are picked from those that are in', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.boolean())), steps => {
        const [roster, set] = [new Roster(), new Set<string>()]
        for (const [n, isIn] of steps) {
          roster.set(`h${n}`, isIn)
          if (isIn) set.add(`h${n}`)
          else set.delete(`h${n}`)
          expect(roster.size).toBe(set.size)
        }
        const picked = Array.from({ length: set.size }, (_, i) => roster.pick(() => i / set.size))
        expect(new Set(picked)).toEqual(set)
      }),
    )
    expect(new Roster().pick(() => 0)).toBeNull()
  })

  it('are the newest ones, where there may only be some', () => {
    const roster = new Roster(2)
    for (const name of ['a', 'b', 'c']) roster.set(name, true)
    expect([0, 0.5].map(at => roster.pick(() => at)).toSorted()).toEqual(['b', 'c'])
  })
})

describe('a request at the backend', () => {
  const text = 'POST /a HTTP/1.1\r\nHost: x.example\r\nContent-Length: 3\r\n\r\nabc'

  it('is taken once it is whole', () => {
    expect(parseRequest(`${text}GET`)).toEqual({
      ...{ host: 'x.example', target: '/a', sent: sentOf('POST', 'abc'), length: text.length },
    })
    for (let cut = 0; cut < text.length; cut++) expect(parseRequest(text.slice(0, cut))).toBeNull()
    expect(parseRequest('GET / HTTP/1.1\r\nhost: y\r\n\r\n')).toMatchObject({ host: 'y', sent: 'GET' })
  })
})

describe('a population', () => {
  it('keeps its size and its sense whatever changes: all that is said is right and wrong fits together', async () => {
    const authority = await Authority.root('soak')
    let next = 0
    const sources = {
      address: () => Promise.resolve(`127.0.0.1:${++next}`),
      leaf: (host: string) => authority.issue({ hosts: [host] }),
    }
    const population = new Population(60, randomOf(5), sources)
    const [world, right, retired] = [new TestWorld(), new Set<string>(), new Set<string>()]
    const kinds = new Map<string, number>()
    const ending: Change[] = []
    const end = (change: Change | undefined): void => {
      if (change === undefined) return
      for (const fact of change.forbidden) right.delete(JSON.stringify(fact))
      for (const address of change.retired) retired.add(address)
      change.applyLast(world)
      change.done()
    }
    const begin = (change: Change): void => {
      for (const fact of change.allowed) right.add(JSON.stringify(fact))
      change.apply(world)
    }
    for (const change of await population.found()) {
      begin(change)
      // Done by found() already.
      for (const fact of change.forbidden) right.delete(JSON.stringify(fact))
    }
    for (let i = 0; i < 300; i++) {
      const change = await population.next()
      kinds.set(change.kind, (kinds.get(change.kind) ?? 0) + 1)
      begin(change)
      // Some changes are on their way at any time.
      if (ending.push(change) > 5) end(ending.shift())
      expect(Math.abs(population.size - 60)).toBeLessThanOrEqual(1)
    }
    while (ending.length > 0) end(ending.shift())
    for (const kind of CHANGE_KINDS) expect(kinds.get(kind)).toBeGreaterThan(20)

    // What is right at the end is what the world holds, and nothing points at what is gone.
    const held = [...right].map(text => JSON.parse(text) as Fact)
    const ofKind = (kind: Fact['kind']): number => held.filter(one => one.kind === kind).length
    const served = held.flatMap(one => (one.kind === 'route' && one.route !== null ? [one.route] : []))
    expect(served).toHaveLength(population.size)
    const objects = [...world.objects()]
    expect(objects.filter(key => key.startsWith('Ingress/'))).toHaveLength(population.size)
    expect(objects.filter(key => key.startsWith('Secret/'))).toHaveLength(
      held.filter(one => one.kind === 'certificate' && one.fingerprint !== null).length,
    )
    const endpoints = [...world.endpoints()].flatMap(([service, all]) => all.map(address => `${service} ${address}`))
    expect(ofKind('endpoint')).toBe(endpoints.length)
    for (const one of held) {
      if (one.kind === 'endpoint') expect(endpoints).toContain(`${one.service} ${one.address}`)
    }
    for (const { service, extra } of served) {
      for (const name of [service, extra?.service ?? service]) expect(world.endpoints().get(name)).not.toHaveLength(0)
    }
    expect(endpoints.filter(text => retired.has(text.split(' ')[1]!))).toEqual([])
    expect(endpoints.length + retired.size).toBe(next)
  }, 60_000)
})

describe('what a proxy says', () => {
  const metrics = parseMetrics(
    '# HELP a b\nsluice_worker_heap_bytes{worker="0"} 10\nsluice_worker_heap_bytes{worker="1"} 5\n' +
      'sluice_worker_heap_bytes_x 100\nsluice_table_hosts 1e3\nsluice_defects_total 2\nx Nan\n',
  )

  it('is read by name, whatever the labels', () => {
    expect(metric(metrics, 'sluice_worker_heap_bytes')).toBe(15)
    expect(metric(metrics, 'sluice_table_hosts')).toBe(1_000)
    expect(metric(metrics, 'nothing')).toBe(0)
  })

  it('and the kernel says of its memory, is read', () => {
    expect(parseAnonymous('VmRSS:\t  300 kB\nRssAnon:\t     120 kB\nRssFile:\t 180 kB\n')).toBe(120 * 1_024)
    expect(parseAnonymous('')).toBe(0)
  })

  it('may hold no defects', () => {
    expect(defectsIn(metrics)).toEqual(['2 of sluice_defects_total'])
    expect(defectsIn(new Map())).toEqual([])
  })

  it('of its threads: the busiest one serves', () => {
    const before = new Map([
      [1, 100],
      [2, 50],
    ])
    const after = new Map([
      [1, 110],
      [2, 90],
      [3, 5],
    ])
    expect(cpuBetween(before, after)).toEqual({ all: 55, busiest: 40 })
  })

  it.each([
    [0.7, 40_000, 1_000, 17_500],
    [0.5, 1_000_000, 1_000, 500],
    [0.7, 1, 1_000, 50_000],
    [0.7, 1_000_000_000, 1, 100],
    [0.7, 0, 0, 1_000],
  ])('a part of %d, %d µs for %d requests: %d a second', (share, us, requests, pace) => {
    expect(paceFor(share, us, requests)).toBe(pace)
  })
})

describe('a report', () => {
  const sample = (n: number, rss: number): Sample => ({
    ...{
      at: n * 60_000,
      rss,
      anonymous: 1e8,
      heap: 5e7,
      external: 1e7,
      table: 1e6,
      descriptors: 400,
      lagMs: 2,
      hosts: 100,
    },
  })
  const steady = Array.from({ length: 40 }, (_, n) => sample(n, 2e8 + (n % 2) * 1e5))
  const outcome: Outcome = {
    ...{ version: '0.1', pace: 1_000, ranMs: 40 * 60_000, workerShare: 0.7, processShare: 0.8 },
    traffic: {
      ...{ requests: { plain: 1_600_000, TLS: 700_000, 'new plain': 70_000, 'new TLS': 30_000 } },
      ...{ posts: 5, notFound: 1, skipped: 0, faults: { wrong: 0, cut: 0, closed: 0 }, examples: [], kept: 0 },
    },
    ...{ times: [{ p50: 1, p99: 5 }], servedMs: [10, 20], unserved: [], isSameState: true, defects: [] },
    changes: { 'host comes': 1, 'host goes': 2, paths: 3, endpoints: 4, certificate: 5 },
    samples: steady,
  }

  it('says that all is well where it is', () => {
    const trends = trendsOf(outcome.samples, 300_000)
    expect(trends.map(({ verdict }) => verdict)).toEqual(Array.from({ length: 6 }, () => 'flat'))
    expect([...errorsOf(outcome), ...doubtsOf(outcome, trends)]).toEqual([])
    const text = renderSoak(outcome, trends, 300_000)
    expect(text).toMatch(/\| pace +\| +1 000 requests a second wanted, 1 000 answered \|/)
    expect(text).toMatch(/\| rss of the process +\| 190\.7 MiB \| 190\.7 MiB \| .* KiB \| +flat \|/)
    expect(text).toContain('after a warm-up of 300 s')
  })

  it('says what grows, and what went wrong', () => {
    const samples = steady.map((one, n) => ({ ...one, rss: 2e8 + n * 1e6 }))
    const faults = { wrong: 3, cut: 2, closed: 1 }
    const bad: Outcome = {
      ...{ ...outcome, samples, pace: 2_000, isSameState: false, defects: ['1 of x'], unserved: ['paths of a'] },
      traffic: { ...outcome.traffic, faults, examples: ['wrong: y'] },
    }
    const trends = trendsOf(samples, 300_000)
    expect(errorsOf(bad)).toEqual([
      ...['3 answers were wrong', '2 requests were cut', '1 connections were closed by the proxy', 'wrong: y'],
      ...['paths of a was not served', 'the proxy is not in the state of the operator', '1 of x'],
    ])
    expect(doubtsOf(bad, trends)).toEqual([
      'the pace was not kept: 1 000 of 2 000 requests a second',
      'rss of the process: grows',
    ])
  })

  it('cannot say anything of a short run', () => {
    const trends = trendsOf(steady.slice(0, 3), 0)
    expect(doubtsOf(outcome, trends)).toContain('rss of the process: unclear')
    expect(renderSoak(outcome, trends, 0)).toContain('too few samples')
  })
})

describe('settings', () => {
  it('have defaults, and are part of the command that measures again', () => {
    const settings = settingsFrom({})
    expect(settings).toMatchObject({ minutes: 30, warmUp: 300, changes: 10, load: 70, hosts: 5_000, write: false })
    expect(commandOf(settings)).toBe('MINUTES=30 CHANGES=10 LOAD=70 HOSTS=5000 SEED=1 make soak')
    expect(commandOf(settingsFrom({ WARMUP: '5', SAMPLE: '1' }))).toContain('SEED=1 WARMUP=5 SAMPLE=1 make')
  })

  it.each([
    ['MINUTES', '0'],
    ['LOAD', '99'],
    ['CHANGES', '1.5'],
    ['HOSTS', 'many'],
    ['WARMUP', '1801'],
    ['SEED', '-1'],
  ])('%s=%s is refused by name', (name, value) => {
    expect(() => settingsFrom({ [name]: value })).toThrow(`${name}=${value} is not allowed`)
  })
})
