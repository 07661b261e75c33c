/** The receiver and its table against plain Maps: whatever comes, and however late it is written and served. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { ObjectKey } from '../../protocol/objects.ts'
import type { PinnedContents } from '../disk/contents.ts'
import { decode, encode, open } from '../disk/format.ts'
import type { Entry } from '../table/entry.ts'
import type { Objects } from '../table/objects.ts'
import type { ImageHead, ReadStored, StoredTable } from '../table/stored.ts'
import { certificate } from '../table/testing/fixtures.ts'
import { smallWriter } from '../table/testing/one-thread.ts'
import { joined, readerOf } from '../table/testing/stored.ts'
import type { TableSink, TableUpdate } from '../table/update.ts'
import { inPortions } from '../turns.ts'
import { MasterTable } from '../workers/master-table.ts'
import { Receiver } from './receiver.ts'
import { delta, entry, hashOf, observe, restoreInto, SILENT, site, snapshot, unassigned } from './testing/messages.ts'
import type { Restored } from './testing/messages.ts'

const NAMES = Array.from({ length: 12 }, (_, i) => `web-${i}`)
const KEYS: readonly ObjectKey[] = NAMES.flatMap(name => [`Ingress/ns/${name}`, `Secret/ns/${name}`])

/** Writes in small steps with turns of the loop between them, as the fleet does; two workers that serve it when they are told to. */
class LateSink implements TableSink {
  readonly table = new MasterTable()
  readonly served = [0, 0]
  #turn: Promise<unknown> = Promise.resolve()
  #waiting: { readonly generation: number; readonly resolve: (generation: number) => void }[] = []

  async apply(update: TableUpdate): Promise<number> {
    const written = this.#turn.then(() => inPortions(this.table.steps(update, Math.min(...this.served), Infinity), 0))
    this.#turn = written
    await written
    const { generation } = this.table
    return new Promise(resolve => this.#waiting.push({ generation, resolve }))
  }

  async written(): Promise<void> {
    await this.#turn
  }

  objects(): Objects {
    return this.table.objects()
  }

  restore<S extends StoredTable>(read: ReadStored<S>): Promise<Restored<S> | null> {
    return restoreInto(this.table, read)
  }

  withdraw(): Promise<void> {
    return Promise.reject(new Error('nothing here is wrong'))
  }

  serve(worker: number): void {
    this.served[worker] = this.table.generation
    const least = Math.min(...this.served)
    this.#waiting = this.#waiting.filter(({ generation, resolve }) => {
      if (generation <= least) resolve(generation)
      return generation > least
    })
  }
}

const anyEntry = fc
  .record({
    name: fc.constantFrom(...NAMES),
    revision: fc.constantFrom('r1', 'r2', '0123456789abcdef'),
    kind: fc.constantFrom<'site' | 'waiting' | 'new' | 'secret'>('site', 'site', 'waiting', 'new', 'secret'),
  })
  .map(({ name, revision, kind }): Entry => {
    switch (kind) {
      case 'site':
        return entry(site(name, revision))
      case 'waiting':
        return entry(site(name, revision), { announced: 'r3' })
      case 'new':
        return unassigned(`Ingress/ns/${name}`, revision)
      case 'secret':
        return entry(certificate(name, 'RSA', { revision }))
    }
  })
const entries = fc.uniqueArray(anyEntry, { maxLength: 16, selector: ({ assignment }) => assignment.key })
const step = fc.oneof(
  { weight: 6, arbitrary: entries.map(to => ({ do: 'change' as const, to })) },
  { weight: 2, arbitrary: entries.map(to => ({ do: 'snapshot' as const, to })) },
  { weight: 2, arbitrary: entries.map(to => ({ do: 'wrong' as const, to })) },
  { weight: 5, arbitrary: fc.nat({ max: 1 }).map(worker => ({ do: 'serve' as const, worker })) },
  { weight: 3, arbitrary: fc.constant({ do: 'copy' as const }) },
  { weight: 4, arbitrary: fc.constant({ do: 'write' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'endpoints' as const }) },
  { weight: 2, arbitrary: fc.nat({ max: 30 }).map(turns => ({ do: 'wait' as const, turns })) },
)

interface Copy {
  readonly contents: PinnedContents
  readonly portions: Int32Array[]
  head: ImageHead | null
  readonly expected: readonly Entry[]
}

const byKey = (list: readonly Entry[]): ReadonlyMap<ObjectKey, Entry> => new Map(list.map(e => [e.assignment.key, e]))

