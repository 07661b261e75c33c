/** The kinds that the operator reads or writes, as descriptors for client and reflector. */
import type {
  ConfigMap,
  CoreEvent,
  EndpointSlice,
  IngressClass,
  KubeObject,
  Lease,
  Namespace,
  ObjectName,
  Pod,
  Secret,
  Service,
  SpecObject,
  StatefulSet,
  TokenReview,
} from './objects.ts'
import type { IngressSpec } from '../model/types.ts'

/** Where objects of a kind live in the API; `T` is the shape that callers get. */
export interface Resource<T> {
  /** `v1` or `<group>/<version>`. */
  readonly apiVersion: string
  readonly kind: string
  readonly plural: string
  readonly namespaced: boolean
  /** Lists and watches ask for metadata alone (API concepts, "Metadata-only fetches"): the server leaves out the rest. */
  readonly metadataOnly?: true
  /** Never set: carries T. */
  readonly shape?: T
}

function resource<T>(apiVersion: string, kind: string, plural: string, namespaced = true): Resource<T> {
  return { apiVersion, kind, plural, namespaced }
}

export const GROUP = 'tengine.taobao.org'

export const resources = {
  ingresses: resource<SpecObject<IngressSpec>>('networking.k8s.io/v1', 'Ingress', 'ingresses'),
  ingressClasses: resource<IngressClass>('networking.k8s.io/v1', 'IngressClass', 'ingressclasses', false),
  secrets: resource<Secret>('v1', 'Secret', 'secrets'),
  /** That they exist, and in which version: nothing of their content comes over. Its kind is what the server says then. */
  secretMetadata: { ...resource<KubeObject>('v1', 'PartialObjectMetadata', 'secrets'), metadataOnly: true as const },
  configMaps: resource<ConfigMap>('v1', 'ConfigMap', 'configmaps'),
  services: resource<Service>('v1', 'Service', 'services'),
  endpointSlices: resource<EndpointSlice>('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
  namespaces: resource<Namespace>('v1', 'Namespace', 'namespaces', false),
  pods: resource<Pod>('v1', 'Pod', 'pods'),
  statefulSets: resource<StatefulSet>('apps/v1', 'StatefulSet', 'statefulsets'),
  leases: resource<Lease>('coordination.k8s.io/v1', 'Lease', 'leases'),
  events: resource<CoreEvent>('v1', 'Event', 'events'),
  tokenReviews: resource<TokenReview>('authentication.k8s.io/v1', 'TokenReview', 'tokenreviews', false),
  customResourceDefinitions: resource<SpecObject>(
    'apiextensions.k8s.io/v1',
    'CustomResourceDefinition',
    'customresourcedefinitions',
    false,
  ),
  ingressCheckSums: resource<SpecObject>(`${GROUP}/v1`, 'IngressCheckSum', 'ingresschecksums'),
  secretCheckSums: resource<SpecObject>(`${GROUP}/v1`, 'SecretCheckSum', 'secretchecksums'),
  ingressRolloutPolicies: resource<SpecObject>(
    `${GROUP}/v1alpha1`,
    'IngressRolloutPolicy',
    'ingressrolloutpolicies',
    false,
  ),
  ingressRollouts: resource<SpecObject>(`${GROUP}/v1alpha1`, 'IngressRollout', 'ingressrollouts'),
} as const

/** The same kind with another shape, for example one generated from crds/: `as<IngressRollout>(resources.ingressRollouts)`. */
export function as<T>(descriptor: Resource<unknown>): Resource<T> {
  const { apiVersion, kind, plural, namespaced } = descriptor
  return { apiVersion, kind, plural, namespaced }
}

/** Path of a collection (no name) or of an object. A namespaced kind without namespace means all namespaces. */
export function pathOf(descriptor: Resource<unknown>, target: Partial<ObjectName> = {}, subresource?: string): string {
  const root = descriptor.apiVersion.includes('/') ? `/apis/${descriptor.apiVersion}` : `/api/${descriptor.apiVersion}`
  const inside =
    descriptor.namespaced && target.namespace !== undefined && target.namespace !== ''
      ? `/namespaces/${encodeURIComponent(target.namespace)}`
      : ''
  const name = target.name === undefined ? '' : `/${encodeURIComponent(target.name)}`
  return `${root}${inside}/${descriptor.plural}${name}${subresource === undefined ? '' : `/${subresource}`}`
}

/** `Ingress shop/web`, for messages. */
export function describeTarget(descriptor: Resource<unknown>, target: Partial<ObjectName> = {}): string {
  const name = [target.namespace, target.name].filter(part => part !== undefined && part !== '').join('/')
  return name === '' ? descriptor.plural : `${descriptor.kind} ${name}`
}

export type ShapeOf<R> = R extends Resource<infer T extends KubeObject> ? T : never
