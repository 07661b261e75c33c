/**
 * Kubernetes objects as their JSON, as far as Sluice reads or writes them. What comes from the API server is typed
 * here by hope, not by proof: operator/model validates what decides anything.
 */

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
  readonly blockOwnerDeletion?: boolean
}

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly ownerReferences?: readonly OwnerReference[]
  readonly managedFields?: readonly unknown[]
}

export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

/** An object whose spec and status are somebody else's business. */
export interface SpecObject<Spec = unknown, Status = unknown> extends KubeObject {
  readonly spec?: Spec
  readonly status?: Status
}

/** What names an object within its kind; `namespace` is left out for cluster-scoped ones. */
export interface ObjectName {
  readonly name: string
  readonly namespace?: string | undefined
}

export interface IngressClass extends KubeObject {
  readonly spec?: { readonly controller?: string; readonly parameters?: unknown }
}

export interface Secret extends KubeObject {
  readonly type?: string
  readonly immutable?: boolean
  /** Base64. Never log it. */
  readonly data?: Readonly<Record<string, string>>
  readonly stringData?: Readonly<Record<string, string>>
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

export interface ServicePort {
  readonly name?: string
  readonly port: number
  readonly protocol?: string
  readonly appProtocol?: string
  readonly targetPort?: number | string
}

export interface Service extends KubeObject {
  readonly spec?: {
    readonly type?: string
    readonly clusterIP?: string
    readonly externalName?: string
    readonly ports?: readonly ServicePort[]
    readonly selector?: Readonly<Record<string, string>>
  }
}

export interface EndpointSlice extends KubeObject {
  readonly addressType: string
  readonly endpoints?: readonly {
    readonly addresses: readonly string[]
    readonly conditions?: {
      readonly ready?: boolean
      readonly serving?: boolean
      readonly terminating?: boolean
    }
    readonly nodeName?: string
    readonly zone?: string
    readonly targetRef?: { readonly kind?: string; readonly name?: string; readonly uid?: string }
  }[]
  readonly ports?: readonly {
    readonly name?: string
    readonly port?: number
    readonly protocol?: string
    readonly appProtocol?: string
  }[]
}

export interface Namespace extends KubeObject {
  readonly status?: { readonly phase?: string }
}

export interface Pod extends KubeObject {
  readonly spec?: { readonly nodeName?: string; readonly serviceAccountName?: string }
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

export interface StatefulSet extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly serviceName?: string }
  readonly status?: { readonly replicas?: number; readonly readyReplicas?: number }
}

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string
    readonly leaseDurationSeconds?: number
    /** MicroTime: RFC 3339 with microseconds. */
    readonly acquireTime?: string
    readonly renewTime?: string
    readonly leaseTransitions?: number
  }
}

export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string | undefined
  readonly name: string
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** core/v1 Event. */
export interface CoreEvent extends KubeObject {
  readonly involvedObject: ObjectReference
  readonly reason: string
  readonly message: string
  readonly type: 'Normal' | 'Warning'
  readonly count: number
  readonly firstTimestamp: string
  readonly lastTimestamp: string
  readonly source: { readonly component: string }
  readonly reportingComponent: string
  readonly reportingInstance: string
}

/** authentication.k8s.io/v1: create it, and read the answer's status. It has no name. */
export interface TokenReview {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: Partial<ObjectMeta>
  readonly spec: { readonly token: string; readonly audiences?: readonly string[] }
  readonly status?: {
    readonly authenticated?: boolean
    readonly audiences?: readonly string[]
    readonly error?: string
    readonly user?: {
      readonly username?: string
      readonly uid?: string
      readonly groups?: readonly string[]
      readonly extra?: Readonly<Record<string, readonly string[]>>
    }
  }
}

/** A reference to an object, as events and owner references want it. */
export function referenceTo(resource: { apiVersion: string; kind: string }, object: KubeObject): ObjectReference {
  const { name, namespace, uid, resourceVersion } = object.metadata
  return { apiVersion: resource.apiVersion, kind: resource.kind, name, namespace, uid, resourceVersion }
}

/** `<namespace>/<name>`, or the name alone for cluster-scoped objects. */
export function nameKey(name: ObjectName): string {
  return name.namespace === undefined || name.namespace === '' ? name.name : `${name.namespace}/${name.name}`
}
