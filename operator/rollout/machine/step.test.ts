import { describe, expect, it } from '@jest/globals'
import { BROKEN, HEALTHY, NEW, OLD, SETTINGS, World, counted } from './testing.ts'
import type { Counted } from './testing.ts'
import type { Batch, Observation, Settings } from './types.ts'

function start(change: Partial<Settings> = {}, size = 5): World {
  const made = new World()
  made.settings = { ...SETTINGS, ...change }
  made.size = size
  return made
}

/** One pod, then the pause, then all. */
function paused(pause: Batch['pause']): Pick<Settings, 'batches'> {
  return { batches: [{ pods: { count: 1 }, pause }, SETTINGS.batches[2]!] }
}

describe('a good change', () => {
  it('goes out to 1, 2 and 5 pods, each baked, and is complete when all confirm', () => {
    const run = start()
    run.until(state => state.index === 1)
    expect(run.serves(0)).toBe(OLD)
    const begun = run.now
    run.until(state => state.index === 2)
    expect(run.now - begun).toBeGreaterThanOrEqual(30_000)
    expect(run.now - begun).toBeLessThanOrEqual(33_000)
    run.until(state => state.phase === 'Complete')
    expect(run.takeLog()).toEqual([
      ...['Started', 'index 1', 'BatchStarted', 'BatchPassed', 'index 2', 'BatchStarted', 'BatchPassed'],
      ...['index 5', 'BatchStarted', 'BatchPassed', 'release', 'Released', 'Complete'],
    ])
    expect(run.record).toEqual({ current: NEW, update: NEW, index: -1, refused: [] })
    expect(run.state).toMatchObject({ index: -1, batch: 2, cause: null, finishedAt: run.wall })
    expect(run.state.message).toBe('all 5 ready pods serve r2')
  })

  it('says what it does in every batch', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    expect(run.state.message).toBe('batch 1 of 3 bakes for 30 s, 1 pod up to ordinal 0')
    expect(run.state.verdicts.map(one => one.name)).toEqual([
      ...['acknowledgement', 'successRate', 'notFoundRate', 'clientErrorRate', 'redirectRate'],
      ...['connectFailureRate', 'latencyP99', 'tlsFailureRate'],
    ])
  })

  it('looks again every interval, sooner where something is due, and never busily', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    const next = (ms: number): unknown => run.look(ms).commands.findLast(command => command.type === 'requeue')
    expect(next(20_000)).toEqual({ type: 'requeue', afterMs: 5_000 })
    expect(next(7_000)).toEqual({ type: 'requeue', afterMs: 3_000 })
    expect(next(2_990)).toEqual({ type: 'requeue', afterMs: 50 })
  })

  it('does not begin before its turn, and looks again by itself', () => {
    const run = start()
    run.change = { isItsTurn: false }
    const made = run.look()
    expect(run.state.phase).toBe('Pending')
    expect(made.commands).toEqual([{ type: 'requeue', afterMs: 30_000 }])
    run.change = {}
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 1 })
  })

  it('takes pods that join the fleet in the last batch along, and asks them for confirmation', () => {
    const run = start()
    run.until(state => state.index === 5 && state.step.name === 'baking')
    run.size = 7
    run.stuck.add(6)
    run.look()
    expect(run.record.index).toBe(7)
    run.seconds(28)
    expect(run.state.phase).toBe('Progressing')
    run.stuck.delete(6)
    run.until(state => state.step.name === 'baking')
    const since = run.now
    run.until(state => state.phase === 'Complete')
    expect(run.serves(6)).toBe(NEW)
    // They were looked at for as long as the others.
    expect(run.now - since).toBeGreaterThanOrEqual(SETTINGS.bakeMs)
  })

  it('gives pods back when the fleet shrinks, so that one stays on the stable revision, also while it waits for a person', () => {
    const run = start({
      batches: [{ pods: { count: 2 }, pause: { type: 'approval' } }, SETTINGS.batches[2]!],
    })
    run.until(state => state.step.name === 'waiting')
    run.takeLog()
    run.size = 2
    run.look()
    expect(run.takeLog()).toEqual(['index 1', 'IndexLowered'])
    run.look()
    expect([run.serves(0), run.serves(1), run.state.phase]).toEqual([NEW, OLD, 'Paused'])
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.until(state => state.phase === 'Complete', 100)
  })

  it('takes no more unseen pods along than a tenth of the fleet, or one: after an outage it waits for the others', () => {
    const run = start({}, 10)
    for (let ordinal = 0; ordinal < 8; ordinal++) run.notReady.add(ordinal)
    run.seconds(500)
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 0 })
    expect(run.state.message).toContain('2 of 10 pods are ready')
    run.seconds(200)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 0, blocked: { reason: 'Inconclusive' } })
    run.notReady.clear()
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 1 })
  })

  it('waits for a person when a fleet of two has had one ready pod until the deadline', () => {
    const run = start({}, 2)
    run.notReady.add(1)
    run.until(state => state.phase === 'Paused', 700)
    expect(run.state.message).toContain('only 1 of 2 pods is ready')
  })

  it('leaves pods that join before the last batch on the stable revision', () => {
    const run = start()
    run.until(state => state.index === 2)
    run.size = 9
    run.seconds(10)
    expect(run.record.index).toBe(2)
    expect(run.serves(8)).toBe(OLD)
    run.until(state => state.phase === 'Complete')
    expect(run.serves(8)).toBe(NEW)
  })

  it('judges the only pod of a fleet against the figures from before', () => {
    const run = start({}, 1)
    run.change = {
      baseline: {
        ...{
          requests: 3_000,
          successRate: 100,
          notFoundRate: 0,
          clientErrorRate: 0,
          redirectRate: 0,
          connectFailureRate: 0,
        },
        ...{ tlsHandshakes: 600, tlsFailureRate: 0, latencyP99Ms: 25 },
      },
    }
    run.until(state => state.step.name === 'baking')
    run.seconds(5)
    expect(run.state.verdicts.map(one => one.message).join()).toContain('before the rollout: 100.0 % of 3000')
    run.until(state => state.phase === 'Complete', 60)
    expect(run.takeLog().filter(one => one.startsWith('index'))).toEqual(['index 1'])
  })
})

