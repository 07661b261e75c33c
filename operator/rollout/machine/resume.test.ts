import { describe, expect, it } from '@jest/globals'
import { fromStatus, toStatus } from '../status.ts'
import type { Remembered } from './resume.ts'
import { resume } from './resume.ts'
import { BROKEN, HEALTHY, NEW, OLD, SETTINGS, World } from './testing.ts'
import type { Pause, State } from './types.ts'

/** What a new leader reads of a world. */
function status(run: World): Remembered {
  const written = toStatus(run.state, run.observe(), run.settings, { previous: undefined, generation: 1, policy: null })
  const read = fromStatus(JSON.parse(JSON.stringify(written)) as typeof written)
  if (read === null) throw new Error('nothing to read')
  return read
}

function takeOver(run: World): void {
  const remembered = status(run)
  run.takeLog()
  run.newLeader(remembered)
}

function world(pause: Pause = { type: 'none' }): World {
  const run = new World()
  run.settings = { ...SETTINGS, batches: [{ pods: { count: 1 }, pause }, ...SETTINGS.batches.slice(1)] }
  return run
}

const reaches = (run: World, what: (state: State) => boolean): World => {
  run.until(what)
  return run
}

describe('a new leader', () => {
  it('takes a rollout that nobody wrote a status of for one that has not begun', () => {
    const run = world()
    run.newLeader(null)
    expect(run.state).toMatchObject({ phase: 'Pending', startedAt: null, index: 0 })
    run.until(state => state.phase === 'Complete', 200)
  })

  it('goes on below the index that the record has, where there is no status', () => {
    const run = world()
    run.record = { ...run.record, index: 2 }
    run.newLeader(null)
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 2, reached: 2 })
    run.seconds(20)
    expect(run.record.index).toBe(2)
  })

  it('leaves what rests resting while another runs on its hosts', () => {
    const run = world({ type: 'none' })
    run.onUpdate = {}
    run.onStable = {}
    run.until(state => state.phase === 'Paused')
    run.change = { isItsTurn: false }
    takeOver(run)
    run.seconds(5)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1 })
    run.change = {}
    run.until(state => state.step.name === 'baking', 10)
  })

  it('leaves what waits for its turn waiting', () => {
    const run = world()
    run.change = { isItsTurn: false }
    run.look()
    takeOver(run)
    expect(run.state.phase).toBe('Pending')
    expect(run.log).toEqual([])
  })

  it('bakes the running batch again, from the start', () => {
    const run = reaches(world(), state => state.index === 2 && state.step.name === 'baking')
    run.seconds(25)
    takeOver(run)
    expect(run.state).toMatchObject({ phase: 'Progressing', batch: 1, index: 2 })
    const begun = run.now
    run.until(state => state.index === 5)
    expect(run.now - begun).toBeGreaterThanOrEqual(30_000)
    expect(run.takeLog()[0]).toBe('BatchPassed')
  })

  it('leaves all pods of the last batch on the update while it bakes again', () => {
    const run = reaches(world(), state => state.index === 5 && state.step.name === 'baking')
    takeOver(run)
    run.look()
    expect(run.state).toMatchObject({ index: 5, step: { name: 'acknowledging' } })
    expect(run.takeLog()).not.toContain('IndexLowered')
    run.until(state => state.phase === 'Complete', 100)
  })

  it('takes the batch from the record where the status is behind: all pods of the last batch keep the update', () => {
    const run = reaches(world(), state => state.index === 2 && state.step.name === 'baking')
    const remembered = status(run)
    const { settings } = run
    run.record = { ...run.record, index: 5, rollout: { revision: NEW, settings, batch: 2, step: 'out' } }
    run.newLeader(remembered)
    expect(run.state).toMatchObject({ phase: 'Progressing', batch: 2, index: 5 })
    run.look()
    expect(run.record.index).toBe(5)
    run.until(state => state.phase === 'Complete', 100)
  })

  it('does not believe that pods confirmed', () => {
    const run = reaches(world(), state => state.index === 2 && state.step.name === 'baking')
    takeOver(run)
    run.stuck.add(1)
    run.silent.add(1)
    run.until(state => state.phase === 'Paused', 40)
    expect(run.state.message).toContain('not confirmed within 30 s by proxy-1 (silent for 60 s)')
  })

  it('keeps the baseline, the times and the count of attempts', () => {
    const run = world()
    const baseline = {
      ...{
        requests: 3_000,
        successRate: 99.5,
        notFoundRate: 0.25,
        clientErrorRate: 0,
        redirectRate: 0,
        connectFailureRate: 0,
        tlsHandshakes: 600,
        tlsFailureRate: 1.5,
      },
      latencyP99Ms: 25,
    }
    run.change = { baseline }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack')
    run.onUpdate = HEALTHY
    run.commands = { ...run.commands, retry: 3 }
    run.until(state => state.attempt === 2 && state.step.name === 'baking')
    const { startedAt, batchStartedAt } = run.state
    takeOver(run)
    expect(run.state).toMatchObject({ baseline, startedAt, batchStartedAt, attempt: 2, observedRetry: 3 })
  })

  it('keeps the end of a pause for time, whatever the monotonic clock', () => {
    const run = reaches(world({ type: 'time', forMs: 120_000 }), state => state.phase === 'Paused')
    run.seconds(100)
    takeOver(run)
    expect(run.state.step).toEqual({ name: 'waiting', until: { mono: 77_000 + 20_000, wall: run.wall + 20_000 } })
    run.seconds(19)
    expect(run.record.index).toBe(1)
    run.seconds(1)
    expect(run.record.index).toBe(2)
  })

  it('makes no pause longer than the policy, when the wall clock jumped', () => {
    const run = reaches(world({ type: 'time', forMs: 120_000 }), state => state.phase === 'Paused')
    run.wall -= 86_400_000
    takeOver(run)
    expect(run.state.step).toMatchObject({ until: { mono: 77_000 + 120_000 } })
  })

  it('keeps waiting for an approval', () => {
    const run = reaches(world({ type: 'approval' }), state => state.phase === 'Paused')
    takeOver(run)
    run.seconds(500)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1 })
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.look()
    expect(run.record.index).toBe(2)
  })

  it.each<[string, Pause]>([
    ['time', { type: 'time', forMs: 120_000 }],
    ['an approval', { type: 'approval' }],
  ])('promotes no batch that was raised after a pause for %s and that nobody judged', (_, pause) => {
    const run = reaches(world(pause), state => state.phase === 'Paused')
    const remembered = status(run)
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.until(state => state.index === 2)
    // The status of this was never written.
    run.onUpdate = {}
    run.newLeader(remembered)
    run.seconds(29)
    expect(run.record.index).toBe(2)
    expect(run.state.message).not.toContain('adds no pod')
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RollingBack', 10)
  })

  it('leaves a failed gate to a person, also tomorrow', () => {
    const run = world()
    run.settings = { ...run.settings, automaticRollback: false }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'Paused')
    const { message } = run.state
    run.onUpdate = HEALTHY
    takeOver(run)
    run.commands = { ...run.commands, approvedBatches: 9 }
    run.seconds(100)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1, message, blocked: { reason: 'GateFailed' } })
  })

  it('bakes again what lacked evidence, and asks again', () => {
    const run = world()
    run.onUpdate = {}
    run.until(state => state.phase === 'Paused')
    takeOver(run)
    expect(run.state).toMatchObject({ phase: 'Paused', blocked: { reason: 'Inconclusive' } })
    run.look()
    expect(run.state.phase).toBe('Progressing')
    run.until(state => state.phase === 'Paused')
    expect(run.state.blocked?.reason).toBe('Inconclusive')
  })

  it('hears the approval that was given while nobody led', () => {
    const run = world()
    run.onUpdate = {}
    run.until(state => state.phase === 'Paused')
    run.commands = { ...run.commands, approvedBatches: 1 }
    takeOver(run)
    run.look()
    expect(run.state).toMatchObject({ batch: 1, index: 2 })
    expect(run.takeLog()).toContain('BatchPassed')
  })

  it('takes no approval for an answer that was there before the question', () => {
    const run = world()
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.onUpdate = {}
    run.until(state => state.phase === 'Paused')
    takeOver(run)
    run.seconds(400)
    expect(run.record.index).toBe(1)
  })

  it('hears the approval of an index that was moved by hand, though another asked', () => {
    const run = reaches(world(), state => state.step.name === 'baking')
    run.change = { manualIndex: 3 }
    run.look()
    takeOver(run)
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.look()
    expect(run.takeLog()).toContain('index 1')
  })

  it.each([
    ['a failed gate', (run: World) => (run.onUpdate = BROKEN), { automaticRollback: false }],
    ['an approval', () => undefined, {}],
  ] as const)('goes on waiting after %s where no status was written', (_, happen, settings) => {
    const run = world({ type: 'approval' })
    run.settings = { ...run.settings, ...settings }
    happen(run)
    run.until(state => state.phase === 'Paused')
    run.newLeader(null)
    run.onUpdate = HEALTHY
    run.seconds(100)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1 })
  })

  it('begins the batch that was to begin, and no other', () => {
    const run = world()
    run.change = { endpoints: { update: true, stable: true } }
    run.until(state => state.index === 1)
    run.until(state => {
      if (state.step.name === 'baking') run.change = { endpoints: { update: false, stable: true } }
      return state.step.name === 'raising' && state.batch === 1
    })
    run.newLeader(null)
    expect(run.state).toMatchObject({ batch: 1, index: 1, step: { name: 'raising', merge: false } })
    run.change = {}
    run.look()
    expect(run.record.index).toBe(2)
  })

  it('answers a block with the attempt that only the status knows of', () => {
    const run = world()
    run.settings = { ...run.settings, automaticRollback: false }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'Paused')
    const remembered = { ...status(run), phase: 'Pending', attempt: 2, observedRetry: 1 } as const
    run.onUpdate = HEALTHY
    run.newLeader(remembered)
    expect(run.state).toMatchObject({ phase: 'Progressing', attempt: 2, observedRetry: 1, blocked: null, index: 1 })
    run.until(state => state.phase === 'Complete', 200)
  })

  it('steps aside again for an index moved by hand', () => {
    const run = reaches(world(), state => state.step.name === 'baking')
    run.change = { manualIndex: 3 }
    run.look()
    takeOver(run)
    run.seconds(100)
    expect(run.state.blocked?.reason).toBe('ManualIndex')
  })

  it('goes on taking back', () => {
    const run = reaches(world(), state => state.step.name === 'baking')
    run.stuck.add(0)
    run.commands = { ...run.commands, abort: true }
    run.look()
    const remembered = status(run)
    run.newLeader(remembered)
    expect(run.state).toMatchObject({ phase: 'RollingBack', cause: { reason: 'Aborted' }, index: 0, reached: -1 })
    run.seconds(10)
    expect(run.state.phase).toBe('RollingBack')
    run.stuck.clear()
    run.until(state => state.phase === 'RolledBack', 3)
  })

  it('takes the record as it is: taken back, though the status does not know', () => {
    const run = reaches(world(), state => state.step.name === 'baking')
    const remembered = status(run)
    run.commands = { ...run.commands, abort: true }
    run.look()
    run.newLeader(remembered)
    expect(run.state).toMatchObject({ phase: 'RollingBack', cause: { reason: 'Aborted' } })
    run.until(state => state.phase === 'RolledBack', 3)
    expect(run.state.message).toContain('aborted by spec.abort')
  })

  it('takes the record as it is: released, whatever the status says', () => {
    for (const phase of ['Progressing', 'RollingBack'] as const) {
      const run = reaches(world(), state => state.step.name === 'baking')
      const remembered = { ...status(run), phase }
      run.record = { current: NEW, update: NEW, index: -1, refused: [] }
      run.newLeader(remembered)
      expect(run.state).toMatchObject({ step: { name: 'confirming' }, index: -1, cause: null })
      run.until(state => state.phase === 'Complete', 3)
    }
  })

  it('begins again what was told to: status knew of it, the record did not', () => {
    const run = world()
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack')
    const { record } = run
    run.onUpdate = HEALTHY
    run.commands = { ...run.commands, retry: 1 }
    run.look()
    const remembered = status(run)
    run.record = record
    run.newLeader(remembered)
    expect(run.state).toMatchObject({ phase: 'Pending', attempt: 2 })
    run.record = { ...record, update: NEW, refused: [] }
    run.until(state => state.phase === 'Complete', 200)
    expect(run.state.attempt).toBe(2)
  })

  it('does not send out again what was taken back in the attempt of which only the beginning was told', () => {
    const run = world()
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack')
    run.commands = { ...run.commands, retry: 1 }
    run.look()
    const remembered = status(run)
    expect(remembered).toMatchObject({ phase: 'Pending', attempt: 2 })
    run.until(state => state.phase === 'RolledBack')
    run.newLeader(remembered)
    expect(run.state).toMatchObject({ phase: 'RollingBack', attempt: 2 })
    run.until(state => state.phase === 'RolledBack', 3)
    expect(run.record.refused).toEqual([NEW])
  })

  it('releases nothing that is refused because its rollout was forgotten', () => {
    const run = world()
    run.record = { current: OLD, update: OLD, index: -1, refused: [NEW] }
    run.newLeader(null)
    run.seconds(100)
    expect(run.state.phase).toBe('RolledBack')
    expect(run.record.refused).toEqual([NEW])
  })

  it.each(['Complete', 'RolledBack', 'Superseded', 'Held'] as const)('leaves %s as it is', phase => {
    const run = reaches(world(), state => state.step.name === 'baking')
    const remembered = { ...status(run), phase, finishedAt: 5 }
    run.takeLog()
    run.newLeader(remembered)
    run.seconds(10)
    expect(run.state).toMatchObject({ phase, finishedAt: 5 })
    expect(run.log).toEqual([])
  })

  it('waits for the stamp where the record has another update', () => {
    const record = { current: OLD, update: 'r7', index: 3, refused: [] }
    expect(resume(null, record, NEW, SETTINGS, { now: 0, wall: 0 })).toMatchObject({ phase: 'Pending', index: 0 })
  })
})
