import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Certificate, Fragment } from '../../protocol/objects.ts'
import { MasterTable } from '../workers/master-table.ts'
import { certificate, closed, endpoints, fragment, host, path, tls, upsert } from './testing/fixtures.ts'
import { MapTable } from './map-table.ts'
import { planPortions, portions } from './portions.ts'
import { FakeClusters } from './testing/clusters.ts'
import { EMPTY_UPDATE, type TableUpdate } from './update.ts'

const HOSTS = ['a.x', 'b.x', 'c.y', '*.x', '*.y', '']
const NAMES = ['a.x', 'b.x', 'z.x', 'c.y', 'z.y', 'other']
const PATHS = ['/', '/p', '/p/q', '/r']

const paths = fc.array(
  fc.tuple(fc.constantFrom('Exact /p', 'Prefix /', 'Prefix /p', 'Prefix /r', 'Default /'), fc.constantFrom('s', 't')),
  { maxLength: 2 },
)
const fragments: fc.Arbitrary<Fragment> = fc
  .record({
    name: fc.constantFrom('i', 'j', 'k', 'l'),
    revision: fc.constantFrom('r1', 'r2'),
    hosts: fc.uniqueArray(fc.tuple(fc.constantFrom(...HOSTS), paths), { maxLength: 2, selector: ([h]) => h }),
    tls: fc.array(fc.tuple(fc.constantFrom('e', 'f'), fc.constantFrom(...HOSTS.slice(0, -1))), { maxLength: 2 }),
    defaultTls: fc.subarray(['a.x', '*.y'], { maxLength: 1 }),
  })
  .map(({ name, revision, hosts, tls: names, defaultTls }) =>
    fragment(
      name,
      hosts.map(([h, list]) => host(h, ...list.map(([text, service]) => path(text, service)))),
      { revision, tls: names.map(([secret, h]) => tls(secret, h)), ...(defaultTls.length === 0 ? {} : { defaultTls }) },
    ),
  )
const secrets: fc.Arbitrary<Certificate> = fc
  .tuple(fc.constantFrom('e', 'f'), fc.constantFrom('r1', 'r2'))
  .map(([name, revision]) => certificate(name, 'ECDSA', { revision }))
const updates: fc.Arbitrary<TableUpdate> = fc.record({
  reset: fc.boolean(),
  fragments: fc.record({
    upsert: fc.array(fragments, { maxLength: 5 }),
    remove: fc.subarray(['i', 'j', 'k', 'l'].map(name => `Ingress/ns/${name}`)),
  }),
  certificates: fc.record({
    upsert: fc.array(secrets, { maxLength: 2 }),
    remove: fc.subarray(['Secret/ns/e', 'Secret/ns/f']),
  }),
  endpoints: fc.record({
    upsert: fc.uniqueArray(fc.constantFrom('s', 't')).map(services => new Map(services.map(s => [s, ['10.0.0.1:80']]))),
    remove: fc.subarray(['s', 't']),
  }),
  observed: fc.constantFrom(null, [], ['seen']),
})

interface Tables {
  readonly master: MasterTable
  readonly table: MapTable
}

function after(...steps: readonly TableUpdate[]): Tables {
  const tables = { master: new MasterTable(), table: new MapTable(new FakeClusters()) }
  for (const step of steps) apply(tables, step)
  return tables
}

function apply({ master, table }: Tables, step: TableUpdate): void {
  master.apply(step)
  table.apply(step)
}

function told({ table }: Tables, name: string, target: string): string | null {
  const route = table.route(name, target)
  return route && `${route.host} ${route.object} ${route.revision} ${route.type} ${route.cluster?.service ?? ''}`
}

/** Answers that come from the host itself. */
function own(tables: Tables, name: string): string {
  return PATHS.map(p => told(tables, name, p))
    .map(text => (text?.startsWith(`${name} `) ? text : '-'))
    .join()
}

/** Everything that can be asked. */
function all(tables: Tables): unknown {
  const { master, table } = tables
  const { fragments: list, certificates, endpoints: addresses, observed } = master.snapshot()
  const byKey = (a: { key: string }, b: { key: string }): number => (a.key < b.key ? -1 : 1)
  return {
    routes: NAMES.map(name => PATHS.map(p => told(tables, name, p))),
    certificates: NAMES.map(name => table.certificates(name)),
    counted: [...NAMES, 'seen'].map(name => [table.requestHost(name), table.tlsHost(name)]),
    master: [list.upsert.toSorted(byKey), certificates.upsert.toSorted(byKey), addresses, observed],
  }
}

