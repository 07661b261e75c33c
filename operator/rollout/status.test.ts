import { describe, expect, it } from '@jest/globals'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { initialState } from './machine/state.ts'
import { BROKEN, HEALTHY, NEW, OLD, SETTINGS, World, pod } from './machine/testing.ts'
import type { State } from './machine/types.ts'
import { fromStatus, rolloutName, toStatus } from './status.ts'

function status(run: World, previous?: IngressRolloutStatus, generation = 4): IngressRolloutStatus {
  return toStatus(run.state, run.observe(), run.settings, { previous, generation })
}

function at(what: (state: State) => boolean, change: (run: World) => void = () => undefined): World {
  const run = new World()
  change(run)
  run.until(what)
  return run
}

/** `Progressing=True/Baking Complete=False/Progressing …` */
function conditions({ conditions: all = [] }: IngressRolloutStatus): string {
  return all.map(one => `${one.type}=${one.status}/${one.reason}`).join(' ')
}

describe('rolloutName', () => {
  it.each([
    ['Ingress', 'web', 'ing-web-r2'],
    ['Secret', 'web-tls', 'sec-web-tls-r2'],
    ['Ingress', 'x'.repeat(250), `ing-${'x'.repeat(200)}-r2`],
    ['Ingress', `${'x'.repeat(198)}.-y`, `ing-${'x'.repeat(198)}-r2`],
  ] as const)('of %s %s', (kind, name, expected) => {
    expect(rolloutName(kind, name, NEW)).toBe(expected)
  })
})

describe('toStatus', () => {
  it('says where the rollout is: the batch from 0, the summary from 1, the index as it is', () => {
    const run = at(state => state.index === 2 && state.step.name === 'baking')
    run.notReady.add(4)
    run.silent.add(1)
    expect(status(run)).toMatchObject({
      ...{ phase: 'Progressing', message: 'batch 2 of 3 bakes for 30 s, 2 pods up to ordinal 1' },
      ...{ observedGeneration: 4, attempt: 1, observedRetry: 0, batch: 1, batches: 3, summary: '2/3', index: 2 },
      pods: { ready: 4, updated: 2, acknowledged: 1, summary: '2/4' },
      stableRevision: OLD,
      startedAt: '2026-01-01T00:00:01.000Z',
      batchStartedAt: new Date(run.state.batchStartedAt!).toISOString(),
    })
    expect(status(run)).not.toHaveProperty('pauseEndsAt')
    expect(status(run)).not.toHaveProperty('finishedAt')
  })

  it('counts all ready pods when it is complete', () => {
    const run = at(state => state.phase === 'Complete')
    expect(status(run)).toMatchObject({ index: -1, summary: '3/3', pods: { ready: 5, updated: 5, acknowledged: 5 } })
    expect(status(run).finishedAt).toBe(new Date(run.wall).toISOString())
  })

  it('leaves out what there is not', () => {
    const run = new World()
    run.record = { ...run.record, current: null }
    const found = Object.keys(status(run))
    for (const name of ['stableRevision', 'startedAt', 'batchStartedAt', 'finishedAt', 'pauseEndsAt', 'baseline']) {
      expect(found).not.toContain(name)
    }
  })

  it('has the gates with their figures, those that JSON can say', () => {
    const run = at(state => state.step.name === 'baking')
    run.seconds(3)
    expect(status(run).gates?.map(gate => gate.name)).toEqual([
      ...['acknowledgement', 'successRate', 'notFoundRate', 'clientErrorRate', 'redirectRate'],
      ...['latencyP99', 'tlsFailureRate'],
    ])
    const verdict = { name: 'odd', verdict: 'fail', reason: 'R'.repeat(200), message: 'm'.repeat(2_000) } as const
    run.state = { ...run.state, verdicts: [{ ...verdict, figures: { good: 1, not: NaN, never: Infinity } }] }
    expect(status(run).gates).toEqual([
      { name: 'odd', verdict: 'fail', reason: 'R'.repeat(128), message: 'm'.repeat(1_024), figures: { good: 1 } },
    ])
  })

  it('cuts messages to what the API server takes', () => {
    const run = new World()
    run.state = { ...run.state, message: 'm'.repeat(9_000) }
    expect(status(run).message).toHaveLength(4_096)
  })

  it('says when a pause ends by itself, and only while it does', () => {
    const run = at(
      state => state.phase === 'Paused',
      run => {
        const pause = { type: 'time', forMs: 60_000 } as const
        const batches = [{ pods: { count: 1 }, pause }, SETTINGS.batches[2]!]
        run.settings = { ...SETTINGS, batches, automaticRollback: false }
      },
    )
    expect(status(run).pauseEndsAt).toBe(new Date(run.wall + 60_000).toISOString())
    run.onUpdate = { ...BROKEN, failures: 50 }
    run.until(state => state.blocked !== null, 30)
    expect(status(run)).not.toHaveProperty('pauseEndsAt')
    expect(conditions(status(run))).toContain('Paused=True/GateFailed')
  })
})

