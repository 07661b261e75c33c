/** What every table does. Not a test by itself: shared-table.test.ts runs it. */
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Fragment, PathFragment } from '../../../protocol/objects.ts'
import { wildcardOf, type Route } from '../contract.ts'
import { certificate, certificates, closed, fragment, host, observed, path, remove, tls, upsert } from './fixtures.ts'
import { isAmbiguous, normalisePath } from '../path-readings.ts'
import { FakeClusters } from './clusters.ts'
import type { Table } from './one-thread.ts'
import { EMPTY_UPDATE } from '../update.ts'

/** The service that a request reaches; `503` for a closed path, null for none. */
function reach(table: Table, name: string, target: string): string | null {
  const normal = normalisePath(target)
  if (!normal.ok) throw new Error(normal.reason)
  const route = table.route(name, normal.path)
  return route && (route.cluster?.service ?? String(route.policy.closed?.status))
}

/** The same, `400` where the readings of the path lead to different routes. */
function answer(table: Table, name: string, target: string): string | null {
  const normal = normalisePath(target)
  if (!normal.ok) throw new Error(normal.reason)
  return isAmbiguous(table, name, table.route(name, normal.path), normal.alternates)
    ? '400'
    : reach(table, name, target)
}

export function tableCases(name: string, create: (clusters?: FakeClusters) => Table): void {
  const given = (...fragments: readonly Fragment[]): Table => {
    const table = create()
    table.apply(upsert(...fragments))
    return table
  }

  describe(`${name}: paths`, () => {
    // The table of the Ingress documentation, and ours for what it leaves open.
    const cases: readonly [readonly string[], string, string | null][] = [
      [['Prefix /'], '/any/thing', 'Prefix /'],
      [['Exact /foo'], '/foo', 'Exact /foo'],
      [['Exact /foo'], '/bar', null],
      [['Exact /foo'], '/foo/', null],
      [['Exact /foo/'], '/foo', null],
      [['Prefix /foo'], '/foo', 'Prefix /foo'],
      [['Prefix /foo'], '/foo/', 'Prefix /foo'],
      [['Prefix /foo'], '/foo/bar', 'Prefix /foo'],
      [['Prefix /foo'], '/foobar', null],
      [['Prefix /foo/'], '/foo', 'Prefix /foo/'],
      [['Prefix /foo/'], '/foo/', 'Prefix /foo/'],
      [['Prefix /aaa/bb'], '/aaa/bbb', null],
      [['Prefix /aaa/bbb'], '/aaa/bbb', 'Prefix /aaa/bbb'],
      [['Prefix /aaa/bbb/'], '/aaa/bbb', 'Prefix /aaa/bbb/'],
      [['Prefix /aaa/bbb'], '/aaa/bbb/', 'Prefix /aaa/bbb'],
      [['Prefix /aaa/bbb'], '/aaa/bbb/ccc', 'Prefix /aaa/bbb'],
      [['Prefix /aaa/bbb'], '/aaa/bbbxyz', null],
      [['Prefix /', 'Prefix /aaa'], '/aaa/ccc', 'Prefix /aaa'],
      [['Prefix /', 'Prefix /aaa', 'Prefix /aaa/bbb'], '/aaa/bbb', 'Prefix /aaa/bbb'],
      [['Prefix /', 'Prefix /aaa', 'Prefix /bbb'], '/ccc', 'Prefix /'],
      [['Prefix /foo', 'Exact /foo'], '/foo', 'Exact /foo'],
      [['Prefix /foo/bar/baz', 'Prefix /foo'], '/foo/bar', 'Prefix /foo'],
      [['ImplementationSpecific /foo', 'ImplementationSpecific /'], '/foo/x', 'ImplementationSpecific /foo'],
      [['ImplementationSpecific /foo'], '/foobar', null],
      [['Default /', 'ImplementationSpecific /x'], '/x', 'ImplementationSpecific /x'],
      [['Default /', 'Prefix /x'], '/y', 'Default /'],
      [['Prefix /caf\u00e9'], '/caf%c3%a9/x', 'Prefix /caf\u00e9'],
      [['Prefix /a-b'], '/a%2Db', 'Prefix /a-b'],
      [['Prefix /a', 'Prefix /b'], '/a/../b/c', 'Prefix /b'],
      [['Prefix /a', 'Prefix /b'], '/a/%2e%2E/b', 'Prefix /b'],
      [['Prefix /a', 'Prefix /'], '//a//b', 'Prefix /a'],
      [['Prefix /a'], '/A', null],
      [['Exact /'], '/', 'Exact /'],
      [['Exact /'], '/x', null],
      [['Prefix /a%20b'], '/a%20b', 'Prefix /a%20b'],
      // The longest, whatever its type.
      [['Prefix /', 'ImplementationSpecific /foo'], '/foo', 'ImplementationSpecific /foo'],
      [['Exact /foo', 'Prefix /foo/bar'], '/foo/bar', 'Prefix /foo/bar'],
      [['Exact /foo', 'Prefix /foo/'], '/foo', 'Exact /foo'],
      [['Exact /foo/', 'Prefix /foo'], '/foo/', 'Exact /foo/'],
      [['Exact /foo/', 'Prefix /foo'], '/foo', 'Prefix /foo'],
      [['Exact /foo/', 'Prefix /foo'], '/foo/x', 'Prefix /foo'],
      // With and without the slash are two locations of nginx, too.
      [['Prefix /foo', 'Prefix /foo/'], '/foo', 'Prefix /foo'],
      [['Prefix /foo', 'Prefix /foo/'], '/foo/', 'Prefix /foo/'],
      [['Prefix /foo', 'Prefix /foo/'], '/foo/x', 'Prefix /foo/'],
      [['Prefix /foo', 'ImplementationSpecific /foo/'], '/foo', 'Prefix /foo'],
      [['Prefix /foo/', 'ImplementationSpecific /foo'], '/foo', 'ImplementationSpecific /foo'],
      [['ImplementationSpecific /foo', 'Prefix /foo'], '/foo/x', 'Prefix /foo'],
      [['ImplementationSpecific /foo', 'Prefix /foo', 'Exact /foo'], '/foo', 'Exact /foo'],
      [['Default /', 'Prefix /foo/'], '/foo', 'Prefix /foo/'],
      [['Default /', 'Prefix /foo/'], '/fo', 'Default /'],
    ]
    it.each(cases)('%j: %s goes to %s', (paths, target, expected) => {
      const table = given(fragment('web', [host('a.example', ...paths.map(text => path(text, text)))]))
      expect(reach(table, 'a.example', target)).toBe(expected)
    })

    it('answers 503 where a path is closed, also if a wider one is open', () => {
      const table = given(fragment('web', [host('a.example', path('Prefix /'), closed('Prefix /admin'))]))
      expect(reach(table, 'a.example', '/admin/x')).toBe('503')
      expect(reach(table, 'a.example', '/x')).toBe('ns/web:80')
    })

    it('stays fast on a path of thousands of elements', () => {
      const table = given(fragment('web', [host('a.example', path('Prefix /a/a/a'), path('Exact /'))]))
      const long = '/a'.repeat(8_000)
      for (let i = 0; i < 2_000; i++) expect(reach(table, 'a.example', long)).toBe('ns/web:80')
    })
  })

  // NGINX.md has what nginx, HAProxy and ingress-nginx do; the numbers are its rows.
  describe(`${name}: as ingress-nginx`, () => {
    const rows: readonly [number, readonly string[], string, string | null][] = [
      [131, ['Exact /foo', 'Prefix /foo'], '/foo', 'Exact /foo'],
      [131, ['Exact /foo', 'Prefix /foo'], '/foo/', 'Prefix /foo'],
      [131, ['Exact /foo', 'Prefix /foo'], '/foo/bar', 'Prefix /foo'],
      [131, ['Exact /foo', 'Prefix /foo'], '/foobar', null],
      [131, ['Exact /foo', 'Prefix /foo'], '/FOO', null],
      // There /foo is redirected to /foo/, which the conformance suite does not allow.
      [132, ['Prefix /foo/'], '/foo', 'Prefix /foo/'],
      [132, ['Prefix /foo/'], '/foo/', 'Prefix /foo/'],
      [132, ['Prefix /foo/'], '/foo/x', 'Prefix /foo/'],
      [132, ['Prefix /foo/'], '/foox', null],
      [132, ['Prefix /', 'Prefix /foo', 'Prefix /foo/bar'], '/foo/bar', 'Prefix /foo/bar'],
      [132, ['Prefix /', 'Prefix /foo', 'Prefix /foo/bar'], '/foo/bar/x', 'Prefix /foo/bar'],
      [132, ['Prefix /', 'Prefix /foo', 'Prefix /foo/bar'], '/foo/barx', 'Prefix /foo'],
      [132, ['Prefix /', 'Prefix /foo', 'Prefix /foo/bar'], '/foo', 'Prefix /foo'],
      [132, ['Prefix /', 'Prefix /foo', 'Prefix /foo/bar'], '/foox', 'Prefix /'],
      [133, ['ImplementationSpecific /foo'], '/foo', 'ImplementationSpecific /foo'],
      [133, ['ImplementationSpecific /foo'], '/foo/', 'ImplementationSpecific /foo'],
      [133, ['ImplementationSpecific /foo'], '/foo/bar', 'ImplementationSpecific /foo'],
      [133, ['ImplementationSpecific /foo'], '/foobar', null],
      [133, ['ImplementationSpecific /foo'], '/FOO', null],
      [133, ['ImplementationSpecific /', 'Prefix /foo', 'ImplementationSpecific /foo/bar'], '/foo', 'Prefix /foo'],
      [133, ['ImplementationSpecific /', 'Prefix /foo'], '/foobar', 'ImplementationSpecific /'],
      [133, ['Prefix /foo', 'ImplementationSpecific /foo/bar'], '/foo/bar', 'ImplementationSpecific /foo/bar'],
      [133, ['ImplementationSpecific /', 'Prefix /foo'], '/x', 'ImplementationSpecific /'],
      [135, ['Prefix /', 'Prefix /a/b'], '/a//b', 'Prefix /a/b'],
      [135, ['Prefix /', 'Prefix /a/b'], '/a/../b', 'Prefix /'],
      [135, ['Prefix /', 'Prefix /a/b'], '/a/./b', 'Prefix /a/b'],
      [135, ['Prefix /', 'Prefix /a/b'], '/%61/b', 'Prefix /a/b'],
      [135, ['Prefix /', 'Prefix /a/b'], '//a/b', 'Prefix /a/b'],
      [135, ['Prefix /', 'Prefix /a/b'], '/x/../a/b', 'Prefix /a/b'],
      [135, ['Prefix /', 'Prefix /a/b'], '/A/b', 'Prefix /'],
      // There decided one way or the other; here the readings lead to different routes.
      [135, ['Prefix /', 'Prefix /a/b'], '/a%2Fb', '400'],
      [135, ['Prefix /', 'Prefix /a/b'], '/a;x/b', '400'],
      // And here to the same.
      [135, ['Prefix /', 'Prefix /b'], '/a%2Fb', 'Prefix /'],
      [135, ['Prefix /', 'Prefix /a'], '/a/b;x=1', 'Prefix /a'],
    ]
    it.each(rows)('row %i: %j: %s goes to %s', (_row, paths, target, expected) => {
      const table = given(fragment('web', [host('a.example', ...paths.map(text => path(text, text)))]))
      expect(answer(table, 'a.example', target)).toBe(expected)
    })

    it.each([
      ['x.w.example', 'exact'],
      ['y.w.example', 'wild'],
      ['a.b.w.example', null],
      ['w.example', null],
    ])('row 136: %s goes to %s', (name_, expected) => {
      const table = given(
        fragment('wild', [host('*.w.example', path('Prefix /', 'wild'))]),
        fragment('exact', [host('x.w.example', path('Prefix /', 'exact'))], { createdAt: 2000 }),
      )
      expect(reach(table, name_, '/')).toBe(expected)
    })

    it('row 137: an exact host without TLS of its own gets the certificate of the wildcard', () => {
      const table = given(
        fragment('wild', [host('*.w.example', path('Prefix /'))], { tls: [tls('wild', '*.w.example')] }),
        fragment('exact', [host('x.w.example', path('Prefix /'))]),
      )
      table.apply(certificates([certificate('wild', 'ECDSA')]))
      for (const name_ of ['x.w.example', 'y.w.example']) {
        expect(table.certificates(name_).map(c => c.key)).toEqual(['Secret/ns/wild'])
      }
    })

    it('row 140: of two Ingresses with different Secrets the older is served', () => {
      const table = given(
        fragment('second', [host('a.example', path('Prefix /two', 'b'))], {
          createdAt: 2000,
          tls: [tls('second', 'a.example')],
        }),
        fragment('first', [host('a.example', path('Prefix /one', 'a'))], { tls: [tls('first', 'a.example')] }),
      )
      table.apply(certificates([certificate('second', 'ECDSA'), certificate('first', 'RSA')]))
      expect(table.certificates('a.example').map(c => c.key)).toEqual(['Secret/ns/first'])
      expect(reach(table, 'a.example', '/two')).toBe('b')
    })

    it.each([
      ['a.example', '/y', null],
      ['a.example', '/x', 'a'],
      ['unknown.example', '/y', 'b'],
    ])('row 143: rules with and without a host: %s%s goes to %s', (name_, target, expected) => {
      const table = given(fragment('web', [host('a.example', path('Prefix /x', 'a')), host('', path('Prefix /', 'b'))]))
      expect(reach(table, name_, target)).toBe(expected)
    })

    it('case 01: a longer ImplementationSpecific path beside Prefix /, as of the ACME solver of cert-manager', () => {
      const name_ = 'r01.example'
      const table = given(
        fragment('main', [host(name_, path('Prefix /', 'main'), path('ImplementationSpecific /api', 'solver'))]),
        fragment('cm-acme-http-solver-x', [
          host(name_, path('ImplementationSpecific /.well-known/acme-challenge/token-1', 'solver')),
        ]),
      )
      for (const target of ['/api', '/api/v1', '/.well-known/acme-challenge/token-1']) {
        expect(reach(table, name_, target)).toBe('solver')
      }
      expect(reach(table, name_, '/apix')).toBe('main')
    })
  })

  describe(`${name}: ACME challenges`, () => {
    const CHALLENGE = '/.well-known/acme-challenge/token'
    const challenges = (key: string, name_: string, service = key, createdAt = 1): Fragment =>
      fragment(key, [host(name_, path(`Exact ${CHALLENGE}`, service))], { createdAt, challenges: true })

    it('go before whatever else their host serves, also under an age and a path like theirs, and take nothing else', () => {
      const own = fragment('own', [host('a.example', path(`Exact ${CHALLENGE}`, 'own'), path('Prefix /', 'own'))])
      const table = given({ ...own, createdAt: 0 }, challenges('acme', 'a.example'))
      expect(reach(table, 'a.example', CHALLENGE)).toBe('acme')
      for (const target of ['/', `${CHALLENGE}/`, `${CHALLENGE}/x`, `${CHALLENGE}x`, '/.well-known/acme-challenge/']) {
        expect([target, reach(table, 'a.example', target)]).toEqual([target, 'own'])
      }
    })

    it('make no host of one that has nothing else: it is served, counted and closed as it was', () => {
      const others = [
        fragment('wild', [host('*.example', path('Prefix /', 'wild'))]),
        fragment('any', [host('', path('Default /', 'any'))]),
      ]
      const table = given(...others, challenges('acme', 'a.example'), challenges('acme-2', 'b.other'))
      expect([reach(table, 'a.example', CHALLENGE), reach(table, 'a.example', '/x')]).toEqual(['acme', 'wild'])
      expect([reach(table, 'b.other', CHALLENGE), reach(table, 'b.other', '/x')]).toEqual(['acme-2', 'any'])
      expect(table.requestHost('a.example')).toBe('*.example')
      expect(reach(given(challenges('acme', 'a.example')), 'a.example', '/')).toBeNull()
    })

    it('of the same path are the oldest one’s, and the next one’s when that is gone', () => {
      const table = given(challenges('old', 'a.example', 'old', 1), challenges('young', 'a.example', 'young', 2))
      expect(reach(table, 'a.example', CHALLENGE)).toBe('old')
      table.apply(remove('old'))
      expect(reach(table, 'a.example', CHALLENGE)).toBe('young')
      table.apply(remove('young'))
      expect([reach(table, 'a.example', CHALLENGE), table.entries('a.example')]).toEqual([null, []])
    })

    it('may become an ordinary fragment, and the other way round', () => {
      const plain = fragment('web', [host('a.example', path(`Exact ${CHALLENGE}`, 'web'))])
      const table = given(fragment('wild', [host('*.example', path('Prefix /', 'wild'))]), plain)
      expect(reach(table, 'a.example', '/')).toBeNull()
      table.apply(upsert({ ...plain, challenges: true }))
      expect([reach(table, 'a.example', '/'), reach(table, 'a.example', CHALLENGE)]).toEqual(['wild', 'web'])
      table.apply(upsert(plain))
      expect([reach(table, 'a.example', '/'), reach(table, 'a.example', CHALLENGE)]).toEqual([null, 'web'])
    })
  })

  describe(`${name}: hosts`, () => {
    const table = given(
      fragment('exact', [host('a.example', path('Prefix /x', 'exact'))]),
      fragment('wild', [host('*.example', path('Prefix /', 'wild'))]),
      fragment('deep', [host('*.b.example', path('Prefix /', 'deep'))]),
      fragment('any', [host('', path('Prefix /any', 'any'), path('Default /', 'default'))]),
    )
    it.each([
      ['a.example', '/x', 'exact'],
      // The host is chosen before the path: the wildcard does not get what the exact host has no path for.
      ['a.example', '/y', 'default'],
      ['a.example', '/any', 'default'],
      ['c.example', '/y', 'wild'],
      ['x.b.example', '/', 'deep'],
      ['b.example', '/', 'wild'],
      // One label, not two.
      ['x.c.example', '/any', 'any'],
      ['example', '/y', 'default'],
      ['', '/any/x', 'any'],
      ['[::1]', '/y', 'default'],
    ])('%s%s goes to %s', (name_, target, expected) => {
      expect(reach(table, name_, target)).toBe(expected)
    })

    it('answers 404 without a default', () => {
      const small = given(fragment('web', [host('a.example', path('Prefix /x'))]))
      expect(reach(small, 'a.example', '/y')).toBeNull()
      expect(reach(small, 'b.example', '/x')).toBeNull()
    })
  })

  describe(`${name}: conflicts and changes`, () => {
    const on = (service: string, createdAt: number, key: string): Fragment =>
      fragment(service, [host('a.example', path('Prefix /', service))], { createdAt, key })

    it('gives a path that several objects claim to the oldest, then by namespace and name', () => {
      const young = on('young', 2000, 'Ingress/a/a')
      const old = on('old', 1000, 'Ingress/z/z')
      const same = on('same', 1000, 'Ingress/y/z')
      expect(reach(given(young, old), 'a.example', '/')).toBe('old')
      expect(reach(given(old, young), 'a.example', '/')).toBe('old')
      expect(reach(given(old, same, young), 'a.example', '/')).toBe('same')
    })

    it('gives it back when the winner goes', () => {
      const table = given(on('old', 1000, 'Ingress/ns/old'), on('young', 2000, 'Ingress/ns/young'))
      table.apply(remove('old'))
      expect(reach(table, 'a.example', '/')).toBe('young')
      table.apply(remove('young'))
      expect(reach(table, 'a.example', '/')).toBeNull()
    })

    it('drops the hosts that a new revision no longer names', () => {
      const table = given(fragment('web', [host('a.example', path('Prefix /')), host('b.example', path('Prefix /'))]))
      table.apply(upsert(fragment('web', [host('b.example', path('Prefix /', 'new'))], { revision: 'r2' })))
      expect(reach(table, 'a.example', '/')).toBeNull()
      expect(table.route('b.example', '/')).toMatchObject({ revision: 'r2', object: 'Ingress/ns/web', governed: true })
    })

    it('keeps a route that somebody holds as it was', () => {
      const table = given(fragment('web', [host('a.example', path('Prefix /', 'before'))]))
      const held = table.route('a.example', '/')
      table.apply(upsert(fragment('web', [host('a.example', path('Prefix /', 'after'))])))
      expect(held?.cluster?.service).toBe('before')
      expect(reach(table, 'a.example', '/')).toBe('after')
    })

    it('replaces everything at a reset, keeping the observed hosts when they are unchanged', () => {
      const table = given(fragment('web', [host('a.example', path('Prefix /'))]))
      table.apply(observed('seen.example'))
      table.apply({ ...upsert(fragment('other', [host('b.example', path('Prefix /'))])), reset: true })
      expect(reach(table, 'a.example', '/')).toBeNull()
      expect(reach(table, 'b.example', '/')).toBe('ns/web:80')
      expect(table.requestHost('seen.example')).toBe('seen.example')
      table.apply({ ...EMPTY_UPDATE, reset: true })
      expect(reach(table, 'b.example', '/')).toBeNull()
      expect(table.requestHost('b.example')).toBeNull()
    })

    it('keeps the routes of what is the same, also at a reset', () => {
      const web = fragment('web', [host('a.example', path('Prefix /'), closed('Prefix /x'))])
      const other = fragment('other', [host('b.example', path('Prefix /'))])
      const table = given(web, other)
      const before = [table.route('a.example', '/'), table.route('a.example', '/x'), table.route('b.example', '/')]
      table.apply({ ...upsert(structuredClone(web), structuredClone(other)), reset: true })
      const after = [table.route('a.example', '/'), table.route('a.example', '/x'), table.route('b.example', '/')]
      expect(after.map(r => r?.id)).toEqual(before.map(r => r?.id))
      // The same revision compiled otherwise is not the same.
      const shut = closed('Prefix /x')
      const bare = { ...shut, backend: { ...shut.backend, protects: false } } as PathFragment
      expect(table.route('a.example', '/x')?.policy.closed?.protects).toBe(true)
      table.apply(upsert(fragment('web', [host('a.example', path('Prefix /'), bare)])))
      expect(table.route('a.example', '/x')?.policy.closed?.protects).toBe(false)
      table.apply(upsert(fragment('web', [host('a.example', path('Prefix /'), path('Prefix /x'))])))
      expect(reach(table, 'a.example', '/x')).toBe('ns/web:80')
    })
  })

  describe(`${name}: numbers and clusters of routes`, () => {
    const all = fragment('web', [
      host('a.example', path('Prefix /', 'one'), path('Prefix /x', 'two'), closed('Prefix /y')),
    ])

    it('numbers routes from 0 up, and gives a number anew only after reclaim', () => {
      const table = given(all)
      const ids = (...targets: readonly string[]): unknown[] => targets.map(t => table.route('a.example', t)?.id).sort()
      expect(ids('/', '/x', '/y')).toEqual([0, 1, 2])
      table.apply(upsert({ ...all, revision: 'r2' }))
      expect(ids('/', '/x', '/y')).toEqual([3, 4, 5])
      table.reclaim()
      table.apply(upsert({ ...all, revision: 'r3' }))
      expect(ids('/', '/x', '/y')).toEqual([0, 1, 2])
    })

    it('asks for the cluster of a route once, keeps it where the path moves to another Ingress, and has none for a closed path', () => {
      const clusters = new FakeClusters()
      const table = create(clusters)
      table.apply(upsert(all, fragment('more', [host('b.example', path('Prefix /', 'one'))])))
      expect(table.route('a.example', '/y')).toMatchObject({ cluster: null, policy: { closed: { status: 503 } } })
      expect(table.route('a.example', '/')).toMatchObject({ policy: { needs: 0, closed: null } })
      expect(table.route('a.example', '/')?.policy).toBe(table.route('b.example', '/')?.policy)
      const { cluster } = table.route('a.example', '/x') ?? {}
      // It is never without a holder, or its connections would be lost.
      const moved = fragment('new', [host('a.example', path('Prefix /x', 'two'))])
      table.apply({ ...EMPTY_UPDATE, objects: { ...upsert(moved).objects, remove: ['Ingress/ns/web'] } })
      expect(table.route('a.example', '/x')?.cluster).toBe(cluster)
      table.apply({ ...EMPTY_UPDATE, reset: true })
      expect([table.route('a.example', '/x'), table.route('b.example', '/'), clusters.counts]).toEqual([null, null, {}])
    })
  })

  describe(`${name}: certificates`, () => {
    const rsa = certificate('rsa', 'RSA')
    const ec = certificate('ec', 'ECDSA')
    const ec2 = certificate('ec2', 'ECDSA')
    const names = (table: Table, serverName: string): string[] => table.certificates(serverName).map(c => c.chain)

    it('the default one is for names that have none, as long as it is the default one', () => {
      const table = create()
      const fallback = certificate('fallback', 'RSA', { isDefault: true })
      table.apply(upsert(fragment('web', [], { tls: [tls('own', 'a.example', '*.w.example')] })))
      table.apply(certificates([fallback, certificate('own', 'ECDSA')]))
      expect(names(table, 'a.example')).toEqual(['own'])
      expect(names(table, 'x.w.example')).toEqual(['own'])
      expect([names(table, 'b.example'), names(table, '')]).toEqual([['fallback'], ['fallback']])
      table.apply(certificates([{ ...fallback, revision: 'r2', chain: 'renewed' }], ['own']))
      expect([names(table, 'a.example'), names(table, 'b.example')]).toEqual([['renewed'], ['renewed']])
      table.apply(certificates([certificate('fallback', 'RSA', { revision: 'r2', chain: 'renewed' })]))
      expect(names(table, 'b.example')).toEqual([])
      table.apply(certificates([fallback]))
      table.apply(certificates([], ['fallback']))
      expect(names(table, 'b.example')).toEqual([])
      // Nothing but that changes.
      table.apply(certificates([certificate('fallback', 'RSA')]))
      table.apply(certificates([fallback]))
      expect(table.certificates('b.example').map(({ isDefault }) => isDefault)).toEqual([true])
    })

    it('offers those of the oldest Ingress, at most one per key type', () => {
      const table = create()
      table.apply(certificates([rsa, ec, ec2]))
      table.apply(upsert(fragment('young', [], { createdAt: 2000, tls: [tls('ec2', 'a.example')] })))
      expect(names(table, 'a.example')).toEqual(['ec2'])
      table.apply(upsert(fragment('old', [], { tls: [tls('rsa', 'a.example')] })))
      // Not the ECDSA one of the younger beside it: that could be of another namespace.
      expect(names(table, 'a.example')).toEqual(['rsa'])
      const dual = [tls('rsa', 'a.example'), tls('ec', 'a.example', 'b.example'), tls('ec2', 'a.example')]
      table.apply(upsert(fragment('old', [], { tls: dual })))
      expect(names(table, 'a.example')).toEqual(['rsa', 'ec'])
      expect(names(table, 'b.example')).toEqual(['ec'])
      table.apply(remove('old'))
      expect(names(table, 'a.example')).toEqual(['ec2'])
      expect(names(table, 'b.example')).toEqual([])
    })

    it('are those of the oldest Ingress alone, by age and then by name, also while it has none', () => {
      const table = create()
      const young = fragment('young', [], { createdAt: 2000, tls: [tls('ec2', 'a.example'), tls('ec2', '*.example')] })
      const old = fragment('old', [], { tls: [tls('rsa', 'a.example'), tls('ec', 'a.example')] })
      table.apply(upsert(young, old, fragment('pld', [], { tls: [tls('other', 'a.example')] })))
      table.apply(certificates([certificate('other', 'RSA')]))
      expect(names(table, 'a.example')).toEqual([])
      table.apply(certificates([ec]))
      expect(table.certificates('a.example')).toEqual([ec])
      table.apply(certificates([rsa]))
      expect(names(table, 'a.example')).toEqual(['rsa', 'ec'])
      // Not those of a wildcard either.
      table.apply(certificates([ec2], ['rsa', 'ec']))
      expect([names(table, 'a.example'), names(table, 'b.example')]).toEqual([[], ['ec2']])
      table.apply(remove('old'))
      expect(names(table, 'a.example')).toEqual(['other'])
    })

    it('the default one, whatever younger Ingresses and wildcards offer, where the oldest says so', () => {
      const table = create()
      table.apply(certificates([rsa, ec, certificate('fallback', 'RSA', { isDefault: true })]))
      const young = fragment('young', [], { createdAt: 2000, tls: [tls('rsa', 'a.example', '*.example')] })
      const old = fragment('old', [], { tls: [tls('ec', 'b.example')], defaultTls: ['a.example'] })
      table.apply(upsert(young))
      expect(names(table, 'a.example')).toEqual(['rsa'])
      table.apply(upsert(old))
      expect([names(table, 'a.example'), names(table, 'b.example')]).toEqual([['fallback'], ['ec']])
      expect(names(table, 'c.example')).toEqual(['rsa'])
      expect(table.tlsHost('a.example')).toBe('a.example')
      // Its certificate was renewed, and names the host now.
      table.apply(upsert(fragment('old', [], { tls: [tls('ec', 'b.example', 'a.example')] })))
      expect(names(table, 'a.example')).toEqual(['ec'])
      table.apply(upsert(old))
      expect(names(table, 'a.example')).toEqual(['fallback'])
      // A younger one that says so takes nothing away.
      table.apply(upsert({ ...young, createdAt: 1 }))
      expect(names(table, 'a.example')).toEqual(['rsa'])
      table.apply(certificates([], ['fallback']))
      table.apply(upsert(young))
      expect(names(table, 'a.example')).toEqual([])
    })

    it('gives the same array until something changes', () => {
      const table = create()
      table.apply(certificates([rsa, ec, ec2]))
      const dual = fragment('dual', [], { tls: [tls('rsa', 'dual.example'), tls('ec', 'dual.example')] })
      table.apply(upsert(dual, fragment('one', [], { tls: [tls('ec2', 'one.example')] })))
      const before = [table.certificates('dual.example'), table.certificates('one.example')]
      table.apply(certificates([structuredClone(rsa), certificate('new', 'RSA')]))
      table.apply(upsert(structuredClone(dual)))
      expect(table.certificates('dual.example')).toBe(before[0])
      expect(table.certificates('one.example')).toBe(before[1])
      table.apply(certificates([{ ...rsa, revision: 'r2', chain: 'renewed' }]))
      expect(names(table, 'dual.example')).toEqual(['renewed', 'ec'])
    })

    it('lets no Secret survive a reset that does not name it', () => {
      const table = create()
      const web = fragment('web', [], { tls: [tls('ec', 'a.example')] })
      table.apply(upsert(web, ec))
      table.apply({ ...upsert(web), reset: true })
      expect(names(table, 'a.example')).toEqual([])
    })

    it('takes the wildcard of one label, and an exact name before it', () => {
      const table = create()
      table.apply(certificates([rsa, ec]))
      table.apply(upsert(fragment('web', [], { tls: [tls('rsa', '*.example'), tls('ec', 'a.example')] })))
      expect(names(table, 'a.example')).toEqual(['ec'])
      expect(names(table, 'b.example')).toEqual(['rsa'])
      expect(names(table, 'x.b.example')).toEqual([])
      expect(names(table, '')).toEqual([])
    })

    it('follows changes and removal of a Secret, which may come before or after its Ingress', () => {
      const table = create()
      table.apply(upsert(fragment('web', [], { tls: [tls('ec', 'a.example')] })))
      expect(names(table, 'a.example')).toEqual([])
      table.apply(certificates([ec]))
      expect(names(table, 'a.example')).toEqual(['ec'])
      table.apply(certificates([{ ...ec, revision: 'r2', chain: 'renewed' }]))
      expect(names(table, 'a.example')).toEqual(['renewed'])
      table.apply(certificates([], ['ec']))
      expect(names(table, 'a.example')).toEqual([])
    })
  })

  describe(`${name}: under which name a request is counted`, () => {
    it('uses the host as the table writes it, or an observed one', () => {
      const table = given(
        fragment('web', [host('a.example', path('Prefix /')), host('*.example', path('Prefix /'))], {
          tls: [tls('s', 'tls.example')],
        }),
      )
      expect(table.requestHost('a.example')).toBe('a.example')
      expect(table.requestHost('b.example')).toBe('*.example')
      expect(table.requestHost('x.y.example')).toBeNull()
      expect(table.requestHost('tls.example')).toBe('*.example')
      expect(table.tlsHost('tls.example')).toBe('tls.example')
      table.apply(observed('b.example', 'gone.test'))
      expect(table.requestHost('b.example')).toBe('b.example')
      expect(table.tlsHost('gone.test')).toBe('gone.test')
      table.apply(observed())
      expect(table.requestHost('gone.test')).toBeNull()
      table.apply(upsert(fragment('any', [host('', path('Default /'))])))
      expect(table.requestHost('gone.test')).toBe('')
    })
  })

  describe(`${name}: properties`, () => {
    const labels = fc.constantFrom('a', 'b', '')
    const paths: fc.Arbitrary<PathFragment> = fc
      .tuple(
        fc.constantFrom('Exact', 'Prefix', 'ImplementationSpecific', 'Default'),
        fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 3 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 99 }),
      )
      .map(([type, elements, slash, n]) => {
        const text = `/${elements.join('/')}${slash && elements.length > 0 ? '/' : ''}`
        return path(`${type} ${text}`, `s${n}`)
      })
    const hosts = fc.constantFrom('a.x', 'b.x', '*.x', '*.a.x', '')
    const fragments = fc
      .tuple(
        fc.constantFrom('p', 'q', 'r', 's'),
        fc.array(fc.tuple(hosts, fc.array(paths, { maxLength: 4 })), { maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(3),
      )
      .map(([key, list, createdAt, kind]) => {
        const own = list.map(([h, p]) => host(h, ...p))
        const canary = { rule: { weight: 1, total: 100 }, hosts: own }
        return kind === 0 ? fragment(key, [], { createdAt, canary }) : fragment(key, own, { createdAt })
      })
    const steps = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fragments.map(f => upsert(f)) },
        fc.constantFrom('p', 'q', 'r', 's').map(key => remove(key)),
        { weight: 1, arbitrary: fragments.map(f => ({ ...upsert(f), reset: true })) },
      ),
      { maxLength: 12 },
    )
    const asks = fc.array(
      fc.tuple(fc.constantFrom('a.x', 'b.x', 'c.x', 'z.a.x', 'y.z.a.x', 'x', ''), fc.array(labels, { maxLength: 4 })),
      { minLength: 5, maxLength: 20 },
    )

    it('answers as a naive model does, after any sequence of steps', () => {
      fc.assert(
        fc.property(steps, asks, (updates, requests) => {
          const table = create()
          const model = new Map<string, Fragment>()
          for (const update of updates) {
            table.apply(update)
            if (update.reset) model.clear()
            for (const key of update.objects.remove) model.delete(key)
            for (const { payload } of update.objects.upsert) {
              if (payload !== null && 'hosts' in payload) model.set(payload.key, payload)
            }
          }
          for (const [name_, elements] of requests) {
            const normal = normalisePath(`/${elements.join('/')}`)
            if (!normal.ok) throw new Error(normal.reason)
            const route = table.route(name_, normal.path)
            const expected = naive([...model.values()], name_, normal.path)
            expect(route && { object: route.object, service: route.cluster?.service }).toEqual(expected)
            if (route === null) continue
            const canaries = route.split?.canaries.map(one => [one.route.object, one.route.cluster?.service]) ?? []
            expect(canaries).toEqual(naiveCanaries([...model.values()], route))
          }
        }),
        { numRuns: 1_000 },
      )
    })
  })
}