describe('portions', () => {
  it('leads where the whole update leads, without a gap and without half a host in between', () => {
    fc.assert(
      fc.property(
        fc.array(updates, { maxLength: 3 }),
        updates,
        fc.integer({ min: 1, max: 4 }),
        (first, update, max) => {
          const before = after(...first)
          const whole = after(...first, update)
          const split = after(...first)
          // Planned from the table that the pieces change one by one.
          for (const piece of portions(update, max, split.master)) {
            apply(split, piece)
            for (const name of NAMES) {
              for (const p of PATHS) {
                if (told(before, name, p) === null || told(whole, name, p) === null) continue
                expect(told(split, name, p)).not.toBeNull()
              }
              if (before.table.certificates(name).length > 0 && whole.table.certificates(name).length > 0) {
                expect(split.table.certificates(name)).not.toEqual([])
              }
              expect([own(before, name), own(whole, name)]).toContain(own(split, name))
            }
          }
          expect(all(split)).toEqual(all(whole))
          // A worker that started from the whole update meanwhile is not harmed by its pieces.
          for (const piece of portions(update, max, before.master)) apply(split, piece)
          expect(all(split)).toEqual(all(whole))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('has planned all before the first piece, in small steps', () => {
    const { master } = after(upsert(...many(2_000)))
    let steps = 0
    const plan = planPortions({ ...upsert(...many(2_000, 't')), reset: true }, 100, master)
    let step = plan.next()
    for (; step.done !== true; step = plan.next()) steps++
    expect(steps).toBeGreaterThan(80)
    master.apply({ ...EMPTY_UPDATE, reset: true })
    expect([...step.value].flatMap(({ fragments: f }) => f.upsert)).toHaveLength(2_000)
  })

  const many = (count: number, service = 's'): readonly Fragment[] =>
    Array.from({ length: count }, (_, i) => fragment(`web-${i}`, [host(`h${i}.x`, path('Prefix /', service))]))

  it('makes pieces of the size asked for, also where thousands go', () => {
    const { master } = after(upsert(...many(1_000)), endpoints({ s: [], t: [] }))
    const pieces = [...portions({ ...upsert(...many(10, 't')), reset: true }, 100, master)]
    expect(pieces.every(({ fragments: f }) => f.upsert.length + f.remove.length <= 100)).toBe(true)
    expect(pieces.some(({ reset }) => reset)).toBe(false)
    expect(pieces.at(-1)?.endpoints.remove).toEqual(['s', 't'])
  })

  it('leaves a small update as it is', () => {
    const update = upsert(...many(3))
    expect([...portions(update, 500, new MasterTable())]).toEqual([update])
  })

  it('keeps what shares a host together, a host and the default that it falls back to as well', () => {
    const { master } = after(upsert(fragment('a', [host('h.x', path('Prefix /p'), closed('Prefix /q'))]), ...many(50)))
    const moved = [
      fragment('a', []),
      ...many(50, 't'),
      fragment('b', [host('h.x', path('Prefix /p'))]),
      fragment('c', [host('*.x', path('Prefix /'))]),
    ]
    const pieces = [...portions(upsert(...moved), 5, master)].map(p => p.fragments.upsert.map(f => f.key))
    const [together] = pieces.filter(keys => keys.includes('Ingress/ns/a'))
    expect(together).toContain('Ingress/ns/b')
    expect(Math.max(...pieces.map(keys => keys.length))).toBe(5)
  })

  const keys = ({ fragments: { upsert: some, remove } }: TableUpdate): readonly string[] =>
    [...some.map(f => f.key), ...remove].map(key => key.slice('Ingress/ns/'.length))
  const one = (name: string, ...hosts: readonly string[]): Fragment =>
    fragment(
      name,
      hosts.map(h => host(h, path('Prefix /'))),
    )
  const gone = (...names: readonly string[]): TableUpdate['fragments'] => ({
    upsert: [],
    remove: names.map(name => `Ingress/ns/${name}`),
  })

  it('adds the hosts first and then the wildcard that would hide what served them, and removes them the other way round', () => {
    const kept = one('any', '')
    const comes = upsert(one('wild', '*.x'), one('a', 'a.x'), one('b', 'b.x'))
    expect([...portions(comes, 1, after(upsert(kept)).master)].slice(0, 3).map(keys)).toEqual([['a'], ['b'], ['wild']])
    const goes = { ...EMPTY_UPDATE, fragments: gone('a', 'wild', 'b') }
    expect([...portions(goes, 1, after(upsert(kept), comes).master)].slice(0, 3).map(keys)).toEqual([
      ['wild'],
      ['a'],
      ['b'],
    ])
  })

  it('changes a wildcard together with what comes to it and goes from it in the same fragment', () => {
    const { master } = after(upsert(one('wild', '*.x'), one('a', 'a.x')))
    const moved = upsert(one('c', 'c.y'), one('wild', '*.x', '*.z'), one('a', 'b.x'))
    expect([...portions(moved, 1, master)].slice(0, 2).map(keys)).toEqual([['c'], ['wild', 'a']])
  })

  it('splits thousands of hosts that come below a wildcard that changes', () => {
    const { master } = after(upsert(one('wild', '*.x')))
    const pieces = [...portions(upsert(one('wild', '*.x', '*.z'), ...many(1_000)), 100, master)]
    expect(Math.max(...pieces.map(piece => keys(piece).length))).toBe(100)
    expect(pieces.slice(0, -1).at(-1)?.fragments.upsert.at(-1)?.key).toBe('Ingress/ns/wild')
  })
})

describe('the table of a worker that starts', () => {
  it('is that of the others, whatever changes between the pieces', () => {
    const between = fc.array(fc.tuple(fc.nat(20), updates), { maxLength: 4 })
    fc.assert(
      fc.property(fc.array(updates, { maxLength: 3 }), between, (first, changes) => {
        const others = after(...first)
        const started = after()
        const change = (): void => {
          for (const [, update] of changes.filter(([at]) => at === taken)) {
            for (const piece of portions(update, 2, others.master)) {
              apply(others, piece)
              apply(started, piece)
            }
          }
        }
        let taken = 0
        for (const piece of others.master.pieces(1)) {
          apply(started, piece)
          change()
          taken++
        }
        expect(all(started)).toEqual(all(others))
      }),
      { numRuns: 300 },
    )
  })
})
