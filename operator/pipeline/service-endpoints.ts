/** Which Services are needed, who serves them right now, and what is wrong with them. Endpoints know no rollout and no gate. */
import type { ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import { endpointsOf } from '../compile/endpoints.ts'
import type { Endpoints } from '../compile/endpoints.ts'
import { serviceFields } from '../compile/references.ts'
import type { Problem, SourceObject } from '../model/types.ts'
import type { Caches } from './caches.ts'
import { Relation, portOf, serviceOf } from './graph.ts'

export class ServiceEndpoints {
  readonly #caches: Pick<Caches, 'services' | 'slicesOf'>
  /** Ingress → Services, over every revision that is served or on its way. */
  readonly #references = new Relation<ObjectKey, ServiceKey>()
  readonly #ports = new Relation<ServiceKey, string>()
  readonly #touched = new Set<ServiceKey>()
  readonly #endpoints = new Map<ServiceKey, readonly string[]>()
  /** What Ingresses say is wrong with a Service; empty: nothing. */
  readonly #said = new Map<ServiceKey, string>()

  constructor(caches: Pick<Caches, 'services' | 'slicesOf'>) {
    this.#caches = caches
  }

  /** Of the Services that are needed. */
  get all(): ReadonlyMap<ServiceKey, readonly string[]> {
    return this.#endpoints
  }

  get idle(): boolean {
    return this.#touched.size === 0
  }

  /** Who serves a Service now, whether or not anything needs it yet: whoever begins to is known before it does. */
  of(service: ServiceKey): readonly string[] {
    return this.#endpoints.get(service) ?? this.#ask(service).endpoints
  }

  referringTo(service: ServiceKey): Iterable<ObjectKey> {
    return this.#references.from(service)
  }

  /** Sets what the Ingress needs. */
  refer(ingress: ObjectKey, services: Iterable<ServiceKey>): void {
    for (const service of this.#references.replace(ingress, services)) {
      const used = this.#references.isReferredTo(service)
      this.#ports.replace(service, used ? [serviceOf(service)] : [])
      this.#touched.add(service)
    }
  }

  /**
   * A Service or one of its EndpointSlices changed. Returns the Ingresses whose problems came or went: there may be ten thousand of a
   * Service, and its endpoints change with every pod that starts.
   */
  touch(name: string): Iterable<ObjectKey> {
    const ingresses = new Set<ObjectKey>()
    for (const service of this.#ports.from(name)) {
      this.#touched.add(service)
      const problem = this.#ask(service).problem?.message ?? ''
      // It is noted when they are looked at.
      if (this.#said.get(service) === problem) continue
      for (const ingress of this.#references.from(service)) ingresses.add(ingress)
    }
    return ingresses
  }

  /** Looks at everything that was touched; returns the Services whose endpoints are not what they were. */
  flush(): readonly ServiceKey[] {
    const changed = [...this.#touched].filter(service => this.#look(service))
    this.#touched.clear()
    return changed
  }

  /** One for each Service of the Ingress that cannot have endpoints. */
  problems(ingress: ObjectKey, source: SourceObject | null): readonly Problem[] {
    const { namespace } = parseObjectKey(ingress)
    const fields = source?.content.kind === 'Ingress' ? serviceFields(namespace, source.content) : null
    return [...this.#references.to(ingress)].flatMap((service): readonly Problem[] => {
      const { problem } = this.#ask(service)
      this.#said.set(service, problem?.message ?? '')
      if (problem === null) return []
      // A Service that only a released revision names has no field in the object.
      const field = fields?.get(service) ?? 'spec'
      const message = `Service ${service}: ${problem.message}`
      return [{ key: ingress, field, reason: problem.reason, message, effect: 'warn' }]
    })
  }

  #look(service: ServiceKey): boolean {
    const before = this.#endpoints.get(service)
    if (!this.#references.isReferredTo(service)) {
      this.#said.delete(service)
      return this.#endpoints.delete(service)
    }
    const { endpoints } = this.#ask(service)
    if (before !== undefined && before.join() === endpoints.join()) return false
    this.#endpoints.set(service, endpoints)
    return true
  }

  #ask(service: ServiceKey): Endpoints {
    const name = serviceOf(service)
    return endpointsOf(this.#caches.services.get(name) ?? null, this.#caches.slicesOf(name), portOf(service))
  }
}
