/** Random circumstances, clients, commands and fleets: whatever happens, the machine keeps its promises. */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { batchReach, fleetView } from './batches.ts'
import { readyBelow, serves } from './gates/acknowledgement.ts'
import { isLast } from './outcome.ts'
import { circumstance, happen, happening, policy, settings, world } from './random.ts'
import type { Happening } from './random.ts'
import { step } from './step.ts'
import type { World } from './testing.ts'
import { NEW } from './testing.ts'
import type { Command, Observation, State } from './types.ts'

const ENDED: readonly State['phase'][] = ['Complete', 'RolledBack', 'Superseded', 'Held']
const RUNS = { numRuns: 60 }

/** One look: what was before, what the machine saw, and what came of it. */
interface Look {
  readonly before: State
  readonly seen: Observation
  readonly after: State
  readonly commands: readonly Command[]
}

/** Calls `check` after every look of a random story. */
function always(of: fc.Arbitrary<Happening>, check: (look: Look, run: World) => void, runs = RUNS): void {
  fc.assert(
    fc.property(settings, fc.array(of, { minLength: 4, maxLength: 16 }), (some, story) => {
      const run = world(some)
      let before = run.state
      for (const one of story) {
        happen(run, one, () => {
          const made = run.results.at(-1)!
          check({ before, seen: run.seen!, after: made.state, commands: made.commands }, run)
          before = made.state
        })
        before = run.state
      }
    }),
    runs,
  )
}

const raised = (commands: readonly Command[]): number | null => {
  const last = commands.findLast(command => command.type === 'setIndex')
  return last?.type === 'setIndex' ? last.index : null
}
const has = (commands: readonly Command[], type: Command['type']): boolean => commands.some(one => one.type === type)

describe('whatever happens', () => {
  it('looks again in time while something is under way, and only then', () => {
    always(happening, ({ after, commands }, run) => {
      const requeues = commands.flatMap(one => (one.type === 'requeue' ? [one.afterMs] : []))
      expect(requeues).toHaveLength(ENDED.includes(after.phase) ? 0 : 1)
      for (const afterMs of requeues) {
        expect(afterMs).toBeGreaterThan(0)
        expect(afterMs).toBeLessThanOrEqual(Math.max(30_000, run.settings.intervalMs))
      }
    })
  })

  it('raises the index only to where the batch allows, and only after the batch before passed', () => {
    always(happening, ({ before, seen, after, commands }, run) => {
      const index = raised(commands)
      if (index === null) return
      const { batches } = before.settings ?? run.settings
      expect(after.index).toBe(index)
      if (index < before.index) {
        expect(index).toBe(fleetView(seen.pods).size - 1)
        return
      }
      expect(seen.commands.paused && index !== before.index).toBe(false)
      const reach = batchReach(batches, after.batch, fleetView(seen.pods), before.index)
      // By hand it is set back to what it was, that was allowed then.
      if (index !== before.index) expect(reach).toEqual({ type: 'index', index })
      const grown = isLast(before, batches) && before.phase !== 'Pending'
      if (index <= before.index || grown) return
      const passed = commands.some(one => one.type === 'event' && one.reason === 'BatchPassed')
      // Raising: the batch before passed in an earlier look, or there was none, or this one begins anew.
      const waited = before.step.name === 'waiting' || before.step.name === 'raising'
      expect(passed || waited).toBe(true)
    })
  })

  it('passes no batch before its bake time, but for a person or because it adds no pod', () => {
    let [since, baked] = [0, false]
    always(happening, ({ before, seen, after, commands }, run) => {
      for (const one of commands) {
        if (one.type !== 'event' || one.reason !== 'BatchPassed') continue
        if (/adds no pod|approved without/.test(one.message)) continue
        baked = true
        expect(seen.now - since).toBeGreaterThanOrEqual((before.settings ?? run.settings).bakeMs)
        const ready = readyBelow(seen.pods, before.index)
        expect(ready.length).toBeGreaterThan(0)
        expect(ready.filter(pod => !serves(pod, NEW))).toEqual([])
      }
      if (after.step.name === 'acknowledging' && after.batchSince === seen.now) since = seen.now
    })
    expect(baked).toBe(true)
  })

  it('releases only after the last batch or by command', () => {
    always(happening, ({ before, seen, commands }, run) => {
      if (!has(commands, 'release')) return
      const passed = commands.some(one => one.type === 'event' && one.reason === 'BatchPassed')
      if (seen.commands.promote) return
      expect(passed).toBe(true)
      expect(seen.commands.paused).toBe(false)
      // In one look at most batches that add no pod are passed on the way to the last.
      const { batches } = before.settings ?? run.settings
      expect(before.batch === batches.length - 1 || before.index >= fleetView(seen.pods).size).toBe(true)
    })
  })

  it('gives the update to all only when every pod had it for a whole bake, whatever policies and fleets do', () => {
    // Since when each ordinal has had it, without a break.
    const since = new Map<number, number>()
    let released = false
    // Clients are well served: much is released.
    const looks = circumstance.filter(one => one.do === 'look')
    const fleets = circumstance.filter(one => one.do === 'fleet' && one.size > 1)
    always(
      fc.oneof({ weight: 3, arbitrary: looks }, { weight: 2, arbitrary: fleets }, { weight: 1, arbitrary: policy }),
      ({ before, seen, after, commands }, run) => {
        const { size } = fleetView(seen.pods)
        if (has(commands, 'release')) {
          released = true
          for (let ordinal = 0; ordinal < size; ordinal++) {
            const had = seen.now - (since.get(ordinal) ?? seen.now)
            expect(had).toBeGreaterThanOrEqual((before.settings ?? run.settings).bakeMs)
          }
        }
        const reach = after.index === -1 ? size : after.index
        // A pod that was away for a moment is the same one.
        for (const ordinal of [...since.keys()]) if (ordinal >= reach) since.delete(ordinal)
        for (let ordinal = 0; ordinal < reach; ordinal++) {
          if (!since.has(ordinal)) since.set(ordinal, seen.now)
        }
        if (before.phase === 'Pending') since.clear()
      },
      { numRuns: 300 },
    )
    expect(released).toBe(true)
  })

  it('never raises again what was taken back, unless somebody says retry or promote', () => {
    let takenBack = false
    always(happening, ({ before, seen, after, commands }) => {
      if (before.phase === 'Pending' && before.attempt === 1) takenBack = false
      if (has(commands, 'takeBack')) takenBack = true
      if (has(commands, 'begin') || (has(commands, 'release') && seen.commands.promote)) takenBack = false
      if (has(commands, 'begin')) expect(seen.commands.retry).toBeGreaterThan(before.observedRetry)
      if (!takenBack) return
      expect(after.index).toBe(0)
      expect(has(commands, 'setIndex') || has(commands, 'release')).toBe(false)
    })
  })

  it('leaves what has ended as it is, unless somebody says retry or promote', () => {
    always(happening, ({ before, seen, after, commands }) => {
      if (!ENDED.includes(before.phase)) return
      const told = seen.commands.promote || seen.commands.retry > before.observedRetry
      if (!told)
        expect({ after, commands }).toEqual({ after: { ...before, ignoreAbort: after.ignoreAbort }, commands: [] })
      // What ended because its policy went may be let out by a person; nothing else begins again by itself.
      const letOut = before.phase === 'Superseded' && seen.superseded === 'ungoverned' && seen.commands.promote
      if (letOut) expect(has(commands, 'release')).toBe(true)
      else if (before.phase === 'Complete' || before.phase === 'Superseded') {
        expect(after.phase).toBe(before.phase)
        expect(commands).toEqual([])
      }
    })
  })

  it('writes in an order that can be recorded: one thing of the record at a time, begin alone, events for people', () => {
    always(happening, ({ commands }) => {
      const written = commands.filter(one => one.type !== 'event' && one.type !== 'requeue').map(one => one.type)
      expect([[], ['setIndex'], ['release'], ['takeBack'], ['begin']]).toContainEqual(written)
      for (const one of commands) {
        if (one.type !== 'event') continue
        expect(one.reason).toMatch(/^[A-Z][A-Za-z]*$/)
        expect(one.message).not.toMatch(/undefined|NaN|null/)
      }
    })
  })

  it('keeps its words: an index that grows, pods reached, a cause of what is taken back, a reason to be paused', () => {
    always(happening, ({ before, after, commands }) => {
      const anew = has(commands, 'begin') || has(commands, 'takeBack') || after.phase === 'Superseded'
      const lowered = commands.some(one => one.type === 'event' && one.reason === 'IndexLowered')
      if (!anew && !lowered && before.index !== -1 && after.index !== -1)
        expect(after.index).toBeGreaterThanOrEqual(before.index)
      if (after.reached !== -1) expect(after.reached).toBeGreaterThanOrEqual(after.index)
      const back = after.phase === 'RollingBack' || after.phase === 'RolledBack' || after.phase === 'Held'
      expect(after.cause !== null).toBe(back)
      expect(after.finishedAt !== null).toBe(ENDED.includes(after.phase))
      expect(after.message).not.toBe('')
      if (after.blocked !== null) expect(after.phase).toBe('Paused')
    })
  })

  it('is pure: the same look twice gives the same, and nothing that went in is changed', () => {
    always(happening, (_, run) => {
      if (run.now % 9_000 !== 0) return
      const [state, seen] = [structuredClone(run.state), structuredClone(run.observe())]
      expect(step(state, seen, run.settings)).toEqual(step(run.state, run.observe(), run.settings))
      expect(state).toEqual(run.state)
    })
  })
})

