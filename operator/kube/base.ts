/**
 * The operator's base class, and the only file that imports @dot-i/k8s-operator. The package gives the life cycle
 * (start, init) and the vocabulary (ResourceEvent, ResourceMeta, finalizers); what it does with the API server is
 * overridden, as it ends the process on any watch error and on stop(), loses deletions, and swallows errors
 * (docs/adr/0006-reflector.md).
 */
import { readFileSync } from 'node:fs'
import dotI, { ResourceEventType } from '@dot-i/k8s-operator'
import type { ResourceEvent, ResourceMeta } from '@dot-i/k8s-operator'
import { CoreV1Api, loadYaml } from '@kubernetes/client-node'
import type { KubeConfig, V1CustomResourceDefinition, V1CustomResourceDefinitionVersion } from '@kubernetes/client-node'
import type { KubeClient } from './client.ts'
import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { connect, loadKubeConfig } from './connect.ts'
import { KubeError } from './errors.ts'
import type { Handler, ReflectorHooks, ReflectorStatus } from './handler.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'
import type { KubeObject, SpecObject } from './objects.ts'
import { nameKey } from './objects.ts'
import { WorkQueue } from './queue.ts'
import { Reflector } from './reflector.ts'
import type { ReflectorOptions } from './reflector.ts'
import { pathOf, resources } from './resources.ts'
import type { Resource } from './resources.ts'

export { ResourceEventType }
export type { ResourceEvent, ResourceMeta }

// Node gives the package's CommonJS namespace, transpiled code (jest) the class itself.
const DotIOperator = 'default' in dotI ? dotI.default : dotI

export interface OperatorOptions {
  /** Default: loadKubeConfig(). The package's constructor reads the default one in any case, and throws if it is broken. */
  readonly kubeConfig?: KubeConfig
  readonly client?: KubeClient
  readonly clock?: Clock
  readonly log?: Log
  readonly hooks?: ReflectorHooks
}

export type WatchSettings<T extends KubeObject> = Omit<
  ReflectorOptions<T>,
  'client' | 'resource' | 'handler' | 'clock' | 'log' | 'hooks'
>

interface Part {
  start(): void
  stop(): Promise<void>
}

/** Extend it, call `watch` in `init()`, then `start()`; `close()` ends it and leaves nothing open. */
export abstract class OperatorBase extends DotIOperator {
  readonly client: KubeClient
  readonly #clock: Clock
  readonly #log: Log
  readonly #hooks: ReflectorHooks
  readonly #reflectors: { status(): ReflectorStatus }[] = []
  readonly #parts: Part[] = []
  #running = false

  constructor(options: OperatorOptions = {}) {
    const log = options.log ?? silentLog
    super({
      debug: message => log.debug({}, message),
      info: message => log.info({}, message),
      warn: message => log.warn({}, message),
      error: message => log.error({}, message),
    })
    this.kubeConfig = options.kubeConfig ?? loadKubeConfig()
    this.k8sApi = this.kubeConfig.makeApiClient(CoreV1Api)
    this.client = options.client ?? connect(this.kubeConfig)
    this.#clock = options.clock ?? systemClock
    this.#log = log
    this.#hooks = options.hooks ?? {}
  }

