/**
 * What operator and proxy both say about an object: keys, fragments, certificates, assignments.
 * Everything here is data that crosses the stream; nothing here knows Kubernetes clients or sockets.
 */

/** The kinds of objects whose revisions are rolled out. */
export type ObjectKind = 'Ingress' | 'Secret'

/** `<kind>/<namespace>/<name>`, for example `Ingress/shop/web`: names an object all over the system. */
export type ObjectKey = string

/** `<namespace>/<service>:<port>`, the port as the Ingress wrote it (number or name). */
export type ServiceKey = string

/** A name of a revision: ours is a hash of the canonical content, a hand-written one is any label-like word. */
export type Revision = string

/** The revision that stands for "this object does not exist": deletion and change of class are rolled out as it. */
export const ABSENT_REVISION: Revision = 'absent'

export type PathType = 'Exact' | 'Prefix' | 'ImplementationSpecific'

/**
 * Where requests of a path go. `status` answers them instead: the path is closed because its protection cannot be
 * enforced, which speaks against no revision, or, with `protects` false, it has no backend that we know how to ask, which
 * is a failure like any other. A proxy that does not know `protects` takes both for closed.
 */
export type Backend =
  { readonly service: ServiceKey } | { readonly status: 503; readonly reason: string; readonly protects?: boolean }

export interface PathFragment {
  /** `Default` is the Ingress's defaultBackend: path `/`, tried after every other path of the host. */
  readonly type: PathType | 'Default'
  /** In the form of normaliseRoutePath (normalise-path.ts), in which requests are compared with it. */
  readonly path: string
  readonly backend: Backend
}

export interface HostFragment {
  /** Lower case; `*.example.com` for a wildcard of one label; empty for "every other host". */
  readonly host: string
  readonly paths: readonly PathFragment[]
}

export interface TlsFragment {
  /** Lower case host names, wildcards allowed; never empty. */
  readonly hosts: readonly string[]
  /** Key of the Secret. Two entries with the same host and two Secrets are the dual (ECDSA and RSA) case. */
  readonly secret: ObjectKey
}

/** `value % divisor <operator> remainder`, of a value that is nothing but digits; every other one does not match. */
export interface CanaryModulo {
  /** 2 to 100. */
  readonly divisor: number
  readonly operator: '==' | '!=' | '>' | '>=' | '<' | '<='
  /** Below the divisor. */
  readonly remainder: number
}

/**
 * A part of requests that a canary is chosen by. With `values`, `pattern` or `modulo` (at most one of them) a value that fits takes the
 * canary, and another one leaves the choice to what comes next; without, `always` takes it and `never` keeps the request
 * from it.
 */
export interface CanaryKey {
  /** Of a header or cookie, or of an argument of the query. Letters of either case are the same in all three. */
  readonly name: string
  /** One of them, whole, letter by letter. Never empty. */
  readonly values?: readonly string[]
  /** Found anywhere in the value (patterns.ts). */
  readonly pattern?: string
  readonly modulo?: CanaryModulo
}

/** Added to requests that a header, a cookie or an argument of the query led to the canary, and to their answers. */
export interface CanaryMarks {
  /** Names and values: fields of their own, whatever the client wrote. */
  readonly requestAdd?: readonly (readonly [name: string, value: string])[]
  /** Behind the value that is there, with a comma; alone where there is none. */
  readonly requestAppend?: readonly (readonly [name: string, value: string])[]
  /** Arguments behind the query, as they are written: `a=1&b=2`. */
  readonly query?: string
  readonly responseAdd?: readonly (readonly [name: string, value: string])[]
  readonly responseAppend?: readonly (readonly [name: string, value: string])[]
}

/** Which requests of a path a canary takes: by header, then cookie, then query; what none of them decides by weight. */
export interface CanaryRule {
  readonly header?: CanaryKey
  readonly cookie?: CanaryKey
  readonly query?: CanaryKey
  /** So many of `total` requests that nothing else decides; 0: none. */
  readonly weight: number
  /** At least 100, and at least `weight`. */
  readonly total: number
  readonly marks?: CanaryMarks
  /** Sessions of the main path do not stay with it: each of their requests is chosen for itself. */
  readonly affinity?: 'legacy'
}

export interface Canary {
  readonly rule: CanaryRule
  /** Paths that it takes requests of: those of other Ingresses with the same host, type and path. It serves none by itself. */
  readonly hosts: readonly HostFragment[]
}

/** Why a request may go to another endpoint: the words of nginx's `proxy_next_upstream`, in this order. */
export const RETRY_CAUSES = [
  ...(['error', 'timeout', 'invalid_header', 'http_500', 'http_502', 'http_503', 'http_504'] as const),
  ...(['http_403', 'http_404', 'http_429', 'non_idempotent', 'off'] as const),
] as const
export type RetryCause = (typeof RETRY_CAUSES)[number]

/** Milliseconds, never 0. */
export interface TimeoutSettings {
  /** To open a connection to an endpoint. */
  readonly connect?: number
  /** For the head of an answer, and for its next bytes; for anything to pass through a tunnel. */
  readonly read?: number
  /** For the backend to take more of a request. */
  readonly send?: number
}

/** Bytes. */
export interface BodySettings {
  /** Of a request's body; longer: 413. 0: no limit. */
  readonly max?: number
  /** A body up to this size is read before an endpoint is chosen. */
  readonly buffer?: number
  /** It is sent on as it comes: nobody waits for the rest of it. */
  readonly streamed?: true
}

