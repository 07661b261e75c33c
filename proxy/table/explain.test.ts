import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Fragment, PathFragment } from '../../protocol/objects.ts'
import { explainRoute } from './explain.ts'
import { fragment, host, path, upsert } from './testing/fixtures.ts'
import { sharedTable, type Table } from './testing/one-thread.ts'
import { FakeClusters } from './testing/clusters.ts'

function tableOf(...fragments: readonly Fragment[]): Table {
  const table = sharedTable(new FakeClusters())
  table.apply(upsert(...fragments))
  return table
}

/** `outcome: rule: reason` of each candidate. */
function told(table: Table, name: string, target: string): readonly string[] {
  return explainRoute(table, name, target).candidates.map(
    ({ outcome, reason, route }) => `${outcome}: ${route.host} ${route.type} ${route.path}: ${reason}`,
  )
}

describe('explainRoute', () => {
  it('says which host entry, which path, and by which rule each other one lost', () => {
    const table = tableOf(
      fragment('old', [
        host('a.example', path('Prefix /'), path('Prefix /foo'), path('Exact /foo'), path('Prefix /x')),
      ]),
      fragment('young', [host('a.example', path('Exact /foo'))], { createdAt: 2_000 }),
      fragment('wild', [host('*.example', path('Prefix /foo/bar'))]),
      fragment('all', [host('', path('Default /'), path('Prefix /foo'))]),
    )
    expect(told(table, 'a.example', '/foo')).toEqual([
      'chosen: a.example Exact /foo: host a.example: the longest path that fits',
      'lost: a.example Prefix /: /foo is longer',
      'lost: a.example Prefix /foo: of equal paths Exact goes before Prefix',
      'lost: a.example Exact /foo: Ingress/ns/old is older',
      'lost: *.example Prefix /foo/bar: host a.example has rules of its own, and is not left for others',
      'lost:  Default /: host a.example has an answer of its own',
      'lost:  Prefix /foo: host a.example has rules of its own, and is not left for others',
      'does not fit: a.example Prefix /x: fits only /x and what is below it',
    ])
  })

  it('tells a wildcard, the rules for all hosts, a default backend, and nothing at all apart', () => {
    const wild = fragment('wild', [host('*.example', path('Prefix /foo/'))])
    const any = fragment('any', [host('', path('Default /'))])
    expect(told(tableOf(wild), 'a.example', '/foo')).toEqual([
      'chosen: *.example Prefix /foo/: wildcard *.example: the longest path that fits',
    ])
    expect(told(tableOf(wild, any), 'a.example', '/')).toEqual([
      'chosen:  Default /: default backend of the rules for all hosts: no path fits',
      'does not fit: *.example Prefix /foo/: fits only /foo/ and what is below it',
    ])
    const nothing = explainRoute(tableOf(wild), 'b.other', '/')
    expect(nothing).toEqual({ entries: [], chosen: null, entry: null, candidates: [] })
  })

  it.each([
    [['Prefix /foo', 'Prefix /foo/'], 'it serves the path without its last slash only where no other path does'],
    [['Prefix /foo', 'Prefix /foo'], 'the same Ingress names the other one first'],
    [['Prefix /foo', 'ImplementationSpecific /foo'], 'of equal paths Prefix goes before ImplementationSpecific'],
    [['Prefix /foo', 'Default /'], 'a default backend answers only where no path fits'],
  ])('%j: %s', (paths, reason) => {
    const table = tableOf(fragment('web', [host('a.example', ...paths.map(text => path(text)))]))
    expect(explainRoute(table, 'a.example', '/foo').candidates.map(c => c.reason)).toContain(reason)
  })

  it('tells Ingresses of the same age apart by their names', () => {
    const table = tableOf(...['b', 'a'].map(name => fragment(name, [host('a.example', path('Prefix /'))])))
    expect(told(table, 'a.example', '/')[1]).toMatch('Ingress/ns/a is as old, and its name comes first')
  })

  const paths = fc.constantFrom('/', '/foo', '/foo/', '/foo/bar', '/foo/bar/', '/x')
  const types = fc.constantFrom<PathFragment['type']>('Exact', 'Prefix', 'ImplementationSpecific', 'Default')
  const fragments = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('i', 'j', 'k'),
      createdAt: fc.constantFrom(1_000, 2_000),
      hosts: fc.array(
        fc.tuple(fc.constantFrom('a.example', '*.example', ''), fc.array(fc.tuple(types, paths), { maxLength: 5 })),
        { maxLength: 3 },
      ),
    }),
    { selector: ({ name }) => name, maxLength: 3 },
  )

  it('says that a challenge goes before all others, and is as if it were not there for another path', () => {
    const token = '/.well-known/acme-challenge/token'
    const table = tableOf(
      fragment('web', [host('a.example', path(`Exact ${token}`), path('Prefix /'))]),
      fragment('web~challenges', [host('a.example', path(`Exact ${token}`))], { challenges: true }),
    )
    const of = (target: string): readonly string[] =>
      explainRoute(table, 'a.example', target).candidates.map(({ outcome, reason }) => `${outcome}: ${reason}`)
    expect(of(token)).toEqual([
      'chosen: an ACME challenge of host a.example',
      'lost: an ACME challenge goes before all others',
      'lost: an ACME challenge goes before all others',
    ])
    expect(of('/x')).toEqual([
      'chosen: host a.example: the longest path that fits',
      `does not fit: fits only ${token} itself`,
      `does not fit: fits only ${token} itself`,
    ])
  })

  it('agrees with what the table does: whoever is said to lose does, and whoever is said not to fit serves nothing', () => {
    fc.assert(
      fc.property(fragments, fc.constantFrom('a.example', 'b.c', ''), paths, (list, name, target) => {
        const all = list.map(({ name: ingress, createdAt, hosts }) =>
          fragment(
            ingress,
            hosts.map(([h, rules]) =>
              host(h, ...rules.map(([type, p]) => path(`${type} ${type === 'Default' ? '/' : p}`))),
            ),
            { createdAt },
          ),
        )
        const table = tableOf(...all)
        const { chosen, entry, entries, candidates } = explainRoute(table, name, target)
        expect(chosen?.id).toBe(table.route(name, target)?.id)
        expect(candidates.filter(({ outcome }) => outcome === 'chosen').map(({ route }) => route.id)).toEqual(
          chosen === null ? [] : [chosen.id],
        )
        expect(entry === null).toBe(chosen === null)
        for (const { outcome, route } of candidates) {
          const only = fragment('only', [host(route.host, path(`${route.type} ${route.path}`))])
          const alone = tableOf(only).route(name, target)
          if (outcome === 'does not fit') expect(alone).toBeNull()
          // Of an entry that was not looked at all lose.
          if (outcome !== 'lost' || route.host !== chosen?.host || route.host !== entries[0]?.host) continue
          expect(alone).not.toBeNull()
          // Those two alone, each as old and in the order in which they are.
          const key = (object: string): string => object.split('/')[2] ?? ''
          const two = all
            .filter(({ key: k }) => k === route.object || k === chosen.object)
            .map(one => ({
              ...one,
              hosts: one.hosts.map(h => ({
                ...h,
                paths: h.paths.filter(p =>
                  [route, chosen].some(
                    r => r.object === one.key && r.host === h.host && r.type === p.type && r.path === p.path,
                  ),
                ),
              })),
            }))
          const winner = tableOf(...two).route(name, target)
          expect([winner?.type, winner?.path, key(winner?.object ?? '')]).toEqual([
            chosen.type,
            chosen.path,
            key(chosen.object),
          ])
        }
      }),
      { numRuns: 500 },
    )
  })
})
