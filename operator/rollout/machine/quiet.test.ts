/** Hosts without clients: what probes are for. */
import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import { OLD, SETTINGS, World } from './testing.ts'
import type { Observation, PodProbe, ProbeSeen, Settings } from './types.ts'

class Quiet extends World {
  probed = true
  /** It answers as it should. */
  update = true
  stable = true
  readonly #inRow = new Map<number, readonly [revision: string | null, ok: number, failed: number]>()

  constructor(change: Partial<Settings> = {}) {
    super()
    this.settings = { ...SETTINGS, ...change }
    this.onUpdate = this.onStable = {}
  }

  override observe(): Observation {
    const seen = super.observe()
    if (!this.probed) return seen
    const on = (isUpdate: boolean): readonly PodProbe[] =>
      seen.pods
        .filter(({ serves }) => (serves !== OLD) === isUpdate)
        .map(({ name, ordinal, serves }) => {
          const good = isUpdate ? this.update : this.stable
          const [revision, ok, failed] = this.#inRow.get(ordinal) ?? [null, 0, 0]
          const same = revision === serves ? ([ok, failed] as const) : ([0, 0] as const)
          const next = good ? ([same[0] + 1, 0] as const) : ([same[0], same[1] + 1] as const)
          this.#inRow.set(ordinal, [serves ?? null, ...next])
          return { pod: name, ok: next[0], failed: next[1], failedInRow: next[1], last: 'status', before: null }
        })
    const probe: ProbeSeen = { words: 'GET http://a.example/', passed: false, update: on(true), stable: on(false) }
    return { ...seen, probes: [probe] }
  }
}

describe('a change of a host without clients', () => {
  it('waits until the deadline, and then for a person, without probes: as it was', () => {
    const run = new Quiet()
    run.probed = false
    run.until(state => state.phase === 'Paused')
    expect(run.state).toMatchObject({ index: 1, blocked: { reason: 'Inconclusive' } })
    expect(run.state.message).toContain('not enough evidence at the deadline: 0 of 100 requests seen')
  })

  it('goes out with probes that pass, each batch at the end of its bake and not before', () => {
    const run = new Quiet()
    run.until(state => state.index === 1)
    const begun = run.now
    run.until(state => state.index === 2)
    expect(run.now - begun).toBeGreaterThanOrEqual(SETTINGS.bakeMs)
    expect(run.now - begun).toBeLessThanOrEqual(SETTINGS.bakeMs + 3_000)
    run.until(state => state.phase === 'Complete', 120)
    const passed = run.results.flatMap(({ commands }) => commands).filter(one => one.type === 'event')
    expect(passed.filter(one => one.reason === 'BatchPassed').map(one => one.message)[0]).toBe(
      'batch 1 of 3 passed: probes pass on every pod that serves it (0 of 100 requests seen on pod 0)',
    )
  })

  it('is taken back where they fail with the update alone, from the first pod and within seconds', () => {
    const run = new Quiet()
    run.update = false
    run.until(state => state.index === 1)
    run.until(state => state.phase === 'RolledBack', 10)
    expect(run.state.cause).toMatchObject({ reason: 'GateFailed', message: expect.stringContaining('probes: GET ') })
    expect(run.state.reached).toBe(1)
  })

  it('is taken back for what begins to fail while it waits', () => {
    const run = new Quiet({ batches: [{ pods: { count: 1 }, pause: { type: 'approval' } }, SETTINGS.batches[2]!] })
    run.until(state => state.step.name === 'waiting')
    run.seconds(600)
    run.update = false
    run.until(state => state.phase === 'RolledBack', 10)
  })

  it('waits in an outage, is not taken back for it, and goes on after it', () => {
    const run = new Quiet()
    run.update = run.stable = false
    run.until(state => state.phase === 'Paused')
    expect(run.state).toMatchObject({ index: 1, blocked: { reason: 'Inconclusive' } })
    expect(run.state.message).toContain('and without the update on')
    run.update = run.stable = true
    run.until(state => state.phase === 'Complete', 120)
  })

  it('is not held against what leaves: that is to fail', () => {
    const run = new Quiet()
    run.revision = ABSENT_REVISION
    run.record = { ...run.record, update: ABSENT_REVISION }
    run.change = { use: 0, takenOver: true }
    run.update = false
    run.until(state => state.phase === 'Complete', 200)
    expect(run.state.verdicts.map(({ name }) => name)).not.toContain('probes')
  })

  it('is not promoted in an outage, whatever the policy says of missing evidence', () => {
    const run = new Quiet({ onInconclusive: 'Promote' })
    run.update = run.stable = false
    run.until(state => state.phase === 'Paused')
    expect(run.state.index).toBe(1)
  })
})