describe('a bad change', () => {
  it.each([
    ['answers 404 to everything', { clientErrors: 50 }, 'clientErrorRate'],
    ['redirects everything', { redirects: 50 }, 'redirectRate'],
  ])('to a Service that %s is taken back within seconds', (_what, answers, gate) => {
    const run = start()
    run.onUpdate = { ...HEALTHY, ...answers }
    run.until(state => state.phase === 'RolledBack', 10)
    expect(run.state.cause?.message).toContain(`${gate}: `)
    expect(run.record).toMatchObject({ current: OLD, refused: [NEW] })
  })

  it('to a backend that is not reached now and then is taken back, however many errors of the application are allowed', () => {
    const run = new World()
    run.settings = { ...SETTINGS, gates: { ...SETTINGS.gates, successRate: { min: null, maxDrop: 5 } } }
    run.onUpdate = { ...HEALTHY, failures: 2, connectFailures: 2 }
    run.until(state => state.phase === 'RolledBack', 60)
    expect(run.state.cause?.message).toContain('connectFailureRate: connect failures 4.0 %')
  })

  it('that fails in batch 1 is taken back within seconds, and stays refused', () => {
    const run = start()
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RollingBack', 10)
    expect(run.state.cause?.reason).toBe('GateFailed')
    expect(run.record).toMatchObject({ current: OLD, update: OLD, index: 0, refused: [NEW] })
    run.until(state => state.phase === 'RolledBack', 5)
    expect(run.takeLog()).toEqual(['Started', 'index 1', 'BatchStarted', 'take back', 'GateFailed', 'RolledBack'])
    expect(run.state.message).toBe(
      'r2 was taken back, pods serve r1 again: successRate: success rate 80.0 % of 50 requests on pod 0 is below the minimum 99 % (stable pods: 100.0 % of 200)',
    )
  })

  it('is taken back for what shows after many good minutes, while it waits for a person', () => {
    const run = start(paused({ type: 'approval' }))
    run.until(state => state.phase === 'Paused')
    run.seconds(600)
    // 120 failures of a minute; of all 33 000 requests they are not half a percent.
    run.onUpdate = { ...HEALTHY, failures: 2 }
    run.until(state => state.phase === 'RollingBack', 60)
    expect(run.state.cause?.message).toMatch(/^successRate: success rate 98.3 % of 3000 requests on pod 0/)
  })

  it('waits until every pod that had it serves it no more, however long that takes', () => {
    const run = start()
    run.until(state => state.index === 2 && state.step.name === 'baking')
    run.onUpdate = BROKEN
    run.stuck.add(1)
    run.until(state => state.phase === 'RollingBack')
    run.seconds(500)
    expect(run.state.phase).toBe('RollingBack')
    expect(run.state.message).toContain('waiting for proxy-1 (serves r2) to confirm')
    run.stuck.delete(1)
    run.until(state => state.phase === 'RolledBack', 2)
  })

  it('is not taken back to pods that are silent: what they serve is not known', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RollingBack')
    run.silent.add(0)
    run.seconds(10)
    expect(run.state.message).toContain('proxy-0 (silent for 60 s)')
    run.notReady.add(0)
    run.look()
    expect(run.state.phase).toBe('RolledBack')
  })

  it('of an object that was never released is taken back to nothing', () => {
    const run = start()
    run.record = { ...run.record, current: null }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack', 10)
    expect(run.serves(0)).toBeNull()
    expect(run.state.message).toContain('pods answer as if the object did not exist')
  })

  it('waits for a person where the policy says so, and fails no more than once', () => {
    const run = start({ automaticRollback: false })
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'Paused', 10)
    run.seconds(100)
    expect(run.state.blocked?.reason).toBe('GateFailed')
    expect(run.record.index).toBe(1)
    run.commands = { ...run.commands, approvedBatches: 5 }
    run.seconds(5)
    expect(run.record.index).toBe(1)
    expect(run.takeLog()).toEqual(['Started', 'index 1', 'BatchStarted', 'GateFailed'])
    run.commands = { ...run.commands, abort: true }
    run.until(state => state.phase === 'RolledBack', 3)
  })
})

describe('a closed revision', () => {
  const closing = (change: Partial<Settings> = {}): World => {
    const run = start(change)
    run.change = { closed: 'auth-url is not supported' }
    run.onUpdate = { closed: 50, handshakes: 10 }
    return run
  }

  it('goes out though nobody gets anything else from it, each batch baked and confirmed, and says why it is closed', () => {
    const run = closing()
    run.until(state => state.step.name === 'baking')
    const begun = run.now
    expect(run.state.message).toBe(
      'batch 1 of 3 bakes for 30 s, 1 pod up to ordinal 0; closed: auth-url is not supported',
    )
    run.until(state => state.index === 2)
    expect(run.now - begun).toBeGreaterThanOrEqual(30_000)
    run.until(state => state.phase === 'Complete', 200)
    expect(run.state.message).toBe('all 5 ready pods serve r2; closed: auth-url is not supported')
    expect(run.record).toEqual({ current: NEW, update: NEW, index: -1, refused: [] })
  })

  it('goes out without one request, and from nothing', () => {
    const run = closing()
    run.record = { ...run.record, current: null }
    run.onUpdate = {}
    run.onStable = {}
    run.until(state => state.phase === 'Complete', 200)
  })

  it('says why it is closed while it waits for a person', () => {
    const run = closing(paused({ type: 'approval' }))
    run.until(state => state.step.name === 'waiting')
    expect(run.state.message).toBe(
      'batch 1 passed; waits for spec.approvedBatches: 1; closed: auth-url is not supported',
    )
  })

  it('still needs its confirmations', () => {
    const run = closing()
    run.stuck.add(0)
    run.until(state => state.phase === 'Paused')
    expect(run.state.message).toContain('not confirmed within 30 s by proxy-0')
    run.seconds(300)
    expect(run.record.index).toBe(1)
  })

  it('goes out past proxies that count its answers as failures', () => {
    const run = closing()
    run.onUpdate = { requests: 50, failures: 50, closed: null }
    run.until(state => state.phase === 'Complete', 200)
  })
})

