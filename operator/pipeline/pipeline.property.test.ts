/**
 * Random histories, seen by two replicas that hear of objects, records and policies each in their own order, as
 * different watches are. When both have heard everything they give out the same; and meanwhile no pod ever gets
 * content of a governed object that was not released for it.
 */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { StateHash } from '../../protocol/hash.ts'
import type { Assignment, ObjectKey, Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { adopt, advance, begin, complete, retry, takeBack } from '../assign/records.ts'
import { stampFor } from '../assign/stamps.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { Replica, WEB, ingress, policy, service, slice } from './testing.ts'
import type { Raw } from './testing.ts'

type Action =
  | { readonly do: 'edit'; readonly host: 'a' | 'b' | 'c' | 'd' }
  | { readonly do: 'leave'; readonly how: 'class' | 'deletion' }
  | { readonly do: 'leader'; readonly what: 'begin' | 'raise' | 'lower' | 'complete' | 'take back' | 'retry' | 'stamp' }
  | { readonly do: 'strip' }
  | { readonly do: 'write index'; readonly index: string }
  | { readonly do: 'policy'; readonly on: boolean }
  | { readonly do: 'endpoints'; readonly last: number }

/** One of the streams that a replica hears: in order within, in any order between. */
type Stream = 'objects' | 'records' | 'policies' | 'services'
interface Heard {
  readonly stream: Stream
  readonly tell: (replica: Replica) => void
}

const leader = fc.record({
  do: fc.constant('leader' as const),
  what: fc.constantFrom('begin', 'raise', 'raise', 'lower', 'complete', 'take back', 'retry', 'stamp', 'stamp'),
})
const edit = fc.record({ do: fc.constant('edit' as const), host: fc.constantFrom('a', 'b', 'c', 'd') })
const endpoints = fc.record({ do: fc.constant('endpoints' as const), last: fc.integer({ min: 1, max: 9 }) })
const governed: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: leader },
  { weight: 3, arbitrary: edit },
  { weight: 1, arbitrary: fc.constant({ do: 'leave', how: 'class' } as const) },
  { weight: 1, arbitrary: fc.constant({ do: 'leave', how: 'deletion' } as const) },
  { weight: 1, arbitrary: fc.constant({ do: 'strip' } as const) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('write index' as const), index: fc.constantFrom('0', '1', 'abc', '-2') }),
  },
  { weight: 1, arbitrary: endpoints },
)
const anything: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: governed },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('policy' as const), on: fc.boolean() }) },
)
const order = fc.array(fc.nat(99), { minLength: 60, maxLength: 60 })

/** The truth of which both replicas hear: what the API server has, and what the leader makes of it. */
class History {
  readonly heard: Heard[] = []
  /** For a pod's ordinal: what was ever released for it. */
  readonly #allowed = new Map<Revision, (readonly [current: boolean, index: number])[]>()
  #raw: Raw
  #record: ReleaseRecord
  #version = 1
  /** Another replica, which hears everything at once: its views are what the leader sees. */
  readonly #leader = new Replica()

  constructor() {
    this.#raw = ingress({ host: 'a.example' })
    this.#leader.put(this.#raw).turn()
    this.#record = adopt(this.#leader.source(WEB))
    this.#tell('objects', replica => replica.put(ingress({ host: 'a.example' }), service('web')))
    this.#store(this.#record)
    this.#policy(true)
  }

  act(action: Action): void {
    switch (action.do) {
      case 'edit':
        this.#write({ spec: ingress({ host: `${action.host}.example` }).spec })
        break
      case 'leave':
        if (action.how === 'class') this.#write({ spec: ingress({ className: 'other' }).spec })
        else this.#write({ metadata: { ...this.#raw.metadata, deletionTimestamp: '2026-01-02T00:00:00Z' } })
        break
      case 'strip':
        this.#write({ metadata: { ...this.#raw.metadata, annotations: {} } })
        break
      case 'write index':
        this.#annotate({ 'nginx.ingress.kubernetes.io/ingress-rollout-index-id': action.index })
        break
      case 'policy':
        this.#policy(action.on)
        break
      case 'endpoints': {
        const { last } = action
        this.#tell('services', replica => replica.put(slice('web', `198.18.0.${last}`)))
        break
      }
      case 'leader':
        this.#lead(action.what)
    }
  }

  /** Whether content may be at a pod: it is released, or it is on its way there, or was at some time. */
  allows(revision: Revision | null, ordinal: number): boolean {
    const at = revision ?? ABSENT_REVISION
    const released = this.#allowed.get(at) ?? []
    return released.some(([current, index]) => current || index === -1 || (ordinal >= 0 && ordinal < index))
  }

