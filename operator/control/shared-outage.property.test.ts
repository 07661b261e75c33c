/**
 * What hits all pods alike is no fault of the update, whoever reports it first: real figures, observations and the real machine, with
 * pods that report one after the other. What hits the update alone is taken back as well.
 */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { HostCounters, Report } from '../../protocol/messages.ts'
import type { Revision } from '../../protocol/objects.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { IngressRolloutSpec } from '../model/generated/crds.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { Figures } from '../rollout/analysis/window.ts'
import { counters, report } from '../rollout/analysis/testing.ts'
import { initialState, step } from '../rollout/machine/step.ts'
import { SETTINGS } from '../rollout/machine/testing.ts'
import type { Settings, State } from '../rollout/machine/types.ts'
import { observe } from './observe.ts'
import { viewOf } from './testing-views.ts'

const KEY = 'Ingress/shop/web'
const HOST = 'shop.example.com'
const SIZE = 5
/** The report by which the update's pod confirms it. Milliseconds, like all times here. */
const CONFIRMED = 20_000
const END = 45_000

const [BATCH] = SETTINGS.batches
/** To the end of the story. */
const BAKES_LONG: Settings = { ...SETTINGS, batches: [BATCH!, BATCH!], bakeMs: END, deadlineMs: 2 * END }

const SPEC: IngressRolloutSpec = {
  ...{ objectRef: { kind: 'Ingress', name: 'web', uid: 'u1' }, revision: 'v2' },
  ...{ paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 },
}
const viewFor = ({ updated }: Story): ObjectView =>
  viewOf({
    content: 'v2',
    texts: { flag: 'true', current: 'v1', update: 'v2', index: `${updated}` },
    record: { update: 'v2', index: updated },
  })

interface Story {
  /** So many pods serve the update. */
  readonly updated: number
  /** The others say so at once when it begins: they are asked for it. Of later batches they were before. */
  readonly first: boolean
  /** Requests a second to every pod. */
  readonly rate: number
  /** Between two reports of a pod. */
  readonly interval: number
  /** By how much later than that a report comes, at most. */
  readonly jitter: number
  /** At which part of the interval each pod reports. */
  readonly phases: readonly number[]
  /** From when, for how long, and which share of the requests fails. */
  readonly outage: { readonly from: number; readonly ms: number; readonly share: number }
  /** Of what does not fail so much is refused by the backend, as it always was. */
  readonly refused: number
  /** The operator stands still: what comes meanwhile it sees at the end. */
  readonly stall: { readonly from: number; readonly ms: number }
  readonly seed: number
}

const story: fc.Arbitrary<Story> = fc.record({
  updated: fc.integer({ min: 1, max: 3 }),
  first: fc.boolean(),
  rate: fc.integer({ min: 100, max: 1_000 }),
  interval: fc.constantFrom(1_000, 2_000),
  jitter: fc.integer({ min: 0, max: 1_000 }),
  phases: fc.array(fc.double({ min: 0.1, max: 0.99, noNaN: true }), { minLength: SIZE, maxLength: SIZE }),
  outage: fc.record({
    from: fc.integer({ min: CONFIRMED - 3_000, max: 40_000 }),
    ms: fc.integer({ min: 100, max: 20_000 }),
    share: fc.double({ min: 0.02, max: 1, noNaN: true }),
  }),
  refused: fc.double({ min: 0, max: 0.7, noNaN: true }),
  stall: fc.record({ from: fc.integer({ min: CONFIRMED, max: 40_000 }), ms: fc.integer({ min: 0, max: 300 }) }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }),
})

/** Park and Miller's generator: the same seed, the same story. */
function random(seed: number): () => number {
  let value = seed
  return () => (value = (value * 48_271) % 2_147_483_647) / 2_147_483_647
}

/** Chance has a part in every story, and may take back one in many thousands: these are always the same. */
const FATE = { numRuns: 150, seed: 41 }

/** What one pod counted from one moment to another, of requests that come at an even pace. */
function countsOf(
  { rate, outage, refused }: Story,
  from: number,
  to: number,
  fails: boolean,
  chance: () => number,
): HostCounters {
  const at = (time: number): number => Math.floor((time * rate) / 1_000)
  const requests = at(to) - at(from)
  let failed = 0
  if (fails) {
    const last = at(Math.min(to, outage.from + outage.ms))
    for (let n = at(Math.max(from, outage.from)) + 1; n <= last; n++) if (chance() < outage.share) failed++
  }
  const no = Math.floor((requests - failed) * refused)
  return counters(requests, { status: [0, requests - failed - no, 0, no, failed] })
}

