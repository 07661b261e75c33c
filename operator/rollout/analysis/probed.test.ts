import { describe, expect, it } from '@jest/globals'
import type { ProbeCounters, Report } from '../../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import type { ProbeSeen } from '../machine/types.ts'
import { Figures } from './window.ts'
import { PROBED_MS, Probed } from './probed.ts'
import type { Question } from './probed.ts'

const KEY = 'Ingress/shop/web'
const OK: ProbeCounters = { ok: 1, failed: 0, own: 1, failedInRow: 0, status: 200, error: null }
const bad = (failedInRow: number): ProbeCounters => ({ ...OK, ok: 0, failed: 1, failedInRow, status: 500 })

function report(revision: string | null, counted: ProbeCounters | null, sequence = 1): Report {
  return {
    ...{ type: 'report', protocol: 1, pod: '', instance: 'i', sequence, stateHash: '', source: 'stream' },
    ...{ checksums: { ingress: null, secret: null }, refused: [], revisions: {}, hosts: {}, objects: {} },
    ...(counted === null ? {} : { probes: { [KEY]: { revision, probes: { p: counted } } } }),
  }
}

const ASKED: Question = {
  ...{ key: KEY, update: 'new', stable: 'old', sinceMs: 0, nowMs: 10_000 },
  probes: [{ id: 'p', words: 'GET http://a.example/', intervalMs: 1_000, timeoutMs: 1_000 }],
}

/** Told by pod, in order: at, revision, counters. */
type Told = readonly (readonly [pod: string, at: number, revision: string | null, counted: ProbeCounters])[]

function of(told: Told, change: Partial<Question> = {}): ProbeSeen | undefined {
  const probed = new Probed()
  for (const [pod, at, revision, counted] of told) probed.add(pod, report(revision, counted), at)
  return probed.of({ ...ASKED, ...change })[0]
}

describe('what pods said of their probes', () => {
  it('is told apart by what they serve', () => {
    const seen = of([
      ['p0', 1_000, 'new', OK],
      ['p0', 2_000, 'new', OK],
      ['p1', 2_000, 'old', bad(1)],
    ])
    expect(seen).toMatchObject({
      words: 'GET http://a.example/',
      passed: true,
      update: [{ pod: 'p0', ok: 2, failed: 0, failedInRow: 0, last: 'status 200', before: null }],
      stable: [{ pod: 'p1', ok: 0, failed: 1, failedInRow: 1, last: 'status 500', before: 'failed' }],
    })
  })

  it('knows what a pod with the update showed before', () => {
    const told: Told = [
      ['p0', 1_000, 'old', OK],
      ['p0', 2_000, 'new', bad(1)],
      ['p0', 3_000, 'new', bad(2)],
    ]
    expect(of(told)).toMatchObject({
      passed: false,
      update: [{ failed: 2, failedInRow: 2, before: 'passed' }],
      stable: [],
    })
  })

  it('counts from the batch on, and only what was said lately', () => {
    const told: Told = [
      ['p0', 1_000, 'new', OK],
      ['p0', 9_000, 'new', OK],
    ]
    expect(of(told, { sinceMs: 5_000 })?.update).toMatchObject([{ ok: 1 }])
    expect(of(told, { sinceMs: 9_500 })?.update).toEqual([])
    expect(of(told, { nowMs: 30_000 })?.update).toEqual([])
  })

  it('of a deletion and of an object that never was released is that of pods that serve none', () => {
    const told: Told = [['p0', 1_000, null, OK]]
    expect(of(told, { update: ABSENT_REVISION })?.update).toHaveLength(1)
    expect(of(told, { stable: null })?.stable).toHaveLength(1)
  })

  it('leaves out what leads to another object everywhere', () => {
    const elsewhere = { ...OK, own: 0 }
    expect(of([['p0', 1_000, 'new', elsewhere]])).toBeUndefined()
    // The update lost the path that the probe asks for.
    const lost: Told = [
      ['p1', 1_000, 'old', OK],
      ['p0', 1_000, 'new', { ...bad(1), own: 0 }],
    ]
    expect(of(lost)?.update).toMatchObject([{ failed: 1 }])
    expect(of([])).toMatchObject({ update: [], stable: [] })
  })

  it('is forgotten after a quarter of an hour, and with its pod', () => {
    const probed = new Probed()
    probed.add('p0', report('new', OK), 0)
    probed.add('p0', report(null, null), PROBED_MS + 1)
    const still = { ...ASKED, nowMs: 1_000 }
    expect(probed.of(still)[0]?.passed).toBe(false)
    probed.add('p0', report('new', OK), 500)
    expect(probed.of(still)[0]?.update).toHaveLength(1)
    probed.forget('p0')
    expect(probed.of(still)[0]?.update).toEqual([])
  })

  it('counts once, however often it is sent', () => {
    const figures = new Figures()
    for (const at of [1_000, 1_100]) figures.add('p0', 0, report('new', OK), at)
    figures.add('p0', 0, report('new', OK, 2), 2_000)
    expect(figures.probed(ASKED)[0]?.update).toMatchObject([{ ok: 2 }])
  })
})