describe('a revision that opens what is closed', () => {
  it.each<[string, Counted, string]>([
    ['goes out', HEALTHY, 'Complete'],
    ['is taken back for its errors: closed answers of the stable pods excuse nothing', BROKEN, 'RolledBack'],
    ['waits for requests like any other', {}, 'Paused'],
  ])('%s', (_, onUpdate, phase) => {
    const run = start()
    run.onStable = { closed: 50, handshakes: 10 }
    run.onUpdate = onUpdate
    run.until(state => state.phase === phase, 800)
    expect(run.serves(0)).toBe(phase === 'RolledBack' ? OLD : NEW)
  })
})

describe('confirmations', () => {
  it('that do not come within the deadline pause it: nothing speaks against the change; it goes on when they come', () => {
    const run = start()
    run.stuck.add(0)
    run.until(state => state.index === 1)
    const raised = run.now
    run.until(state => state.phase === 'Paused')
    expect(run.now - raised).toBe(31_000)
    expect(run.state.blocked).toMatchObject({
      reason: 'Inconclusive',
      message: 'not confirmed within 30 s by proxy-0 (serves r1)',
    })
    run.seconds(3_000)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1 })
    run.stuck.delete(0)
    run.until(state => state.step.name === 'baking', 10)
    run.until(state => state.phase === 'Complete', 300)
  })

  it('that a pod refuses take it back at once, unless it said so long ago', () => {
    const run = start()
    run.stuck.add(0)
    run.until(state => state.index === 1)
    run.refusing.add(0)
    run.silent.add(0)
    run.seconds(20)
    expect(run.state.phase).toBe('Progressing')
    run.silent.delete(0)
    run.until(state => state.phase === 'RollingBack', 10)
    expect(run.state.cause).toEqual({
      reason: 'Refused',
      message: 'acknowledgement: refused by proxy-0 (the content that came is not the one that was compiled)',
    })
    run.until(state => state.phase === 'RolledBack', 10)
  })

  it('are not owed by a pod that is not ready, and from its return on have a deadline of their own', () => {
    const run = start()
    run.until(state => state.index === 2)
    run.notReady.add(1)
    run.stuck.add(1)
    run.seconds(29)
    run.notReady.delete(1)
    run.seconds(25)
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 2 })
    run.seconds(10)
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 2 })
    expect(run.state.message).toContain('not confirmed within 30 s by proxy-1')
  })

  it('of a silent pod do not count, and its silence is not held against the change', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    run.silent.add(0)
    run.seconds(500)
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 1 })
    run.until(state => state.phase === 'Paused', 200)
    expect(run.state.message).toContain('proxy-0 (silent for 60 s)')
  })

  it('of a rollback are awaited without end from who speaks, and until the deadline from who is silent', () => {
    const run = start()
    run.until(state => state.index === 2 && state.step.name === 'baking')
    run.silent.add(0)
    run.stuck.add(1)
    run.commands = { ...run.commands, abort: true }
    run.until(state => state.phase === 'RollingBack')
    run.seconds(100)
    expect(run.state.message).toMatch(/waiting for proxy-1 \(serves r2\) to confirm$/)
    run.stuck.delete(1)
    run.until(state => state.phase === 'RolledBack', 10)
    expect(run.state.message).toMatch(/; nothing was heard of proxy-0$/)
  })

  it('of a rollback come before its end, also from who was silent for a moment', () => {
    const run = start()
    run.until(state => state.index === 2)
    run.silent.add(0)
    run.commands = { ...run.commands, abort: true }
    run.until(state => state.phase === 'RollingBack')
    run.seconds(20)
    expect(run.state.phase).toBe('RollingBack')
    run.silent.delete(0)
    run.until(state => state.phase === 'RolledBack', 10)
    expect(run.state.message).not.toContain('nothing was heard')
  })

  it('wait for a person when no pod of the batch is ready until the deadline, and go on when one returns', () => {
    const run = start({ onInconclusive: 'Promote' })
    run.until(state => state.index === 1)
    run.notReady.add(0)
    const state = run.until(state => state.phase === 'Paused')
    expect(state.blocked).toMatchObject({ reason: 'Inconclusive', message: 'no pod of the batch is ready' })
    run.notReady.delete(0)
    run.onUpdate = {}
    run.onStable = {}
    run.until(state => state.index === 2, 60)
  })
})

describe('pauses', () => {
  it('wait for time, judged by the monotonic clock', () => {
    const run = start(paused({ type: 'time', forMs: 120_000 }))
    run.until(state => state.phase === 'Paused')
    const begun = run.now
    run.wall += 86_400_000
    expect(run.state.message).toMatch(/^batch 1 passed; waits until 2026-01-01T00:02:3\d\.000Z or for/)
    run.until(state => state.index === 5)
    expect(run.now - begun).toBe(120_000)
    expect(run.takeLog().slice(3)).toEqual(['BatchPassed', 'WaitingForTime', 'index 5', 'BatchStarted', 'Resumed'])
  })

  it('are ended early by an approval', () => {
    const run = start(paused({ type: 'time', forMs: 120_000 }))
    run.until(state => state.phase === 'Paused')
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 5 })
  })

  it('wait for a person as long as it takes', () => {
    const run = start(paused({ type: 'approval' }))
    run.until(state => state.phase === 'Paused')
    run.seconds(700)
    expect(run.state.message).toBe('batch 1 passed; waits for spec.approvedBatches: 1')
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.look()
    expect(run.record.index).toBe(5)
  })

  it('are skipped where the approval was given before', () => {
    const run = start(paused({ type: 'approval' }))
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.until(state => state.phase === 'Complete', 100)
    expect(run.takeLog()).not.toContain('WaitingForApproval')
  })
})

