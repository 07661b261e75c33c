/** The operator's own picture of Kubernetes objects: validated input of compile, assignment and rollout. Pure data. */
import type { ObjectKey, Revision } from '../../protocol/objects.ts'

/** An annotation that may be missing, well-formed or not. What does not parse is never taken for a default. */
export type Parsed<T> =
  | { readonly state: 'absent' }
  | { readonly state: 'valid'; readonly value: T }
  | { readonly state: 'invalid'; readonly text: string }

/** The rollout annotations of an object (TENGINE.md 1.1 to 1.4), `ingress-rollout…` or `secret-rollout…`. */
export interface Stamp {
  readonly flag: Parsed<boolean>
  readonly current: Parsed<Revision>
  readonly update: Parsed<Revision>
  /** -1: all pods; k: the pods with an ordinal below k. */
  readonly index: Parsed<number>
}

/** Canonical content of an Ingress: what decides its revision. */
export interface IngressContent {
  readonly kind: 'Ingress'
  /** Annotations that mean something to us, rollout annotations excluded. */
  readonly annotations: Readonly<Record<string, string>>
  /** spec as the API server holds it, without the fields that are not known (known-fields.ts). */
  readonly spec: IngressSpec
}

/** Content of a TLS Secret. Never log one. */
export interface SecretContent {
  readonly kind: 'Secret'
  /** PEM of tls.crt. */
  readonly chain: string
  /** PEM of tls.key. */
  readonly privateKey: string
}

export type Content = IngressContent | SecretContent

/** One path of ACME's HTTP-01 challenges, on exactly one host. */
export interface ChallengePath {
  /** Lower case, no wildcard. */
  readonly host: string
  readonly path: string
  /** Name of the Service, in the namespace of the Ingress. */
  readonly service: string
  readonly port: number | string
}

/** What is served on top of an Ingress's content, whatever revision of it a pod serves. */
export interface Challenges {
  readonly paths: readonly ChallengePath[]
  /** The revision that the content would have with them: so it was named before they were kept apart. */
  readonly asContent: Revision
}

/** An Ingress or Secret as the watch delivered it, parsed. */
export interface SourceObject {
  readonly key: ObjectKey
  readonly uid: string
  readonly resourceVersion: string
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** metadata.deletionTimestamp is set, or it is gone. */
  readonly deleting: boolean
  /** The API server does not have it any more, and what it was is still served: see assign/gone.ts. */
  readonly gone?: true
  /** Its class is ours; Secrets: always, whatever their type. False: it is on its way out, like a deletion. */
  readonly ours: boolean
  /** Name of the IngressClass that the Ingress asks for, or the default one of ours; null: none, and for Secrets. */
  readonly className: string | null
  /** It is ours by a class that does not exist (any more): what is served stays. */
  readonly classMissing?: true
  readonly labels: Readonly<Record<string, string>>
  readonly finalizers: readonly string[]
  readonly content: Content
  /** ACME challenges of an Ingress, which are no part of its content; left out where there are none. */
  readonly challenges?: Challenges
  /** Fields of the spec that are not known, and no part of its content; left out where there are none. */
  readonly unknownFields?: readonly string[]
  /** Hash of the content. Equals ABSENT_REVISION if deleting or not ours. */
  readonly revision: Revision
  readonly stamp: Stamp
}

/** Something in an object that a person should mend. Names object, field and reason; never holds key material. */
export interface Problem {
  readonly key: ObjectKey
  /** JSON path of the field, for example `spec.rules[0].host` or `metadata.annotations[nginx.ingress.kubernetes.io/x]`. */
  readonly field: string
  /** CamelCase, for events and conditions, for example `InvalidHost`, `UnsupportedAnnotation`, `ServiceNotFound`. */
  readonly reason: string
  readonly message: string
  /** `reject`: this content cannot be served, the last good stays. `close`: its paths answer 503. `warn`: the rest works. */
  readonly effect: 'reject' | 'close' | 'warn'
}

export interface IngressSpec {
  readonly ingressClassName?: string
  readonly defaultBackend?: IngressBackend
  readonly rules?: readonly IngressRule[]
  readonly tls?: readonly { readonly hosts?: readonly string[]; readonly secretName?: string }[]
}
export interface IngressRule {
  readonly host?: string
  readonly http?: { readonly paths: readonly IngressPath[] }
}
export interface IngressPath {
  readonly path?: string
  readonly pathType: string
  readonly backend: IngressBackend
}
export interface IngressBackend {
  readonly service?: { readonly name: string; readonly port?: { readonly number?: number; readonly name?: string } }
  readonly resource?: unknown
}
