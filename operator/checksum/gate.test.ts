import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { idsChecksum } from '../../protocol/hash.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { Buckets } from './buckets.ts'
import { ChecksumGate } from './gate.ts'

interface Entry {
  readonly id: string
  /** What the ID does not show, for example an index. */
  readonly index?: number
}

const md5 = idsChecksum
const changes = (of: Readonly<Record<string, Entry | null>>): ReadonlyMap<string, Entry | null> =>
  new Map(Object.entries(of))
const released = (gate: ChecksumGate<Entry>): string[] => [...gate.released.values()].map(entry => entry.id).sort()

function opened(): ChecksumGate<Entry> {
  const gate = new ChecksumGate<Entry>()
  gate.record(changes({ a: { id: 'a:1' }, b: { id: 'b:1' } }))
  gate.publish({ checksum: md5(['a:1', 'b:1']) })
  return gate
}

describe('ChecksumGate', () => {
  it('holds everything before the first checksum', () => {
    const gate = new ChecksumGate<Entry>()
    expect(gate.record(changes({ a: { id: 'a:1' } }))).toEqual({ status: 'unpublished', released: new Map() })
    expect(gate.mismatch()).toMatchObject({ expected: '', message: expect.stringContaining('held') })
    const outcome = gate.publish({ checksum: md5(['a:1']) })
    expect(outcome).toEqual({ status: 'consistent', released: changes({ a: { id: 'a:1' } }) })
    expect(gate.mismatch()).toBeNull()
    expect(gate.releasedChecksum).toBe(md5(['a:1']))
  })

  it('releases a change when its checksum comes, before or after it', () => {
    const late = opened()
    expect(late.record(changes({ a: { id: 'a:2' } }))).toMatchObject({ status: 'behind', released: new Map() })
    expect(released(late)).toEqual(['a:1', 'b:1'])
    expect(late.publish({ checksum: md5(['a:2', 'b:1']) }).released).toEqual(changes({ a: { id: 'a:2' } }))
    const early = opened()
    expect(early.publish({ checksum: md5(['a:2', 'b:1']) })).toMatchObject({ status: 'mismatch', released: new Map() })
    expect(early.record(changes({ a: { id: 'a:2' } }))).toMatchObject({ status: 'consistent' })
    expect(released(early)).toEqual(['a:2', 'b:1'])
  })

  it('publishes what is about to be, which is no state of its own until it is one', () => {
    const gate = opened()
    const toCome = changes({ a: { id: 'a:2' }, c: { id: 'c:1' } })
    const { checksum, ids, count } = gate.publication(new Map([...toCome].map(([key, to]) => [key, to?.id ?? ''])))
    expect([checksum, ids, count]).toEqual([md5(['a:2', 'b:1', 'c:1']), ['a:2', 'b:1', 'c:1'], 3])
    expect(gate.publish({ checksum })).toMatchObject({ status: 'mismatch', released: new Map() })
    expect(released(gate)).toEqual(['a:1', 'b:1'])
    gate.record(toCome)
    expect(gate.status).toBe('consistent')
    expect(released(gate)).toEqual(['a:2', 'b:1', 'c:1'])
    const leaves = [...changes({ a: null })].map(([key]): [ObjectKey, string] => [key, ''])
    expect(gate.publication(new Map(leaves)).ids).toEqual(['b:1', 'c:1'])
  })

  it('releases the newest of the states that were published, and no newer one', () => {
    const gate = opened()
    gate.record(changes({ a: { id: 'a:2' } }))
    gate.record(changes({ b: { id: 'b:2' } }))
    gate.record(changes({ b: null }))
    const outcome = gate.publish({ checksum: md5(['a:2', 'b:2']) })
    expect(outcome).toEqual({ status: 'behind', released: changes({ a: { id: 'a:2' }, b: { id: 'b:2' } }) })
    expect(gate.publish({ checksum: md5(['a:2']) })).toEqual({ status: 'consistent', released: changes({ b: null }) })
  })

  it('takes the newest one also where the checksum was computed for an older one, to publish it', () => {
    const gate = opened()
    gate.record(changes({ a: { id: 'a:2', index: 1 } }))
    const { checksum } = gate.publication()
    // While it is being written.
    gate.record(changes({ b: { id: 'b:2' } }))
    gate.record(changes({ a: { id: 'a:2', index: 2 }, b: { id: 'b:1' } }))
    expect(gate.publish({ checksum }).status).toBe('consistent')
    expect(gate.mismatch()).toBeNull()
    expect(gate.released.get('a')).toEqual({ id: 'a:2', index: 2 })
  })

  it('takes the newest of two states with the same ids', () => {
    const gate = opened()
    gate.publish({ checksum: md5(['x']) })
    gate.record(changes({ a: { id: 'a:2', index: 1 } }))
    gate.record(changes({ b: { id: 'b:2' } }))
    gate.record(changes({ a: { id: 'a:2', index: 2 }, b: { id: 'b:1' } }))
    gate.publish({ checksum: md5(['a:2', 'b:1']) })
    expect(gate.released.get('a')).toEqual({ id: 'a:2', index: 2 })
    expect(gate.status).toBe('consistent')
  })

  it('refuses a wrong checksum, names the difference, and goes on by itself with the right one', () => {
    const gate = opened()
    gate.record(changes({ c: { id: 'c:1' } }))
    expect(gate.publish({ checksum: md5(['a:1', 'z:9']), ids: ['a:1', 'z:9'] }).status).toBe('mismatch')
    expect(gate.mismatch()).toMatchObject({
      expected: md5(['a:1', 'z:9']),
      actual: md5(['a:1', 'b:1', 'c:1']),
      missing: ['z:9'],
      unexpected: ['b:1', 'c:1'],
    })
    expect(released(gate)).toEqual(['a:1', 'b:1'])
    expect(gate.publish({ checksum: md5(['a:1', 'b:1', 'c:1']) }).released).toEqual(changes({ c: { id: 'c:1' } }))
  })

  it('holds an object that is lost here only, and names it even without published ids', () => {
    const gate = opened()
    expect(gate.record(changes({ b: null }))).toMatchObject({ status: 'behind', released: new Map() })
    expect(gate.mismatch()).toMatchObject({ missing: ['b:1'], unexpected: [] })
    expect(gate.record(changes({ b: { id: 'b:1' } })).status).toBe('consistent')
  })

  it('is not opened by an empty list, nor by deleting the checksum', () => {
    const gate = opened()
    gate.record(changes({ a: null, b: null }))
    expect(gate.status).toBe('behind')
    expect(gate.publish(null)).toEqual({ status: 'unpublished', released: new Map() })
    expect(gate.record(changes({ a: { id: 'a:3' } })).released.size).toBe(0)
    expect(released(gate)).toEqual(['a:1', 'b:1'])
    const empty = new ChecksumGate<Entry>()
    expect(empty.publish({ checksum: md5(['a:1']) }).status).toBe('mismatch')
    expect(empty.publish({ checksum: md5([]) }).status).toBe('consistent')
  })

  it('lets through at once what no id shows, also while other changes wait', () => {
    const gate = opened()
    expect(gate.record(changes({ a: { id: 'a:1', index: 2 } }))).toEqual({
      status: 'consistent',
      released: changes({ a: { id: 'a:1', index: 2 } }),
    })
    gate.record(changes({ b: { id: 'b:2' } }))
    const outcome = gate.record(changes({ a: { id: 'a:1', index: 3 } }))
    expect(outcome).toEqual({ status: 'behind', released: changes({ a: { id: 'a:1', index: 3 } }) })
    expect(released(gate)).toEqual(['a:1', 'b:1'])
  })

  it('does not go back to an older index when an older state is released', () => {
    const gate = opened()
    gate.record(changes({ a: { id: 'a:2', index: 1 } }))
    gate.record(changes({ b: { id: 'b:2' } }))
    gate.record(changes({ a: { id: 'a:2', index: 0 } }))
    gate.publish({ checksum: md5(['a:2', 'b:1']) })
    expect(gate.released.get('a')).toEqual({ id: 'a:2', index: 0 })
  })

  it('lets nothing through under a checksum that no state here has', () => {
    const gate = opened()
    gate.publish({ checksum: md5(['wrong']) })
    expect(gate.record(changes({ a: { id: 'a:1', index: 2 } })).released.size).toBe(0)
  })

  describe('taking back', () => {
    /** Fewer pods of the same ID, or none where it is another. */
    const retreat = (was: Entry, now: Entry): Entry | null => {
      const index = was.id === now.id ? (now.index ?? 0) : now.id.endsWith(':1') ? 0 : null
      return index === null || index >= (was.index ?? 0) ? null : { ...was, index }
    }
    function rolling(): ChecksumGate<Entry> {
      const gate = new ChecksumGate<Entry>({ retreat })
      gate.record(changes({ a: { id: 'a:2', index: 3 }, b: { id: 'b:1' } }))
      gate.publish({ checksum: md5(['a:2', 'b:1']) })
      return gate
    }

    it('waits for no checksum, whatever is published', () => {
      for (const published of [{ checksum: md5(['a:2', 'b:1']) }, { checksum: md5(['wrong']) }, null]) {
        const gate = rolling()
        gate.publish(published)
        const { released: first } = gate.record(changes({ a: { id: 'a:2', index: 1 } }))
        expect(first).toEqual(changes({ a: { id: 'a:2', index: 1 } }))
        const { released: second } = gate.record(changes({ a: { id: 'a:1' } }))
        expect(second).toEqual(changes({ a: { id: 'a:2', index: 0 } }))
        expect(gate.releasedChecksum).toBe(md5(['a:2', 'b:1']))
        expect(gate.publish({ checksum: md5(['a:1', 'b:1']) })).toEqual({
          ...{ status: 'consistent', released: changes({ a: { id: 'a:1' } }) },
        })
      }
    })

    it('does not raise it again when an older state is published late', () => {
      const gate = new ChecksumGate<Entry>({ retreat })
      gate.record(changes({ a: { id: 'a:1' } }))
      gate.publish({ checksum: md5(['a:1']) })
      gate.record(changes({ a: { id: 'a:2', index: 3 } }))
      gate.record(changes({ a: { id: 'a:1' }, c: { id: 'c:1' } }))
      expect(gate.publish({ checksum: md5(['a:2']) }).released).toEqual(changes({ a: { id: 'a:2', index: 0 } }))
    })

    it('gives out nothing more: no higher index, no other content, nothing that was never released', () => {
      const gate = rolling()
      gate.publish({ checksum: md5(['wrong']) })
      expect(gate.record(changes({ a: { id: 'a:2', index: 5 } })).released.size).toBe(0)
      expect(gate.record(changes({ a: { id: 'a:3' }, c: { id: 'c:1' }, b: null })).released.size).toBe(0)
    })
  })

  it('leaves objects without an id out of the checksum', () => {
    const gate = opened()
    expect(gate.record(changes({ c: { id: '' } })).released).toEqual(changes({ c: { id: '' } }))
    expect(gate.releasedChecksum).toBe(md5(['a:1', 'b:1']))
  })

  it('counts an id that two objects share twice', () => {
    const gate = new ChecksumGate<Entry>()
    gate.record(changes({ a: { id: '7-1' }, b: { id: '7-1' } }))
    expect(gate.publish({ checksum: md5(['7-1', '7-1']) }).status).toBe('consistent')
    gate.record(changes({ b: null }))
    expect(gate.publish({ checksum: md5(['7-1']) }).status).toBe('consistent')
  })

  it('forgets the oldest states beyond its bound, not the newest', () => {
    const gate = new ChecksumGate<Entry>({ maxStates: 3 })
    for (let i = 1; i <= 5; i++) gate.record(changes({ a: { id: `a:${i}` } }))
    expect(gate.publish({ checksum: md5(['a:2']) }).status).toBe('mismatch')
    expect(gate.publish({ checksum: md5(['a:3']) }).status).toBe('behind')
    expect(gate.publish({ checksum: md5(['a:5']) }).status).toBe('consistent')
  })

  it('publishes the newest state', () => {
    const gate = opened()
    gate.record(changes({ a: { id: 'a:2' }, c: { id: '' } }))
    expect(gate.publication()).toEqual({ checksum: md5(['a:2', 'b:1']), count: 2, ids: ['a:2', 'b:1'], buckets: [] })
  })

  it('publishes the buckets of the newest state, whatever they were when it was asked last', () => {
    const gate = new ChecksumGate<Entry>()
    const id = (n: number, revision: number): string => `shop/web-${n}:${revision}`
    gate.record(changes(Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`w${n}`, { id: id(n, 1) }]))))
    const first = gate.publication()
    expect(first.buckets).toEqual(Buckets.of(Array.from({ length: 600 }, (_, n) => id(n, 1))).published)
    gate.record(changes({ w7: { id: id(7, 2) }, w8: null }))
    const now = Array.from({ length: 600 }, (_, n) => id(n, n === 7 ? 2 : 1)).filter(one => one !== id(8, 1))
    expect(gate.publication().buckets).toEqual(Buckets.of(now).published)
    const ahead = gate.publication(new Map([['w9', id(9, 2)]]))
    expect(ahead.checksum).toBe(md5(now.map(one => (one === id(9, 1) ? id(9, 2) : one))))
    expect(ahead.buckets).not.toEqual(gate.publication().buckets)
    expect(gate.publication().buckets).toEqual(Buckets.of(now).published)
  })

  it('does what a list of all states would do, in any order of changes and publications', () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const event = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ key, id: fc.constantFrom('1', '2', '3', '', null), index: fc.nat({ max: 2 }) }),
      },
      { weight: 1, arbitrary: fc.record({ publish: fc.nat({ max: 12 }) }) },
      { weight: 1, arbitrary: fc.constant({ publish: -1 }) },
      // The leader asks for what it is to publish, and publishes it later.
      { weight: 1, arbitrary: fc.constant({ asks: true }) },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), events => {
        const gate = new ChecksumGate<Entry>()
        const states: ReadonlyMap<string, Entry>[] = [new Map()]
        const idsOf = (state: ReadonlyMap<string, Entry>): string[] => [...state.values()].map(entry => entry.id)
        let at = 0
        let published: string | null = null
        const view = new Map<string, Entry>()
        const follow = (outcome: { released: ReadonlyMap<string, Entry | null> }): void => {
          for (const [k, value] of outcome.released) {
            if (value === null) view.delete(k)
            else view.set(k, value)
          }
        }
        for (const happened of events) {
          if ('asks' in happened) gate.publication()
          else if ('publish' in happened) {
            const chosen = states[states.length - 1 - happened.publish]
            published = happened.publish === -1 || chosen === undefined ? 'f'.repeat(32) : md5(idsOf(chosen))
            follow(gate.publish({ checksum: published }))
          } else {
            const state = new Map(states.at(-1))
            const value =
              happened.id === null
                ? null
                : { id: happened.id === '' ? '' : `${happened.key}:${happened.id}`, index: happened.index }
            if (value === null) state.delete(happened.key)
            else state.set(happened.key, value)
            states.push(state)
            follow(gate.record(new Map([[happened.key, value]])))
          }
          const found = states.findLastIndex((state, i) => i >= at && md5(idsOf(state)) === published)
          const holds = found === -1
          if (!holds) at = found
          expect(
            idsOf(view)
              .filter(id => id !== '')
              .sort(),
          ).toEqual(
            idsOf(states[at] ?? new Map())
              .filter(id => id !== '')
              .sort(),
          )
          expect(new Map(gate.released)).toEqual(view)
          expect(gate.status).toBe(
            published === null
              ? 'unpublished'
              : holds
                ? 'mismatch'
                : at === states.length - 1
                  ? 'consistent'
                  : 'behind',
          )
          // Every released entry is the newest one with its ID, as far as the gate is open.
          if (!holds) {
            for (const [k, entry] of states.at(-1) ?? new Map<string, Entry>()) {
              if (view.get(k)?.id === entry.id) expect(view.get(k)).toEqual(entry)
            }
          }
        }
      }),
      { numRuns: 1000 },
    )
  })
})