describe('too little evidence', () => {
  it('waits until the deadline, then for a person', () => {
    const run = start()
    run.onUpdate = {}
    run.until(state => state.phase === 'Paused')
    expect(run.now - run.state.batchSince).toBe(600_000)
    expect(run.state.blocked).toMatchObject({ reason: 'Inconclusive', approvedBefore: 0 })
    expect(run.state.message).toBe('not enough evidence at the deadline: 0 of 100 requests seen on pod 0')
  })

  it('is overruled by an approval given after that, not by one from before', () => {
    const run = start()
    run.onUpdate = {}
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.until(state => state.phase === 'Paused')
    run.seconds(100)
    expect(run.record.index).toBe(1)
    run.commands = { ...run.commands, approvedBatches: 2 }
    run.look()
    expect(run.record.index).toBe(2)
  })

  it('resolves itself when requests come after all', () => {
    const run = start()
    run.onUpdate = {}
    run.until(state => state.phase === 'Paused')
    run.onUpdate = HEALTHY
    run.until(state => state.index === 2, 10)
    expect(run.state.phase).toBe('Progressing')
  })

  it('does not shield what fails after all', () => {
    const run = start()
    run.onUpdate = {}
    run.until(state => state.phase === 'Paused')
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RollingBack', 10)
  })

  it('promotes where the policy says so, after the deadline of every batch', () => {
    const run = start({ onInconclusive: 'Promote' })
    run.onUpdate = {}
    run.onStable = {}
    const begun = run.now
    run.until(state => state.phase === 'Complete', 2_000)
    expect(run.now - begun).toBeGreaterThanOrEqual(1_800_000)
  })

  it('bakes again when an outage of all pods is over, and does not wait for it to be a small share', () => {
    const run = start()
    run.until(state => state.index === 1)
    const failing = { ...HEALTHY, failures: 25 }
    run.onUpdate = failing
    run.onStable = failing
    run.seconds(15)
    run.onUpdate = HEALTHY
    run.onStable = HEALTHY
    run.seconds(40)
    expect(run.state.message).toContain('not by the update alone')
    const { now } = run
    run.until(state => state.index === 2, 120)
    expect(run.now - now).toBeLessThan(100_000)
    expect(run.takeLog()).toContain('BakesAgain')
  })

  it('bakes again also when it was paused by then', () => {
    const run = start({ deadlineMs: 60_000 })
    run.until(state => state.index === 1)
    run.onUpdate = { ...HEALTHY, failures: 25 }
    run.onStable = run.onUpdate
    run.until(state => state.phase === 'Paused', 120)
    run.onUpdate = HEALTHY
    run.onStable = HEALTHY
    run.until(state => state.phase === 'Progressing', 120)
    expect(run.takeLog()).toContain('BakesAgain')
    run.until(state => state.phase === 'Complete', 400)
  })

  it('does not bake again while it fails', () => {
    const run = start()
    run.until(state => state.index === 1)
    run.onUpdate = { ...HEALTHY, failures: 25 }
    run.onStable = run.onUpdate
    run.seconds(300)
    expect(run.takeLog()).not.toContain('BakesAgain')
    expect(run.record.index).toBe(1)
  })

  it('never promotes what fails everywhere', () => {
    const run = start({ onInconclusive: 'Promote', deadlineMs: 40_000 })
    run.onUpdate = { ...HEALTHY, failures: 25 }
    run.onStable = run.onUpdate
    run.until(state => state.phase === 'Paused', 2_000)
    expect(run.state.blocked).toMatchObject({
      reason: 'Inconclusive',
      message: expect.stringContaining('not by the update alone'),
    })
  })

  it('never promotes pods that do not confirm', () => {
    const run = start({ onInconclusive: 'Promote', deadlineMs: 40_000 })
    run.onUpdate = {}
    run.until(state => state.step.name === 'baking')
    run.seconds(28)
    run.silent.add(0)
    run.seconds(20)
    expect(run.record.index).toBe(1)
    run.until(state => state.phase === 'Paused', 20)
    run.seconds(200)
    expect(run.record.index).toBe(1)
  })
})

describe('a rollout that rests while another is judged on its hosts', () => {
  const quiet = (): World => {
    const run = start()
    run.onUpdate = {}
    run.onStable = {}
    run.until(state => state.phase === 'Paused')
    run.change = { isItsTurn: false }
    return run
  }

  it('is not judged by what pods show meanwhile, and bakes again when its turn comes', () => {
    const run = quiet()
    run.onUpdate = BROKEN
    run.onStable = HEALTHY
    run.seconds(900)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1 })
    run.onUpdate = HEALTHY
    run.change = {}
    const free = run.now
    run.until(state => state.step.name === 'baking', 10)
    expect(run.state.phase).toBe('Progressing')
    run.until(state => state.index === 2, 60)
    expect(run.now - free).toBeGreaterThanOrEqual(30_000)
  })

  it('fails by what it shows from then on', () => {
    const run = quiet()
    run.seconds(100)
    run.change = {}
    run.onUpdate = BROKEN
    run.onStable = HEALTHY
    run.until(state => state.phase === 'RollingBack', 60)
    expect(run.state.cause?.reason).toBe('GateFailed')
  })

  it('is not judged by that time when it waits for approval, either', () => {
    const run = start(paused({ type: 'approval' }))
    run.until(state => state.step.name === 'waiting')
    run.change = { isItsTurn: false }
    run.onUpdate = BROKEN
    run.seconds(20)
    run.onUpdate = HEALTHY
    run.change = {}
    run.seconds(1)
    expect(run.state.batchSince).toBeGreaterThanOrEqual(run.now - 2_000)
    run.seconds(100)
    expect(run.state).toMatchObject({ phase: 'Paused', step: { name: 'waiting' } })
  })

  it('listens to its commands: an abort at once, an approval when its turn comes', () => {
    const aborted = quiet()
    aborted.commands = { ...aborted.commands, abort: true }
    aborted.until(state => state.phase === 'RolledBack', 10)
    const approved = quiet()
    approved.seconds(50)
    approved.commands = { ...approved.commands, approvedBatches: 1 }
    approved.seconds(50)
    expect(approved.state).toMatchObject({ phase: 'Paused', index: 1 })
    approved.change = {}
    approved.until(state => state.index === 2, 10)
  })

  it('that a person let go on says whom it waits for, and goes on by itself', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    run.commands = { ...run.commands, paused: true }
    run.until(state => state.phase === 'Paused', 10)
    run.change = { isItsTurn: false }
    run.seconds(10)
    run.commands = { ...run.commands, paused: false }
    run.seconds(100)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1, blocked: { reason: 'OtherRollout' } })
    run.change = {}
    run.until(state => state.phase === 'Progressing', 10)
    run.until(state => state.phase === 'Complete', 300)
  })

  it('keeps a pod on the stable revision when the fleet shrinks', () => {
    const run = start({ batches: SETTINGS.batches.slice(1) })
    run.onUpdate = {}
    run.onStable = {}
    run.until(state => state.phase === 'Paused')
    expect(run.record.index).toBe(2)
    run.change = { isItsTurn: false }
    run.size = 2
    run.seconds(10)
    expect(run.record.index).toBe(1)
  })
})

