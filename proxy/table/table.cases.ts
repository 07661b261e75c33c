/** The suite that every implementation of Table passes. Not a test by itself: map-table.test.ts runs it. */
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Fragment, PathFragment } from '../../protocol/objects.ts'
import { wildcardOf, type Table } from './contract.ts'
import {
  certificate,
  certificates,
  closed,
  endpoints,
  fragment,
  host,
  observed,
  path,
  remove,
  tls,
  upsert,
} from './fixtures.ts'
import { normalisePath } from './path.ts'
import { EMPTY_UPDATE } from './update.ts'

/** The service that a request reaches; `503` for a closed path, null for none. */
function reach(table: Table, name: string, target: string): string | null {
  const normal = normalisePath(target)
  if (!normal.ok) throw new Error(normal.reason)
  const backend = table.route(name, normal.path)?.backend
  if (!backend) return null
  return 'service' in backend ? backend.service : '503'
}

export function tableCases(name: string, create: () => Table): void {
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
      [['ImplementationSpecific /foo', 'Prefix /'], '/foo', 'Prefix /'],
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
      expect(held?.backend).toEqual({ service: 'before' })
      expect(reach(table, 'a.example', '/')).toBe('after')
    })

    it('replaces everything at a reset, keeping the observed hosts when they are unchanged', () => {
      const table = given(fragment('web', [host('a.example', path('Prefix /'))]))
      table.apply(endpoints({ 'ns/web:80': ['10.0.0.1:80'] }))
      table.apply(observed('seen.example'))
      table.apply({ ...upsert(fragment('other', [host('b.example', path('Prefix /'))])), reset: true })
      expect(reach(table, 'a.example', '/')).toBeNull()
      expect(reach(table, 'b.example', '/')).toBe('ns/web:80')
      expect(table.endpoints('ns/web:80')).toBeUndefined()
      expect(table.requestHost('seen.example')).toBe('seen.example')
      table.apply({ ...EMPTY_UPDATE, reset: true })
      expect(reach(table, 'b.example', '/')).toBeNull()
      expect(table.requestHost('b.example')).toBeNull()
    })

    it('follows endpoints', () => {
      const table = create()
      table.apply(endpoints({ 'ns/web:80': ['10.0.0.1:80'], 'ns/none:80': [] }))
      expect(table.endpoints('ns/web:80')).toEqual(['10.0.0.1:80'])
      expect(table.endpoints('ns/none:80')).toEqual([])
      table.apply(endpoints({ 'ns/web:80': ['10.0.0.2:80'] }, ['ns/none:80']))
      expect(table.endpoints('ns/web:80')).toEqual(['10.0.0.2:80'])
      expect(table.endpoints('ns/none:80')).toBeUndefined()
    })
  })

  describe(`${name}: certificates`, () => {
    const rsa = certificate('rsa', 'RSA')
    const ec = certificate('ec', 'ECDSA')
    const ec2 = certificate('ec2', 'ECDSA')
    const names = (table: Table, serverName: string): string[] => table.certificates(serverName).map(c => c.chain)

    it('offers at most one per key type, those of the oldest Ingress first', () => {
      const table = create()
      table.apply(certificates([rsa, ec, ec2]))
      table.apply(upsert(fragment('young', [], { createdAt: 2000, tls: [tls('ec2', 'a.example')] })))
      expect(names(table, 'a.example')).toEqual(['ec2'])
      table.apply(upsert(fragment('old', [], { tls: [tls('ec', 'a.example', 'b.example'), tls('rsa', 'a.example')] })))
      expect(names(table, 'a.example')).toEqual(['ec', 'rsa'])
      expect(names(table, 'b.example')).toEqual(['ec'])
      table.apply(remove('old'))
      expect(names(table, 'a.example')).toEqual(['ec2'])
      expect(names(table, 'b.example')).toEqual([])
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
      )
      .map(([key, list, createdAt]) =>
        fragment(
          key,
          list.map(([h, p]) => host(h, ...p)),
          { createdAt },
        ),
      )
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
            for (const key of update.fragments.remove) model.delete(key)
            for (const f of update.fragments.upsert) model.set(f.key, f)
          }
          for (const [name_, elements] of requests) {
            const normal = normalisePath(`/${elements.join('/')}`)
            if (!normal.ok) throw new Error(normal.reason)
            const route = table.route(name_, normal.path)
            const expected = naive([...model.values()], name_, normal.path)
            expect(route && { object: route.object, backend: route.backend }).toEqual(expected)
          }
        }),
        { numRuns: 1_000 },
      )
    })
  })
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
  const pick = (type: string, test: (path: string) => boolean): (typeof flat)[number] | undefined => {
    const fits = flat.filter(c => c.h === chosen && c.p.type === type && test(c.p.path))
    const longest = Math.max(...fits.map(c => elements(c.p.path).length))
    return fits.find(c => type === 'Exact' || type === 'Default' || elements(c.p.path).length === longest)
  }
  const found =
    pick('Exact', p => p === target) ??
    pick('Prefix', isPrefix) ??
    pick('ImplementationSpecific', isPrefix) ??
    pick('Default', () => true) ??
    flat.find(c => c.h === '' && c.p.type === 'Default')
  return found ? { object: found.f.key, backend: found.p.backend } : null
}
