/** Objects as the API server has them, and one replica's flow from them to the pods, for tests. */
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { Published } from '../checksum/diff.ts'
import type { ModelError } from '../model/errors.ts'
import { CONTROLLER_NAME } from '../model/ingress-class.ts'
import { TLS_SECRET_TYPE } from '../model/secret.ts'
import { parsePolicy } from '../model/policy.ts'
import type { SourceObject } from '../model/types.ts'
import type { RawObject } from './caches.ts'
import { Caches, nameOf } from './caches.ts'
import { Pipeline } from './pipeline.ts'
import type { ObjectView, PipelineChange } from './pipeline.ts'
import { KINDS, Releases } from './releases.ts'

export const NAMESPACE = 'shop'
export const PREFIX = 'nginx.ingress.kubernetes.io'
export const WEB: ObjectKey = 'Ingress/shop/web'
export const TLS: ObjectKey = 'Secret/shop/tls'
const CREATED = '2026-01-01T00:00:00Z'

export type Raw = RawObject & {
  readonly kind: string
  readonly spec?: unknown
  readonly type?: string
  readonly data?: Readonly<Record<string, string>>
}

export interface Change {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
  readonly deleting?: boolean
}

/** An object of any kind; its uid follows from kind and name. */
export function object(kind: string, name: string, change: Change, rest: object): Raw {
  const { namespace = NAMESPACE, deleting = false, labels = {}, annotations = {}, finalizers = [] } = change
  const named = change.name ?? name
  return {
    kind,
    metadata: {
      name: named,
      namespace,
      uid: change.uid ?? `uid-${kind}-${named}`,
      resourceVersion: change.resourceVersion ?? '1',
      creationTimestamp: CREATED,
      ...{ labels, annotations, finalizers },
      ...(deleting ? { deletionTimestamp: '2026-01-02T00:00:00Z' } : {}),
    },
    ...rest,
  }
}

export interface IngressChange extends Change {
  readonly host?: string
  readonly service?: string
  readonly className?: string
  /** Names of Secrets. */
  readonly tls?: readonly string[]
}

export function ingress(change: IngressChange = {}): Raw {
  const { host = 'shop.example', service = 'web', className = 'sluice', tls = [] } = change
  const backend = { service: { name: service, port: { number: 80 } } }
  return object('Ingress', 'web', change, {
    spec: {
      ingressClassName: className,
      rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
      ...(tls.length === 0 ? {} : { tls: tls.map(secretName => ({ hosts: [host], secretName })) }),
    },
  })
}

export function secret(
  leaf: { readonly chain: string; readonly privateKey: string },
  change: Change & { readonly type?: string } = {},
): Raw {
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  return object('Secret', 'tls', change, {
    type: change.type ?? 'kubernetes.io/tls',
    data: { 'tls.crt': encode(leaf.chain), 'tls.key': encode(leaf.privateKey) },
  })
}

export function service(name: string, port = 80): Raw {
  return object('Service', name, {}, { spec: { type: 'ClusterIP', ports: [{ name: 'http', port }] } })
}

export function slice(name: string, ...addresses: readonly string[]): Raw {
  const endpoints = addresses.map(address => ({ addresses: [address], conditions: { ready: true } }))
  return object(
    'EndpointSlice',
    `${name}-1`,
    { labels: { 'kubernetes.io/service-name': name } },
    { addressType: 'IPv4', endpoints, ports: [{ name: 'http', port: 8080 }] },
  )
}

export function ingressClass(name = 'sluice'): Raw {
  return { kind: 'IngressClass', metadata: { name }, spec: { controller: CONTROLLER_NAME } }
}

export function namespace(labels: Readonly<Record<string, string>> = {}, terminating = false): Raw {
  const status = { phase: terminating ? 'Terminating' : 'Active' }
  return { kind: 'Namespace', metadata: { name: NAMESPACE, uid: 'uid-ns', labels }, ...{ status } }
}