describe('conditions', () => {
  it.each<[string, string, World]>([
    [
      'Pending',
      'Progressing=False/Pending Complete=False/Pending RolledBack=False/Pending Paused=False/Pending DeletionHeld=False/Pending',
      new World(),
    ],
    [
      'Progressing',
      'Progressing=True/Baking Complete=False/Progressing RolledBack=False/Progressing Paused=False/Progressing DeletionHeld=False/Progressing',
      at(state => state.step.name === 'baking'),
    ],
    [
      'Paused',
      'Progressing=False/Paused Complete=False/Paused RolledBack=False/Paused Paused=True/Inconclusive DeletionHeld=False/Paused',
      at(
        state => state.phase === 'Paused',
        run => (run.onUpdate = {}),
      ),
    ],
    [
      'Complete',
      'Progressing=False/Complete Complete=True/Released RolledBack=False/Complete Paused=False/Complete DeletionHeld=False/Complete',
      at(state => state.phase === 'Complete'),
    ],
    [
      'RollingBack',
      'Progressing=False/RollingBack Complete=False/RollingBack RolledBack=False/GateFailed Paused=False/RollingBack DeletionHeld=False/RollingBack',
      at(
        state => state.phase === 'RollingBack',
        run => (run.onUpdate = BROKEN),
      ),
    ],
    [
      'RolledBack',
      'Progressing=False/RolledBack Complete=False/RolledBack RolledBack=True/GateFailed Paused=False/RolledBack DeletionHeld=False/RolledBack',
      at(
        state => state.phase === 'RolledBack',
        run => (run.onUpdate = BROKEN),
      ),
    ],
    [
      'Superseded',
      'Progressing=False/Superseded Complete=False/Superseded RolledBack=False/Superseded Paused=False/Superseded DeletionHeld=False/Superseded',
      at(
        state => state.phase === 'Superseded',
        run => (run.change = { superseded: 'newer' }),
      ),
    ],
    [
      'Held',
      'Progressing=False/Held Complete=False/Held RolledBack=True/Aborted Paused=False/Held DeletionHeld=True/Aborted',
      at(
        state => state.phase === 'Held',
        run => {
          run.change = { deletion: true }
          run.commands = { ...run.commands, abort: true }
        },
      ),
    ],
  ])('of %s', (_, expected, run) => {
    expect(conditions(status(run))).toBe(expected)
  })

  it('keep the time of their last transition while nothing changes', () => {
    const run = at(state => state.step.name === 'baking')
    const first = status(run)
    run.seconds(10)
    const second = status(run, first)
    expect(second.conditions?.map(one => one.lastTransitionTime)).toEqual(
      first.conditions?.map(one => one.lastTransitionTime),
    )
    run.until(state => state.phase === 'Complete')
    const third = status(run, second)
    const [progressing, complete, rolledBack] = third.conditions ?? []
    expect(progressing?.lastTransitionTime).toBe(new Date(run.wall).toISOString())
    expect(complete?.lastTransitionTime).toBe(new Date(run.wall).toISOString())
    expect(rolledBack?.lastTransitionTime).toBe(first.conditions?.[2]?.lastTransitionTime)
  })

  it('of another attempt are forgotten: nobody waits for yesterday', () => {
    const run = at(
      state => state.phase === 'RolledBack',
      run => (run.onUpdate = BROKEN),
    )
    const first = status(run)
    run.onUpdate = HEALTHY
    run.seconds(100)
    run.commands = { ...run.commands, retry: 1 }
    run.look()
    const second = status(run, first)
    expect(second).toMatchObject({ attempt: 2, observedRetry: 1, phase: 'Pending' })
    for (const one of second.conditions ?? []) {
      expect(one).toMatchObject({ status: 'False', lastTransitionTime: new Date(run.wall).toISOString() })
    }
    run.until(state => state.phase === 'Complete')
    run.state = initialState(3, 1)
    expect(conditions(status(run, status(run)))).toContain('Complete=False/Pending')
  })
})

describe('fromStatus', () => {
  it('is null where nothing was written', () => {
    expect(fromStatus(undefined)).toBeNull()
    expect(fromStatus({})).toBeNull()
  })

  it('reads what an older operator wrote, and times that are none', () => {
    expect(fromStatus({ phase: 'Paused', pauseEndsAt: 'soon', baseline: { requests: 5 } })).toEqual({
      ...{ phase: 'Paused', attempt: 1, observedRetry: 0, batch: 0, index: 0, message: '', cause: null },
      ...{ pausedReason: null, pauseEndsAt: null, startedAt: null, batchStartedAt: null, finishedAt: null },
      baseline: {
        ...{
          requests: 5,
          successRate: 100,
          notFoundRate: 0,
          clientErrorRate: null,
          redirectRate: null,
          tlsHandshakes: 0,
          tlsFailureRate: 0,
        },
        latencyP99Ms: null,
      },
    })
  })

  it('takes a reason to be paused only from a condition that holds', () => {
    const reason = { type: 'Paused', reason: 'WaitingForApproval', message: '', lastTransitionTime: '' }
    expect(fromStatus({ phase: 'Progressing', conditions: [{ ...reason, status: 'False' }] })?.pausedReason).toBeNull()
    expect(fromStatus({ phase: 'Paused', conditions: [{ ...reason, status: 'True' }] })?.pausedReason).toBe(
      'WaitingForApproval',
    )
  })
})

it('counts pods without an ordinal as ready, and as updated only after the release', () => {
  const run = at(state => state.index === 1)
  run.change = { pods: [pod(0, NEW), pod(1, OLD), pod(-1, OLD)] }
  expect(status(run).pods).toEqual({ ready: 3, updated: 1, acknowledged: 1, summary: '1/3' })
})
