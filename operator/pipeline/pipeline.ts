/**
 * From watched objects to what is streamed, on every replica, incrementally:
 * touched keys → source object → plan → compiled payloads → checksum gate → released entries.
 * One direction; nothing here writes to Kubernetes.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Certificate, Fragment, ObjectKey, ObjectKind, Revision, ServiceKey } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { governanceOf, plan } from '../assign/plan.ts'
import type { Governance, Hold, Plan, ReleaseRecord } from '../assign/types.ts'
import { compileIngress, compileSecret } from '../compile/compile.ts'
import { contentId, upstreamIngressId, upstreamSecretId } from '../checksum/ids.ts'
import { endpointsOf } from '../compile/endpoints.ts'
import { referencesOf } from '../compile/references.ts'
import { parseIngress } from '../model/ingress.ts'
import { parseSecret } from '../model/secret.ts'
import { selectPolicy } from '../model/policy.ts'
import type { Policy } from '../model/policy.ts'
import type { Content, Problem, SourceObject } from '../model/types.ts'
import { certificateCovers } from '../model/certificate.ts'
import { nameOf } from './caches.ts'
import type { Caches, RawObject } from './caches.ts'
import { Relation, portOf, serviceOf } from './graph.ts'
import { inProgress, payload, sameEntry } from './live.ts'
import type { LiveEntry, Payload } from './live.ts'

export interface PipelineOptions {
  readonly caches: Caches
  /** The record of an object that lives, by UID. */
  readonly record: (uid: string) => ReleaseRecord | null
  /** The record of an object that is gone. */
  readonly recordByKey: (key: ObjectKey) => ReleaseRecord | null
  readonly controllerName: string
  readonly annotationPrefix: string
  readonly idForm: 'content' | 'upstream'
  /** Wall clock in milliseconds: certificates expire by it. */
  readonly now: () => number
}

/** All that is known of one object, for the leader's controllers. */
export interface ObjectView {
  readonly key: ObjectKey
  readonly raw: RawObject | null
  readonly source: SourceObject | null
  readonly policy: Policy | null
  readonly governance: Governance
  readonly record: ReleaseRecord | null
  readonly plan: Plan | null
  readonly hold: Hold | null
  /** The object's content as it stands cannot be served. */
  readonly invalid: boolean
  readonly problems: readonly Problem[]
  readonly namespaceTerminating: boolean
}

/** What one run of flush() changed. */
export interface PipelineChange {
  /** Objects whose live entry changed, by kind: they go to the checksum gate. */
  readonly live: readonly {
    readonly key: ObjectKey
    readonly before: LiveEntry | null
    readonly after: LiveEntry | null
  }[]
  /** Objects that were looked at again, changed or not. */
  readonly viewed: readonly ObjectKey[]
  readonly services: readonly ServiceKey[]
}

export class Pipeline {
  readonly #options: PipelineOptions
  readonly #caches: Caches
  readonly #live = new Map<ObjectKey, LiveEntry>()
  readonly #views = new Map<ObjectKey, ObjectView>()
  readonly #touched = new Set<ObjectKey>()
  readonly #touchedServices = new Set<ServiceKey>()
  /** Ingress → Secrets, over both revisions and the object's own content. */
  readonly secretReferences = new Relation<ObjectKey, ObjectKey>()
  /** Ingress → Services, likewise. */
  readonly serviceReferences = new Relation<ObjectKey, ServiceKey>()
  readonly #servicePorts = new Relation<ServiceKey, string>()
  readonly #endpoints = new Map<ServiceKey, readonly string[]>()
  #policies: readonly Policy[] = []

  constructor(options: PipelineOptions) {
    this.#options = options
    this.#caches = options.caches
  }

  get endpoints(): ReadonlyMap<ServiceKey, readonly string[]> {
    return this.#endpoints
  }

  get live(): ReadonlyMap<ObjectKey, LiveEntry> {
    return this.#live
  }

  view(key: ObjectKey): ObjectView | null {
    return this.#views.get(key) ?? null
  }

  views(): Iterable<ObjectView> {
    return this.#views.values()
  }

  setPolicies(policies: readonly Policy[]): void {
    this.#policies = policies
    this.touchAll()
  }

  touch(keys: Iterable<ObjectKey>): void {
    for (const key of keys) this.#touched.add(key)
  }

