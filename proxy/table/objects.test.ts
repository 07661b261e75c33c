import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { canonicalJson, payloadDigest } from '../../protocol/hash.ts'
import type { Assignment, CanaryRule, Certificate, Fragment, ObjectKey } from '../../protocol/objects.ts'
import type { Entry } from './entry.ts'
import type { Objects } from './objects.ts'
import { certificate, closed, fragment, host, path, released, tls } from './testing/fixtures.ts'
import { smallWriter } from './testing/one-thread.ts'
import { EMPTY_UPDATE, type TableUpdate } from './update.ts'

const REVISIONS = [
  'r1',
  '',
  '0123456789abcdef',
  'fedcba9876543210',
  '0123456789ABCDEF',
  '0123456789abcde',
  'ä'.repeat(80),
]
const revision = fc.constantFrom(...REVISIONS)
/** Enough for their map to grow and shrink. */
const NAMES = ['web', 'ä\u0127', ...Array.from({ length: 40 }, (_, i) => `w${i}`)]

const RULE: CanaryRule = {
  header: { name: 'X-Canary', values: ['\u00e4', 'b'] },
  ...{ weight: 5, total: 1000, marks: { query: 'a=1', requestAdd: [['X-B', 'c']] } },
}

/** What this version does not know, or cannot write as UTF-8: digests cover it. */
const strange = fc.constantFrom<(one: Fragment) => Fragment>(
  one => one,
  one => ({ ...one, next: { z: 1, a: [null, { y: 2, x: 3 }] } }) as Fragment,
  // Keys that are numbers stand first in what JSON.parse makes, whatever the order in the text.
  one => ({ ...one, next: { '*': 3, '443': 1, '80': 2 } }) as Fragment,
  one => ({ ...one, hosts: one.hosts.map(h => ({ ...h, weight: 1.5 })) }),
  one => ({ ...one, hosts: one.hosts.map(h => ({ ...h, paths: h.paths.map(p => ({ ...p, regex: 'x' })) })) }),
  one => ({
    ...one,
    hosts: one.hosts.map(h => ({ ...h, paths: h.paths.map(p => ({ ...p, backend: { ...p.backend, port: 1 } })) })),
  }),
  one => ({ ...one, tls: [...one.tls, { ...tls('s', 'b.example'), min: '1.3' }] }),
  one => ({ ...one, hosts: [...one.hosts, host('c.example', path('Prefix /', 'ns/\ud800:80'))] }),
  one => ({ ...one, createdAt: 2 ** 60 }),
  one => ({ ...one, hosts: [], canary: { rule: RULE, hosts: one.hosts } }),
  one => ({ ...one, hosts: [], canary: { rule: RULE, hosts: one.hosts, next: 1 } }) as Fragment,
  one => ({ ...one, canary: { rule: RULE, hosts: one.hosts } }),
  one => ({ ...one, settings: { timeouts: { read: 1_000 } } }),
  // A newer operator may set more: it is kept as it came.
  one =>
    ({ ...one, settings: { timeouts: { read: 1_000 }, body: { '80': 1, max: 5 }, next: { z: 1, a: 2 } } }) as Fragment,
  one => ({ ...one, hosts: [], canary: { rule: RULE, hosts: one.hosts }, settings: {} }),
)
const anyFragment = fc
  .record({
    revision,
    createdAt: fc.constantFrom(0, 1_700_000_000_123),
    challenges: fc.boolean(),
    strange,
    n: fc.nat({ max: 3 }),
  })
  .map(
    ({ challenges, strange: change, n, ...more }) =>
      (name: string): Fragment =>
        change(
          fragment(name, [host(`${name}.example`, path('Prefix /'), closed('Exact /x')), host(`${n}.example`)], {
            ...more,
            ...(challenges ? { challenges: true, defaultTls: ['d.example'] } : {}),
            ...(n === 1 ? { tls: [tls('s', 'a.example'), tls('t', 'a.example')] } : {}),
          }),
        ),
  )
