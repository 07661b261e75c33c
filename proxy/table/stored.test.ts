import { createHash } from 'node:crypto'
import { endianness } from 'node:os'
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Certificate, Fragment } from '../../protocol/objects.ts'
import { IMAGE, LAYOUT_VERSION, SEED } from '../memory/layout.ts'
import { SharedMemory } from '../memory/shared-memory.ts'
import { atOnce } from '../turns.ts'
import type { Entry } from './entry.ts'
import { SharedTable } from './shared-table.ts'
import { SharedTableWriter } from './shared-writer.ts'
import { imageFault, imageOf } from './stored.ts'
import { FakeClusters } from './testing/clusters.ts'
import { certificate, closed, fragment, host, path, released, remove, tls, upsert } from './testing/fixtures.ts'
import { smallWriter } from './testing/one-thread.ts'
import { joined, kept, keptOf, readerOf, takenUp } from './testing/stored.ts'
import { EMPTY_UPDATE, type TableUpdate } from './update.ts'

const HOSTS = ['a.x', 'b.x', '*.x', '', 'ä€.x']
const PATHS = ['/', '/a', '/a/b', '/c']

const anyFragment: fc.Arbitrary<Fragment> = fc
  .record({
    key: fc.constantFrom('p', 'q', 'r', 's', 't'),
    hosts: fc.array(fc.tuple(fc.constantFrom(...HOSTS), fc.constantFrom(...PATHS), fc.boolean()), { maxLength: 4 }),
    tls: fc.array(fc.tuple(fc.constantFrom('u', 'v'), fc.constantFrom(...HOSTS)), { maxLength: 3 }),
    // Its hosts are those of a canary.
    rule: fc.constantFrom(
      undefined,
      { weight: 10, total: 100 },
      { header: { name: 'X', values: ['ä'] }, weight: 0, total: 1 },
    ),
    more: fc.record(
      {
        createdAt: fc.constantFrom(1, 2, 1_700_000_000_123),
        revision: fc.constantFrom('r1', 'r2', '0123456789abcdef'),
        challenges: fc.constant(true),
        governed: fc.boolean(),
        defaultTls: fc.constant(['b.x']),
        settings: fc.constantFrom({ body: { max: 1 } }, { timeouts: { connect: 5, read: 6 } }),
      },
      { requiredKeys: ['createdAt', 'revision', 'governed'] },
    ),
  })
  .map(({ key, hosts, tls: names, rule, more: { challenges, defaultTls, ...more } }) => {
    const own = hosts.map(([name, at, open]) =>
      host(name, open ? path(`Prefix ${at}`, `ns/${key}:80`) : closed(`Exact ${at}`)),
    )
    if (rule !== undefined) return fragment(key, [], { ...more, canary: { rule, hosts: own } })
    const rest = { ...(challenges ? { challenges } : {}), ...(defaultTls === undefined ? {} : { defaultTls }) }
    return fragment(key, own, { ...more, ...rest, tls: names.map(([secret, name]) => tls(secret, name)) })
  })
const anyCertificate: fc.Arbitrary<Certificate> = fc
  .record({
    name: fc.constantFrom('u', 'v', 'w'),
    chain: fc.string({ maxLength: 40 }),
    isDefault: fc.constantFrom(true, undefined),
  })
  .map(({ name, chain, isDefault }) =>
    certificate(name, 'RSA', { chain, ...(isDefault === undefined ? {} : { isDefault }) }),
  )
const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
  { weight: 5, arbitrary: anyFragment.map(released) },
  { weight: 2, arbitrary: anyCertificate.map(released) },
  {
    weight: 1,
    arbitrary: anyFragment.map(({ key }): Entry => {
      const id = `${key.slice('Ingress/'.length)}:r9`
      return { assignment: { key, id, announced: 'r9', current: null, assigned: null, digest: null }, payload: null }
    }),
  },
  // What a newer operator sends, and the record cannot hold.
  {
    weight: 1,
    arbitrary: anyFragment.map(one => released({ ...one, tomorrow: [1] } as unknown as Fragment)),
  },
)
const anyUpdate: fc.Arbitrary<TableUpdate> = fc
  .record({
    upsert: fc.array(anyEntry, { maxLength: 6 }),
    removed: fc.array(fc.constantFrom('Ingress/ns/p', 'Ingress/ns/q', 'Secret/ns/u'), { maxLength: 2 }),
  })
  .map(({ upsert: list, removed }) => {
    const entries = [...new Map(list.map(one => [one.assignment.key, one])).values()]
    const keys = new Set(entries.map(one => one.assignment.key))
    return { ...EMPTY_UPDATE, objects: { upsert: entries, remove: removed.filter(key => !keys.has(key)) } }
  })