  /** Runs init(), then starts every watch; resolves before anything is synced. */
  override async start(): Promise<void> {
    await super.start()
    this.#running = true
    for (const part of this.#parts) part.start()
  }

  /** As the package has it: begins to stop. close() says when it is done. */
  override stop(): void {
    void this.close()
  }

  /** Ends every watch; resolves when no handler will be called any more. The client stays open: close it last. */
  async close(): Promise<void> {
    this.#running = false
    await Promise.all(this.#parts.map(part => part.stop()))
  }

  /** True when every watch has handed over all that existed. */
  get synced(): boolean {
    return this.#reflectors.every(r => r.status().synced)
  }

  reflectorStatus(): readonly ReflectorStatus[] {
    return this.#reflectors.map(r => r.status())
  }

  /** Keeps a cache of a kind and tells the handler its changes. It starts with start(), or at once after that. */
  watch<T extends KubeObject>(
    resource: Resource<T>,
    handler: Handler<T>,
    settings: WatchSettings<T> = {},
  ): Reflector<T> {
    const { client } = this
    const reflector = new Reflector({
      ...settings,
      client,
      resource,
      handler,
      clock: this.#clock,
      log: this.#log,
      hooks: this.#hooks,
    })
    this.#reflectors.push(reflector)
    this.#add(reflector)
    return reflector
  }

  /** As the package has it, on a reflector: deletions are never lost, a failing handler gets the newest state again. */
  protected override watchResource(
    group: string,
    version: string,
    plural: string,
    onEvent: (event: ResourceEvent) => Promise<void>,
    namespace?: string,
  ): Promise<void> {
    const resource = resourceOf(group === '' ? version : `${group}/${version}`, plural, namespace !== undefined)
    const pending = new Map<string, ResourceEvent>()
    const queue = new WorkQueue(
      async key => {
        const event = pending.get(key)
        if (event === undefined) return
        await onEvent(event)
        // Unless a newer one came meanwhile: then the key is queued again, too.
        if (pending.get(key) === event) pending.delete(key)
      },
      { name: plural, clock: this.#clock, log: this.#log },
    )
    const enqueue = (type: ResourceEventType, object: KubeObject): void => {
      const key = nameKey(object.metadata)
      pending.set(key, toEvent(resource, type, object))
      queue.add(key)
    }
    this.#add(queue)
    this.watch(
      resource,
      {
        upsert: (object, old) =>
          enqueue(old === undefined ? ResourceEventType.Added : ResourceEventType.Modified, object),
        remove: object => enqueue(ResourceEventType.Deleted, object),
      },
      { namespace },
    )
    return Promise.resolve()
  }

  /** Replaces the status, fenced by the version in `meta`. Rejects with KubeError where the package answered null. */
  protected override async setResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta> {
    const { name, namespace, resourceVersion } = meta
    const object = { metadata: { name, ...(namespace === undefined ? {} : { namespace }), resourceVersion }, status }
    const resource = resourceOfMeta(meta)
    return toMeta(resource, await this.client.update(resource, object, { subresource: 'status' }))
  }

  protected override async patchResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta> {
    const resource = resourceOfMeta(meta)
    if (!isRecord(status)) throw new KubeError('KUBE_INVALID', `status of ${meta.kind} ${meta.name} is not an object`)
    const { resourceVersion } = meta
    return toMeta(resource, await this.client.patchStatus(resource, meta, status, { resourceVersion }))
  }

  /** Fenced by the version in `meta`: a finalizer that somebody else set meanwhile is not lost, it is a KUBE_CONFLICT. */
  protected override async setResourceFinalizers(meta: ResourceMeta, finalizers: string[]): Promise<void> {
    const { resourceVersion } = meta
    await this.client.mergePatch(resourceOfMeta(meta), meta, { metadata: { finalizers, resourceVersion } })
  }

  /** Creates or updates the definition (server-side apply). */
  protected override async registerCustomResourceDefinition(
    crdFile: string,
  ): Promise<{ group: string; versions: V1CustomResourceDefinitionVersion[]; plural: string }> {
    const { apiVersion, metadata, spec } = loadYaml<V1CustomResourceDefinition>(readFileSync(crdFile, 'utf8'))
    const name = metadata?.name
    if (apiVersion !== resources.customResourceDefinitions.apiVersion || name === undefined)
      throw new KubeError('KUBE_INVALID', `${crdFile} holds no CustomResourceDefinition of apiextensions.k8s.io/v1`)
    await this.client.apply(resources.customResourceDefinitions, { metadata: { name }, spec }, { force: true })
    return { group: spec.group, versions: spec.versions, plural: spec.names.plural }
  }

  protected override getCustomResourceApiUri(
    group: string,
    version: string,
    plural: string,
    namespace?: string,
  ): string {
    const resource = resourceOf(group === '' ? version : `${group}/${version}`, plural, namespace !== undefined)
    const server = this.kubeConfig.getCurrentCluster()?.server ?? ''
    return server + pathOf(resource, namespace === undefined ? {} : { namespace })
  }

  #add(part: Part): void {
    this.#parts.push(part)
    if (this.#running) part.start()
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function resourceOf(apiVersion: string, plural: string, namespaced: boolean): Resource<SpecObject> {
  const known = Object.values(resources).find(r => r.apiVersion === apiVersion && r.plural === plural)
  return { apiVersion, plural, kind: known?.kind ?? '', namespaced: known?.namespaced ?? namespaced }
}

/** `meta.id` is `<plural>.<apiVersion>`. */
function resourceOfMeta(meta: ResourceMeta): Resource<SpecObject> {
  const plural = meta.id.slice(0, meta.id.indexOf('.'))
  return { apiVersion: meta.apiVersion, kind: meta.kind, plural, namespaced: meta.namespace !== undefined }
}

function toMeta(resource: Resource<unknown>, object: KubeObject): ResourceMeta {
  const { name, namespace, resourceVersion = '' } = object.metadata
  const { apiVersion, plural } = resource
  const meta = { id: `${plural}.${apiVersion}`, name, resourceVersion, apiVersion, kind: object.kind ?? resource.kind }
  return namespace === undefined ? meta : { ...meta, namespace }
}

/** A copy: the package's finalizer code changes what it gets, and the cache must not. */
function toEvent(resource: Resource<unknown>, type: ResourceEventType, object: KubeObject): ResourceEvent {
  const copy: unknown = structuredClone(object)
  return { type, meta: toMeta(resource, object), object: copy as ResourceEvent['object'] }
}
