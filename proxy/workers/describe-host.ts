/** All that a worker knows of one host, and what all of them say together: for /hosts of the admin server. */
import type { ServiceKey } from '../../protocol/objects.ts'
import type { Route } from '../table/contract.ts'
import type { EndpointState } from '../upstream/cluster-set.ts'
import {
  describeCertificates,
  mergeEndpoints,
  nameOf,
  type Explainable,
  type ExplainedCertificates,
  type ExplainedEndpoint,
} from './explain.ts'

interface DescribedRoute {
  readonly type: Route['type']
  readonly path: string
  /** `namespace/name`. */
  readonly ingress: string
  readonly revision: string
  readonly governed: boolean
  /** Null: closed. */
  readonly service: ServiceKey | null
  /** Why it is answered 503; null: it is not. */
  readonly closed: object | null
  /** Of the same path, the oldest first. */
  readonly canaries: readonly {
    readonly ingress: string
    readonly revision: string
    readonly service: ServiceKey | null
  }[]
}

export interface HostDescription {
  /** As the table writes it: `*.example.com` for a name that only a wildcard covers. Metrics have it so. */
  readonly host: string
  /** `certificate`: no path, but an Ingress names it under `tls`, or reports are asked for. */
  readonly by: 'exact' | 'wildcard' | 'certificate'
  readonly routes: readonly DescribedRoute[]
  /** Routes that are left out. */
  readonly moreRoutes: number
  /** Of the routes that are told, as this worker sees them. */
  readonly services: readonly { readonly service: ServiceKey; readonly endpoints: readonly EndpointState[] }[]
  readonly certificate: ExplainedCertificates
}

/** A host that hundreds of Ingresses share is not shown whole. */
const MOST_ROUTES = 500

/** @param name lower case, a wildcard as the table writes it @returns null: nobody knows it by name, nor does a wildcard */
export function describeHost(name: string, { table, endpoints }: Explainable): HostDescription | null {
  const entries = table.entries(name).filter(({ kind }) => kind !== 'default')
  const entry = entries.find(({ kind }) => kind !== 'challenges') ?? null
  const host = entry?.host ?? (table.requestHost(name) || table.tlsHost(name) || null)
  if (host === null && entries.length === 0) return null
  const challenges = entries.filter(({ kind }) => kind === 'challenges')
  const all = [...challenges, ...(entry === null ? [] : [entry])].flatMap(({ routes }) => routes)
  const told = all.slice(0, MOST_ROUTES).map(({ route }) => describeRoute(route))
  const services = new Set(
    told.flatMap(({ service, canaries }) => [service, ...canaries.map(canary => canary.service)]),
  )
  return {
    host: host ?? name,
    by: entry === null ? 'certificate' : entry.host === name ? 'exact' : 'wildcard',
    routes: told,
    moreRoutes: all.length - told.length,
    services: [...services].flatMap(service => (service === null ? [] : [{ service, endpoints: endpoints(service) }])),
    certificate: describeCertificates(table, name),
  }
}

function describeRoute({ type, path, object, revision, governed, cluster, policy, split }: Route): DescribedRoute {
  const canaries = split?.explain({ fields: [], query: '' }) ?? []
  return {
    ...{ type, path, ingress: nameOf(object), revision, governed, service: cluster?.service ?? null },
    closed: policy.closed === null ? null : (JSON.parse(JSON.stringify(policy.closed)) as object),
    canaries: canaries.map(({ route }) => ({
      ...{ ingress: nameOf(route.object), revision: route.revision, service: route.cluster?.service ?? null },
    })),
  }
}

export interface MergedHost extends Omit<HostDescription, 'services'> {
  readonly services: readonly { readonly service: ServiceKey; readonly endpoints: readonly ExplainedEndpoint[] }[]
  /** `agree`: false where they answer differently, as in the middle of an update; the first one's answer is shown. */
  readonly workers: { readonly asked: number; readonly answered: number; readonly agree: boolean }
}

/** @param asked how many workers were asked */
export function mergeDescriptions(
  [first, ...others]: readonly [HostDescription, ...HostDescription[]],
  asked: number,
): MergedHost {
  const all = [first, ...others]
  const essence = ({ host, routes, certificate }: HostDescription): string =>
    JSON.stringify([host, routes, certificate])
  const seen = (service: ServiceKey): readonly (readonly EndpointState[])[] =>
    all.map(({ services }) => services.find(one => one.service === service)?.endpoints ?? [])
  return {
    ...first,
    services: first.services.map(({ service }) => ({ service, endpoints: mergeEndpoints(seen(service)) })),
    workers: { asked, answered: all.length, agree: others.every(other => essence(other) === essence(first)) },
  }
}