/** All that a worker may ask. */
function answers(table: SharedTable): unknown {
  return HOSTS.map(name => ({
    ...{ name, requestHost: table.requestHost(name), tlsHost: table.tlsHost(name) },
    certificates: table.certificates(name),
    routes: PATHS.map(at => {
      const route = table.route(name, at)
      return route === null
        ? null
        : [
            ...[route.host, route.type, route.path, route.cluster?.service, route.policy, route.object, route.revision],
            (route.split?.canaries ?? []).map(canary => [canary.rule, canary.route.object, canary.route.path]),
          ]
    }),
  }))
}

function readerAt(writer: SharedTableWriter): SharedTable {
  const reader = new SharedTable(writer.memory.buffer, new FakeClusters())
  reader.advance(writer.generation)
  return reader
}

function entriesOf(writer: SharedTableWriter): ReadonlyMap<string, Entry> {
  const objects = writer.objects()
  const found = new Map([...objects.entries()].map(one => [one.assignment.key, one]))
  objects.close()
  return found
}

function faultOf(writer: SharedTableWriter): string | null {
  const objects = writer.objects()
  const fault = atOnce(imageFault(objects, { fragments: writer.fragments, names: writer.names }))
  objects.close()
  return fault
}

/** Until nobody reads anything older. */
function settle(writer: SharedTableWriter): void {
  for (let i = 0; i < 4; i++) writer.apply(EMPTY_UPDATE, writer.generation)
}