async function entriesIn(read: ReadStored): Promise<readonly Entry[]> {
  const writer = smallWriter()
  await writer.restore(read)
  const objects = writer.objects()
  const list = [...objects.entries()]
  objects.close()
  return list
}

describe('the receiver', () => {
  it('proves, serves, reports and copies what a Map would hold, however late all of it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async steps => {
        const sink = new LateSink()
        const nothing = (): void => undefined
        const receiver = new Receiver({
          ...{ sink, log: SILENT },
          events: {
            ...{ served: nothing, refusals: nothing, observe: nothing, leader: nothing, tickets: nothing },
            changed: nothing,
          },
        })
        /** Every state that was proven, by its hash. */
        const states = new Map<string, readonly Entry[]>([['', []]])
        const now = { state: null as readonly Entry[] | null }
        const copies: Copy[] = []
        const give = async (to: readonly Entry[], from: readonly Entry[] | null): Promise<void> => {
          states.set(hashOf(to), to)
          if (from === null) receiver.connect(null)
          for (const message of from === null ? snapshot(to) : [delta(from, to)]) {
            const received = await receiver.receive(message)
            if (message.type === 'delta' || message.type === 'snapshot-end') expect(received).toBe('verified')
          }
          expect(receiver.refusals).toEqual([])
          now.state = to
        }
        const goOn = (copy: Copy): void => {
          if (copy.head !== null) return
          const next = copy.contents.image.next()
          if (next.done === true) copy.head = next.value
          else if (next.value !== null) copy.portions.push(next.value)
        }
        const finish = async (copy: Copy): Promise<void> => {
          while (copy.head === null) goOn(copy)
          copy.contents.close()
          const words = joined(copy.portions)
          expect(byKey(await entriesIn(readerOf({ head: copy.head, words }, { endpoints: [] })))).toEqual(
            byKey(copy.expected),
          )
        }
        const check = (): void => {
          const { served } = receiver
          const there = byKey(states.get(served.stateHash)!)
          for (const key of KEYS) expect(served.revision(key)).toBe(there.get(key)?.payload?.revision ?? null)
          expect(receiver.resumeHash).toBe(now.state === null ? null : hashOf(now.state))
        }
        for (const one of steps) {
          switch (one.do) {
            case 'change':
              await give(one.to, now.state)
              break
            case 'snapshot':
              await give(one.to, null)
              break
            case 'wrong': {
              const before = now.state ?? []
              const message = { ...delta(before, one.to), stateHash: 'f'.repeat(64) }
              expect(await receiver.receive(message)).toBe('refused')
              expect(receiver.resumeHash).toBeNull()
              // What was refused is asked for anew, and nothing of it was kept.
              await give(before, null)
              break
            }
            case 'serve':
              sink.serve(one.worker)
              await nextTurn()
              break
            case 'copy': {
              const contents = receiver.contents()
              if (contents === null) break
              const expected = states.get(contents.stateHash)!
              copies.push({ contents, portions: [], head: null, expected })
              break
            }
            case 'write':
              for (const copy of copies) goOn(copy)
              if (copies.length > 3) await finish(copies.shift()!)
              break
            case 'endpoints':
              await receiver.receive({ type: 'endpoints', upsert: { 'ns/web-0:80': ['10.0.0.1:80'] }, remove: [] })
              break
            case 'wait':
              for (let i = 0; i < one.turns; i++) await nextTurn()
          }
          check()
        }
        for (const copy of copies) await finish(copy)
        const { state } = now
        if (state === null) return
        await receiver.receive(observe())
        await sink.written()
        for (const worker of [0, 1]) sink.serve(worker)
        await receiver.settled()
        check()
        expect(receiver.served.stateHash).toBe(hashOf(state))
        const contents = receiver.contents()!
        const pieces: Uint8Array[] = []
        for await (const piece of encode(contents)) pieces.push(piece)
        contents.close()
        expect(byKey(await entriesIn(room => decode(open(Buffer.concat(pieces)), room)))).toEqual(byKey(state))
        // Nothing is kept for what nobody looks at any more.
        for (let i = 0; i < 4; i++) {
          const applied = receiver.receive(observe(`Ingress/ns/${i}`))
          await applied
          await sink.written()
          for (const worker of [0, 1]) sink.serve(worker)
          await receiver.settled()
        }
        expect(sink.table.sizes.waitingBytes).toBe(0)
      }),
      { numRuns: 150 },
    )
  }, 60_000)
})
