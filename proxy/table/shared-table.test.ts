import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Certificate, Fragment } from '../../protocol/objects.ts'
import { RecordWriter } from '../memory/bytes.ts'
import { SharedMemory } from '../memory/shared-memory.ts'
import { readCertificate, readFragment, readPlan, writeCertificate, writeFragment } from './records.ts'
import { OPEN, type Policy } from './policy.ts'
import { SharedTable } from './shared-table.ts'
import { FakeClusters } from './testing/clusters.ts'
import {
  certificate,
  certificates,
  closed,
  fragment,
  host,
  observed,
  path,
  remove,
  tls,
  upsert,
} from './testing/fixtures.ts'
import { sharedTable, smallWriter, type Table } from './testing/one-thread.ts'
import { tableCases } from './testing/table.cases.ts'
import { EMPTY_UPDATE, type TableUpdate } from './update.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

tableCases('SharedTable', (clusters = new FakeClusters()) => sharedTable(clusters))

const HOSTS = ['a.x', 'b.x', '*.x', '*.a.x', '']
const NAMES = ['a.x', 'b.x', '*.x', 'c.x']
const SECRETS = ['s', 't', 'u']
const KEYS = ['p', 'q', 'r', 's']

const anyPath = fc
  .tuple(
    fc.constantFrom('Exact', 'Prefix', 'ImplementationSpecific', 'Default'),
    fc.constantFrom('/', '/a', '/a/', '/a/b', '/ä€'),
    fc.constantFrom<'service' | 'closed' | 'unknown' | 'none'>('service', 'closed', 'unknown', 'none'),
    fc.nat({ max: 9 }),
  )
  .map(([type, text, backend, n]) => {
    const one = path(`${type} ${text}`, `ns/s${n}:80`)
    const shut = { status: 503, reason: `because of ${n}` } as const
    switch (backend) {
      case 'service':
        return one
      case 'closed':
        return { ...one, backend: { ...shut, protects: true } }
      case 'none':
        return { ...one, backend: { ...shut, protects: false } }
      case 'unknown':
        return { ...one, backend: shut }
    }
  })
const anyFragment: fc.Arbitrary<Fragment> = fc
  .record({
    key: fc.constantFrom(...KEYS),
    hosts: fc.array(fc.tuple(fc.constantFrom(...HOSTS), fc.array(anyPath, { maxLength: 3 })), { maxLength: 4 }),
    tls: fc.array(
      fc.tuple(fc.constantFrom(...SECRETS), fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })),
      {
        maxLength: 3,
      },
    ),
    defaultTls: fc.option(fc.array(fc.constantFrom(...NAMES), { maxLength: 2 }), { nil: undefined }),
    createdAt: fc.constantFrom(1, 2, 1_700_000_000_123),
    revision: fc.constantFrom('r1', 'r2', 'ä'),
    governed: fc.boolean(),
    challenges: fc.option(fc.constant(true as const), { nil: undefined, freq: 8 }),
  })
  .map(({ key, hosts, tls: entries, defaultTls, challenges, ...rest }) =>
    fragment(
      key,
      hosts.map(([name, paths]) => host(name, ...paths)),
      {
        ...rest,
        tls: entries.map(([secret, names]) => tls(secret, ...names)),
        ...(defaultTls === undefined ? {} : { defaultTls }),
        ...(challenges === undefined ? {} : { challenges }),
      },
    ),
  )
const anyCertificate: fc.Arbitrary<Certificate> = fc
  .record({
    name: fc.constantFrom(...SECRETS),
    keyType: fc.constantFrom<'ECDSA' | 'RSA'>('ECDSA', 'RSA'),
    revision: fc.constantFrom('r1', 'r2'),
    chain: fc.constantFrom('one', 'other'),
    governed: fc.boolean(),
    isDefault: fc.option(fc.constant(true as const), { nil: undefined }),
  })
  .map(({ name, keyType, isDefault, ...rest }) =>
    certificate(name, keyType, { ...rest, ...(isDefault === undefined ? {} : { isDefault }) }),
  )
const anyUpdate: fc.Arbitrary<TableUpdate> = fc
  .record({
    reset: fc.constantFrom(false, false, false, false, true),
    upsert: fc.array(anyFragment, { maxLength: 3 }),
    gone: fc.subarray(KEYS),
    // At most one of an update says that it is the default.
    certificates: fc.uniqueArray(anyCertificate, {
      maxLength: 2,
      selector: ({ isDefault = false, key }) => (isDefault ? '' : key),
    }),
    lost: fc.subarray(SECRETS),
    observed: fc.option(fc.subarray(['a.x', 'o.x', '*.o.x']), { nil: null }),
  })
  .map(update => ({
    ...{ ...EMPTY_UPDATE, reset: update.reset, observed: update.observed },
    objects: {
      upsert: upsert(...update.upsert, ...update.certificates).objects.upsert,
      remove: [remove(...update.gone), certificates([], update.lost)].flatMap(({ objects }) => objects.remove),
    },
  }))