describe('what cannot have moved', () => {
  it('is no evidence: handshakes say nothing of paths, requests nothing of a certificate', () => {
    const paths = start()
    paths.change = { moves: { requests: true, handshakes: false } }
    paths.onUpdate = { ...HEALTHY, tlsFailures: 5 }
    paths.until(state => state.phase === 'Complete', 300)
    const certificate = start()
    certificate.change = { moves: { requests: false, handshakes: true } }
    certificate.onUpdate = { ...BROKEN }
    certificate.until(state => state.phase === 'Complete', 300)
  })

  it('but what did is: and a policy without a gate for it judges by what it has', () => {
    const certificate = start()
    certificate.change = { moves: { requests: false, handshakes: true } }
    certificate.onUpdate = { ...HEALTHY, tlsFailures: 5 }
    certificate.until(state => state.phase === 'RolledBack', 300)
    const without = start({ gates: { ...SETTINGS.gates, tlsFailureRate: null } })
    without.change = { moves: { requests: false, handshakes: true } }
    without.onUpdate = BROKEN
    without.until(state => state.phase === 'RolledBack', 300)
  })
})

describe('what comes between', () => {
  it('newer content takes the revision off the pods at once: its own rollout may have to wait', () => {
    const run = start()
    run.until(state => state.index === 2)
    run.takeLog()
    run.change = { superseded: 'newer' }
    run.look()
    expect(run.state).toMatchObject({ phase: 'Superseded', index: 0, finishedAt: run.wall })
    expect(run.takeLog()).toEqual(['take back', 'Superseded'])
  })

  it('content that is the stable one again takes the index to 0 and refuses nothing', () => {
    const run = start()
    run.until(state => state.index === 2)
    run.change = { superseded: 'reverted' }
    run.look()
    expect(run.state).toMatchObject({ phase: 'Superseded', index: 0 })
    expect(run.record).toMatchObject({ update: OLD, index: 0, refused: [] })
  })

  it('a policy that is gone ends it', () => {
    const run = start()
    run.until(state => state.index === 2)
    run.takeLog()
    run.change = { superseded: 'ungoverned' }
    run.look()
    expect(run.state.message).toContain('no policy governs the object any more')
    expect(run.takeLog()).toEqual(['Superseded'])
  })

  it.each([
    ['deleted', 'the object is being deleted', ['take back', 'Superseded']],
    ['gone', 'the object is gone', ['Superseded']],
  ] as const)('an object that is %s ends it, and it says so', (superseded, message, log) => {
    const run = start()
    run.until(state => state.index === 2)
    run.takeLog()
    run.change = { superseded }
    run.look()
    expect(run.state.message).toContain(message)
    expect(run.takeLog()).toEqual(log)
  })

  it('newer content after the release changes nothing', () => {
    const run = start()
    run.stuck.add(4)
    run.commands = { ...run.commands, promote: true }
    run.look()
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', step: { name: 'confirming' } })
    run.change = { superseded: 'newer' }
    run.look()
    expect(run.state.phase).toBe('Complete')
  })

  it('another policy, or a change of it, concerns the next rollout: this one goes on as it began', () => {
    const run = start()
    run.until(state => state.index === 2)
    const since = run.now
    run.settings = { ...run.settings, batches: [SETTINGS.batches[2]!], bakeMs: 0 }
    run.until(state => state.index === 5, 100)
    expect(run.now - since).toBeGreaterThanOrEqual(SETTINGS.bakeMs)
    expect(run.state).toMatchObject({ batch: 2, settings: SETTINGS })
    run.until(state => state.phase === 'Complete', 60)
  })

  it('another policy counts from a new attempt on', () => {
    const run = start()
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack')
    run.settings = { ...run.settings, batches: [SETTINGS.batches[2]!] }
    run.commands = { ...run.commands, retry: 1 }
    run.onUpdate = HEALTHY
    run.until(state => state.index === 5, 10)
    expect(run.state.settings?.batches).toHaveLength(1)
  })

  it('an update without endpoints reaches no pod: it waits, from the deadline on for a person, and goes on when there is one', () => {
    const run = start()
    run.change = { endpoints: { update: false, stable: true, missing: ['shop/web:80'] } }
    run.seconds(599)
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 0 })
    expect(run.state.message).toBe('waits: no Service that the update names has an endpoint (shop/web:80)')
    run.seconds(60)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 0, blocked: { reason: 'Inconclusive' } })
    expect(run.state.message).toContain('no Service that the update names has an endpoint')
    expect(run.takeLog()).toEqual(['Started', 'Inconclusive'])
    run.change = {}
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', index: 1, blocked: null })
  })

  it('an approval lets an update without endpoints begin its batch, and skips none', () => {
    const run = start({ batches: [SETTINGS.batches[0]!, SETTINGS.batches[2]!] })
    run.change = { endpoints: { update: false, stable: true } }
    run.until(state => state.phase === 'Paused')
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', batch: 0, index: 1, blocked: null })
    run.until(state => state.step.name === 'baking')
    run.seconds(20)
    expect(run.record.index).toBe(1)
  })

  it('an approval does not let an update without endpoints be released when the batch before the last has passed', () => {
    const run = start({ batches: [SETTINGS.batches[0]!, SETTINGS.batches[2]!] })
    run.until(state => state.index === 1 && state.step.name === 'baking')
    run.change = { endpoints: { update: false, stable: true } }
    run.until(state => state.blocked !== null, 700)
    expect(run.state).toMatchObject({ batch: 1, index: 1, step: { name: 'raising' } })
    run.commands = { ...run.commands, approvedBatches: 2 }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'RolledBack', 60)
    expect(run.record.current).toBe(OLD)
  })

  it('an approval makes no batch begin for which no pods are ready', () => {
    const run = start({}, 5)
    for (const ordinal of [0, 1, 2]) run.notReady.add(ordinal)
    run.until(state => state.phase === 'Paused', 700)
    run.commands = { ...run.commands, approvedBatches: 1 }
    run.seconds(5)
    expect(run.state).toMatchObject({ phase: 'Paused', batch: 0, index: 0 })
    run.notReady.clear()
    run.look()
    expect(run.state).toMatchObject({ phase: 'Progressing', batch: 0, index: 1 })
  })

  it('is begun at once where the stable revision has no endpoints either', () => {
    const run = start()
    run.change = { endpoints: { update: false, stable: false } }
    run.look()
    expect(run.record.index).toBe(1)
  })

  it('a stable revision without endpoints is no target for a rollback', () => {
    const run = start()
    run.change = { endpoints: { update: true, stable: false } }
    run.onUpdate = BROKEN
    run.until(state => state.phase === 'Paused', 10)
    expect(run.state.blocked?.reason).toBe('NoRollbackTarget')
    expect(run.record.index).toBe(1)
    run.change = {}
    run.look()
    expect(run.state.phase).toBe('RollingBack')
  })

  it('it is one where the update answers nothing at all', () => {
    const run = start()
    run.change = { endpoints: { update: true, stable: false } }
    run.onUpdate = { requests: 50, failures: 50 }
    run.until(state => state.phase === 'RollingBack', 10)
  })

  it('what lacked a target goes on when it does well again', () => {
    const run = start({ gates: { ...SETTINGS.gates, successRate: { min: 90, maxDrop: null } } })
    run.change = { endpoints: { update: true, stable: false } }
    run.onUpdate = { ...HEALTHY, requests: 50, failures: 20 }
    run.until(state => state.blocked?.reason === 'NoRollbackTarget', 10)
    run.onUpdate = HEALTHY
    run.until(state => state.index === 2, 200)
  })
})

