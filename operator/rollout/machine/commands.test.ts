import { describe, expect, it } from '@jest/globals'
import { EVEN, BROKEN, HEALTHY, NEW, OLD, SETTINGS, World } from './testing.ts'

/** Two pods serve the update and bake. */
function baking(settings = SETTINGS): World {
  const run = new World()
  run.settings = settings
  run.until(state => state.index === 2 && state.step.name === 'baking')
  run.takeLog()
  return run
}

function rolledBack(): World {
  const run = new World()
  run.onUpdate = BROKEN
  run.until(state => state.phase === 'RolledBack')
  run.onUpdate = HEALTHY
  run.takeLog()
  return run
}

describe('spec.paused', () => {
  it('keeps the index where it is, before the release too', () => {
    const run = baking()
    run.commands = { ...run.commands, paused: true }
    run.seconds(500)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 2, message: 'paused by spec.paused' })
    run.commands = { ...run.commands, paused: false }
    run.until(state => state.index === 5 && state.step.name === 'baking', 100)
    run.commands = { ...run.commands, paused: true }
    run.seconds(500)
    expect(run.record).toMatchObject({ current: OLD, index: 5 })
    run.commands = { ...run.commands, paused: false }
    run.until(state => state.phase === 'Complete', 5)
    expect(run.takeLog()).toEqual([
      ...['Command', 'BatchPassed', 'index 5', 'BatchStarted', 'Resumed', 'Command'],
      ...['BatchPassed', 'release', 'Released', 'Complete'],
    ])
  })

  it('holds a rollout that has not begun', () => {
    const run = new World()
    run.commands = { ...run.commands, paused: true }
    run.seconds(100)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 0 })
  })

  it('shields nothing that fails', () => {
    const run = baking()
    run.commands = { ...run.commands, paused: true }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RollingBack', 30)
  })
})

describe('spec.abort', () => {
  it('takes back what is out and what has not begun', () => {
    const run = baking()
    run.commands = { ...run.commands, abort: true }
    run.until(state => state.phase === 'RolledBack', 3)
    expect(run.takeLog()).toEqual(['take back', 'Aborted', 'RolledBack'])
    const waiting = new World()
    waiting.change = { isItsTurn: false }
    waiting.look()
    waiting.commands = { ...waiting.commands, abort: true }
    waiting.until(state => state.phase === 'RolledBack', 3)
    expect(waiting.record.refused).toEqual([NEW])
  })

  it('comes too late for what is released', () => {
    const run = baking()
    run.stuck.add(4)
    run.commands = { ...run.commands, promote: true }
    run.look()
    run.commands = { ...run.commands, promote: false, abort: true }
    run.until(state => state.phase === 'Complete', 40)
    expect(run.record.current).toBe(NEW)
  })

  it('that stands when a new attempt begins does not concern that one', () => {
    const run = rolledBack()
    run.commands = { ...run.commands, abort: true, retry: 1 }
    run.look()
    // The controller's view of spec may be older than its own write.
    run.commands = { ...run.commands, abort: true }
    run.seconds(5)
    expect(run.state).toMatchObject({ phase: 'Progressing', ignoreAbort: true })
    run.commands = { ...run.commands, abort: false }
    run.look()
    run.commands = { ...run.commands, abort: true }
    run.look()
    expect(run.state.phase).toBe('RollingBack')
  })
})

describe('spec.promote', () => {
  it('releases at once, and is complete when every ready pod confirms', () => {
    const run = baking()
    run.stuck.add(4)
    run.commands = { ...run.commands, promote: true }
    run.look()
    expect(run.record).toMatchObject({ current: NEW, index: -1 })
    run.seconds(10)
    expect(run.state.message).toBe('released to all pods, waiting for proxy-4 to confirm')
    run.stuck.delete(4)
    run.until(state => state.phase === 'Complete', 2)
  })

  it('is complete after the deadline even so: nothing can take it back any more', () => {
    const run = baking()
    run.stuck.add(4)
    run.commands = { ...run.commands, promote: true }
    run.look()
    const released = run.now
    run.until(state => state.phase === 'Complete')
    expect(run.now - released).toBe(30_000)
    expect(run.state.message).toBe('released to all pods; not confirmed yet by proxy-4')
  })

  it('releases what was taken back, unless other content came', () => {
    const run = rolledBack()
    run.commands = { ...run.commands, promote: true, retry: 1 }
    for (const superseded of ['newer', 'deleted', 'reverted', 'gone'] as const) {
      run.change = { superseded }
      run.seconds(5)
      expect(run.state).toMatchObject({ phase: 'RolledBack', attempt: 1 })
    }
    // Nobody governs it: to promote by hand is the way out.
    run.change = { superseded: 'ungoverned' }
    run.look()
    expect(run.record).toMatchObject({ current: NEW, refused: [] })
    expect(run.state.cause).toBeNull()
  })
})