export interface PolicyChange {
  readonly name?: string
  readonly generation?: number
  readonly spec?: Readonly<Record<string, unknown>>
}

/** One pod, then all, a bake of a second; one gate. */
export function policy({ name = 'default', generation = 1, spec = {} }: PolicyChange = {}): Raw {
  return {
    kind: 'IngressRolloutPolicy',
    metadata: { name, uid: `uid-policy-${name}`, resourceVersion: '1', generation, creationTimestamp: CREATED },
    spec: {
      selector: {},
      batches: [{ pods: 1 }, { pods: '100%' }],
      bakeTime: '1s',
      ackDeadline: '30s',
      analysis: { interval: '1s', minRequests: 1, successRate: { min: 99 } },
      ...spec,
    },
  } as Raw
}

export interface ReplicaOptions {
  /** Looks at one object each time, as if there was no time for more. */
  readonly inSlices?: boolean
  readonly idForm?: 'content' | 'upstream'
  /** Default: those that were given to store(). */
  readonly record?: (uid: string) => ReleaseRecord | null
  readonly defaultCertificate?: ObjectKey
}

/** Fed as the watches would, one turn of the event loop at a time. Gates open at publish(). */
export class Replica {
  readonly caches = new Caches()
  readonly malformed: ModelError[] = []
  readonly pipeline: Pipeline
  readonly releases: Releases
  /** Certificates of tests are made when the test begins. */
  wall = Date.now()
  now = 1_000
  /** What the API server has of Secrets that are read on demand. */
  readonly #api = new Map<ObjectKey, Raw>()
  /** False: no answer comes. */
  answers = true
  /** Secrets that were asked for, in order. */
  readonly asked: ObjectKey[] = []
  readonly #unanswered = new Set<ObjectKey>()
  /** UIDs of objects whose records are lost. */
  readonly lost = new Set<string>()
  readonly #records = new Map<string, ReleaseRecord>()
  readonly #inSlices: boolean