describe('with clients that see failures on the update', () => {
  const failing = { requests: 50, failures: 25 }

  it('never releases, whatever batches and fleets, and takes back if it may', () => {
    const quiet = circumstance.filter(one => one.do !== 'clients')
    fc.assert(
      fc.property(settings, fc.array(quiet, { maxLength: 16 }), fc.boolean(), (some, story, traffic) => {
        const run = world(some)
        run.onUpdate = failing
        if (!traffic) run.onStable = {}
        for (const one of story) happen(run, one, () => expect(run.record.current).not.toBe(NEW))
        // The fleet recovers; the evidence stays.
        for (const set of [run.notReady, run.stuck, run.silent]) set.clear()
        run.commands = { ...run.commands, paused: false }
        run.size = 5
        run.seconds(120)
        expect(run.state.phase).toBe(some.automaticRollback ? 'RolledBack' : 'Paused')
        expect(run.record.current).not.toBe(NEW)
      }),
      RUNS,
    )
  })
})

describe('with clients that are well served', () => {
  it('goes out to everybody, whatever happened to pods before', () => {
    const quiet = circumstance.filter(one => one.do === 'fleet' || one.do === 'clock' || one.do === 'look')
    fc.assert(
      fc.property(settings, fc.array(quiet, { maxLength: 15 }), (some, story) => {
        const run = world(some)
        for (const one of story) happen(run, one, () => undefined)
        run.size = Math.max(1, run.size)
        for (let i = 0; i < 20 && run.state.phase !== 'Complete'; i++) {
          run.commands = { ...run.commands, approvedBatches: run.commands.approvedBatches + 1 }
          run.seconds(60)
        }
        expect(run.state).toMatchObject({
          phase: 'Complete',
          message: expect.stringMatching(/^all \d ready pods serve r2$/),
        })
      }),
      RUNS,
    )
  })
})
