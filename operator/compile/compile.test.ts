import { beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import { payloadDigest } from '../../protocol/hash.ts'
import { normaliseRoutePath } from '../../protocol/normalise-path.ts'
import type { IngressContent, IngressPath, IngressSpec } from '../model/types.ts'
import { compileIngress, compileSecret } from './compile.ts'
import { hostsOf, namedHosts, referencesOf } from './references.ts'

const object = { key: 'Ingress/shop/web', createdAt: 5 }
const backend = (name: string, port: number | string = 80): IngressPath['backend'] => ({
  service: { name, port: typeof port === 'number' ? { number: port } : { name: port } },
})
const path = (text: string, name = 'web', pathType = 'Prefix'): IngressPath => ({
  path: text,
  pathType,
  backend: backend(name),
})
const content = (spec: IngressSpec, annotations: Record<string, string> = {}): IngressContent => ({
  kind: 'Ingress',
  annotations,
  spec,
})
const compiled = (spec: IngressSpec, annotations?: Record<string, string>): ReturnType<typeof compileIngress> =>
  compileIngress(object, 'r1', content(spec, annotations), true)

describe('compileIngress', () => {
  it('gives hosts, paths and TLS', () => {
    const spec: IngressSpec = {
      rules: [
        { host: 'A.example.com', http: { paths: [path('/'), path('/api', 'api', 'Exact')] } },
        { host: '*.example.com', http: { paths: [{ ...path('/'), backend: backend('web', 'http') }] } },
        { host: 'a.example.com', http: { paths: [path('/more')] } },
      ],
      tls: [
        { hosts: ['A.example.com'], secretName: 'ecdsa' },
        { hosts: ['a.example.com'], secretName: 'rsa' },
        { secretName: 'all' },
        { hosts: ['a.example.com'] },
      ],
    }
    expect(compiled(spec).fragment).toEqual({
      key: 'Ingress/shop/web',
      revision: 'r1',
      createdAt: 5,
      governed: true,
      hosts: [
        {
          host: 'a.example.com',
          paths: [
            { type: 'Prefix', path: '/', backend: { service: 'shop/web:80' } },
            { type: 'Exact', path: '/api', backend: { service: 'shop/api:80' } },
            { type: 'Prefix', path: '/more', backend: { service: 'shop/web:80' } },
          ],
        },
        { host: '*.example.com', paths: [{ type: 'Prefix', path: '/', backend: { service: 'shop/web:http' } }] },
      ],
      tls: [
        { hosts: ['a.example.com'], secret: 'Secret/shop/ecdsa' },
        { hosts: ['a.example.com'], secret: 'Secret/shop/rsa' },
        { hosts: ['*.example.com'], secret: 'Secret/shop/all' },
      ],
    })
  })

  it('uses a certificate where it names the host: of entries, and of rules that no entry names', () => {
    const names: Readonly<Record<string, readonly string[]>> = {
      'Secret/shop/one': ['b.c', 'd.e'],
      'Secret/shop/two': ['x.y', 'd.e'],
    }
    const covers = (key: string, host: string): boolean | null => names[key]?.includes(host) ?? null
    const rules = ['a.b', 'b.c', 'd.e', 'f.g', ''].map(host => ({ host, http: { paths: [path('/')] } }))
    const tls = (...entries: IngressSpec['tls'] & object): unknown => {
      const of = content({ rules, tls: entries })
      return compileIngress(object, 'r1', of, true, { covers, hasDefault: false }).fragment?.tls
    }
    // As extractTLSSecretName of ingress-nginx: the entry that names the host, else each whose certificate does.
    expect(tls({ hosts: ['a.b'], secretName: 'missing' }, { hosts: ['B.c'], secretName: 'one' })).toEqual([
      { hosts: ['a.b'], secret: 'Secret/shop/missing' },
      { hosts: ['b.c', 'd.e'], secret: 'Secret/shop/one' },
    ])
    expect(tls({ hosts: ['a.b'], secretName: 'one' })).toEqual([{ hosts: ['b.c', 'd.e'], secret: 'Secret/shop/one' }])
    expect(tls({ secretName: 'two' })).toEqual([{ hosts: ['d.e'], secret: 'Secret/shop/two' }])
    // Not there yet: as if it named whatever it is asked for by an entry, so that it is served as soon as it comes.
    expect(tls({ secretName: 'missing' })).toEqual([
      { hosts: ['a.b', 'b.c', 'd.e', 'f.g'], secret: 'Secret/shop/missing' },
    ])
    expect(tls({ hosts: ['d.e'], secretName: 'one' }, { secretName: 'two' }, { hosts: ['a.b'] })).toEqual([
      { hosts: ['d.e', 'b.c'], secret: 'Secret/shop/one' },
    ])
  })

  it('keeps the name of a host that its rules serve and its certificate does not name', () => {
    const covers = (key: string, host: string): boolean | null =>
      key === 'Secret/shop/missing' ? null : host === 'b.c' && key === 'Secret/shop/one'
    const rules = ['A.b', 'b.c', 'f.g', ''].map(host => ({ host, http: { paths: [path('/')] } }))
    const tls = (...entries: IngressSpec['tls'] & object): unknown => {
      const of = content({ rules, tls: entries })
      const { fragment } = compileIngress(object, 'r1', of, true, { covers, hasDefault: false })
      return [fragment?.tls.flatMap(({ hosts }) => hosts), fragment?.defaultTls]
    }
    expect(tls({ hosts: ['a.B', 'b.c'], secretName: 'one' })).toEqual([['b.c'], ['a.b']])
    // RSA and ECDSA: one of them is enough.
    expect(tls({ hosts: ['b.c'], secretName: 'two' }, { hosts: ['b.c'], secretName: 'one' })).toEqual([
      ['b.c'],
      undefined,
    ])
    // No Secret: that is the default certificate (ingress-nginx), for all hosts of the rules if the entry names none.
    expect(tls({ hosts: ['a.b'] })).toEqual([[], ['a.b']])
    expect(tls({ hosts: ['b.c'], secretName: 'one' }, {})).toEqual([['b.c'], ['a.b', 'f.g']])
    // Not there yet: its own, by the entry itself.
    expect(tls({ hosts: ['a.b'], secretName: 'missing' })).toEqual([['a.b'], undefined])
    // A host that no rule serves is left to the Ingress that serves it, unless there is a certificate that names it.
    expect(tls({ hosts: ['x.y'], secretName: 'missing' }, { hosts: ['y.z'], secretName: 'one' })).toEqual([
      ['b.c'],
      undefined,
    ])
    expect(tls()).toEqual([[], undefined])
  })

  it('has nothing against an entry without a Secret where there is a default certificate', () => {
    const of = content({ rules: [{ host: 'a.b', http: { paths: [path('/')] } }], tls: [{ hosts: ['a.b'] }] })
    const reasons = (hasDefault: boolean): unknown =>
      compileIngress(object, 'r1', of, true, { covers: () => null, hasDefault }).problems.map(p => p.reason)
    expect(reasons(true)).toEqual([])
    expect(reasons(false)).toEqual(['SecretMissing'])
  })

  it('puts the default backend last on every host, or on every other host where there is no rule', () => {
    const last = { type: 'Default', path: '/', backend: { service: 'shop/fallback:80' } }
    const { fragment } = compiled({
      defaultBackend: backend('fallback'),
      rules: [{ host: 'a.b' }, { http: { paths: [path('/x')] } }],
    })
    expect(fragment?.hosts).toEqual([
      { host: 'a.b', paths: [last] },
      { host: '', paths: [{ type: 'Prefix', path: '/x', backend: { service: 'shop/web:80' } }, last] },
    ])
    expect(compiled({ defaultBackend: backend('fallback') }).fragment?.hosts).toEqual([{ host: '', paths: [last] }])
  })

  it('is nothing where the content is rejected', () => {
    const { fragment, problems } = compiled({ rules: [{ host: 'a_b', http: { paths: [path('/')] } }] })
    expect(fragment).toBeNull()
    expect(problems).toHaveLength(1)
  })

  it('closes every path where a protection cannot be kept, and leaves TLS as it is', () => {
    const spec = {
      defaultBackend: backend('web'),
      rules: [{ host: 'a.b', http: { paths: [path('/'), path('/x')] } }],
      tls: [{ hosts: ['a.b'], secretName: 's' }],
    }
    const { fragment } = compiled(spec, { 'nginx.ingress.kubernetes.io/auth-url': 'http://auth' })
    const backends = fragment?.hosts.flatMap(host => host.paths.map(p => p.backend))
    expect(backends).toHaveLength(3)
    expect(backends?.every(b => 'status' in b && b.reason.includes('auth-url'))).toBe(true)
    expect(fragment?.tls).toHaveLength(1)
  })

  it('goes on with a warning', () => {
    const { fragment, problems } = compiled(
      { rules: [{ host: 'a.b', http: { paths: [path('/')] } }] },
      { 'x/rewrite-target': '/' },
    )
    expect(problems.map(p => p.effect)).toEqual(['warn'])
    expect(fragment?.hosts[0]?.paths[0]?.backend).toEqual({ service: 'shop/web:80' })
  })

  it('answers 503 on the path of a resource, and only there', () => {
    const { fragment } = compiled({
      rules: [{ host: 'a.b', http: { paths: [path('/'), { ...path('/r'), backend: { resource: {} } }] } }],
    })
    const [open, resource] = fragment?.hosts[0]?.paths ?? []
    expect(open?.backend).toEqual({ service: 'shop/web:80' })
    // Closed in name only: nothing is protected, and its answers count as failures.
    expect(resource?.backend).toMatchObject({ status: 503, protects: false })
  })

  it('lets a canary take over nothing', () => {
    const spec = { rules: [{ host: 'a.b', http: { paths: [path('/')] } }], tls: [{ hosts: ['a.b'], secretName: 's' }] }
    const annotations = { 'x/canary': 'true', 'x/canary-weight': '10' }
    const paths = [{ type: 'Prefix', path: '/', backend: { service: 'shop/web:80' } }]
    expect(compiled(spec, annotations).fragment).toEqual({
      ...{ key: 'Ingress/shop/web', revision: 'r1', createdAt: 5, governed: true, hosts: [], tls: [] },
      canary: { rule: { weight: 10, total: 100 }, hosts: [{ host: 'a.b', paths }] },
    })
    expect(referencesOf('shop', content(spec, annotations))).toEqual({ secrets: [], services: ['shop/web:80'] })
    expect([hostsOf(content(spec, annotations)), namedHosts(content(spec, annotations))]).toEqual([[], ['a.b']])
  })

  it('refuses a canary that is wrong, and makes one inert that asks for a protection that there is not', () => {
    const spec = { rules: [{ host: 'a.b', http: { paths: [path('/')] } }] }
    for (const wrong of [{ 'x/canary': 'maybe' }, { 'x/canary': 'true', 'x/canary-weight': '101' }]) {
      expect(compiled(spec, wrong).fragment).toBeNull()
    }
    const { fragment, problems } = compiled(spec, {
      'x/canary': 'true',
      'x/canary-weight': '9',
      'x/auth-url': 'http://a',
    })
    expect(fragment).toEqual(expect.not.objectContaining({ canary: expect.anything() }))
    expect(problems).toMatchObject([{ effect: 'close', message: expect.stringContaining('takes no request') }])
  })

  it('takes the first of the same path twice', () => {
    const { fragment } = compiled({ rules: [{ host: 'a.b', http: { paths: [path('/', 'one'), path('/', 'two')] } }] })
    expect(fragment?.hosts[0]?.paths).toEqual([{ type: 'Prefix', path: '/', backend: { service: 'shop/one:80' } }])
  })

  it('brings paths into the form in which requests are compared', () => {
    const texts = ['/a//b', '/a/b', '/caf\u00e9', '/%7euser', '/a/', '/x/../y', '/a%2fb']
    const { fragment } = compiled({ rules: [{ host: 'a.b', http: { paths: texts.map(text => path(text)) } }] })
    const expected = ['/a/b', '/caf%C3%A9', '/~user', '/a/', '/y', '/a%2Fb']
    expect(fragment?.hosts[0]?.paths.map(p => p.path)).toEqual(expected)
  })

  it('never gives a fragment that refers to what referencesOf does not name, nor an invalid one', () => {
    const hosts = fc.constantFrom('a.example.com', 'B.example.com', '*.c', 'bad_host', '', undefined)
    const service = fc.constantFrom('one', 'two', '')
    const paths = fc.array(
      fc.record({
        path: fc.constantFrom('/', '/x', 'x', '', '/x/', '/x//y', '/%78'),
        pathType: fc.constantFrom('Exact', 'Prefix', 'ImplementationSpecific', 'Other'),
        backend: fc.oneof(
          service.map(name => backend(name)),
          fc.constant({ resource: {} }),
          fc.constant({}),
        ),
      }),
      { maxLength: 4 },
    )
    const specs = fc.record({
      rules: fc.array(fc.record({ host: hosts, http: fc.option(fc.record({ paths }), { nil: undefined }) }), {
        maxLength: 4,
      }),
      tls: fc.array(
        fc.record({
          hosts: fc.array(fc.constantFrom('a.example.com', '*.C', 'x_')),
          secretName: fc.constantFrom('s', 't', ''),
        }),
      ),
    })
    fc.assert(
      fc.property(specs, spec => {
        const of = content(JSON.parse(JSON.stringify(spec)) as IngressSpec)
        const { fragment, problems } = compileIngress(object, 'r', of, false)
        expect(fragment === null).toBe(problems.some(p => p.effect === 'reject'))
        if (fragment === null) return
        const { services, secrets } = referencesOf('shop', of)
        for (const host of fragment.hosts) {
          expect(host.host).toBe(host.host.toLowerCase())
          for (const p of host.paths) {
            expect(p.path.startsWith('/')).toBe(true)
            expect(normaliseRoutePath(p.path)).toBe(p.path)
            if ('service' in p.backend) expect(services).toContain(p.backend.service)
          }
        }
        expect(new Set(fragment.hosts.map(host => host.host)).size).toBe(fragment.hosts.length)
        for (const tls of fragment.tls) {
          expect(tls.hosts.length).toBeGreaterThan(0)
          expect(secrets).toContain(tls.secret)
        }
        expect(payloadDigest(compileIngress(object, 'r', structuredClone(of), false).fragment ?? fragment)).toBe(
          payloadDigest(fragment),
        )
      }),
      { numRuns: 500 },
    )
  })
})

describe('compileSecret', () => {
  let leaf: Leaf
  beforeAll(async () => {
    leaf = await (await Authority.root('Root')).issue({ hosts: ['a.b'] })
  })
  const secret = { key: 'Secret/shop/tls', createdAt: 1 }

  it('gives the certificate', () => {
    const { certificate, problems } = compileSecret(secret, 'r1', { kind: 'Secret', ...leaf }, true, Date.now())
    expect(problems).toEqual([])
    expect(certificate).toEqual({ key: 'Secret/shop/tls', revision: 'r1', governed: true, ...leaf, keyType: 'ECDSA' })
  })

  it('gives none that expired, unless it was released before', () => {
    const later = Date.now() + 1e11
    expect(compileSecret(secret, 'r1', { kind: 'Secret', ...leaf }, true, later).certificate).toBeNull()
    expect(compileSecret(secret, 'r1', { kind: 'Secret', ...leaf }, true, null).certificate).not.toBeNull()
  })

  it('gives none whose key does not belong to it', async () => {
    const other = await (await Authority.root('Root')).issue({ hosts: ['a.b'] })
    const { certificate, problems } = compileSecret(
      secret,
      'r1',
      { kind: 'Secret', chain: leaf.chain, privateKey: other.privateKey },
      true,
      null,
    )
    expect(certificate).toBeNull()
    expect(problems.map(p => p.reason)).toEqual(['KeyMismatch'])
  })
})