describe('a table that was stored and restored', () => {
  it('answers as before, says the same objects, and goes on as any other', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyUpdate, { maxLength: 8 }),
        fc.array(anyUpdate, { maxLength: 8 }),
        async (before, after) => {
          const writer = smallWriter()
          for (const update of before) writer.apply(update, writer.generation)
          const restored = await takenUp(keptOf(writer))
          const [one, other] = [readerAt(writer), readerAt(restored)]
          const same = (): void => {
            one.advance(writer.generation)
            other.advance(restored.generation)
            expect(answers(other)).toEqual(answers(one))
            expect(entriesOf(restored)).toEqual(entriesOf(writer))
            expect([restored.fragments, restored.names, restored.certificates]).toEqual([
              writer.fragments,
              writer.names,
              writer.certificates,
            ])
            expect(faultOf(restored)).toBeNull()
          }
          same()
          for (const update of after) {
            const [{ certificates: come }, { certificates: found }] = [
              writer.apply(update, writer.generation),
              restored.apply(update, restored.generation),
            ]
            expect(found).toEqual(come)
            one.forget(come)
            other.forget(found)
            same()
          }
          // All of it goes: nothing of what was restored stays in use.
          const empty = smallWriter()
          for (const table of [restored, empty]) {
            table.apply({ ...EMPTY_UPDATE, reset: true }, table.generation)
            settle(table)
          }
          expect(restored.sizes.waiting).toBe(0)
          // But for some slots that its maps have more.
          expect(restored.sizes.used).toBeLessThan(empty.sizes.used + 1_000)
          // What grows anew takes the room that became free.
          restored.apply(upsert(fragment('p', [host('a.x', path('Prefix /'))])), restored.generation)
          expect(readerAt(restored).route('a.x', '/')?.path).toBe('/')
        },
      ),
      { numRuns: 150 },
    )
  }, 60_000)

  it('may be stored again, as the same image', async () => {
    const writer = smallWriter()
    writer.apply(upsert(...many(300)), 0)
    writer.apply(remove('web-7', 'web-8'), writer.generation)
    const first = keptOf(writer)
    const again = keptOf(await takenUp(first))
    expect(again.head.words).toBe(first.head.words)
    expect(entriesOf(await takenUp(again))).toEqual(entriesOf(writer))
  })

  it('is of the generation that was open, whatever changed while it was made', async () => {
    const writer = smallWriter()
    writer.apply(upsert(...many(200)), 0)
    const expected = entriesOf(writer)
    const objects = writer.objects()
    const steps = imageOf(objects)
    const portions: Int32Array[] = []
    for (let i = 0; ; i++) {
      const next = steps.next()
      if (next.done === true) {
        objects.close()
        const words = joined(portions)
        const restored = await takenUp({ head: next.value, words })
        expect(entriesOf(restored)).toEqual(expected)
        expect(faultOf(restored)).toBeNull()
        break
      }
      if (next.value !== null) portions.push(next.value)
      const name = `web-${i % 200}`
      const changed = fragment(name, [host(`${name}.other`, path('Prefix /'))], { revision: `r${i}` })
      writer.apply(i % 3 === 0 ? remove(name) : upsert(changed), writer.generation)
    }
    settle(writer)
    expect(writer.sizes.waiting).toBe(0)
  })

  it('grows, and gives back what goes, as one that was never stored', async () => {
    const writer = smallWriter()
    writer.apply(upsert(...many(1_000)), 0)
    const restored = await takenUp(keptOf(writer))
    const before = restored.sizes.used
    const rounds: number[] = []
    for (let round = 0; round < 4; round++) {
      const changed = many(1_000).map(one => ({ ...one, revision: `r${round}`, createdAt: round }))
      restored.apply(upsert(...changed), restored.generation)
      settle(restored)
      rounds.push(restored.memory.size)
      expect(restored.sizes.waiting).toBe(0)
      expect(restored.sizes.used).toBeLessThan(before * 1.1)
    }
    // What became free is used again: after the first changes it is large enough.
    expect(rounds.at(-1)).toBe(rounds[1])
    restored.apply(upsert(...many(3_000)), restored.generation)
    const reader = readerAt(restored)
    for (let i = 0; i < 3_000; i += 97) expect(reader.route(`web-${i}.test`, '/')?.object).toBe(`Ingress/ns/web-${i}`)
    restored.apply({ ...EMPTY_UPDATE, reset: true }, restored.generation)
    // With every change a map becomes a little smaller.
    for (let i = 0; i < 500; i++) {
      const name = `web-${i % 2}`
      restored.apply({ ...upsert(fragment(name, [host(name, path('Prefix /'))])), reset: true }, restored.generation)
    }
    settle(restored)
    expect(restored.sizes.used).toBeLessThan(before / 20)
  }, 30_000)

  it('fits into new memory only, and leaves it as it was if it cannot be taken up', async () => {
    const writer = smallWriter()
    writer.apply(upsert(...many(2_000)), 0)
    const image = keptOf(writer)
    await expect(writer.restore(readerOf(image, { endpoints: [] }))).rejects.toMatchObject({
      code: 'SLUICE_IMAGE_UNFIT',
    })
    expect(readerAt(writer).route('web-0.test', '/')).not.toBeNull()
    const small = new SharedTableWriter(SharedMemory.create(2 ** 17))
    await expect(small.restore(readerOf(image, { endpoints: [] }))).rejects.toMatchObject({
      code: 'SLUICE_MEMORY_FULL',
    })
    const another = smallWriter()
    await expect(
      another.restore(room => {
        room(1_000).fill(255)
        return Promise.reject(new Error('the disk'))
      }),
    ).rejects.toThrow('the disk')
    expect(another.generation).toBe(0)
    another.apply(upsert(...many(100)), 0)
    expect(readerAt(another).route('web-99.test', '/')).not.toBeNull()
  })

  it('answers while it is proven, and while that finds what is wrong', async () => {
    const writer = smallWriter()
    writer.apply(upsert(...many(200)), 0)
    const image = keptOf(writer)
    const restored = await takenUp(image)
    const reader = readerAt(restored)
    const objects = restored.objects()
    let steps = 0
    const proof = imageFault(objects, image.head)
    for (let next = proof.next(); next.done !== true; next = proof.next()) {
      const name = `web-${steps++ % 200}.test`
      expect(reader.route(name, '/x')?.host).toBe(name)
    }
    expect(steps).toBeGreaterThan(300)
    objects.close()
  })
})