describe('a deletion', () => {
  const missed: Counted = { requests: 50, notFound: 50, bucket: 0 }
  function deleting(change: Partial<Observation> = {}): World {
    const run = start()
    run.revision = 'absent'
    run.record = { ...run.record, update: 'absent' }
    run.change = { deletion: true, use: 0, ...change }
    return run
  }

  it('of what is in use does not begin, however long that is, and begins when it is not', () => {
    const run = deleting({ use: 11 })
    run.seconds(10_000)
    expect([run.state.phase, run.state.blocked?.reason, run.state.index]).toEqual(['Paused', 'InUse', 0])
    expect(run.state.message).toMatch(
      /^still in use: 11 requests in the last minute.*spec\.promote lets it go at once$/,
    )
    expect(run.takeLog().filter(one => one === 'InUse')).toHaveLength(1)
    run.onUpdate = {}
    run.onStable = {}
    run.change = { ...run.change, use: 10 }
    run.until(state => state.phase === 'Complete', 200)
    expect(run.takeLog().filter(one => one.startsWith('index'))).toEqual(['index 1', 'index 2', 'index 5'])
  })

  it('asks for as little as the policy says', () => {
    const run = deleting({ use: 1 })
    run.settings = { ...SETTINGS, idleRequestsPerMinute: 0 }
    run.seconds(5)
    expect(run.state.blocked?.reason).toBe('InUse')
  })

  it('of what is in use begins where others serve all of it', () => {
    const run = deleting({ use: 1_000, takenOver: true })
    run.until(state => state.index === 1, 3)
    run.until(state => state.phase === 'Complete', 200)
  })

  it('waits where it is not known whether it is in use', () => {
    const run = deleting({ use: null })
    run.seconds(5)
    expect([run.state.phase, run.state.blocked?.reason, run.state.index]).toEqual(['Paused', 'InUse', 0])
    expect(run.state.message).toBe(
      'waits: it is not known yet whether anybody asks for it: pods are watched for a minute',
    )
    run.change = { ...run.change, use: 0 }
    run.until(state => state.index === 1, 3)
    expect(run.state.phase).toBe('Progressing')
  })

  it('that is not known to be idle until the deadline waits for a person, and still begins by itself', () => {
    const run = deleting({ use: null })
    run.seconds(run.settings.deadlineMs / 1000 - 10)
    expect(run.state.blocked?.reason).toBe('InUse')
    run.seconds(20)
    expect([run.state.phase, run.state.blocked?.reason]).toEqual(['Paused', 'Inconclusive'])
    run.change = { ...run.change, use: 0 }
    run.until(state => state.index === 1, 3)
  })

  it.each<[string, Partial<Observation>]>([
    ['it is in use again', { use: 3_000 }],
    ['others on the same host are missed with it', { use: 0 }],
  ])('that somebody misses is off the pods at once, and waits; nothing is refused: %s', (_what, later) => {
    const run = deleting()
    run.onUpdate = missed
    run.until(state => state.index === 1, 3)
    run.change = { ...run.change, ...later }
    run.until(state => state.index === 0, 30)
    expect([run.state.phase, run.state.blocked?.reason, run.state.batch]).toEqual(['Paused', 'InUse', 0])
    expect(run.state.message).toMatch(/^still in use: notFoundRate: 404/)
    expect(run.record).toMatchObject({ current: OLD, update: 'absent', index: 0, refused: [] })
    expect(run.takeLog().slice(-2)).toEqual(['index 0', 'InUse'])
    run.look()
    expect(run.serves(0)).toBe(OLD)
    // Not tried again before the deadline, whatever the counters say.
    run.change = { ...run.change, use: 0 }
    run.onUpdate = {}
    run.onStable = {}
    const { now } = run
    run.until(state => state.index === 1, 1_000)
    expect(run.now - now).toBeGreaterThan(run.settings.deadlineMs - 10_000)
    run.until(state => state.phase === 'Complete', 300)
  })

  it('that a person keeps is held: pods serve the object until someone promotes', () => {
    const run = deleting({ use: 3_000 })
    run.seconds(5)
    run.commands = { ...run.commands, abort: true }
    run.until(state => state.phase === 'Held', 3)
    expect(run.record).toMatchObject({ current: OLD, update: OLD, refused: ['absent'] })
    expect(run.takeLog().slice(-3)).toEqual(['take back', 'Aborted', 'DeletionHeld'])
    run.seconds(1_000)
    expect(run.state.phase).toBe('Held')
    run.commands = { ...run.commands, promote: true }
    run.until(state => state.phase === 'Complete', 5)
    expect(run.serves(4)).toBeNull()
    expect(run.state.message).toBe('all 5 ready pods serve it no longer')
  })

  it('that is promoted in use is released at once', () => {
    const run = deleting({ use: 3_000 })
    run.seconds(5)
    run.commands = { ...run.commands, promote: true }
    run.until(state => state.phase === 'Complete', 5)
  })

  it('that hardly anybody misses goes out though they get a 404', () => {
    const run = deleting({ use: 8 })
    run.onStable = {}
    run.onUpdate = {}
    run.until(state => state.index === 1)
    run.onUpdate = { requests: 0.05, notFound: 0.05, bucket: 0 }
    run.until(state => state.phase === 'Complete', 300)
  })

  it('of an object that was never released can be taken back: there is nothing to wait for', () => {
    const run = deleting()
    run.record = { ...run.record, current: null }
    run.until(state => state.index === 1)
    run.commands = { ...run.commands, abort: true }
    run.until(state => state.phase === 'Held', 3)
  })
})

