import { describe, expect, it } from '@jest/globals'
import { parseIngress } from './ingress.ts'
import { countUnknown, knownFields } from './known-fields.ts'
import type { IngressSpec, SourceObject } from './types.ts'

const metadata = {
  ...{ name: 'web', namespace: 'shop', uid: 'u1', resourceVersion: '1' },
  creationTimestamp: '2026-01-01T00:00:00Z',
}
const classes = [{ metadata: { name: 'sluice' }, spec: { controller: 'tengine.taobao.org/sluice' } }]
const parse = (spec: object, annotations: Readonly<Record<string, string>> = {}): SourceObject =>
  parseIngress({ metadata: { ...metadata, annotations }, spec: { ingressClassName: 'sluice', ...spec } }, { classes })

const web = { service: { name: 'web', port: { number: 80 } } }
const named = { service: { name: 'web', port: { name: 'http' } } }
const bucket = { resource: { apiGroup: 'k8s.example', kind: 'Bucket', name: 'static' } }
const challenge = {
  path: '/.well-known/acme-challenge/abc',
  backend: { service: { name: 'solver', port: { number: 8089 } } },
}
const any = { pathType: 'ImplementationSpecific' }
const X = 'nginx.ingress.kubernetes.io'

/** Revisions as an operator computed them that hashed spec as the API server holds it. */
const REVISIONS: readonly (readonly [string, object, string])[] = [
  ['nothing but a class', {}, 'dvjpv3loof'],
  ['a default backend', { defaultBackend: web }, '4n0ndvdpvq'],
  [
    'a rule',
    { rules: [{ host: 'a.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend: named }] } }] },
    '2cgtbja93s',
  ],
  ['empty rules and lists', { rules: [{}, { host: 'b.example' }, { http: { paths: [] } }], tls: [] }, '7nlsjgf4re'],
  [
    'certificates',
    { tls: [{ hosts: ['a.example', 'b.example'], secretName: 'tls' }, { hosts: [] }, {}] },
    '3l3gh7i4c7',
  ],
  ['a resource', { defaultBackend: bucket }, '05jm939ebn'],
  [
    'a challenge',
    {
      rules: [
        {
          host: 'a.example',
          http: {
            paths: [
              { ...challenge, ...any },
              { ...any, backend: web },
            ],
          },
        },
      ],
    },
    'vp9f655db4',
  ],
]

/** In every object of it one more field, as a later API server may default them. */
function withMore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withMore)
  if (typeof value !== 'object' || value === null) return value
  return { ...Object.fromEntries(Object.entries(value).map(([k, v]) => [k, withMore(v)])), more: { of: ['it'] } }
}

describe('the revision of an Ingress', () => {
  it.each(REVISIONS)('with %s stays what it was', (_what, spec, revision) => {
    expect(parse(spec).revision).toBe(revision)
  })

  it('stays what it was with annotations, and so does that of a content with its challenges', () => {
    const annotations = { [`${X}/canary-weight`]: '5', 'kubernetes.io/ingress.class': 'sluice', 'example.com/x': 'y' }
    expect(parse({ rules: [] }, annotations).revision).toBe('mqupfnpko2')
    expect(parse(REVISIONS[6]?.[1] ?? {}).challenges?.asContent).toBe('fd46o6es7a')
  })

  it.each(REVISIONS)('with %s has nothing of fields that are not known, and nor has what is stored', (_what, spec) => {
    const plain = parse(spec)
    const more = parse(withMore(spec) as object)
    expect([more.revision, more.content, more.challenges]).toEqual([plain.revision, plain.content, plain.challenges])
    expect(JSON.stringify(more.content)).not.toContain('more')
    expect([plain.unknownFields, more.unknownFields]).toEqual([undefined, expect.arrayContaining(['spec.more'])])
  })

  it('changes with every field that is known', () => {
    const of = (spec: object): string => parse(spec).revision
    const path = { path: '/', pathType: 'Prefix', backend: web }
    const rule = (change: object): object => ({
      rules: [{ host: 'a.example', http: { paths: [{ ...path, ...change }] } }],
    })
    const different = [
      ...[
        {},
        { ingressClassName: undefined },
        { defaultBackend: web },
        { defaultBackend: named },
        { defaultBackend: bucket },
      ],
      ...[{ defaultBackend: { resource: { ...bucket.resource, apiGroup: 'x' } } }, { rules: [{}] }, { tls: [{}] }],
      ...[{ tls: [{ secretName: 'a' }] }, { tls: [{ hosts: ['a'] }] }, { rules: [{ host: 'a' }] }, rule({})],
      ...[rule({ path: '/x' }), rule({ pathType: 'Exact' }), rule({ backend: named })],
    ]
    expect(new Set(different.map(of)).size).toBe(different.length)
  })
})

describe('fields that are not known', () => {
  it('are named once, wherever they stand', () => {
    const path = { path: '/', pathType: 'Exact', backend: { ...web, weight: 1 }, headers: [{ name: 'x' }] }
    const spec = { rules: [{ http: { paths: [path, path] } }, { http: { paths: [path] } }], mode: 'x' }
    const { unknown } = knownFields(spec)
    const paths = 'spec.rules[].http.paths[]'
    expect([...unknown].sort()).toEqual(['spec.mode', `${paths}.backend.weight`, `${paths}.headers`])
  })

  it('with names of JavaScript are no others', () => {
    const spec = JSON.parse('{"toString":1,"__proto__":{"rules":[]},"constructor":{}}') as IngressSpec
    const { spec: known, unknown } = knownFields(spec)
    expect([...unknown].sort()).toEqual(['spec.__proto__', 'spec.constructor', 'spec.toString'])
    expect([Object.keys(known), known.rules]).toEqual([[], undefined])
  })

  it('are counted by object', () => {
    const sources = [parse({ mode: 1 }), parse({ mode: 2, more: 1 }), parse({}), null]
    expect(countUnknown(sources)).toEqual({ 'spec.mode': 2, 'spec.more': 1 })
  })

  it('cost nothing where there are none', () => {
    const spec: IngressSpec = { rules: [] }
    expect(knownFields(spec)).toEqual({ spec, unknown: [] })
    expect(knownFields(spec).spec).toBe(spec)
  })
})