export interface RetrySettings {
  /** In the order of RETRY_CAUSES, none twice. Never empty. */
  readonly on?: readonly RetryCause[]
  /** Endpoints in all, the first included; 0: as many as there are. */
  readonly tries?: number
  /** No further one when so many milliseconds went by; 0: no limit. */
  readonly time?: number
}

/** A part of what requests are spread by: text as it is, or something of the request. */
export type HashPart =
  | { readonly text: string }
  /** `uri`: the path alone, as it is matched; `client`: the address. */
  | { readonly of: 'request_uri' | 'uri' | 'host' | 'client' }
  /** Names in lower case; nothing where the request has none. */
  | { readonly of: 'query' | 'header' | 'cookie'; readonly name: string }

/** How an endpoint is chosen; without it the less busy of two. */
export interface BalanceSettings {
  readonly by: 'round_robin' | 'ewma' | 'hash'
  /** Of `hash`, joined. Never empty. */
  readonly parts?: readonly HashPart[]
  /** Of `hash`: so many endpoints for each value, of which the less busy of two is taken; left out: one. */
  readonly subset?: number
}

/** Sessions stay with an endpoint, by a cookie that the proxy sets. Seconds. */
export interface AffinitySettings {
  /** `balanced`: a new endpoint gets its share of sessions, too. `persistent`: a session stays while its endpoint is there. */
  readonly mode: 'balanced' | 'persistent'
  /** Of the cookie. */
  readonly name: string
  /** Left out: that of the rule. */
  readonly path?: string
  readonly domain?: string
  /** From now on. */
  readonly expires?: number
  readonly maxAge?: number
  readonly sameSite?: 'None' | 'Lax' | 'Strict'
  /** `None` is left out for browsers that refuse such a cookie. */
  readonly conditionalNone?: boolean
  /** Left out: where the client speaks TLS. */
  readonly secure?: boolean
  /** Where another endpoint answers the session is its from then on. */
  readonly changeOnFailure?: boolean
}

/**
 * What the annotations of an Ingress say of how its requests are served, by topic. All of it may be left out: then the proxy's own
 * settings decide. A proxy that does not know one serves as if it were not there.
 */
export interface RouteSettings {
  readonly timeouts?: TimeoutSettings
  readonly body?: BodySettings
  readonly retry?: RetrySettings
  /** Of a canary: for what it takes. */
  readonly balance?: BalanceSettings
  /** Goes before `balance`. */
  readonly affinity?: AffinitySettings
}

/** The compiled form of one Ingress at one revision. */
export interface Fragment {
  readonly key: ObjectKey
  readonly revision: Revision
  /** metadata.creationTimestamp in milliseconds since the epoch: the oldest object wins a tie. */
  readonly createdAt: number
  /** Its changes are rolled out: figures of its hosts are always reported. */
  readonly governed: boolean
  readonly hosts: readonly HostFragment[]
  readonly tls: readonly TlsFragment[]
  /**
   * Server names that `tls` entries and rules of this Ingress name, and no certificate of it does: they get the default
   * one, and no younger Ingress's. Left out where there are none; a proxy that does not know it takes the younger's.
   */
  readonly defaultTls?: readonly string[]
  /**
   * ACME challenges: each path fits itself alone and goes before all others of its host, and where none fits the host is served
   * as if this were not there. A proxy that does not know it takes them for ordinary paths.
   */
  readonly challenges?: true
  /**
   * It is a canary: `hosts` and `tls` are empty. A proxy that does not know it serves the others as if this were not there.
   */
  readonly canary?: Canary
  /** Of all its paths. Left out where nothing is set: nearly always. */
  readonly settings?: RouteSettings
}

/** Hosts whose requests a fragment may lead somewhere: its own, or those that it is a canary on. */
export function routedHosts({ hosts, canary }: Pick<Fragment, 'hosts' | 'canary'>): readonly HostFragment[] {
  return canary === undefined ? hosts : canary.hosts
}

/** A TLS Secret at one revision. Never log one: `privateKey` is a secret. */
export interface Certificate {
  readonly key: ObjectKey
  readonly revision: Revision
  readonly governed: boolean
  /** PEM, leaf first. */
  readonly chain: string
  /** PEM. */
  readonly privateKey: string
  readonly keyType: 'ECDSA' | 'RSA'
  /** It is for names that have no other. At most one certificate of a state says so. */
  readonly isDefault?: true
}

/**
 * What one pod is to serve of one object, beside what the object announces to everybody.
 * Invariant, verified by the proxy: `assigned` is `announced` or `current`, or null where `current` is null,
 * or null where the revision it would be is ABSENT_REVISION.
 */
export interface Assignment {
  readonly key: ObjectKey
  /** The ID that takes part in the global checksum; empty where the ID form leaves the object out. */
  readonly id: string
  /** The update revision; the current one if nothing is on its way. */
  readonly announced: Revision
  /** What every pod may fall back to; null for an object that was just created. */
  readonly current: Revision | null
  /** The revision that this pod serves; null: it answers as if the object did not exist. */
  readonly assigned: Revision | null
  /** SHA-256 (hex) of the canonical JSON of the fragment or certificate; null if and only if assigned is null. */
  readonly digest: string | null
}

/** Two assignments of one object say the same. What is assigned is compared by its digest. */
export function sameAssignment(a: Assignment, b: Assignment): boolean {
  return (
    a.id === b.id &&
    a.announced === b.announced &&
    a.current === b.current &&
    a.assigned === b.assigned &&
    a.digest === b.digest
  )
}