describe('a certificate', () => {
  const valid = { standing: 'valid', isPlain: false, why: 'the certificate that is served expires on Friday' } as const
  const urgent = { ...valid, standing: 'urgent' } as const
  const secret = { kind: 'Secret', moves: { requests: false, handshakes: true } } as const
  const quiet = (renewal: Observation['renewal'], change: Partial<Settings> = {}): World => {
    const run = start({ ...change })
    run.change = { ...secret, renewal }
    run.onUpdate = { requests: 0, handshakes: 0 }
    run.onStable = { requests: 0, handshakes: 0 }
    return run
  }

  it('that is a valid renewal needs no handshakes, but each batch its time', () => {
    const run = quiet(valid)
    const begun = run.now
    run.until(state => state.index === 2, 700)
    expect(run.now - begun).toBeGreaterThanOrEqual(600_000)
    run.until(state => state.phase === 'Complete')
    expect(run.log).not.toContain('Inconclusive')
  })

  const plain = { ...valid, isPlain: true } as const

  it('that is a plain renewal goes to the first batch and to all, a bake of ten seconds each, without pauses or traffic', () => {
    const run = quiet(plain, { batches: [...paused({ type: 'approval' }).batches.slice(0, 1), ...SETTINGS.batches] })
    const begun = run.now
    run.until(state => state.index === 1)
    expect(run.state.settings).toMatchObject({
      ...{ renewal: 'plain', bakeMs: 10_000, deadlineMs: 600_000 },
      batches: [
        { pods: { count: 1 }, pause: { type: 'none' } },
        { pods: { percent: 100 }, pause: { type: 'none' } },
      ],
    })
    run.until(state => state.index === 5)
    expect(run.now - begun).toBeGreaterThanOrEqual(10_000)
    run.until(state => state.phase === 'Complete')
    expect(run.now - begun).toBeGreaterThanOrEqual(20_000)
    expect(run.now - begun).toBeLessThan(26_000)
    expect(run.takeLog()).toEqual([
      ...['Started', 'index 1', 'BatchStarted', 'BatchPassed', 'index 5', 'BatchStarted', 'BatchPassed'],
      ...['release', 'Released', 'Complete'],
    ])
    const said = run.results.flatMap(({ commands }) => commands).filter(({ type }) => type === 'event')
    expect(said[0]).toMatchObject({
      message:
        'r2 goes out in batches, from r1: a renewal by the same authority, which waits neither for traffic nor for pauses',
    })
  })

  it('that is a plain renewal bakes no longer than its policy says, and has no more batches', () => {
    const run = quiet(plain, { batches: SETTINGS.batches.slice(-1), bakeMs: 2_000 })
    const begun = run.now
    run.until(state => state.phase === 'Complete', 8)
    expect(run.now - begun).toBeGreaterThanOrEqual(2_000)
    expect(run.state.settings?.batches).toHaveLength(1)
  })

  it('that is a plain renewal is taken back when clients refuse it, and waits where most of few do', () => {
    const failing = quiet(plain)
    failing.onUpdate = { requests: 0, handshakes: 10, tlsFailures: 5 }
    failing.onStable = { requests: 0, handshakes: 10 }
    failing.until(state => state.phase === 'RolledBack', 12)

    const few = quiet(plain)
    few.onUpdate = { requests: 0, handshakes: 0.3, tlsFailures: 0.3 }
    few.onStable = { requests: 0, handshakes: 10 }
    few.until(state => state.index === 1)
    few.seconds(30)
    expect(few.state).toMatchObject({ phase: 'Progressing', index: 1 })
    few.until(state => state.phase === 'RolledBack', 90)

    // More than before, and it may be chance.
    const doubtful = quiet(plain)
    doubtful.onUpdate = { requests: 0, handshakes: 5, tlsFailures: 0.3 }
    doubtful.onStable = { requests: 0, handshakes: 10 }
    doubtful.until(state => state.step.name === 'baking')
    doubtful.seconds(14)
    expect([doubtful.state.index, doubtful.state.verdicts.at(-1)?.reason]).toEqual([1, 'NotSignificant'])

    // Of whom nobody gets through anywhere: that is not the certificate.
    const scanned = quiet(plain)
    scanned.onUpdate = { requests: 0, handshakes: 0.3, tlsFailures: 0.3 }
    scanned.onStable = { requests: 0, handshakes: 0.3, tlsFailures: 0.3 }
    scanned.until(state => state.index === 5, 15)
  })

  it('that is a plain renewal waits where pods are silent, where a person stopped it, and where its failure is for a person', () => {
    const silent = quiet(plain)
    silent.stuck.add(0)
    silent.silent.add(0)
    silent.seconds(120)
    expect([silent.state.phase, silent.record.index]).toEqual(['Paused', 1])
    const stopped = quiet(plain)
    stopped.commands = { ...stopped.commands, paused: true }
    stopped.seconds(60)
    expect([stopped.state.phase, stopped.record.index]).toEqual(['Paused', 0])
    const failing = quiet(plain, { automaticRollback: false })
    failing.onUpdate = { requests: 0, handshakes: 10, tlsFailures: 5 }
    failing.onStable = { requests: 0, handshakes: 10 }
    failing.until(state => state.blocked?.reason === 'GateFailed', 60)
    failing.seconds(700)
    expect(failing.record.index).toBe(1)
  })

  it('that begun as a plain renewal stays one with a new leader, and when it becomes urgent', () => {
    const run = quiet(plain)
    run.until(state => state.index === 1)
    run.newLeader(null)
    run.change = { ...secret, renewal: { ...valid, standing: 'urgent' } }
    run.until(state => state.phase === 'Complete', 30)
  })

  it('that is not waits for somebody', () => {
    const run = quiet(null)
    run.until(state => state.phase === 'Paused', 700)
    run.seconds(3_000)
    expect(run.state).toMatchObject({ phase: 'Paused', index: 1, blocked: { reason: 'Inconclusive' } })
  })

  it('that is a valid renewal is taken back when clients refuse it, and waits while that may be chance', () => {
    const run = quiet(valid)
    run.onUpdate = { requests: 0, handshakes: 10, tlsFailures: 5 }
    run.onStable = { requests: 0, handshakes: 10 }
    run.until(state => state.phase === 'RolledBack', 60)
    const doubtful = quiet(valid)
    doubtful.onStable = { requests: 0, handshakes: 0.2 }
    doubtful.onUpdate = { requests: 0, handshakes: 0.04, tlsFailures: 0.003 }
    doubtful.until(state => state.blocked !== null, 700)
    expect(doubtful.state.verdicts.at(-1)?.reason).toBe('NotSignificant')
  })

  it('that must not wait goes out where it lacks evidence, an approval, or its turn; its first batch bakes', () => {
    const evidence = quiet(null)
    evidence.until(state => state.phase === 'Paused', 700)
    evidence.change = { ...secret, renewal: urgent }
    evidence.takeLog()
    evidence.look()
    expect(evidence.takeLog()).toEqual(['release', 'Released'])
    expect(evidence.record).toMatchObject({ current: NEW, index: -1 })
    const said = evidence.results.at(-1)?.commands.find(({ type }) => type === 'event')
    expect(said).toMatchObject({
      reason: 'Released',
      message: `revision r2 is released to all pods: ${urgent.why}, it may not wait for that`,
    })

    const approval = quiet(urgent, paused({ type: 'approval' }))
    approval.onUpdate = HEALTHY
    approval.onStable = HEALTHY
    const begun = approval.now
    approval.until(state => state.phase === 'Complete', 60)
    expect(approval.now - begun).toBeGreaterThanOrEqual(30_000)

    const turn = quiet(null)
    turn.until(state => state.index === 1, 60)
    turn.change = { ...secret, isItsTurn: false, renewal: null }
    turn.until(state => state.phase === 'Paused' || state.index === -1, 800)
    // It is its turn as soon as it is urgent (control/driver.ts).
    turn.change = { ...secret, renewal: urgent }
    turn.until(state => state.phase === 'Complete', 60)
  })

  it('that must not wait stays where a person stopped it, for as long as a pause takes, and where a gate speaks against it', () => {
    const stopped = quiet(urgent)
    stopped.commands = { ...stopped.commands, paused: true }
    stopped.seconds(700)
    expect([stopped.state.phase, stopped.record.index]).toEqual(['Paused', 0])

    const timed = quiet(urgent, paused({ type: 'time', forMs: 300_000 }))
    timed.onUpdate = HEALTHY
    timed.onStable = HEALTHY
    timed.until(state => state.phase === 'Paused', 60)
    timed.seconds(200)
    expect(timed.record.index).toBe(1)

    const failing = quiet(urgent, { automaticRollback: false })
    failing.onUpdate = { requests: 0, handshakes: 10, tlsFailures: 5 }
    failing.onStable = { requests: 0, handshakes: 10 }
    failing.until(state => state.blocked?.reason === 'GateFailed', 60)
    failing.seconds(700)
    expect(failing.record.index).toBe(1)
  })
})

