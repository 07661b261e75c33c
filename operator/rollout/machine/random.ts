/** Random things that happen to a rollout, for the property tests of this folder and of the status. */
import fc from 'fast-check'
import { BROKEN, HEALTHY, SETTINGS, World } from './testing.ts'
import type { Counted } from './testing.ts'
import type { Batch, Commands, Observation, Settings } from './types.ts'

export type Happening =
  | { readonly do: 'look'; readonly seconds: number }
  | { readonly do: 'clients'; readonly update: Counted; readonly stable: Counted }
  | { readonly do: 'command'; readonly change: Partial<Omit<Commands, 'approvedBatches' | 'retry'>> }
  | { readonly do: 'approve' }
  | { readonly do: 'retry' }
  | { readonly do: 'pod'; readonly ordinal: number; readonly becomes: 'unready' | 'stuck' | 'silent' | 'well' }
  | { readonly do: 'fleet'; readonly size: number }
  | { readonly do: 'policy'; readonly settings: Settings }
  | { readonly do: 'see'; readonly change: Partial<Observation> }
  | { readonly do: 'clock'; readonly wall: number }

const counted: fc.Arbitrary<Counted> = fc.oneof(
  fc.constantFrom<Counted>(HEALTHY, HEALTHY, BROKEN, {}),
  fc.record({
    requests: fc.nat(60),
    handshakes: fc.nat(20),
    tlsFailures: fc.nat(5),
    notFound: fc.nat(3),
    bucket: fc.nat(8),
  }),
)

const none = { type: 'none' } as const
const pause = fc.constantFrom<Batch['pause']>(none, none, { type: 'approval' }, { type: 'time', forMs: 60_000 })
const batch: fc.Arbitrary<Batch> = fc.record({
  pods: fc.oneof(
    fc.record({ count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ percent: fc.integer({ min: 1, max: 99 }) }),
  ),
  pause,
})

export const settings: fc.Arbitrary<Settings> = fc
  .record({
    batches: fc.array(batch, { maxLength: 3 }),
    onInconclusive: fc.constantFrom<Settings['onInconclusive']>('Pause', 'Promote'),
    automaticRollback: fc.constantFrom(true, true, false),
    deadlineMs: fc.constantFrom(60_000, 200_000),
  })
  .map(some => ({ ...SETTINGS, ...some, batches: [...some.batches, { pods: { percent: 100 }, pause: none }] }))

const ordinal = fc.nat(6)
const look: fc.Arbitrary<Happening> = fc.record({ do: fc.constant('look'), seconds: fc.integer({ min: 1, max: 90 }) })

/** What neither releases nor ends a rollout by command. */
export const circumstance: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: look },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('clients'), update: counted, stable: counted }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('command'), change: fc.record({ paused: fc.boolean() }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pod'),
      ordinal,
      becomes: fc.constantFrom('unready', 'stuck', 'silent', 'well', 'well'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fleet'), size: fc.integer({ min: 0, max: 7 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clock'), wall: fc.integer({ min: -1e9, max: 1e9 }) }) },
)

/** Somebody edits the policy, or another one selects the object. */
export const policy: fc.Arbitrary<Happening> = fc.record({ do: fc.constant('policy'), settings })

const command: fc.Arbitrary<Happening> = fc.oneof(
  fc.constant<Happening>({ do: 'approve' }),
  fc.constant<Happening>({ do: 'retry' }),
  fc.record({
    do: fc.constant('command'),
    change: fc.constantFrom({ abort: true }, { abort: false }, { promote: true }),
  }),
)

const seen: fc.Arbitrary<Happening> = fc
  .constantFrom<Partial<Observation>>(
    {},
    {},
    { isItsTurn: false },
    { manualIndex: 3 },
    { manualIndex: -1 },
    { endpoints: { update: true, stable: false } },
    { endpoints: { update: false, stable: true } },
    { superseded: 'newer' },
    { superseded: 'reverted' },
    { superseded: 'ungoverned' },
    { superseded: 'deleted' },
    { superseded: 'gone' },
  )
  .map(change => ({ do: 'see', change }))

export const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 10, arbitrary: circumstance },
  { weight: 2, arbitrary: command },
  { weight: 2, arbitrary: seen },
  { weight: 1, arbitrary: policy },
)

/** Lets it happen; `looked` is called after every look of the machine. */
export function happen(run: World, what: Happening, looked: () => void): void {
  switch (what.do) {
    case 'look':
      for (let i = 0; i < what.seconds; i++) {
        run.look()
        looked()
      }
      return
    case 'clients':
      run.onUpdate = what.update
      run.onStable = what.stable
      return
    case 'command':
      run.commands = { ...run.commands, ...what.change }
      return
    case 'approve':
      run.commands = { ...run.commands, approvedBatches: run.commands.approvedBatches + 1 }
      return
    case 'retry':
      run.commands = { ...run.commands, retry: run.commands.retry + 1 }
      return
    case 'pod':
      run.notReady.delete(what.ordinal)
      run.stuck.delete(what.ordinal)
      run.silent.delete(what.ordinal)
      if (what.becomes === 'unready') run.notReady.add(what.ordinal)
      if (what.becomes === 'stuck') run.stuck.add(what.ordinal)
      if (what.becomes === 'silent') run.silent.add(what.ordinal)
      return
    case 'fleet':
      run.size = what.size
      return
    case 'policy':
      run.settings = what.settings
      return
    case 'see':
      run.change = what.change
      return
    case 'clock':
      run.wall += what.wall
      return
  }
}

export function world(of: Settings): World {
  const run = new World()
  run.settings = of
  return run
}