  #lead(what: Extract<Action, { do: 'leader' }>['what']): void {
    const source = this.#leader.source(WEB)
    const record = this.#record
    switch (what) {
      case 'begin':
        if (!record.refused.includes(source.revision) && source.revision !== record.current)
          this.#store(begin(record, source))
        return
      case 'raise':
        if (record.update !== null && record.index >= 0) this.#store(advance(record, record.index + 1))
        return
      case 'lower':
        if (record.index > 0) this.#store(advance(record, record.index - 1))
        return
      case 'complete':
        if (record.update !== null) this.#store(complete(record))
        return
      case 'take back':
        if (record.update !== null) this.#store(takeBack(record))
        return
      case 'retry': {
        this.#store(retry(record, source.revision))
        return
      }
      case 'stamp': {
        const stamp = Object.entries(stampFor(record)).filter((entry): entry is [string, string] => entry[1] !== null)
        this.#annotate(Object.fromEntries(stamp))
        return
      }
    }
  }

  #annotate(annotations: Readonly<Record<string, string>>): void {
    // What a person writes is about what the object says, not about what the record says since.
    const { metadata } = this.#raw
    const stamp = { ...metadata.annotations, ...annotations }
    const index = Number(stamp['nginx.ingress.kubernetes.io/ingress-rollout-index-id'])
    const update = stamp['nginx.ingress.kubernetes.io/ingress-rollout-update-revision']
    if (update !== undefined && Number.isInteger(index) && index >= -1) this.#allow(update, false, index)
    this.#write({ metadata: { ...metadata, annotations: stamp } })
  }

  #write(change: Partial<Raw>): void {
    const raw = { ...this.#raw, ...change }
    this.#raw = { ...raw, metadata: { ...raw.metadata, resourceVersion: String(++this.#version) } }
    const now = this.#raw
    this.#tell('objects', replica => replica.put(now))
  }

  #store(record: ReleaseRecord): void {
    this.#record = record
    this.#allow(record.current ?? ABSENT_REVISION, true, 0)
    if (record.update !== null) this.#allow(record.update, false, record.index)
    this.#tell('records', replica => replica.store(record))
  }

  #policy(on: boolean): void {
    this.#tell('policies', replica => (on ? replica.policies(policy()) : replica.policies()))
  }

  #allow(revision: Revision, current: boolean, index: number): void {
    this.#allowed.set(revision, [...(this.#allowed.get(revision) ?? []), [current, index]])
  }

  #tell(stream: Stream, tell: Heard['tell']): void {
    this.heard.push({ stream, tell })
    tell(this.#leader)
    this.#leader.turn()
  }
}

/** The replica hears the first three, and then the streams as the order says; `each` is called after every one. */
function hear(
  history: History,
  order: readonly number[],
  each: (replica: Replica) => void,
  options: ConstructorParameters<typeof Replica>[0] = {},
): Replica {
  const replica = new Replica(options)
  const streams = new Map<Stream, Heard[]>()
  for (const [i, heard] of history.heard.entries()) {
    // Both know the object, its record and the policy when the story begins.
    if (i < 3) heard.tell(replica)
    else streams.set(heard.stream, [...(streams.get(heard.stream) ?? []), heard])
  }
  replica.publish()
  for (let i = 0; streams.size > 0; i++) {
    const names = [...streams.keys()]
    const name = names[(order[i % order.length] ?? 0) % names.length] ?? 'objects'
    const [next, ...rest] = streams.get(name) ?? []
    next?.tell(replica)
    if (rest.length === 0) streams.delete(name)
    else streams.set(name, rest)
    // The gate is open: what this replica believes is what it gives out.
    replica.publish()
    each(replica)
  }
  return replica
}

const given = (replica: Replica): unknown => ({
  checksums: replica.releases.checksums,
  pods: [0, 1, 2, 3, -1].map(ordinal => replica.releases.entry(WEB, ordinal)),
  endpoints: Object.fromEntries(replica.releases.endpoints()),
})

describe('two replicas that hear of the same things in different orders', () => {
  it('give out the same when both heard everything', () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 30 }), order, order, (actions, one, two) => {
        const history = new History()
        for (const action of actions) history.act(action)
        const a = hear(history, one, () => undefined)
        // Which has time for one object only, each time it looks.
        const b = hear(history, two, () => undefined, { inSlices: true })
        expect(given(a)).toEqual(given(b))
      }),
      { numRuns: 300 },
    )
  })

  it('never give a pod content of a governed object that was not released for it', () => {
    fc.assert(
      fc.property(fc.array(governed, { maxLength: 30 }), order, (actions, one) => {
        const history = new History()
        for (const action of actions) history.act(action)
        hear(history, one, replica => {
          for (const ordinal of [0, 1, 2, 3, -1]) {
            const revision = replica.given(WEB, ordinal)
            expect([ordinal, revision, history.allows(revision, ordinal)]).toEqual([ordinal, revision, true])
          }
        })
      }),
      { numRuns: 300 },
    )
  })

  it('tell the stream of everything that changed, and what it was; and know the hash of what each pod is to serve', () => {
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 30 }), order, (actions, one) => {
        const history = new History()
        for (const action of actions) history.act(action)
        const ordinals = [0, 1, 2, 3, -1]
        const sent = ordinals.map(() => new Map<ObjectKey, Assignment>())
        hear(history, one, ({ releases }) => {
          const changes = releases.takeChanges()
          for (const [i, ordinal] of ordinals.entries()) {
            const [before, now] = [sent[i]!, new Map<ObjectKey, Assignment>()]
            const hash = new StateHash()
            for (const { assignment } of releases.entries(ordinal)) {
              now.set(assignment.key, assignment)
              hash.toggle(assignment)
            }
            expect(releases.stateHash(ordinal)).toBe(hash.hex)
            for (const key of new Set([...before.keys(), ...now.keys()])) {
              const was = changes.get(key)
              if (was === undefined) expect(now.get(key)).toEqual(before.get(key))
              else expect(was(ordinal)).toEqual(before.get(key) ?? null)
            }
            sent[i] = now
          }
        })
      }),
      { numRuns: 200 },
    )
  })

  it('the rule notices a replica that does not know what governs', () => {
    const history = new History()
    history.act({ do: 'edit', host: 'b' })
    const naive = new Replica().put(ingress({ host: 'b.example' })).publish()
    expect(history.allows(naive.given(WEB, 0), 0)).toBe(false)
    const replica = hear(history, [0], () => undefined)
    expect(history.allows(replica.given(WEB, 0), 0)).toBe(true)
  })
})