it('a batch does not begin before the certificates of the update are with the pods; from the deadline on it says which', () => {
  const run = start()
  run.change = { lacksCertificates: 'Secret shop/tls does not exist' }
  run.seconds(599)
  expect(run.state).toMatchObject({ index: 0, message: 'waits: Secret shop/tls does not exist' })
  run.until(state => state.phase === 'Paused', 10)
  expect(run.state.message).toBe('not begun until the deadline: Secret shop/tls does not exist')
  expect(run.record.refused).toEqual([])
  run.change = {}
  run.look()
  expect(run.state).toMatchObject({ phase: 'Progressing', index: 1 })
  const approved = start()
  approved.change = { lacksCertificates: 'Secret shop/tls does not exist' }
  approved.until(state => state.phase === 'Paused', 700)
  approved.commands = { ...approved.commands, approvedBatches: 1 }
  approved.look()
  expect(approved.state.index).toBe(1)
  // What closes paths waits for nothing.
  const closing = start()
  closing.change = { lacksCertificates: 'Secret shop/tls does not exist', closed: 'auth-url is not supported' }
  closing.look()
  expect(closing.state.index).toBe(1)
})

describe('what fails, and is not known of the stable pods yet', () => {
  const behind = {
    ...{ update: counted({ requests: 500, failures: 400 }), stable: counted({ requests: 2_000 }) },
    sideBySide: () => ({ update: counted({}), stable: counted({}) }),
  }

  it('is let out by no approval, and by no end of a pause, until it is', () => {
    for (const pause of [{ type: 'approval' }, { type: 'time', forMs: 60_000 }] as const) {
      const run = start(paused(pause))
      run.until(state => state.phase === 'Paused')
      run.seconds(58)
      run.change = { figures: behind }
      run.commands = { ...run.commands, approvedBatches: 1 }
      run.seconds(4)
      expect(run.record.index).toBe(1)
      expect(run.state.verdicts.map(one => one.reason)).toContain('NotCompared')
      run.change = { figures: { ...behind, sideBySide: () => behind } }
      run.look()
      expect(run.state.cause?.message).toMatch(/^successRate: /)
    }
  })

  it('lets its batch bake again when the last minute is fine: it was no fault of the update, or was not known to be', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    run.change = { figures: behind, recent: null }
    run.seconds(40)
    expect(run.record.index).toBe(1)
    run.takeLog()
    const { update, stable } = { update: counted({ requests: 500 }), stable: counted({ requests: 2_000 }) }
    run.change = { figures: behind, recent: { update, stable } }
    run.look()
    expect(run.takeLog()).toEqual(['BakesAgain'])
    expect(run.state.step.name).toBe('acknowledging')
  })

  it('passes no batch, and waits for a person at the deadline like other doubts', () => {
    const run = start()
    run.until(state => state.step.name === 'baking')
    run.change = { figures: behind, recent: behind }
    run.until(state => state.phase === 'Paused')
    expect(run.now - run.state.batchSince).toBe(600_000)
    expect(run.state.blocked?.reason).toBe('Inconclusive')
    expect(run.record.index).toBe(1)
  })
})