const anyCertificate = fc
  .record({
    revision,
    chain: fc.constantFrom('one', 'other'),
    more: fc.constantFrom({}, { isDefault: true }, { next: 1 }),
  })
  .map(
    ({ more, ...rest }) =>
      (name: string): Certificate =>
        certificate(name, 'RSA', { ...rest, ...more }),
  )
const anyEntry = fc
  .record({
    name: fc.constantFrom(...NAMES),
    payload: fc.oneof(anyFragment, anyFragment, anyCertificate),
    secret: fc.boolean(),
    assigned: fc.boolean(),
    announced: fc.option(revision),
    current: fc.oneof(fc.constant('same' as const), fc.constant(null), revision),
    id: fc.option(fc.constantFrom('', '7-12', 'ä')),
  })
  .map(({ name, payload: make, assigned, announced, current, id }): Entry => {
    const payload = make(name)
    const { assignment } = released(payload)
    const next = announced ?? assignment.announced
    const made: Assignment = {
      ...{ key: payload.key, announced: next, id: id ?? `ns/${name}:${next}` },
      current: current === 'same' ? (assigned ? payload.revision : null) : current,
      assigned: assigned ? payload.revision : null,
      digest: assigned ? payloadDigest(payload) : null,
    }
    return { assignment: made, payload: assigned ? payload : null }
  })

const update = (upsert: readonly Entry[], remove: readonly ObjectKey[] = [], reset = false): TableUpdate => ({
  ...{ ...EMPTY_UPDATE, reset, objects: { upsert, remove } },
})