  touchAll(): void {
    this.touch(this.#caches.ingresses.keys())
    this.touch(this.#caches.secrets.keys())
    this.touch(this.#live.keys())
  }

  /** A Service or one of its EndpointSlices changed. */
  touchService(name: string): void {
    for (const key of this.#servicePorts.from(name)) {
      this.#touchedServices.add(key)
      // Its problems (Service unknown, port unknown) may have come or gone.
      this.touch(this.serviceReferences.from(key))
    }
  }

  get idle(): boolean {
    return this.#touched.size === 0 && this.#touchedServices.size === 0
  }

  /** Looks at everything that was touched. Ingresses come first: they decide which Secrets are referenced. */
  flush(): PipelineChange {
    const live: { key: ObjectKey; before: LiveEntry | null; after: LiveEntry | null }[] = []
    const viewed: ObjectKey[] = []
    for (const kind of ['Ingress', 'Secret'] as const) {
      for (const key of [...this.#touched].filter(k => k.startsWith(`${kind}/`))) {
        this.#touched.delete(key)
        viewed.push(key)
        const before = this.#live.get(key) ?? null
        const after = this.#look(kind, key, before)
        if (after === null) this.#live.delete(key)
        else this.#live.set(key, after)
        const changed = after === null ? before !== null : !sameEntry(before ?? undefined, after)
        if (changed) live.push({ key, before, after })
      }
    }
    const services = [...this.#touchedServices].filter(key => this.#lookAtService(key))
    this.#touchedServices.clear()
    return { live, viewed, services }
  }

  #look(kind: ObjectKind, key: ObjectKey, before: LiveEntry | null): LiveEntry | null {
    const raw = this.#caches.raw(key)
    const source = raw === null ? null : this.#parse(kind, raw)
    const record = source === null ? this.#options.recordByKey(key) : this.#options.record(source.uid)
    if (source === null && record === null) {
      this.#forget(key)
      return null
    }
    const { namespace } = parseObjectKey(key)
    const policy = source === null ? null : this.#policyOf(kind, source, namespace)
    const { governance, hold: governanceHold } =
      source === null ? { governance: { by: 'none' } as const, hold: null } : governanceOf(source, policy, record)
    const governed = governance.by !== 'none'
    const problems: Problem[] = []
    const checked =
      source === null || source.revision === ABSENT_REVISION
        ? null
        : this.#compile(key, source.createdAt, source.revision, source.content, governed, before, problems)
    const invalid =
      source !== null &&
      source.revision !== ABSENT_REVISION &&
      (checked === null || !this.#covers(key, checked, before, problems))
    const namespaceTerminating = this.#caches.terminating(namespace)
    const decided = plan(source, governance, record, { invalid, namespaceTerminating })
    const hold = governanceHold ?? decided.hold
    if (kind === 'Ingress') this.#refer(key, decided, source, record)
    if (kind === 'Ingress') problems.push(...this.#serviceProblems(key))
    this.#views.set(key, {
      key,
      raw,
      source,
      policy,
      governance,
      record,
      plan: decided,
      hold,
      invalid,
      problems,
      namespaceTerminating,
    })
    const { announced } = decided
    if (announced === null) return null
    if (kind === 'Secret' && this.secretReferences.from(key).size === 0) return null
    const payloadOf = (revision: Revision | null): Payload | null => {
      if (revision === null || revision === ABSENT_REVISION) return null
      if (checked !== null && checked.revision === revision) return checked
      const content = source?.revision === revision ? source.content : record?.revisions[revision]?.content
      const createdAt = source?.createdAt ?? record?.createdAt ?? 0
      // A stored revision was valid when it was released; what became wrong with it since is not this object's news.
      return content ? this.#compile(key, createdAt, revision, content, governed, before, []) : null
    }
    return {
      key,
      plan: { ...decided, announced },
      id: this.#id(kind, key, announced, raw),
      update: payloadOf(decided.update),
      current: payloadOf(decided.current),
    }
  }

  #parse(kind: ObjectKind, raw: RawObject): SourceObject {
    const { annotationPrefix: prefix } = this.#options
    return kind === 'Ingress'
      ? parseIngress(raw, { classes: this.#caches.classes.values(), controller: this.#options.controllerName, prefix })
      : parseSecret(raw, { prefix })
  }

  #policyOf(kind: ObjectKind, source: SourceObject, namespace: string): Policy | null {
    const labels = this.#caches.namespaceLabels(namespace)
    const classes = kind === 'Ingress' ? [classOf(source)] : this.#classesReferring(source.key)
    for (const name of classes) {
      const found = selectPolicy(this.#policies, source, labels, name)
      if (found !== null) return found
    }
    return null
  }

  #classesReferring(secret: ObjectKey): readonly (string | null)[] {
    const classes = new Set<string | null>()
    for (const ingress of this.secretReferences.from(secret)) {
      const source = this.#views.get(ingress)?.source
      if (source) classes.add(classOf(source))
    }
    return [...classes]
  }

  #compile(
    key: ObjectKey,
    createdAt: number,
    revision: Revision,
    content: Content,
    governed: boolean,
    before: LiveEntry | null,
    problems: Problem[],
  ): Payload | null {
    const object = { key, createdAt }
    let value: Fragment | Certificate | null
    if (content.kind === 'Ingress') {
      const compiled = compileIngress(object, revision, content, governed)
      problems.push(...compiled.problems)
      value = compiled.fragment
    } else {
      const compiled = compileSecret(object, revision, content, governed, this.#options.now())
      problems.push(...compiled.problems)
      value = compiled.certificate
    }
    if (value === null) return null
    const made = payload(value)
    return [before?.update, before?.current].find(p => p?.digest === made.digest) ?? made
  }

  /** A certificate that does not cover a host which the last good one covers, or covers no host at all, is refused. */
  #covers(key: ObjectKey, checked: Payload, before: LiveEntry | null, problems: Problem[]): boolean {
    if (!('chain' in checked.value)) return true
    const next = checked.value
    const good = before?.current?.value
    const hosts = this.hostsOfSecret(key)
    const missed = hosts.filter(host => !certificateCovers(next.chain, host))
    if (missed.length === 0) return true
    const lost = missed.filter(host => good !== undefined && 'chain' in good && certificateCovers(good.chain, host))
    const refused = lost.length > 0 || missed.length === hosts.length
    problems.push({
      key,
      field: 'data[tls.crt]',
      reason: 'HostNotCovered',
      message: `the certificate does not name ${missed.slice(0, 5).join(', ')}, which Ingresses serve with this Secret${refused ? '; the last good certificate stays' : ''}`,
      effect: refused ? 'reject' : 'warn',
    })
    return !refused
  }

  /** TLS hosts that Ingresses serve with this Secret, in any revision that is served or on its way. */
  hostsOfSecret(secret: ObjectKey): readonly string[] {
    const hosts = new Set<string>()
    for (const ingress of this.secretReferences.from(secret)) {
      const entry = this.#live.get(ingress)
      for (const p of [entry?.update, entry?.current]) {
        if (p && 'tls' in p.value) {
          for (const tls of p.value.tls) if (tls.secret === secret) for (const host of tls.hosts) hosts.add(host)
        }
      }
    }
    return [...hosts]
  }

  #refer(key: ObjectKey, decided: Plan, source: SourceObject | null, record: ReleaseRecord | null): void {
    const secrets = new Set<ObjectKey>()
    const services = new Set<ServiceKey>()
    const contents = new Set<Content>()
    for (const revision of [decided.update, decided.current]) {
      if (revision === null || revision === ABSENT_REVISION) continue
      const content = source?.revision === revision ? source.content : record?.revisions[revision]?.content
      if (content) contents.add(content)
    }
    const { namespace } = parseObjectKey(key)
    for (const content of contents) {
      if (content.kind !== 'Ingress') continue
      const references = referencesOf(namespace, content)
      for (const s of references.secrets) secrets.add(s)
      for (const s of references.services) services.add(s)
    }
    this.touch(this.secretReferences.replace(key, secrets))
    for (const service of this.serviceReferences.replace(key, services)) {
      const used = this.serviceReferences.from(service).size > 0
      this.#servicePorts.replace(service, used ? [serviceOf(service)] : [])
      this.#touchedServices.add(service)
    }
  }

  #forget(key: ObjectKey): void {
    this.#views.delete(key)
    if (!key.startsWith('Ingress/')) return
    this.touch(this.secretReferences.replace(key, []))
    for (const service of this.serviceReferences.replace(key, [])) {
      if (this.serviceReferences.from(service).size === 0) this.#servicePorts.replace(service, [])
      this.#touchedServices.add(service)
    }
  }

  /** True if the Service's endpoints are not what they were. */
  #lookAtService(key: ServiceKey): boolean {
    const before = this.#endpoints.get(key)
    if (this.serviceReferences.from(key).size === 0) return this.#endpoints.delete(key)
    const name = serviceOf(key)
    const { endpoints } = endpointsOf(this.#caches.services.get(name) ?? null, this.#caches.slicesOf(name), portOf(key))
    if (before !== undefined && before.join() === endpoints.join()) return false
    this.#endpoints.set(key, endpoints)
    return true
  }

  #serviceProblems(key: ObjectKey): readonly Problem[] {
    return [...this.serviceReferences.to(key)].flatMap(service => {
      const name = serviceOf(service)
      const { problem } = endpointsOf(
        this.#caches.services.get(name) ?? null,
        this.#caches.slicesOf(name),
        portOf(service),
      )
      return problem === null
        ? []
        : [
            {
              key,
              field: 'spec',
              reason: problem.reason,
              message: `Service ${service}: ${problem.message}`,
              effect: 'warn' as const,
            },
          ]
    })
  }

  #id(kind: ObjectKind, key: ObjectKey, announced: Revision, raw: RawObject | null): string {
    if (this.#options.idForm === 'content') return contentId(key, announced)
    if (raw === null) return ''
    const version = raw.metadata.annotations?.[`${this.#options.annotationPrefix}/version`]
    return kind === 'Ingress'
      ? upstreamIngressId(raw.metadata.name, version)
      : upstreamSecretId(raw.metadata.name, version, '')
  }
}

/** spec.ingressClassName, or the class of the old annotation, or the default class. */
function classOf(source: SourceObject): string | null {
  return source.className
}

export { inProgress, nameOf }
