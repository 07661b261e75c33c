/**
 * What an Ingress must do whatever controller serves it, as a table: the scenarios of the official suite
 * (kubernetes-sigs/ingress-controller-conformance, features/) in our own words, and what they are about in the Kubernetes
 * documentation ("Ingress": path types, hostname wildcards, default backend, ingress class). Pure.
 */
import type { Manifest } from '../echo/manifests.ts'

export interface PathRule {
  readonly type: 'Exact' | 'Prefix'
  readonly path: string
  /** Version of the echo backend; its Service is `echo-<version>`. */
  readonly to: string
}

export interface HostRule {
  /** A label, or `*.label`; the test makes a host of its own from it. */
  readonly host: string
  readonly paths: readonly PathRule[]
  /** Served with a certificate for the host, too. */
  readonly tls?: boolean
}

export interface Scenario {
  readonly what: string
  /** A label of a rule, or another name below the test's own domain. */
  readonly host: string
  readonly path: string
  readonly method?: string
  readonly scheme?: 'http' | 'https'
  /** The backend that answers; null: nobody, 404. */
  readonly served: string | null
}

export interface Feature {
  readonly name: string
  readonly className?: string
  readonly defaultBackend?: string
  readonly rules: readonly HostRule[]
  readonly scenarios: readonly Scenario[]
}

const exact = (path: string, to: string): PathRule => ({ type: 'Exact', path, to })
const prefix = (path: string, to: string): PathRule => ({ type: 'Prefix', path, to })
const at = (host: string) => (what: string, path: string, served: string | null) => ({ what, host, path, served })
const onExact = at('exact')
const onPrefix = at('prefix')
const onMixed = at('mixed')
const onSlash = at('slash')

export const HOST_RULES: Feature = {
  name: 'host rules',
  rules: [
    { host: '*.wild', paths: [prefix('/', 'wild')] },
    { host: 'named', paths: [prefix('/', 'named')], tls: true },
  ],
  scenarios: [
    { what: 'the host that a rule names, by TLS', host: 'named', path: '/', scheme: 'https', served: 'named' },
    { what: 'the host that a rule names', host: 'named', path: '/', served: 'named' },
    { what: 'a host that no rule names', host: 'other', path: '/', served: null },
    { what: 'a wildcard: one label before it', host: 'one.wild', path: '/', served: 'wild' },
    { what: 'a wildcard: not two labels', host: 'two.one.wild', path: '/', served: null },
    { what: 'a wildcard: not the name without a label', host: 'wild', path: '/', served: null },
  ],
}

export const PATH_RULES: Feature = {
  name: 'path rules',
  rules: [
    { host: 'exact', paths: [exact('/foo', 'exact')] },
    { host: 'prefix', paths: [prefix('/foo', 'prefix'), prefix('/aaa/bbb', 'deep'), prefix('/aaa', 'shallow')] },
    { host: 'mixed', paths: [prefix('/foo', 'prefix'), exact('/foo', 'exact')] },
    { host: 'slash', paths: [prefix('/aaa/bbb/', 'deep'), exact('/foo/', 'exact')] },
  ],
  scenarios: [
    onExact('exact: the same path', '/foo', 'exact'),
    onExact('exact: not with a slash at the end', '/foo/', null),
    onExact('exact: not in capitals', '/FOO', null),
    onExact('exact: not another path', '/bar', null),
    onPrefix('prefix: the same path', '/foo', 'prefix'),
    onPrefix('prefix: a slash at the end of the request does not matter', '/foo/', 'prefix'),
    onPrefix('prefix: not in capitals', '/FOO', null),
    onPrefix('prefix: the longest of several', '/aaa/bbb', 'deep'),
    onPrefix('prefix: the longest of several, and what is below it', '/aaa/bbb/ccc', 'deep'),
    onPrefix('prefix: the shorter one where the longer does not fit', '/aaa/ccc', 'shallow'),
    onPrefix('prefix: element by element, not letter by letter', '/aaaccc', null),
    onMixed('both types of one path: exact comes first', '/foo', 'exact'),
    onMixed('both types of one path: prefix gets the rest', '/foo/bar', 'prefix'),
    onSlash('prefix with a slash at its end: the path without it', '/aaa/bbb', 'deep'),
    onSlash('prefix with a slash at its end: the path with it', '/aaa/bbb/', 'deep'),
    onSlash('exact with a slash at its end: not the path without it', '/foo', null),
    onSlash('exact with a slash at its end: the path with it', '/foo/', 'exact'),
  ],
}

export const DEFAULT_BACKEND: Feature = {
  name: 'default backend',
  defaultBackend: 'default',
  rules: [],
  scenarios: [
    { what: 'an Ingress without rules gets everything', host: 'my-host', path: '/', served: 'default' },
    { what: 'whatever the path', host: 'my-host', path: '/sub-path', served: 'default' },
    { what: 'by POST', host: 'some-host', path: '/', method: 'POST', served: 'default' },
    { what: 'by PUT', host: 'any-host', path: '/resource', method: 'PUT', served: 'default' },
    { what: 'by DELETE', host: 'some-host', path: '/resource', method: 'DELETE', served: 'default' },
    { what: 'by PATCH', host: 'my-host', path: '/resource', method: 'PATCH', served: 'default' },
  ],
}

export const INGRESS_CLASS: Feature = {
  name: 'ingress class',
  className: 'some-invalid-class-name',
  rules: [{ host: 'classless', paths: [prefix('/', 'named')] }],
  scenarios: [{ what: 'an Ingress of another class is none of ours', host: 'classless', path: '/', served: null }],
}

/** Their Ingresses can be there beside each other. The default backend cannot: it answers what they leave. */
export const SIDE_BY_SIDE: readonly Feature[] = [HOST_RULES, PATH_RULES, INGRESS_CLASS]
export const FEATURES: readonly Feature[] = [...SIDE_BY_SIDE, DEFAULT_BACKEND]

export function backendsOf(features: readonly Feature[]): readonly string[] {
  const named = features.flatMap(({ rules, defaultBackend }) => [
    ...rules.flatMap(({ paths }) => paths.map(({ to }) => to)),
    ...(defaultBackend === undefined ? [] : [defaultBackend]),
  ])
  return [...new Set(named)]
}

export interface IngressPlace {
  readonly namespace: string
  readonly name: string
  /** A host of the test's own for a label. */
  readonly hostOf: (label: string) => string
  /** Secret with a certificate for the hosts that are served by TLS. */
  readonly secret: string
}

export function ingressOf(feature: Feature, { namespace, name, hostOf, secret }: IngressPlace): Manifest {
  const { className = 'sluice', defaultBackend, rules } = feature
  const backend = (to: string): object => ({ service: { name: `echo-${to}`, port: { name: 'http' } } })
  const tls = rules.filter(rule => rule.tls === true).map(({ host }) => hostOf(host))
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace },
    spec: {
      ingressClassName: className,
      ...(defaultBackend === undefined ? {} : { defaultBackend: backend(defaultBackend) }),
      ...(tls.length === 0 ? {} : { tls: [{ hosts: tls, secretName: secret }] }),
      ...(rules.length === 0
        ? {}
        : {
            rules: rules.map(({ host, paths }) => ({
              host: hostOf(host),
              http: { paths: paths.map(({ type, path, to }) => ({ path, pathType: type, backend: backend(to) })) },
            })),
          }),
    },
  }
}
