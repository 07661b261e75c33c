/**
 * Random worlds, changed at random, over random connections: what the operator's side makes of it arrives at the same
 * hash and the same table on the proxy's side, through real lines of text and the checks of both.
 */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Feed } from '../../operator/stream/feed.ts'
import { LineSplitter } from '../../protocol/lines.ts'
import type { Certificate, Fragment, ObjectKey } from '../../protocol/objects.ts'
import { parseStreamMessage } from '../../protocol/schemas.ts'
import { ReceiverRig, site } from '../../proxy/stream/testing/messages.ts'
import { certificate } from '../../proxy/table/testing/fixtures.ts'
import { TestWorld } from './world.ts'

const NAMES = ['a', 'b', 'c', 'd'] as const
const ORDINAL = 1

type Step =
  | {
      readonly do: 'put'
      readonly name: string
      readonly secret: boolean
      readonly update: number
      readonly current: number
      readonly index: number
    }
  | { readonly do: 'remove'; readonly name: string; readonly secret: boolean }
  | { readonly do: 'endpoints'; readonly name: string; readonly addresses: readonly string[] | null }
  /** The published checksum is wrong until the next step of its kind. */
  | { readonly do: 'publish'; readonly right: boolean }
  /** So many lines are read before anything else happens. */
  | { readonly do: 'read'; readonly lines: number }
  | { readonly do: 'connect'; readonly resume: boolean }

const name = fc.constantFrom(...NAMES)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      ...{ do: fc.constant('put' as const), name, secret: fc.boolean(), update: fc.nat(3), current: fc.nat(3) },
      index: fc.constantFrom(-1, 0, 1, 2),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), name, secret: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ do: fc.constant('endpoints' as const), name },
      addresses: fc.option(fc.subarray(['10.0.0.1:80', '10.0.0.2:80', '[fd00::1]:80'])),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('publish' as const), right: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), lines: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('connect' as const), resume: fc.boolean() }) },
)

/** Revision 0 is "does not exist". */
function payload(of: string, secret: boolean, revision: number): Fragment | Certificate | null {
  if (revision === 0) return null
  return secret ? certificate(of, 'ECDSA', { revision: `r${revision}` }) : site(of, `r${revision}`)
}

/** Operator's side and proxy's side of one pod, with text between them. */
class Link {
  readonly world = new TestWorld()
  readonly rig = new ReceiverRig()
  #feed: Feed | null = null
  #splitter = new LineSplitter()

  connect(resume: boolean): void {
    const hash = resume ? this.rig.receiver.resumeHash : null
    this.#feed = new Feed(ORDINAL, hash)
    this.#splitter = new LineSplitter()
    this.rig.receiver.connect(hash)
    this.#feed.publish(this.world.change())
  }

  publish(): void {
    this.#feed?.publish(this.world.change())
  }

  /** False: everything was read. */
  async read(lines: number): Promise<boolean> {
    for (let i = 0; i < lines; i++) {
      const text = this.#feed?.next() ?? null
      if (text === null) return false
      for (const line of this.#splitter.push(Buffer.from(text))) {
        await this.rig.receiver.receive(parseStreamMessage(line))
      }
    }
    return true
  }

  async apply(change: Step): Promise<void> {
    const { world } = this
    switch (change.do) {
      case 'put': {
        const key: ObjectKey = `${change.secret ? 'Secret' : 'Ingress'}/ns/${change.name}`
        const [update, current] = [change.update, change.current].map(r => payload(change.name, change.secret, r))
        if (update === null && current === null) world.remove(key)
        else world.put(key, { update: update ?? null, current: current ?? null, index: change.index })
        this.publish()
        return
      }
      case 'remove': {
        const key: ObjectKey = `${change.secret ? 'Secret' : 'Ingress'}/ns/${change.name}`
        world.remove(key)
        this.publish()
        return
      }
      case 'endpoints':
        world.setEndpoints(`ns/${change.name}:80`, change.addresses)
        this.publish()
        return
      case 'publish':
        world.published = change.right ? null : { ingress: 'f'.repeat(32), secret: 'f'.repeat(32) }
        this.publish()
        return
      case 'read':
        await this.read(change.lines)
        return
      case 'connect':
        this.connect(change.resume)
    }
  }

  /** What a proxy of this ordinal has to serve, straight from the world. */
  expected(): { readonly hash: string; readonly revisions: Readonly<Record<ObjectKey, string>> } {
    const revisions: Record<ObjectKey, string> = {}
    for (const key of this.world.objects()) {
      const assigned = this.world.entry(key, ORDINAL)?.payload
      if (assigned != null) revisions[key] = assigned.revision
    }
    return { hash: this.world.stateHash(ORDINAL), revisions }
  }
}

describe('what the operator sends', () => {
  it('arrives, whatever happened on the way', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async steps => {
        const link = new Link()
        link.connect(false)
        for (const s of steps) await link.apply(s)
        // The end: the right checksum is published, and the client does what it does after a refusal.
        await link.apply({ do: 'publish', right: true })
        while (await link.read(100));
        if (link.rig.receiver.resumeHash === null) link.connect(false)
        while (await link.read(100));
        await link.rig.receiver.settled()

        const { hash, revisions } = link.expected()
        const { receiver, sink } = link.rig
        expect(receiver.refusals).toEqual([])
        expect(receiver.served.stateHash).toBe(hash)
        expect(receiver.served.source).toBe('stream')
        expect(sink.table.revisions()).toEqual(revisions)
        for (const key of link.world.objects()) expect(receiver.served.revision(key)).toBe(revisions[key] ?? null)
        const objects = receiver.served.objects()
        for (const { assignment, payload: served } of objects.entries()) {
          expect(served).toEqual(link.world.entry(assignment.key, ORDINAL)?.payload)
        }
        objects.close()
        const endpoints = sink.table.snapshot().endpoints.upsert
        for (const [service, addresses] of link.world.endpoints()) expect(endpoints.get(service)).toEqual(addresses)
      }),
      { numRuns: 300 },
    )
  })

  it('never lets the table be anything but a state that was published as right', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async steps => {
        const link = new Link()
        // Every state that the operator side stood behind, by its hash.
        const right = new Map<string, string>()
        const note = (): void => {
          const { hash, revisions } = link.expected()
          if (link.world.published === null) right.set(hash, JSON.stringify(Object.entries(revisions).sort()))
        }
        link.connect(false)
        note()
        for (const s of steps) {
          await link.apply(s)
          note()
          await link.rig.receiver.settled()
          const { stateHash } = link.rig.receiver.served
          if (stateHash === '') continue
          expect([...right.keys()]).toContain(stateHash)
          expect(JSON.stringify(Object.entries(link.rig.sink.table.revisions()).sort())).toBe(right.get(stateHash))
        }
      }),
      { numRuns: 200 },
    )
  })
})
