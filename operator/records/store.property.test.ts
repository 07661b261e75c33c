/**
 * The store against what was put: leaders that die at any write, two that lead at once, watches that are late and mix up the order of
 * Secrets, people who delete them. Each put is made on what its process saw; what was confirmed is part of what there is at the end,
 * or of what that was made on, unless its Secret was deleted while nobody ran.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { pathOf } from './paths.ts'
import { Replica, Secrets, opened, pathOfUid, record, uidsIn } from './testing.ts'

const LIMITS = { records: 2, length: 100_000 }
const ROOT = '15'
const UIDS = [...uidsIn(ROOT, 14), ...uidsIn('2a', 2)]

type Action =
  | { readonly do: 'put'; readonly who: 0 | 1; readonly uid: number; readonly later: boolean }
  | { readonly do: 'deliver'; readonly who: 0 | 1 | 2; readonly order: readonly number[] }
  | { readonly do: 'settle' | 'blackout' }
  | { readonly do: 'stand' | 'go on' | 'die' | 'complete'; readonly who: 0 | 1 }
  | { readonly do: 'die at'; readonly who: 0 | 1; readonly write: number; readonly takesEffect: boolean }
  | { readonly do: 'delete'; readonly which: number; readonly running: boolean }

const who = fc.constantFrom<0 | 1>(0, 1)
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      ...{ do: fc.constant('put' as const), who, uid: fc.nat(UIDS.length - 1), later: fc.boolean() },
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      ...{
        do: fc.constant('deliver' as const),
        who: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
        order: fc.array(fc.nat(200)),
      },
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('stand' as const, 'go on', 'die', 'complete'), who }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: fc.constant('die at' as const), who, write: fc.integer({ min: 1, max: 8 }), takesEffect: fc.boolean() },
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('delete' as const), which: fc.nat(500), running: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('blackout' as const) }) },
)

/** Those of what is there first that it is told to be. */
const reordered =
  (order: readonly number[]) =>
  (names: string[]): readonly string[] => {
    const rest = [...names]
    const first = order.flatMap(at => (rest.length === 0 ? [] : rest.splice(at % rest.length, 1)))
    return [...first, ...rest]
  }

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn()
}

class World {
  readonly secrets = new Secrets()
  readonly leaders: [Replica, Replica]
  /** Hears of everything and never leads. */
  readonly follower: Replica
  /** Each put, by number: what it was made on. */
  readonly #made: { readonly uid: string; readonly base: number | null }[] = []
  readonly #confirmed = new Set<number>()
  /** Lost with their Secret while nobody ran. */
  readonly #excused = new Set<string>()

  constructor() {
    this.leaders = [this.#replica(), this.#replica()]
    this.follower = this.#replica()
  }

  async run(action: Action): Promise<void> {
    switch (action.do) {
      case 'put':
        this.#put(await this.#leader(action.who), UIDS[action.uid] ?? '', action.later)
        break
      case 'deliver': {
        const replica = action.who === 2 ? this.follower : this.leaders[action.who]
        if (replica.isAlive) replica.deliver(reordered(action.order))
        break
      }
      case 'settle':
        for (const leader of this.leaders) if (leader.isAlive) void leader.store.flush()
        await turns(6)
        break
      case 'stand':
        this.leaders[action.who].stand()
        break
      case 'go on':
        this.leaders[action.who].goOn()
        break
      case 'die':
        this.leaders[action.who].die()
        break
      case 'die at':
        this.leaders[action.who].dieAt(action)
        break
      case 'complete':
        void this.leaders[action.who].store.complete().catch(() => undefined)
        break
      case 'blackout':
        this.#killAll()
        break
      case 'delete':
        await (action.running ? this.#deleteUnderFeet(action.which) : this.#deleteInTheDark(action.which))
    }
  }

  /** Everything goes on, to its end. */
  async end(): Promise<void> {
    for (const leader of this.leaders) leader.goOn()
    for (const leader of this.leaders) if (leader.isAlive) void leader.store.flush()
    await turns(20)
    const last = await this.#restarted()
    await last.store.complete()
    for (const replica of [...this.leaders, this.follower]) if (replica.isAlive) replica.deliver()
    await turns(6)
    expect([last.store.isMissing, last.store.unreadable, last.unreadable]).toEqual([false, [], []])
    for (const [n, { uid }] of this.#made.entries()) {
      if (!this.#confirmed.has(n) || this.#excused.has(uid)) continue
      expect(this.#madeOn(last.store.get(uid)?.index ?? null)).toContain(n)
    }
    const truth = this.#all(last)
    expect(new Map(UIDS.flatMap(uid => last.store.get(uid) ?? []).map(({ uid, index }) => [uid, index]))).toEqual(truth)
    for (const uid of truth.keys()) expect(last.store.byKey(`Ingress/shop/${uid}`)?.uid).toBe(uid)
    const fresh = this.#replica()
    fresh.deliver(names => [...names].reverse())
    for (const replica of [...this.leaders, this.follower, fresh]) {
      if (replica.isAlive) expect(this.#all(replica)).toEqual(truth)
    }
    for (const stored of this.secrets.shards.values()) {
      // What was never split below its limit is.
      expect(opened(stored).records?.length ?? 0).toBeLessThanOrEqual(LIMITS.records)
    }
  }

  #replica(): Replica {
    return new Replica(this.secrets, LIMITS)
  }

  #all({ store }: Replica): ReadonlyMap<string, number> {
    return new Map([...store.all()].map(({ uid, index }) => [uid, index]))
  }

  #madeOn(last: number | null): readonly number[] {
    const all: number[] = []
    for (let n = last; n !== null; n = this.#made[n]?.base ?? null) all.push(n)
    return all
  }

  #put({ store }: Replica, uid: string, later: boolean): void {
    const underWay = store.pending(uid)
    const base = (underWay === undefined ? store.get(uid) : underWay)?.index ?? null
    const n = this.#made.push({ uid, base }) - 1
    if (later) store.putLater(record(uid, n))
    else
      store.put(record(uid, n)).then(
        () => this.#confirmed.add(n),
        () => undefined,
      )
  }

  /** One that died is there again, and has read everything. */
  async #leader(who: 0 | 1): Promise<Replica> {
    if (!this.leaders[who].isAlive) this.leaders[who] = await this.#restarted()
    return this.leaders[who]
  }

  async #restarted(): Promise<Replica> {
    const replica = this.#replica()
    await replica.store.load()
    return replica
  }