/** All that a table says of some requests, but numbers. */
function answers(table: Pick<Table, 'route' | 'certificates' | 'requestHost' | 'tlsHost' | 'entries'>): unknown {
  const asked = ['a.x', 'b.x', 'c.x', 'z.a.x', 'y.z.a.x', 'x', '', 'o.x', 'p.o.x']
  const told = (route: ReturnType<Table['route']>): unknown =>
    route && {
      ...{ host: route.host, type: route.type, path: route.path, object: route.object, revision: route.revision },
      ...{ governed: route.governed, service: route.cluster?.service ?? null, closed: route.policy.closed },
    }
  return asked.map(name => ({
    name,
    routes: ['/', '/a', '/a/', '/a/b', '/a/b/c', '/c'].map(target => told(table.route(name, target))),
    entries: table.entries(name).map(entry => ({
      ...entry,
      routes: entry.routes.map(({ route, createdAt }) => ({ createdAt, route: told(route) })),
    })),
    certificates: table.certificates(name),
    counted: [table.requestHost(name), table.tlsHost(name)],
  }))
}

describe('a table in shared memory', () => {
  it('keeps all of a fragment, and all of a certificate', () => {
    const memory = SharedMemory.create(2 ** 26)
    const record = new RecordWriter()
    const stored = (): number => {
      while (memory.words.length < record.words.length + 16) memory.grow(2 ** 16)
      memory.words.set(record.words, 16)
      return 16
    }
    fc.assert(
      fc.property(anyFragment, anyCertificate, (one, other) => {
        const { words } = writeFragment(record, one)
        expect(record.words).toHaveLength(words)
        const place = stored()
        expect(readFragment(memory, place)).toEqual(one)
        expect(readPlan(memory, place).words).toBe(words)
        writeCertificate(record, other)
        expect(readCertificate(memory, stored())).toEqual(other)
      }),
      { numRuns: 500 },
    )
    const wide = fragment('wide', [host('\u0127'), host('\u0127\u0128'), host('\u0127\u0128\u0129.example')])
    writeFragment(record, wide)
    expect(readFragment(memory, stored())).toEqual(wide)
    const many = fragment(
      'many',
      Array.from({ length: 3_000 }, (_, i) => host(`host-${i}.example`, path(`Prefix /${'p'.repeat(i % 300)}`))),
    )
    writeFragment(record, many)
    expect(readFragment(memory, stored())).toEqual(many)
  })

  it('answers every reader as a table of its own that knows nothing newer would, whatever changes meanwhile', () => {
    const step = fc.oneof({ weight: 3, arbitrary: anyUpdate }, { weight: 2, arbitrary: fc.nat({ max: 1 }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), steps => {
        const writer = smallWriter()
        const readers = [0, 1].map(() => ({
          shared: new SharedTable(writer.memory.buffer, new FakeClusters()),
          alone: sharedTable(new FakeClusters()),
          left: [] as TableUpdate[],
        }))
        const compare = (): void => {
          for (const { shared, alone } of readers) expect(answers(shared)).toEqual(answers(alone))
        }
        for (const one of steps) {
          if (typeof one === 'number') {
            const reader = readers[one]!
            for (const update of reader.left.splice(0)) reader.alone.apply(update)
            reader.shared.advance(writer.generation)
          } else {
            writer.apply(one, Math.min(...readers.map(({ shared }) => shared.generation)))
            for (const { left } of readers) left.push(one)
          }
          compare()
        }
      }),
      { numRuns: 200 },
    )
  })

  it('has no more memory in use when all is gone than before it came', () => {
    const writer = smallWriter()
    const empty = writer.sizes.used
    fc.assert(
      fc.property(fc.array(anyUpdate, { maxLength: 10 }), updates => {
        for (const update of updates) writer.apply(update, writer.generation)
        writer.apply({ ...EMPTY_UPDATE, reset: true, observed: [] }, writer.generation)
        for (let i = 0; i < 3; i++) writer.apply(EMPTY_UPDATE, writer.generation)
        expect(writer.sizes.waiting).toBe(0)
        // The map of all objects may have some slots more; whatever is lost adds up from run to run.
        expect(writer.sizes.used).toBeLessThanOrEqual(empty + 512)
      }),
      { numRuns: 200 },
    )
  })

  it('has room from the beginning for what comes as a whole: nothing that was too small waits to be given back', () => {
    const writer = smallWriter()
    const names = Array.from({ length: 1_200 }, (_, i) => `web-${i}`)
    const fragments = names.map(name =>
      fragment(name, [host(`${name}.example`, path('Prefix /'))], { tls: [tls(name, `${name}.example`)] }),
    )
    const all = upsert(...fragments, ...names.map(name => certificate(name, 'ECDSA')))
    writer.apply({ ...all, reset: true }, writer.generation)
    // The slots that four maps of nothing had, in bytes.
    expect(writer.sizes.waiting).toBeLessThan(4 * 128)
  })

  it('writes nothing of what is the same', () => {
    const writer = smallWriter()
    const web = fragment('web', [host('a.example', path('Prefix /'))], { tls: [tls('s', 'a.example')] })
    const update = upsert(web, certificate('s', 'RSA'))
    writer.apply(update, 0)
    writer.apply(observed('o.example'), writer.generation)
    const { used } = writer.sizes
    writer.apply(structuredClone({ ...update, reset: true, observed: ['o.example'] }), writer.generation)
    expect(writer.sizes).toEqual({ used, waiting: 0 })
  })

  it('takes thousands of Ingresses of one host in one update without writing its list for each', () => {
    const writer = smallWriter()
    const all = Array.from({ length: 5_000 }, (_, i) =>
      fragment(`web-${i}`, [host('a.example', path(`Prefix /p${i}`))]),
    )
    writer.apply(upsert(...all), 0)
    // The lists that were outgrown: 1.5, 2.25 and so on, together some three times the last one; and slots of the map of all objects.
    expect(writer.sizes.waiting).toBeLessThan(5_000 * 4 * 4 + 5_000 * 2 * 8)
    const table = new SharedTable(writer.memory.buffer, new FakeClusters())
    table.advance(writer.generation)
    for (const i of [0, 1, 2_499, 4_999])
      expect(table.route('a.example', `/p${i}/x`)?.object).toBe(`Ingress/ns/web-${i}`)
  })

  it('takes nothing for the same because it lies where another one did', () => {
    const writer = smallWriter()
    const table = new SharedTable(writer.memory.buffer, new FakeClusters())
    const take = (update: TableUpdate): void => table.advance(writer.apply(update, table.generation).generation)
    const web = (revision: string): Fragment => fragment('web', [host('a.example', path('Prefix /'))], { revision })
    take(upsert(fragment('other', [host('a.example', path('Prefix /other'))]), web('r1')))
    expect(table.route('a.example', '/')?.revision).toBe('r1')
    const { used } = writer.sizes
    // The second one may not use the words of the first, which were still led to; the third one does.
    for (const revision of ['r2', 'r3', 'r4', 'r5']) take(upsert(web(revision)))
    expect(writer.sizes.used).toBeLessThan(used * 2)
    expect(table.route('a.example', '/')?.revision).toBe('r5')
    for (const revision of ['r6', 'r7']) take(upsert(web(revision)))
    expect(table.route('a.example', '/')?.revision).toBe('r7')
    for (const revision of ['r8', 'r9', 'r0']) take(upsert(web(revision)))
    expect(table.route('a.example', '/')?.revision).toBe('r0')
  })

  it('keeps the oldest first on a host of thousands of Ingresses, whichever come and go', () => {
    const table = sharedTable(new FakeClusters())
    const share = (n: number): Fragment =>
      fragment(`web-${n}`, [host('a.example', path('Prefix /'), path(`Prefix /p${n}`))], {
        createdAt: (n * 7_919) % 3_001,
      })
    const all = Array.from({ length: 3_000 }, (_, n) => share(n))
    table.apply(upsert(...all))
    let left = all.toSorted((a, b) => a.createdAt - b.createdAt)
    for (let round = 0; round < 20; round++) {
      expect(table.route('a.example', '/x')?.object).toBe(left[0]?.key)
      const gone = [left[0], left[1_000], left.at(-1)].flatMap(f => f?.key ?? [])
      table.apply({ ...EMPTY_UPDATE, objects: { upsert: [], remove: gone } })
      left = left.filter(({ key }) => !gone.includes(key))
    }
    table.apply(upsert(...all))
    expect(table.route('a.example', '/x')?.object).toBe('Ingress/ns/web-0')
  })

  it('keeps objects of what was asked lately, and lets go of what they hold', () => {
    const clusters = new FakeClusters()
    const writer = smallWriter()
    const all = Array.from({ length: 20_000 }, (_, i) =>
      fragment(`web-${i}`, [host(`h${i}.example`, path('Prefix /', 'one'))]),
    )
    writer.apply(upsert(...all), 0)
    const table = new SharedTable(writer.memory.buffer, clusters)
    table.advance(writer.generation)
    expect(clusters.counts).toEqual({})
    const first = table.route('h0.example', '/')
    let highest = 0
    for (let i = 0; i < all.length; i++) {
      highest = Math.max(highest, table.route(`h${i}.example`, '/')?.id ?? 0)
      expect(table.route('h0.example', '/')).toBe(first)
      if (i % 1_000 === 0) table.reclaim()
    }
    expect(clusters.counts['one']).toBeLessThanOrEqual(2 * 4_096 + 2)
    expect(highest).toBeLessThan(3 * 4_096)
  })

  it('lets go of what is gone although nobody asks for it any more', () => {
    const clusters = new FakeClusters()
    const table = sharedTable(clusters)
    const all = Array.from({ length: 200 }, (_, i) =>
      fragment(`web-${i}`, [host(`h${i}.example`, path('Prefix /', 'one'))]),
    )
    table.apply(upsert(...all))
    for (let i = 0; i < all.length; i++) table.route(`h${i}.example`, '/')
    expect(clusters.counts).toEqual({ one: 200 })
    table.apply(remove(...all.slice(1).map(({ key }) => key.replace('Ingress/ns/', ''))))
    for (let i = 0; i < 10; i++) table.reclaim()
    expect(clusters.counts).toEqual({ one: 1 })
  })

  it('keeps no certificate of a Secret that changed or went, in nobody’s memory', async () => {
    const writer = smallWriter()
    const table = new SharedTable(writer.memory.buffer, new FakeClusters())
    const take = (update: TableUpdate): void => {
      const { generation, certificates: changed } = writer.apply(update, table.generation)
      table.advance(generation)
      table.forget(changed)
    }
    take(upsert(fragment('web', [], { tls: [tls('s', 'a.example'), tls('t', 'b.example')] })))
    take(certificates([certificate('s', 'RSA'), certificate('t', 'RSA'), certificate('d', 'RSA', { isDefault: true })]))
    const shown = ['a.example', 'b.example', 'c.example'].map(name => table.certificates(name))
    expect(shown.map(list => list[0]?.chain)).toEqual(['s', 't', 'd'])
    const [gone, kept, gone2] = shown.map(list => new WeakRef(list[0] ?? {}))
    const other = shown[1]
    shown.length = 0
    take(certificates([certificate('s', 'RSA', { revision: 'r2', chain: 'renewed' })], ['d']))
    // Weak references hold what they were asked for until the loop has turned.
    await nextTurn()
    collectGarbage()
    expect([gone, kept, gone2].map(ref => ref?.deref() !== undefined)).toEqual([false, true, false])
    expect(table.certificates('a.example')[0]?.chain).toBe('renewed')
    expect(table.certificates('b.example')).toBe(other)
    expect(table.certificates('c.example')).toEqual([])
  })

  it('routes of Ingresses that set the same share what was made of it, and those that set nothing have nothing', () => {
    const table = sharedTable(new FakeClusters())
    const settings = { timeouts: { read: 1_000 } }
    table.apply(
      upsert(
        fragment('one', [host('a.example', path('Prefix /'), path('Prefix /x'))], { settings }),
        fragment('two', [host('b.example', path('Prefix /'))], { settings: { timeouts: { read: 1_000 } } }),
        fragment('three', [host('c.example', path('Prefix /'))], { settings: { timeouts: { read: 2_000 } } }),
        fragment('four', [host('d.example', path('Prefix /'), closed('Prefix /x'))]),
        fragment('five', [host('e.example', closed('Prefix /'))], { settings }),
      ),
    )
    const of = (name: string, at = '/'): Policy | undefined => table.route(`${name}.example`, at)?.policy
    expect(of('a')).toEqual({ needs: 0, closed: null, settings })
    expect(of('a', '/x')).toBe(of('a'))
    expect(of('b')).toBe(of('a'))
    expect(of('c')?.settings).toEqual({ timeouts: { read: 2_000 } })
    expect(of('d')).toBe(OPEN)
    expect(of('e')).toBe(of('d', '/x'))
    table.apply(upsert(fragment('one', [host('a.example', path('Prefix /'), path('Prefix /x'))])))
    expect(of('a')).toBe(OPEN)
  })

  it('holds clusters for routes that are known, and releases those that are gone', () => {
    const clusters = new FakeClusters()
    const table = sharedTable(clusters)
    table.apply(upsert(fragment('web', [host('a.example', path('Prefix /', 'one'), path('Prefix /x', 'two'))])))
    expect(table.route('a.example', '/x')?.cluster?.service).toBe('two')
    expect(clusters.counts).toEqual({ one: 1, two: 1 })
    table.apply(upsert(fragment('more', [host('a.example', path('Prefix /y', 'two'))])))
    const kept = table.route('a.example', '/x')
    expect(table.route('a.example', '/y')?.cluster).toBe(kept?.cluster)
    expect(clusters.counts).toEqual({ one: 1, two: 2 })
    table.apply(remove('web'))
    expect([table.route('a.example', '/x'), clusters.counts]).toEqual([null, { two: 1 }])
    table.apply(remove('more'))
    expect([table.route('a.example', '/y'), clusters.counts]).toEqual([null, {}])
  })
})
