import { describe, expect, it } from '@jest/globals'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { initialState } from './machine/state.ts'
import { BROKEN, HEALTHY, NEW, OLD, SETTINGS, World, pod } from './machine/testing.ts'
import type { State } from './machine/types.ts'
import { fromStatus, rolloutName, toStatus } from './status.ts'

function status(run: World, previous?: IngressRolloutStatus, generation = 4): IngressRolloutStatus {
  return toStatus(run.state, run.observe(), run.settings, { previous, generation, policy: 'default' })
}

function at(what: (state: State) => boolean, change: (run: World) => void = () => undefined): World {
  const run = new World()
  change(run)
  run.until(what)
  return run
}

const FOR_KSTATUS: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled'])

/** `Progressing=True/Baking Complete=False/Progressing …`, those apart that kstatus reads. */
function conditions({ conditions: all = [] }: IngressRolloutStatus): string {
  const own = all.filter(({ type }) => !FOR_KSTATUS.has(type))
  return own.map(one => `${one.type}=${one.status}/${one.reason}`).join(' ')
}

/** `Ready=False Reconciling=True/Baking Stalled=False` */
function forKstatus({ conditions: all = [] }: IngressRolloutStatus): string {
  const own = all.filter(({ type }) => FOR_KSTATUS.has(type))
  return own.map(one => `${one.type}=${one.status}${one.status === 'True' ? `/${one.reason}` : ''}`).join(' ')
}

type Kstatus = 'InProgress' | 'Failed' | 'Current'

/** The generic rules of cli-utils 0.37 (pkg/kstatus/status, checkGenericProperties and checkReadyCondition). */
function kstatus({ observedGeneration, conditions: all = [] }: IngressRolloutStatus, generation: number): Kstatus {
  if (observedGeneration !== generation) return 'InProgress'
  for (const { type, status: is } of all) {
    if (type === 'Reconciling' && is === 'True') return 'InProgress'
    if (type === 'Stalled' && is === 'True') return 'Failed'
  }
  const ready = all.find(({ type }) => type === 'Ready')
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress'
}

describe('rolloutName', () => {
  it.each([
    ['Ingress', 'web', 'ing-web-r2'],
    ['Secret', 'web-tls', 'sec-web-tls-r2'],
    ['Ingress', 'x'.repeat(200), `ing-${'x'.repeat(200)}-r2`],
  ] as const)('of %s %s', (kind, name, expected) => {
    expect(rolloutName(kind, name, NEW)).toBe(expected)
  })

  it('of long names that begin alike are different, and names that Kubernetes takes', () => {
    const [a, b] = ['a', 'b'].map(end => rolloutName('Ingress', `${'x'.repeat(187)}.-${'y'.repeat(30)}${end}`, NEW))
    expect(a).toMatch(/^ing-x{187}-[0-9a-f]{10}-r2$/)
    expect(b).not.toBe(a)
  })
})

