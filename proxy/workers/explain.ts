/**
 * Where a request would go, and why: what the admin server's /route says. Every worker is asked, as each has its own view
 * of endpoints. Decided by the functions that serve requests (parseTarget, decide, the table); nothing is matched here.
 */
import { X509Certificate } from 'node:crypto'
import type { Certificate, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import { decide, queryOf } from '../exchange/decide.ts'
import { parseTarget } from '../exchange/target.ts'
import type { Route, TableExplainer, TableReader } from '../table/contract.ts'
import type { Fields } from '../http1/contract.ts'
import { explainRoute } from '../table/explain.ts'
import type { Asked } from '../table/asked.ts'
import type { EndpointState } from '../upstream/cluster-set.ts'

export interface Question {
  /** As a Host field. */
  readonly host: string
  /** As a request target, one character per byte, with a query if there is one. */
  readonly path: string
  /** Names and values of other fields, which canaries may ask. */
  readonly fields: Fields
}

interface ExplainedRoute {
  readonly host: string
  readonly type: Route['type']
  readonly path: string
  /** `namespace/name`. */
  readonly ingress: string
  readonly revision: string
  readonly governed: boolean
  readonly service: ServiceKey | null
  /** Plain data of its policy. */
  readonly policy: object
  /** Slot of its counters in the worker that answers. */
  readonly slot: number
}

export interface Explanation {
  readonly request: {
    readonly host: string
    readonly path: string
    /** How others may read the same path, and where that leads: `host type path`, or null. */
    readonly otherReadings: readonly { readonly path: string; readonly route: string | null }[]
    /** The name that it is counted under in metrics and reports; null: `other`. */
    readonly countedAs: string | null
  }
  readonly answer:
    | { readonly kind: 'forward' }
    | { readonly kind: 'answer'; readonly status: number; readonly reason: string; readonly cause: string }
  /** Which entry of the table the route is of. */
  readonly host: { readonly matched: string; readonly by: 'challenges' | 'exact' | 'wildcard' | 'default' } | null
  readonly route: ExplainedRoute | null
  /** Of the route's path, the oldest first. `reason`: what its rule makes of the request; weights are told, not drawn. */
  readonly canaries: readonly {
    readonly ingress: string
    readonly revision: string
    readonly service: ServiceKey | null
    readonly outcome: 'chosen' | 'not chosen'
    readonly reason: string
  }[]
  /** Of the Service, as this worker sees them. */
  readonly endpoints: readonly EndpointState[]
  readonly candidates: readonly {
    readonly outcome: string
    readonly reason: string
    readonly rule: string
    readonly ingress: string
    readonly revision: string
  }[]
  /** Candidates that are left out. */
  readonly moreCandidates: number
  readonly certificate: ExplainedCertificates
}

/** What a client gets that asks for the name by SNI. */
export interface ExplainedCertificates {
  readonly serverName: string
  readonly from: 'Ingress' | 'default certificate' | 'self-signed'
  readonly certificates: readonly ExplainedCertificate[]
}

interface ExplainedCertificate {
  /** `namespace/name`. */
  readonly secret: string
  readonly revision: string
  readonly keyType: Certificate['keyType']
  /** Null: it cannot be read. */
  readonly names: string | null
  readonly notAfter: string | null
}

export type Explained =
  | { readonly ok: true; readonly explanation: Explanation }
  /** The gateway would answer 400. */
  | { readonly ok: false; readonly reason: string }

export interface Explainable {
  readonly table: TableReader & TableExplainer
  readonly endpoints: (service: ServiceKey) => readonly EndpointState[]
}

/** A host that hundreds of Ingresses share is not shown whole. */
const MOST_CANDIDATES = 100

export function explain({ host, path, fields }: Question, { table, endpoints }: Explainable): Explained {
  const target = parseTarget('GET', path, host)
  if (!target.ok) return { ok: false, reason: target.reason }
  const decision = decide(target, table, fields, NO_DRAW)
  const { chosen, entry, candidates } = explainRoute(table, target.host, target.path)
  const otherReadings = target.alternates.map(other => {
    const route = table.route(target.host, other)
    return { path: other, route: route === null ? null : ruleOf(route) }
  })
  const service = chosen?.cluster?.service ?? null
  return {
    ok: true,
    explanation: {
      request: { host: target.host, path: target.path, otherReadings, countedAs: table.requestHost(target.host) },
      answer:
        decision.kind === 'forward'
          ? { kind: 'forward' }
          : { kind: 'answer', status: decision.status, reason: decision.reason, cause: decision.cause },
      host: entry === null ? null : { matched: entry.host, by: entry.kind },
      route:
        chosen === null
          ? null
          : {
              ...{ host: chosen.host, type: chosen.type, path: chosen.path, ingress: nameOf(chosen.object) },
              ...{ revision: chosen.revision, governed: chosen.governed, service },
              // A policy may hold what cannot be handed to another thread, such as what was compiled from it.
              policy: JSON.parse(JSON.stringify(chosen.policy)) as object,
              slot: chosen.id,
            },
      canaries: explainCanaries(chosen, { fields, query: queryOf(target.forward) }),
      endpoints: service === null ? [] : endpoints(service),
      candidates: candidates.slice(0, MOST_CANDIDATES).map(({ outcome, reason, route }) => ({
        ...{ outcome, reason, rule: ruleOf(route) },
        ...{ ingress: nameOf(route.object), revision: route.revision },
      })),
      moreCandidates: Math.max(0, candidates.length - MOST_CANDIDATES),
      certificate: describeCertificates(table, target.host),
    },
  }
}

export function describeCertificates(table: TableReader, serverName: string): ExplainedCertificates {
  const certificates = table.certificates(serverName)
  const [first] = certificates
  const from = first === undefined ? 'self-signed' : first.isDefault === true ? 'default certificate' : 'Ingress'
  return { serverName, from, certificates: certificates.map(explainCertificate) }
}

/** Beyond every share. */
const NO_DRAW = (): number => 1

function explainCanaries(main: Route | null, asked: Asked): Explanation['canaries'] {
  if (main?.cluster == null || main.split === null) return []
  return main.split.explain(asked).map(({ route, outcome, reason }) => {
    const { cluster } = route
    const known = { ingress: nameOf(route.object), revision: route.revision, service: cluster?.service ?? null }
    if (cluster !== null && cluster.size > 0) return { ...known, outcome, reason }
    return { ...known, outcome: 'not chosen', reason: `${reason}; it has no endpoints: requests stay on the main path` }
  })
}

/** An endpoint as all workers see it. */
export interface ExplainedEndpoint {
  readonly address: string
  /** Of how many workers it rests; they find out by themselves. */
  readonly restsIn: number
  /** Until the first of these probes it; 0: now, or it rests nowhere. */
  readonly nextProbeMs: number
  /** Part of its share that it gets, in the slowest worker. */
  readonly share: number
  readonly open: number
  readonly idle: number
}

/** What all workers together say. */
export interface MergedExplanation extends Omit<Explanation, 'endpoints'> {
  readonly endpoints: readonly ExplainedEndpoint[]
  /** `agree`: false where they answer differently, as in the middle of an update; the first one's answer is shown. */
  readonly workers: { readonly asked: number; readonly answered: number; readonly agree: boolean }
}

/** @param asked how many workers were asked */
export function mergeExplanations(
  [first, ...others]: readonly [Explanation, ...Explanation[]],
  asked: number,
): MergedExplanation {
  const essence = ({ answer, route, canaries }: Explanation): string =>
    JSON.stringify([answer, route && { ...route, slot: 0 }, canaries])
  return {
    ...first,
    endpoints: mergeEndpoints([first, ...others].map(({ endpoints }) => endpoints)),
    workers: { asked, answered: 1 + others.length, agree: others.every(other => essence(other) === essence(first)) },
  }
}

export function mergeEndpoints(views: readonly (readonly EndpointState[])[]): readonly ExplainedEndpoint[] {
  const all = Map.groupBy(views.flat(), ({ address }) => address)
  return [...all].map(([address, states]) => {
    const resting = states.filter(({ suspect }) => suspect)
    return {
      address,
      restsIn: resting.length,
      nextProbeMs: Math.round(Math.min(...resting.map(({ restsFor }) => restsFor), ...(resting.length > 0 ? [] : [0]))),
      share: Math.min(...states.map(({ share }) => share)),
      open: states.reduce((sum, { open }) => sum + open, 0),
      idle: states.reduce((sum, { idle }) => sum + idle, 0),
    }
  })
}

function ruleOf({ host, type, path }: Route): string {
  return `${host === '' ? '(any)' : host} ${type} ${path}`
}

export function nameOf(key: ObjectKey): string {
  const { namespace, name } = parseObjectKey(key)
  return `${namespace}/${name}`
}

/** Nothing of the key. */
function explainCertificate({ key, revision, keyType, chain }: Certificate): ExplainedCertificate {
  const known = { secret: nameOf(key), revision, keyType }
  try {
    const { subjectAltName = '', validTo } = new X509Certificate(chain)
    return { ...known, names: subjectAltName, notAfter: new Date(validTo).toISOString() }
  } catch {
    return { ...known, names: null, notAfter: null }
  }
}