/** When its reports come; the one with which it confirms the revision is among them. */
function reportsOf(
  { interval, jitter, phases, updated, first }: Story,
  pod: number,
  chance: () => number,
): readonly number[] {
  const times = pod < updated || first ? [CONFIRMED] : []
  for (let at = (phases[pod] ?? 0) * interval; at < END; at += interval) times.push(Math.round(at + chance() * jitter))
  return [...new Set(times)].sort((a, b) => a - b)
}

/** When the operator sees them; a pod sends its next report when one was answered. */
function seenBy(
  { stall }: Story,
  reports: readonly number[],
): readonly { readonly made: number; readonly at: number }[] {
  const end = stall.from + stall.ms
  const isHeld = (made: number): boolean => made > stall.from && made < end
  const first = reports.find(isHeld)
  return reports.flatMap(made => (!isHeld(made) ? [{ made, at: made }] : made === first ? [{ made, at: end }] : []))
}

interface Heard {
  readonly at: number
  readonly made: number
  readonly report: Report
  readonly sequence: number
}

/** The rollout of v2, on the first pods since CONFIRMED; looked at with every report. When and why it was taken back; null: it was not. */
function run(of: Story, isShared: boolean): { readonly at: number; readonly message: string } | null {
  const chance = random(of.seed)
  const figures = new Figures()
  const heard = new Map<number, Heard>()
  const isUpdated = (pod: number): boolean => pod < of.updated
  const all = Array.from({ length: SIZE }, (_, pod) =>
    seenBy(of, reportsOf(of, pod, chance)).map(report_ => ({ pod, ...report_ })),
  ).flat()
  let state: State = {
    ...initialState(1, 0),
    ...{ phase: 'Progressing', settings: BAKES_LONG, index: of.updated, reached: of.updated, batchSince: CONFIRMED },
    step: { name: 'acknowledging', since: CONFIRMED },
  }
  for (const { pod, made, at } of all.sort((a, b) => a.at - b.at || a.pod - b.pod)) {
    const before = heard.get(pod)
    const counts = countsOf(of, before?.made ?? 0, made, isShared || isUpdated(pod), chance)
    const revision: Revision = at >= CONFIRMED && isUpdated(pod) ? 'v2' : 'v1'
    const sequence = (before?.sequence ?? 0) + 1
    const said = report(sequence, { [KEY]: revision }, { [HOST]: counts })
    heard.set(pod, { at, made, report: said, sequence })
    figures.add(`proxy-${pod}`, pod, said, at)
    if (at < CONFIRMED) continue
    const pods: readonly FleetPod[] = [...heard].map(([ordinal, one]) => ({
      ...{ name: `proxy-${ordinal}`, uid: `${ordinal}`, ordinal, ready: true, report: one.report, reportedAt: one.at },
    }))
    const seen = observe({
      ...{ key: KEY, spec: SPEC, stableBefore: 'v1', state, view: viewFor(of), pods, figures, hosts: [HOST] },
      ...{ endpointsOf: () => ['10.0.0.1:80'], isItsTurn: true, lacksCertificates: null, renewal: null },
      ...{ cleanSince: -Infinity, handedOn: null, isTakenOver: () => false, upToDate: true, now: at, wall: at },
    })
    state = step(state, seen, BAKES_LONG).state
    expect(['Progressing', 'RollingBack']).toContain(state.phase)
    if (state.cause !== null) return { at, message: state.cause.message }
  }
  return null
}

describe('an outage of what stands behind all pods', () => {
  it('takes back no update, whoever reports it first', () => {
    fc.assert(
      fc.property(story, of => {
        expect(run(of, true)).toBeNull()
      }),
      FATE,
    )
  })

  it('what fails on the pods with the update alone is taken back as soon as the others have been heard of', () => {
    fc.assert(
      fc.property(story, ({ outage, ...of }) => {
        const lasts = { ...of, rate: of.rate + 100, outage: { from: CONFIRMED + 2_000, ms: END, share: 0.8 } }
        const back = run({ ...lasts, outage: { ...lasts.outage, share: Math.max(outage.share, 0.5) } }, false)
        expect(back?.message).toMatch(/^successRate: /)
        // The report that shows it, and one of everybody else.
        expect(back?.at).toBeLessThanOrEqual(lasts.outage.from + 3 * of.interval + 2 * of.jitter + of.stall.ms)
      }),
      FATE,
    )
  })
})