describe('toStatus', () => {
  it('says where the rollout is: the batch from 0, the summary from 1, the index as it is', () => {
    const run = at(state => state.index === 2 && state.step.name === 'baking')
    run.notReady.add(4)
    run.silent.add(1)
    expect(status(run)).toMatchObject({
      ...{ phase: 'Progressing', message: 'batch 2 of 3 bakes for 30 s, 2 pods up to ordinal 1' },
      ...{
        observedGeneration: 4,
        attempt: 1,
        policy: 'default',
        observedRetry: 0,
        batch: 2,
        batches: 3,
        summary: '2/3',
        index: 2,
      },
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
      ...['connectFailureRate', 'latencyP99', 'tlsFailureRate'],
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

  const PAUSE = { pods: { count: 1 }, pause: { type: 'approval' } } as const
  const paused = (batch: (typeof SETTINGS.batches)[number]): World =>
    at(
      state => state.phase === 'Paused',
      run => (run.settings = { ...SETTINGS, batches: [batch, SETTINGS.batches[2]!] }),
    )

  it.each<[string, string, Kstatus, World]>([
    ['Pending', 'Ready=False Reconciling=True/WaitingForTurn Stalled=False', 'InProgress', new World()],
    [
      'Progressing',
      'Ready=False Reconciling=True/Baking Stalled=False',
      'InProgress',
      at(state => state.step.name === 'baking'),
    ],
    [
      'Paused for a time',
      'Ready=False Reconciling=True/WaitingForTime Stalled=False',
      'InProgress',
      paused({ ...PAUSE, pause: { type: 'time', forMs: 60_000 } }),
    ],
    [
      'Paused for another rollout',
      'Ready=False Reconciling=True/OtherRollout Stalled=False',
      'InProgress',
      at(
        state => state.blocked?.reason === 'OtherRollout',
        run => {
          run.commands = { ...run.commands, paused: true }
          run.seconds(20)
          run.change = { isItsTurn: false }
          run.seconds(5)
          run.commands = { ...run.commands, paused: false }
        },
      ),
    ],
    [
      'Paused for an approval',
      'Ready=False Reconciling=False Stalled=True/WaitingForApproval',
      'Failed',
      paused(PAUSE),
    ],
    [
      'Paused by a command',
      'Ready=False Reconciling=False Stalled=True/Command',
      'Failed',
      at(
        state => state.phase === 'Paused',
        run => (run.commands = { ...run.commands, paused: true }),
      ),
    ],
    [
      'Paused without evidence',
      'Ready=False Reconciling=False Stalled=True/Inconclusive',
      'Failed',
      at(
        state => state.phase === 'Paused',
        run => (run.onUpdate = {}),
      ),
    ],
    [
      'Paused by a gate',
      'Ready=False Reconciling=False Stalled=True/GateFailed',
      'Failed',
      at(
        state => state.phase === 'Paused',
        run => {
          run.settings = { ...SETTINGS, automaticRollback: false }
          run.onUpdate = BROKEN
        },
      ),
    ],
    [
      'Complete',
      'Ready=True/Released Reconciling=False Stalled=False',
      'Current',
      at(state => state.phase === 'Complete'),
    ],
    [
      'RollingBack',
      'Ready=False Reconciling=True/GateFailed Stalled=False',
      'InProgress',
      at(
        state => state.phase === 'RollingBack',
        run => (run.onUpdate = BROKEN),
      ),
    ],
    [
      'RolledBack',
      'Ready=False Reconciling=False Stalled=True/GateFailed',
      'Failed',
      at(
        state => state.phase === 'RolledBack',
        run => (run.onUpdate = BROKEN),
      ),
    ],
    [
      'Held',
      'Ready=False Reconciling=False Stalled=True/Aborted',
      'Failed',
      at(
        state => state.phase === 'Held',
        run => {
          run.change = { deletion: true }
          run.commands = { ...run.commands, abort: true }
        },
      ),
    ],
    // Nobody waits for it, and nobody is told that it went out.
    [
      'Superseded',
      'Reconciling=False Stalled=False',
      'Current',
      at(
        state => state.phase === 'Superseded',
        run => (run.change = { superseded: 'newer' }),
      ),
    ],
  ])('of %s, for kstatus', (_, expected, judged, run) => {
    const made = status(run)
    expect(forKstatus(made)).toBe(expected)
    expect(kstatus(made, 4)).toBe(judged)
    // A command that was not looked at yet.
    expect(kstatus(made, 5)).toBe('InProgress')
    // The column REASON of kubectl.
    expect(made.conditions?.find(({ type }) => type === 'Reconciling')?.reason).toMatch(/^[A-Z]\w+$/)
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
    const [progressing, complete, rolledBack] = (third.conditions ?? []).slice(3)
    expect(progressing?.lastTransitionTime).toBe(new Date(run.wall).toISOString())
    expect(complete?.lastTransitionTime).toBe(new Date(run.wall).toISOString())
    expect(rolledBack?.lastTransitionTime).toBe(first.conditions?.[5]?.lastTransitionTime)
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
    for (const { type, ...rest } of second.conditions ?? []) {
      const lastTransitionTime = new Date(run.wall).toISOString()
      expect(rest).toMatchObject({ status: type === 'Reconciling' ? 'True' : 'False', lastTransitionTime })
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
      ...{ startedAt: null, batchStartedAt: null, finishedAt: null },
      baseline: {
        ...{
          requests: 5,
          successRate: 100,
          notFoundRate: 0,
          clientErrorRate: null,
          redirectRate: null,
          connectFailureRate: null,
          tlsHandshakes: 0,
          tlsFailureRate: 0,
        },
        latencyP99Ms: null,
      },
    })
  })
})

it('counts pods without an ordinal as ready, and as updated only after the release', () => {
  const run = at(state => state.index === 1)
  run.change = { pods: [pod(0, NEW), pod(1, OLD), pod(-1, OLD)] }
  expect(status(run).pods).toEqual({ ready: 3, updated: 1, acknowledged: 1, summary: '1/3' })
})