  #killAll(): void {
    for (const leader of this.leaders) leader.die()
  }

  #nth(which: number): string {
    const names = [...this.secrets.shards.keys()].filter(name => pathOf(name)?.startsWith(ROOT))
    return names[which % names.length] ?? ''
  }

  async #deleteInTheDark(which: number): Promise<void> {
    this.#killAll()
    await turns(3)
    const name = this.#nth(which)
    const path = pathOf(name) ?? ''
    const stored = this.secrets.shards.get(name)
    const before = await this.#restarted()
    const lost = UIDS.filter(uid => pathOfUid(uid, path.length - 2) === path)
    // Records are in the leaves alone.
    const isSplit = stored !== undefined && opened(stored).records === null
    if (!isSplit) for (const uid of lost) this.#excused.add(uid)
    // Until a split is done, what its children would hold without it stands in for those that are not there.
    const isStoodInFor = [...this.secrets.shards.values()].some(other => {
      const above = pathOf(other.name)
      const { records, split } = opened(other)
      return above !== null && above !== path && path.startsWith(above) && split !== '' && records !== null
    })
    this.secrets.delete(name)
    this.leaders[0] = await this.#restarted()
    const after = this.leaders[0].store
    for (const uid of lost) {
      const held = before.store.get(uid)
      const found = after.get(uid)
      if (isSplit) expect(found).toEqual(held)
      // Nobody takes it for an object that is new.
      else if (held !== null && found === null && after.isComplete && !isStoodInFor)
        expect([uid, after.isLost(uid)]).toEqual([uid, true])
    }
  }

  /** Somebody who has heard of everything runs, and writes it again. */
  async #deleteUnderFeet(which: number): Promise<void> {
    this.leaders[1].die()
    const leader = await this.#leader(0)
    // What only it remembers goes with it.
    leader.dieAt(null)
    leader.goOn()
    void leader.store.flush()
    await turns(6)
    if (!leader.isAlive) return
    leader.deliver()
    this.secrets.delete(this.#nth(which))
    leader.deliver()
    await leader.store.complete()
  }
}

describe('the store, whatever happens to it', () => {
  it('keeps what it confirmed, and every replica comes to see it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.array(action, { maxLength: 60, size: 'max' }), async (complete, actions) => {
        const world = new World()
        if (complete) await world.leaders[0].store.complete()
        for (const one of actions) await world.run(one)
        await world.end()
      }),
      { numRuns: 60, timeout: 5_000 },
    )
  }, 120_000)

  it('holds what a Map would, for a leader at a time that dies at any write', async () => {
    const step = fc.record({
      uid: fc.nat(UIDS.length - 1),
      isRemoval: fc.integer({ max: 3 }).map(n => n === 0),
      dies: fc.option(fc.record({ write: fc.integer({ min: 1, max: 7 }), takesEffect: fc.boolean() }), { freq: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async steps => {
        const secrets = new Secrets()
        let leader = new Replica(secrets, LIMITS)
        const model = new Map<string, number>()
        for (const [n, { uid: at, isRemoval, dies }] of steps.entries()) {
          const uid = UIDS[at] ?? ''
          if (dies !== null) leader.dieAt(dies)
          const confirmed = new Set<number>()
          const write = isRemoval ? leader.store.remove(uid) : leader.store.put(record(uid, n))
          void write.then(() => confirmed.add(n))
          await turns(4)
          if (!leader.isAlive) {
            leader = new Replica(secrets, LIMITS)
            await leader.store.load()
          }
          const found = leader.store.get(uid)?.index
          // What nobody confirmed may have happened, as a whole.
          const wanted = isRemoval ? undefined : n
          if (confirmed.has(n)) expect(found).toBe(wanted)
          else expect([model.get(uid), wanted]).toContain(found)
          if (found === undefined) model.delete(uid)
          else model.set(uid, found)
          expect(new Map([...leader.store.all()].map(one => [one.uid, one.index]))).toEqual(model)
        }
        leader.dieAt(null)
        await leader.store.complete()
        const next = new Replica(secrets, LIMITS)
        await next.store.load()
        expect(new Map([...next.store.all()].map(one => [one.uid, one.index]))).toEqual(model)
      }),
      { numRuns: 40, timeout: 5_000 },
    )
  }, 60_000)
})
