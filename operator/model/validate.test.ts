import { describe, expect, it } from '@jest/globals'
import type { IngressContent, IngressPath, IngressSpec } from './types.ts'
import { hostProblem, validateIngress } from './validate.ts'

const good: IngressPath = { path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }

function found(spec: IngressSpec, annotations: Record<string, string> = {}): string[] {
  const content: IngressContent = { kind: 'Ingress', annotations, spec }
  return validateIngress('Ingress/shop/web', content).map(p => `${p.field} ${p.reason} ${p.effect}`)
}

const withPath = (change: Partial<IngressPath>): IngressSpec => ({
  rules: [{ host: 'a.example.com', http: { paths: [{ ...good, ...change }] } }],
})

describe('hostProblem', () => {
  it.each(['a', 'a.example.com', '*.example.com', 'A.example.com', 'x-1.y', '9.example', `${'a'.repeat(63)}.x`])(
    '%s is a host',
    host => {
      expect(hostProblem(host)).toBeNull()
    },
  )
  it.each([
    '',
    'a..b',
    'a.',
    '.a',
    '-a.b',
    'a-.b',
    'a_b.c',
    'a b',
    '*',
    '*.*.a',
    'a.*.b',
    '*a.b',
    '10.0.0.1',
    '::1',
    'a/b',
    'a:80',
    `${'a'.repeat(64)}.x`,
    'a.'.repeat(130) + 'a',
  ])('%p is none', host => {
    expect(hostProblem(host)).not.toBeNull()
  })
})

describe('validateIngress', () => {
  const at = 'spec.rules[0].http.paths[0]'
  it.each<[string, IngressSpec, string[]]>([
    ['a good one', withPath({}), []],
    ['every type of path', withPath({ path: '/a', pathType: 'Exact' }), []],
    ['ImplementationSpecific without a path', withPath({ path: '', pathType: 'ImplementationSpecific' }), []],
    ['a default backend alone', { defaultBackend: good.backend }, []],
    ['a bad host', { rules: [{ host: 'a_b', http: { paths: [good] } }] }, ['spec.rules[0].host InvalidHost reject']],
    ['a path without leading slash', withPath({ path: 'a' }), [`${at}.path InvalidPath reject`]],
    ['an empty path', withPath({ path: '' }), [`${at}.path InvalidPath reject`]],
    ['a path with a line break', withPath({ path: '/a\nb' }), [`${at}.path InvalidPath reject`]],
    ['a path with parameters', withPath({ path: '/a;v=1' }), [`${at}.path AmbiguousPath warn`]],
    ['a path with an encoded slash', withPath({ path: '/a%2Fb' }), [`${at}.path AmbiguousPath warn`]],
    ['an unknown type of path', withPath({ pathType: 'Regex' }), [`${at}.pathType InvalidPathType reject`]],
    [
      'a resource',
      withPath({ backend: { resource: { kind: 'Bucket' } } }),
      [`${at}.backend.resource ResourceBackend warn`],
    ],
    ['no backend', withPath({ backend: {} }), [`${at}.backend ServiceMissing reject`]],
    [
      'no port',
      withPath({ backend: { service: { name: 'web' } } }),
      [`${at}.backend.service.port ServicePortMissing reject`],
    ],
    [
      'port 0',
      withPath({ backend: { service: { name: 'web', port: { number: 0 } } } }),
      [`${at}.backend.service.port.number InvalidPort reject`],
    ],
    [
      'the same path twice',
      {
        rules: [
          { host: 'a.b', http: { paths: [good] } },
          { host: 'A.b', http: { paths: [good] } },
        ],
      },
      ['spec.rules[1].http.paths[0] DuplicatePath warn'],
    ],
    [
      'the same path of another type',
      { rules: [{ host: 'a.b', http: { paths: [good, { ...good, pathType: 'Exact' }] } }] },
      [],
    ],
    [
      'TLS without a Secret',
      { ...withPath({}), tls: [{ hosts: ['a.example.com'] }] },
      ['spec.tls[0].secretName SecretMissing warn'],
    ],
    [
      'TLS with a bad host',
      { ...withPath({}), tls: [{ hosts: ['a_b'], secretName: 's' }] },
      ['spec.tls[0].hosts[0] InvalidHost reject'],
    ],
    [
      'TLS for no host',
      { defaultBackend: good.backend, tls: [{ secretName: 's' }] },
      ['spec.tls[0].hosts TlsWithoutHost warn'],
    ],
    ['nothing at all', {}, ['spec NothingToServe warn']],
  ])('%s', (_name, spec, expected) => {
    expect(found(spec)).toEqual(expected)
  })

  it('reports annotations, too', () => {
    expect(found(withPath({}), { 'p/satisfy': 'any' })).toEqual([
      'metadata.annotations[p/satisfy] UnsupportedAnnotation close',
    ])
  })
})