describe('the fault of an image', () => {
  const one = fragment('web', [host('a.x', path('Prefix /'))], { tls: [tls('web', 'a.x')] })
  const two = fragment('shop', [host('b.x', path('Prefix /'))])

  it.each<[string, (writer: SharedTableWriter, image: { fragments: number; names: number }) => void]>([
    ['an Ingress more than is said', (_, image) => image.fragments--],
    ['a host fewer', (_, image) => image.names++],
    [
      'a slot that leads to another host',
      writer => {
        const { words } = writer.memory
        const { hosts } = keptOf(writer).head.slots
        // Both hosts' nodes change their places, their hashes stay.
        const used: number[] = []
        for (let at = hosts + 2; used.length < 2; at += 2) if (words[at + 1] !== 0) used.push(at + 1)
        const [first, second] = used as [number, number]
        ;[words[first], words[second]] = [words[second]!, words[first]!]
      },
    ],
    [
      'another seed',
      writer => {
        writer.memory.words[SEED] = writer.memory.seed + 1
      },
    ],
  ])('is found: %s', async (_name, change) => {
    const writer = smallWriter()
    writer.apply(upsert(one, two, certificate('web', 'RSA', { isDefault: true })), 0)
    const restored = await takenUp(keptOf(writer))
    const image = { fragments: restored.fragments, names: restored.names }
    const objects = restored.objects()
    expect(atOnce(imageFault(objects, image))).toBeNull()
    change(restored, image)
    expect(atOnce(imageFault(objects, image))).not.toBeNull()
    objects.close()
  })

  it('is found: a name that is gone, a certificate of no object, another fragment in the place of one', async () => {
    const writer = smallWriter()
    writer.apply(upsert(one, two, certificate('web', 'RSA')), 0)
    const { head, words } = keptOf(writer)
    for (const map of ['objects', 'certificates', 'hosts', 'serverNames'] as const) {
      const changed = words.slice()
      const slots = head.slots[map] - IMAGE
      for (let at = slots + 2; at < slots + 2 + (changed[slots]! + 1) * 2; at += 2) changed[at + 1] = 0
      const restored = await takenUp({ head, words: changed })
      expect(faultOf(restored)).not.toBeNull()
    }
  })
})

describe('the layout of an image', () => {
  it('is another version where any of its bytes is another', () => {
    // A change of what is written into the table's memory is one of LAYOUT_VERSION, too: a proxy of the one before would serve garbage, or
    // this one what that left on disk, until the proof ends it.
    expect(endianness()).toBe('LE')
    const memory = SharedMemory.create(2 ** 20)
    memory.words[SEED] = 12_345
    const writer = new SharedTableWriter(memory)
    writer.apply(
      upsert(
        fragment('web', [host('a.x', path('Prefix /'), closed('Exact /x')), host('ä€.x', path('Prefix /'))], {
          ...{ tls: [tls('web', 'a.x'), tls('shop', '*.x')], defaultTls: ['b.x'], revision: '0123456789abcdef' },
        }),
        fragment('shop', [host('a.x', path('Prefix /shop'))], { settings: { body: { max: 1_024 } } }),
        fragment('acme', [host('a.x', path('Exact /.well-known'))], { challenges: true }),
        certificate('web', 'ECDSA', { chain: 'chain', privateKey: 'key', isDefault: true }),
      ),
      0,
    )
    const objects = writer.objects()
    const { head, words } = kept(imageOf(objects))
    objects.close()
    const digest = createHash('sha256').update(JSON.stringify(head)).update(words).digest('hex').slice(0, 16)
    expect({ version: LAYOUT_VERSION, digest }).toEqual({ version: 2, digest: '300bd9f44f24bb2c' })
  })
})

function many(count: number): readonly Fragment[] {
  return Array.from({ length: count }, (_, i) => fragment(`web-${i}`, [host(`web-${i}.test`, path('Prefix /'))]))
}