  constructor(options: ReplicaOptions = {}) {
    this.#inSlices = options.inSlices ?? false
    this.caches.classes.set('sluice', ingressClass())
    this.pipeline = new Pipeline({
      caches: this.caches,
      record: options.record ?? ((uid): ReleaseRecord | null => this.#records.get(uid) ?? null),
      lost: uid => this.lost.has(uid),
      recordByKey: key => [...this.#records.values()].findLast(record => record.key === key) ?? null,
      released: key => this.releases.released(key),
      controllerName: CONTROLLER_NAME,
      annotationPrefix: PREFIX,
      idForm: options.idForm ?? 'content',
      defaultCertificate: options.defaultCertificate ?? null,
      malformed: error => this.malformed.push(error),
      now: () => this.wall,
    })
    this.releases = new Releases({
      endpoints: () => this.pipeline.endpoints,
      observe: () => ({ objects: [], hosts: [], intervalMs: 10_000 }),
      now: () => this.now,
    })
  }

  put(...objects: readonly Raw[]): this {
    for (const one of objects) this.#take(one, true)
    return this
  }

  drop(...objects: readonly Raw[]): this {
    for (const one of objects) this.#take(one, false)
    return this
  }

  /** The namespace changed: what is gone in it is looked at again. */
  touchGone(): this {
    this.pipeline.touch(this.pipeline.goneIn(NAMESPACE))
    return this
  }

  policies(...raw: readonly Raw[]): this {
    this.pipeline.setPolicies(raw.map(one => parsePolicy(one)))
    return this
  }

  /** The store has this record now. */
  store(...records: readonly ReleaseRecord[]): this {
    for (const record of records) {
      this.#records.delete(record.uid)
      this.#records.set(record.uid, record)
      this.pipeline.touch([record.key])
    }
    return this
  }

  unstore(...records: readonly ReleaseRecord[]): this {
    for (const { uid, key } of records) {
      this.#records.delete(uid)
      this.pipeline.touch([key])
    }
    return this
  }

  /** Everything that was touched goes as far as the gates let it. */
  turn(): PipelineChange {
    const all: PipelineChange = this.#flush()
    while (!this.pipeline.idle) this.#flush()
    return all
  }

  /** What is newest here becomes what is published, as the leader does it. */
  publish(): this {
    this.turn()
    for (const kind of KINDS) this.publishOnly(kind, this.releases.gate(kind).publication())
    return this
  }

  publishOnly(kind: 'Ingress' | 'Secret', published: Published | null): void {
    this.pipeline.touchReferences(this.releases.publish(kind, published))
    this.turn()
  }

  view(key: ObjectKey): ObjectView {
    const found = this.pipeline.view(key)
    if (found === null) throw new Error(`no view of ${key}`)
    return found
  }

  source(key: ObjectKey): SourceObject {
    const { source } = this.view(key)
    if (source === null) throw new Error(`${key} is not there`)
    return source
  }

  /** Revision that the pod is given of it; null: it answers as if there were no object. */
  given(key: ObjectKey, ordinal: number): Revision | null {
    return this.releases.entry(key, ordinal)?.assignment.assigned ?? null
  }

  /** For pods 0 to 2 and one without an ordinal. */
  givenTo(key: ObjectKey): readonly (Revision | null)[] {
    return [0, 1, 2, -1].map(ordinal => this.given(key, ordinal))
  }

  #flush(): PipelineChange {
    const change = this.pipeline.flush(() => this.#inSlices)
    this.pipeline.touchReferences(this.releases.record(change))
    this.#read(change.unread)
    return change
  }

  #read(keys: readonly ObjectKey[]): void {
    for (const key of keys) this.#unanswered.add(key)
    if (!this.answers) return
    for (const key of this.#unanswered) {
      this.asked.push(key)
      const found = this.#api.get(key)
      if (found !== undefined) this.pipeline.touch([this.caches.putRead(found)])
    }
    this.#unanswered.clear()
  }

  #takeStub(raw: Raw, there: boolean): void {
    const { caches, pipeline } = this
    const { name, namespace, uid, resourceVersion } = raw.metadata
    const stub = { metadata: { name, namespace, uid, resourceVersion } } as RawObject
    if (!there) {
      const key = caches.removeStub(stub)
      this.#api.delete(key)
      pipeline.touch([key])
      return
    }
    const key = caches.putStub(stub)
    this.#api.set(key, raw)
    if (pipeline.isNeeded(key)) this.#read([key])
    else if (caches.dropRead(key)) pipeline.touch([key])
  }

  #take(raw: Raw, there: boolean): void {
    const { caches, pipeline } = this
    const into = (map: Map<string, RawObject>): void => {
      if (there) map.set(nameOf(raw), raw)
      else map.delete(nameOf(raw))
    }
    switch (raw.kind) {
      case 'Ingress':
      case 'Secret':
        if (raw.kind === 'Secret' && raw.type !== TLS_SECRET_TYPE) {
          this.#takeStub(raw, there)
          break
        }
        pipeline.touch([there ? caches.putGoverned(raw.kind, raw) : caches.removeGoverned(raw.kind, raw)])
        break
      case 'Service':
        into(caches.services)
        pipeline.touchService(nameOf(raw))
        break
      case 'EndpointSlice': {
        const owner = there ? caches.putSlice(raw) : caches.removeSlice(raw)
        if (owner !== null) pipeline.touchService(owner)
        break
      }
      case 'Namespace':
        into(caches.namespaces)
        pipeline.touch(caches.keysIn(raw.metadata.name))
        break
      case 'IngressClass':
        into(caches.classes)
        pipeline.touch(caches.ingresses.keys())
        break
      default:
        throw new Error(`this replica does not watch ${raw.kind}`)
    }
  }
}