/** Those of the same host, type and path, the oldest first. */
function naiveCanaries(all: readonly Fragment[], { host: name, type, path: text }: Route): readonly unknown[] {
  return all
    .toSorted((a, b) => a.createdAt - b.createdAt || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .flatMap(({ key, canary }) =>
      (canary?.hosts ?? [])
        .filter(one => one.host === name)
        .flatMap(({ paths }) => paths.filter(one => one.type === type && one.path === text))
        .map(({ backend }) => [key, 'service' in backend ? backend.service : undefined]),
    )
}

/** Everything compared with everything, straight from the words of the contract. */
function naive(all: readonly Fragment[], name: string, target: string): object | null {
  const flat = all
    .flatMap(f => f.hosts.flatMap(h => h.paths.map(p => ({ f, h: h.host, p }))))
    // Stable: within one object the path that it names first.
    .sort((a, b) => a.f.createdAt - b.f.createdAt || (a.f.key < b.f.key ? -1 : a.f.key > b.f.key ? 1 : 0))
  const named = all.flatMap(f => f.hosts.map(h => h.host))
  const chosen = [name, wildcardOf(name) ?? '', ''].find(h => named.includes(h))
  const elements = (text: string): string[] => text.split('/').filter(e => e !== '')
  const isPrefix = (prefix: string): boolean => elements(prefix).every((e, i) => elements(target)[i] === e)
  const ranks = ['Exact', 'Prefix', 'ImplementationSpecific']
  const [found] = flat
    .filter(c => c.h === chosen && ranks.includes(c.p.type))
    .filter(c => (c.p.type === 'Exact' ? c.p.path === target : isPrefix(c.p.path)))
    .map(c => ({ ...c, count: elements(c.p.path).length, stretched: c.p.path === `${target}/` ? 1 : 0 }))
    .sort(
      (a, b) =>
        b.count - a.count ||
        a.stretched - b.stretched ||
        b.p.path.length - a.p.path.length ||
        ranks.indexOf(a.p.type) - ranks.indexOf(b.p.type),
    )
  const winner =
    found ??
    flat.find(c => c.h === chosen && c.p.type === 'Default') ??
    flat.find(c => c.h === '' && c.p.type === 'Default')
  if (!winner) return null
  return { object: winner.f.key, service: 'service' in winner.p.backend ? winner.p.backend.service : undefined }
}