describe('spec.retry', () => {
  it('begins a new attempt from batch 1, with the baseline of the first', () => {
    const run = new World()
    const baseline = {
      ...{
        requests: 9_000,
        successRate: 99.9,
        notFoundRate: 0,
        clientErrorRate: 0,
        redirectRate: 0,
        connectFailureRate: 0,
        tlsHandshakes: 900,
        tlsFailureRate: 0,
      },
      latencyP99Ms: 20,
    }
    const before = { pods: new Map(), ms: 900_000, dispersion: EVEN, slowestMs: null }
    run.change = { baseline, before }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack')
    run.takeLog()
    run.onUpdate = HEALTHY
    run.change = { baseline: { ...baseline, successRate: 50 }, before: { ...before, ms: 1 } }
    run.seconds(100)
    expect(run.state.phase).toBe('RolledBack')
    run.commands = { ...run.commands, retry: 1 }
    run.look()
    expect(run.state).toMatchObject({ phase: 'Pending', attempt: 2, observedRetry: 1, verdicts: [], cause: null })
    run.until(state => state.phase === 'Complete', 200)
    expect(run.state.baseline).toEqual(baseline)
    expect(run.state.before).toEqual(before)
    expect(run.takeLog().slice(0, 4)).toEqual(['begin 2', 'Retried', 'Started', 'index 1'])
  })

  it('of something that runs is no command for later', () => {
    const run = new World()
    run.commands = { ...run.commands, retry: 1 }
    run.look()
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack', 30)
    run.seconds(100)
    expect(run.state).toMatchObject({ phase: 'RolledBack', attempt: 1, observedRetry: 1 })
  })

  it('tries again what waits for a person; an abort of it waits for the pods of the first attempt too', () => {
    const run = new World()
    run.settings = { ...SETTINGS, automaticRollback: false }
    run.until(state => state.index === 2 && state.step.name === 'baking')
    run.onUpdate = BROKEN
    run.until(state => state.blocked?.reason === 'GateFailed', 30)
    run.stuck.add(1)
    run.commands = { ...run.commands, retry: 1 }
    run.look()
    expect(run.state).toMatchObject({ phase: 'Pending', attempt: 2, index: 0, blocked: null })
    run.commands = { ...run.commands, abort: true }
    run.seconds(5)
    expect(run.state.message).toContain('waiting for proxy-1 (serves r2)')
  })

  it('does not refuse an object that is not governed any more a second time', () => {
    const run = rolledBack()
    run.change = { superseded: 'ungoverned' }
    run.commands = { ...run.commands, retry: 1 }
    run.seconds(5)
    expect(run.record.refused).toEqual([NEW])
    expect(run.state.phase).toBe('RolledBack')
  })
})

describe('a rollout whose policy went', () => {
  it('ends, and lets its revision out only when a person says so', () => {
    const run = baking()
    run.change = { superseded: 'ungoverned' }
    run.seconds(5)
    expect(run.state).toMatchObject({ phase: 'Superseded' })
    expect(run.state.message).toContain('no policy governs')
    run.commands = { ...run.commands, promote: true }
    run.seconds(5)
    expect(run.state).toMatchObject({ phase: 'Complete', index: -1 })
    expect(run.record.current).toBe(NEW)
  })

  it('is not let out once the object has other content', () => {
    const run = baking()
    run.change = { superseded: 'newer' }
    run.seconds(5)
    run.commands = { ...run.commands, promote: true }
    run.seconds(5)
    expect(run.state.phase).toBe('Superseded')
  })
})

describe('an index that was moved by hand', () => {
  it('makes the machine step aside until the index is its own again; then the batch bakes anew', () => {
    const run = baking({ ...SETTINGS, gates: { ...SETTINGS.gates, successRate: null } })
    run.change = { manualIndex: 4 }
    run.onUpdate = BROKEN
    run.seconds(1_000)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 2, blocked: { reason: 'ManualIndex' } })
    expect(run.takeLog()).toEqual(['ManualIndex'])
    run.change = {}
    run.onUpdate = HEALTHY
    const back = run.now
    run.until(state => state.index === 5, 100)
    expect(run.now - back).toBeGreaterThanOrEqual(30_000)
  })

  it('is judged meanwhile, but not by what another rollout on its hosts does', () => {
    const run = baking()
    run.change = { manualIndex: 4 }
    run.look()
    run.change = { manualIndex: 4, isItsTurn: false }
    run.onUpdate = BROKEN
    run.seconds(200)
    expect(run.state).toMatchObject({ phase: 'Paused', blocked: { reason: 'ManualIndex' } })
    run.change = { manualIndex: 4 }
    run.until(state => state.phase === 'RolledBack', 100)
  })

  it('is set back by an approval given after that', () => {
    const run = baking()
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.change = { manualIndex: 4 }
    run.seconds(5)
    expect(run.takeLog()).toEqual(['ManualIndex'])
    run.commands = { ...run.commands, approvedBatches: 2 }
    run.look()
    run.change = {}
    expect(run.takeLog()).toEqual(['index 2', 'Resumed'])
    run.until(state => state.phase === 'Complete', 100)
  })

  it('does not end a pause', () => {
    const run = new World()
    const pause = { type: 'approval' } as const
    run.settings = { ...SETTINGS, batches: [{ pods: { count: 1 }, pause }, SETTINGS.batches[2]!] }
    run.until(state => state.phase === 'Paused')
    run.change = { manualIndex: 0 }
    run.look()
    run.change = {}
    run.look()
    expect(run.state).toMatchObject({ phase: 'Paused', step: { name: 'waiting' }, blocked: null })
  })

  it('is given back by its pods as well when somebody aborts', () => {
    const run = baking()
    run.change = { manualIndex: -1 }
    run.record = { ...run.record, index: -1 }
    run.stuck.add(4)
    run.look()
    run.stuck.clear()
    run.look()
    run.stuck.add(4)
    run.change = {}
    run.commands = { ...run.commands, abort: true }
    run.seconds(5)
    expect(run.state.message).toContain('waiting for proxy-4 (serves r2)')
  })
})