describe('objects in shared memory', () => {
  it('are read as they were written, with the digest that was proven and the JSON that it is made of', () => {
    fc.assert(
      fc.property(anyEntry, entry => {
        const writer = smallWriter()
        writer.apply(update([entry]), 0)
        const objects = writer.objects()
        const read = objects.entry(entry.assignment.key)
        expect(read).toEqual(entry)
        expect(canonicalJson(read?.payload)).toBe(canonicalJson(entry.payload))
        expect(objects.revision(entry.assignment.key)).toBe(entry.payload?.revision ?? null)
        expect(objects.entry('Ingress/ns/none')).toBeNull()
      }),
      { numRuns: 500 },
    )
  })

  it('are those of one generation, for whoever looks, until it is closed; then nothing of it is kept', () => {
    const keys = NAMES.flatMap(name => [`Ingress/ns/${name}`, `Secret/ns/${name}`])
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          upsert: fc.array(anyEntry, { maxLength: 12 }),
          remove: fc.subarray(keys, { maxLength: 30 }),
          reset: fc.constantFrom(false, false, false, true),
        }),
      },
      { weight: 3, arbitrary: fc.constantFrom('open' as const, 'read' as const, 'advance' as const, 'again' as const) },
      { weight: 2, arbitrary: fc.constant('close' as const) },
    )
    const writer = smallWriter()
    const { used } = writer.sizes
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), steps => {
        let model = new Map<ObjectKey, Entry>()
        interface Look {
          readonly objects: Objects
          model: ReadonlyMap<ObjectKey, Entry>
          /** Begun when it was opened, and read bit by bit. */
          entries: Iterator<Entry, void>
          readonly found: Map<ObjectKey, Entry>
        }
        const looks: Look[] = []
        const open = (objects: Objects, then: ReadonlyMap<ObjectKey, Entry>): void => {
          looks.push({ objects, model: then, entries: objects.entries(), found: new Map() })
        }
        const read = (look: Look, count: number): void => {
          for (let i = 0; i < count; i++) {
            const next = look.entries.next()
            if (next.done === true) return
            look.found.set(next.value.assignment.key, next.value)
          }
        }
        const check = ({ objects, model: then }: Look): void => {
          for (const key of keys) {
            expect(objects.entry(key)).toEqual(then.get(key) ?? null)
            expect(objects.revision(key)).toBe(then.get(key)?.payload?.revision ?? null)
          }
          expect([...objects.keys()].sort()).toEqual([...then.keys()].sort())
        }
        for (const one of steps) {
          if (typeof one !== 'string') {
            writer.apply(update(one.upsert, one.remove, one.reset), writer.generation)
            model = new Map(one.reset ? [] : model)
            for (const key of one.remove) model.delete(key)
            for (const entry of one.upsert) model.set(entry.assignment.key, entry)
          } else if (one === 'open') open(writer.objects(), model)
          else if (one === 'again' && looks[0]) open(looks[0].objects.again(), looks[0].model)
          else if (one === 'read') for (const look of looks) read(look, 3)
          else if (one === 'advance' && looks[0]) {
            const [look] = looks
            look.objects.advance(writer.generation)
            Object.assign(look, { model, entries: look.objects.entries() })
            look.found.clear()
          } else if (one === 'close') {
            const look = looks.shift()
            if (look === undefined) continue
            check(look)
            read(look, Infinity)
            expect(look.found).toEqual(look.model)
            look.objects.close()
          }
        }
        for (const look of looks) {
          check(look)
          read(look, Infinity)
          expect(look.found).toEqual(look.model)
          look.objects.close()
        }
        const last = writer.objects()
        expect(new Map([...last.entries()].map(entry => [entry.assignment.key, entry]))).toEqual(model)
        last.close()
        writer.apply(update([], [], true), writer.generation)
        for (let i = 0; i < 3; i++) writer.apply(EMPTY_UPDATE, writer.generation)
        expect(writer.sizes.waiting).toBe(0)
        // Slots are given back when much less is put into them again; whatever else is lost adds up from run to run.
        expect(writer.sizes.used).toBeLessThan(used + 8_192)
      }),
      { numRuns: 150 },
    )
  })

  it('write no host where only the assignment changes, and nothing at all where it does not', () => {
    const writer = smallWriter()
    const hosts = Array.from({ length: 1_000 }, (_, i) => host(`h${i}.example`, path('Prefix /')))
    const entry = released(fragment('web', hosts))
    writer.apply(update([entry]), 0)
    writer.apply(EMPTY_UPDATE, writer.generation)
    const { used } = writer.sizes
    writer.apply(
      update([{ ...entry, assignment: { ...entry.assignment, announced: 'r2', id: 'ns/web:r2' } }]),
      writer.generation,
    )
    expect(writer.sizes.waiting).toBeLessThanOrEqual(16)
    expect(writer.sizes.used).toBeLessThan(used + 64)
    writer.apply(update([entry]), writer.generation)
    writer.apply(EMPTY_UPDATE, writer.generation)
    expect(writer.sizes).toEqual({ used, waiting: 0 })
    writer.apply(update([structuredClone(entry)]), writer.generation)
    expect(writer.sizes).toEqual({ used, waiting: 0 })
  })

  it('name to workers the certificates that changed, and no other', () => {
    const writer = smallWriter()
    const [one, other] = [released(certificate('one', 'RSA')), released(certificate('other', 'RSA'))]
    const named = (next: TableUpdate): readonly ObjectKey[] => writer.apply(next, writer.generation).certificates
    expect(named(update([one, other]))).toEqual(['Secret/ns/one', 'Secret/ns/other'])
    const waiting = { ...one, assignment: { ...one.assignment, announced: 'r2' } }
    expect(named(update([waiting, released(certificate('other', 'ECDSA'))]))).toEqual(['Secret/ns/other'])
    expect(named(update([{ payload: null, assignment: { ...one.assignment, assigned: null } }]))).toEqual([
      'Secret/ns/one',
    ])
    expect(named(update([], ['Secret/ns/other', 'Secret/ns/none']))).toEqual(['Secret/ns/other'])
    expect(writer.certificates).toBe(0)
  })

  it('take few words of a plain one', () => {
    const writer = smallWriter()
    const one = (i: number): Entry =>
      released(
        fragment(`web-${i}`, [host(`host-${i}.bench.example`, path('Prefix /', 'bench/web:80'))], {
          revision: i.toString(16).padStart(16, '0'),
          createdAt: 1_700_000_000_000,
        }),
      )
    writer.apply(update(Array.from({ length: 10_000 }, (_, i) => one(i))), 0)
    expect(writer.sizes.used / 10_000).toBeLessThan(200)
  })
})
