/** A small typed client: one method per thing that the operator asks of the API server. */
import { readStatus, codeOfStatus, describeError, isKubeError, KubeError, systemCode } from './errors.ts'
import type { KubeObject, ObjectName } from './objects.ts'
import { describeTarget, pathOf } from './resources.ts'
import type { Resource } from './resources.ts'
import { readPages } from './pages.ts'
import type { Answer, Ask, Transport } from './transport.ts'

/** The name under which server-side apply records what is ours. */
export const FIELD_MANAGER = 'sluice-operator'

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
  /** For the whole request, answer included; default 10 s. */
  readonly timeoutMs?: number | undefined
}

export interface Selection {
  /** Left out: all namespaces. */
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

export interface PageOptions extends RequestOptions, Selection {
  /** Objects per page; left out: all in one answer. */
  readonly limit?: number | undefined
  readonly continueToken?: string | undefined
}

export interface Page {
  /** As they came: the reflector must live with a malformed one among good ones. */
  readonly items: readonly unknown[]
  readonly resourceVersion: string
  /** Empty: this was the last page. */
  readonly continueToken: string
}

export interface WriteOptions extends RequestOptions {
  readonly subresource?: 'status' | 'finalize' | undefined
  readonly dryRun?: boolean | undefined
}

export interface ApplyOptions extends WriteOptions {
  /** Take over fields that another manager owns; default false: KUBE_CONFLICT. */
  readonly force?: boolean | undefined
  /** Default FIELD_MANAGER. */
  readonly fieldManager?: string | undefined
}

export interface DeleteOptions extends RequestOptions {
  /** Delete only this very object. */
  readonly uid?: string | undefined
  /** Delete only this state of it. */
  readonly resourceVersion?: string | undefined
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan' | undefined
}

export interface WatchOptions extends Selection {
  readonly resourceVersion: string
  readonly timeoutSeconds: number
  readonly signal: AbortSignal
}

/** A merge patch: `null` removes a field. Set metadata.resourceVersion in it to fence the write. */
export type MergePatch = Readonly<Record<string, unknown>>

/**
 * Every method rejects with KubeError and nothing else. Reads are tried once more when the connection breaks;
 * writes never: after KUBE_UNAVAILABLE nobody knows whether a write took effect, so read before writing again.
 */
export interface KubeClient {
  /** KUBE_NOT_FOUND if there is none. */
  get<T>(resource: Resource<T>, target: ObjectName, options?: RequestOptions): Promise<T>
  /** Null if there is none. */
  find<T>(resource: Resource<T>, target: ObjectName, options?: RequestOptions): Promise<T | null>
  /** All objects, read in pages of one consistent state. */
  list<T>(resource: Resource<T>, options?: RequestOptions & Selection): Promise<readonly T[]>
  page(resource: Resource<unknown>, options: PageOptions): Promise<Page>
  /** KUBE_ALREADY_EXISTS if it does. */
  create<T>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>
  /** Replaces the object (or its subresource); fenced by metadata.resourceVersion if set: KUBE_CONFLICT. */
  update<T extends KubeObject>(resource: Resource<T>, object: T, options?: WriteOptions): Promise<T>
  mergePatch<T>(resource: Resource<T>, target: ObjectName, patch: MergePatch, options?: WriteOptions): Promise<T>
  /** Server-side apply: creates or changes the fields named in `object`, and gives up those applied before and left out. */
  apply<T extends KubeObject>(resource: Resource<T>, object: T, options?: ApplyOptions): Promise<T>
  /** Merge patch of `status` (the patch holds what goes under status); `resourceVersion` fences it. */
  patchStatus<T>(
    resource: Resource<T>,
    target: ObjectName,
    status: MergePatch,
    options?: RequestOptions & { readonly resourceVersion?: string | undefined },
  ): Promise<T>
  /** Server-side apply of `status`; takes over fields by force unless told otherwise: status is ours. */
  applyStatus<T>(
    resource: Resource<T>,
    target: ObjectName,
    status: unknown,
    options?: Omit<ApplyOptions, 'subresource'>,
  ): Promise<T>
  /** True: deleted, or (with finalizers) marked for deletion. False: there was none. */
  delete(resource: Resource<unknown>, target: ObjectName, options?: DeleteOptions): Promise<boolean>
  /** Opens a watch: newline-delimited JSON in arbitrary chunks. Ends when the server ends it; abort the signal to close. */
  watch(resource: Resource<unknown>, options: WatchOptions): Promise<AsyncIterable<Uint8Array>>
  /** Closes all connections. */
  close(): Promise<void>
}

export interface ClientSettings {
  readonly timeoutMs?: number
}

const DEFAULT_TIMEOUT_MS = 10_000
/** Their contents are secret: what the server says about a refused one could quote them. */
const CONFIDENTIAL: ReadonlySet<string> = new Set(['Secret', 'PartialObjectMetadata', 'TokenReview'])

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

interface Call {
  readonly verb: string
  readonly method: Ask['method']
  readonly resource: Resource<unknown>
  readonly target: Partial<ObjectName>
  readonly subresource?: string | undefined
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly contentType?: string
  readonly accept?: string
  readonly body?: unknown
  readonly options: RequestOptions
}

export class HttpKubeClient implements KubeClient {
  readonly #transport: Transport
  readonly #timeoutMs: number

  constructor(transport: Transport, settings: ClientSettings = {}) {
    this.#transport = transport
    this.#timeoutMs = settings.timeoutMs ?? DEFAULT_TIMEOUT_MS
  }

  async get<T>(resource: Resource<T>, target: ObjectName, options: RequestOptions = {}): Promise<T> {
    return (await this.#call({ verb: 'get', method: 'GET', resource, target: named(resource, target), options })) as T
  }

  async find<T>(resource: Resource<T>, target: ObjectName, options: RequestOptions = {}): Promise<T | null> {
    try {
      return await this.get(resource, target, options)
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return null
      throw error
    }
  }

  async list<T>(resource: Resource<T>, options: RequestOptions & Selection = {}): Promise<readonly T[]> {
    let items: unknown[] = []
    const restart = (): void => {
      items = []
    }
    await readPages(this, resource, options, { page: page => void items.push(...page), restart })
    return items as T[]
  }

  async page(resource: Resource<unknown>, options: PageOptions): Promise<Page> {
    const { namespace, labelSelector, fieldSelector, limit, continueToken, ...rest } = options
    const answer = await this.#call({
      verb: 'list',
      method: 'GET',
      resource,
      target: { namespace },
      query: { labelSelector, fieldSelector, limit: limit?.toString(), continue: continueToken },
      accept: acceptOf(resource, 'PartialObjectMetadataList'),
      options: rest,
    })
    const metadata = isRecord(answer) && isRecord(answer['metadata']) ? answer['metadata'] : {}
    const items: unknown = isRecord(answer) ? (answer['items'] ?? []) : undefined
    const resourceVersion = metadata['resourceVersion']
    if (!Array.isArray(items) || typeof resourceVersion !== 'string' || resourceVersion === '')
      throw new KubeError('KUBE_PROTOCOL', `list ${resource.plural}: the answer is no list with a resourceVersion`)
    const next = metadata['continue']
    // Items of a list do not say what they are; events of a watch do.
    const { apiVersion, kind } = resource
    return {
      items: items.map((item: unknown) => (isRecord(item) ? { apiVersion, kind, ...item } : item)),
      resourceVersion,
      continueToken: typeof next === 'string' ? next : '',
    }
  }

  async create<T>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const body = withKind(resource, object)
    const metadata = isRecord(body['metadata']) ? body['metadata'] : {}
    const namespace = typeof metadata['namespace'] === 'string' ? metadata['namespace'] : undefined
    const name = typeof metadata['name'] === 'string' ? metadata['name'] : undefined
    const { subresource, ...rest } = options
    return (await this.#call({
      verb: name === undefined ? 'create' : `create ${name} in`,
      method: 'POST',
      resource,
      // A subresource is created below its object, an object below its collection.
      target: inNamespace(
        resource,
        subresource === undefined || name === undefined ? { namespace } : { namespace, name },
      ),
      subresource,
      query: writeQuery(options),
      body,
      options: rest,
    })) as T
  }

  async update<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    return (await this.#call({
      verb: 'update',
      method: 'PUT',
      resource,
      target: named(resource, object.metadata),
      subresource: options.subresource,
      query: writeQuery(options),
      body: withKind(resource, object),
      options,
    })) as T
  }

  async mergePatch<T>(
    resource: Resource<T>,
    target: ObjectName,
    patch: MergePatch,
    options: WriteOptions = {},
  ): Promise<T> {
    return (await this.#call({
      verb: 'patch',
      method: 'PATCH',
      resource,
      target: named(resource, target),
      subresource: options.subresource,
      query: writeQuery(options),
      contentType: 'application/merge-patch+json',
      body: patch,
      options,
    })) as T
  }

  async apply<T extends KubeObject>(resource: Resource<T>, object: T, options: ApplyOptions = {}): Promise<T> {
    // The server refuses managedFields in what is applied; JSON leaves out what is undefined.
    const metadata = { ...object.metadata, managedFields: undefined }
    return await this.#apply(resource, object.metadata, { ...withKind(resource, object), metadata }, options)
  }

  patchStatus<T>(
    resource: Resource<T>,
    target: ObjectName,
    status: MergePatch,
    options: RequestOptions & { readonly resourceVersion?: string | undefined } = {},
  ): Promise<T> {
    const { resourceVersion, ...rest } = options
    const fence = resourceVersion === undefined ? {} : { metadata: { resourceVersion } }
    return this.mergePatch(resource, target, { ...fence, status }, { ...rest, subresource: 'status' })
  }

  applyStatus<T>(
    resource: Resource<T>,
    target: ObjectName,
    status: unknown,
    options: Omit<ApplyOptions, 'subresource'> = {},
  ): Promise<T> {
    const { name, namespace } = target
    const body = { ...withKind(resource, {}), metadata: { name, namespace }, status }
    return this.#apply(resource, target, body, { force: true, ...options, subresource: 'status' })
  }

  async delete(resource: Resource<unknown>, target: ObjectName, options: DeleteOptions = {}): Promise<boolean> {
    const { uid, resourceVersion, propagation } = options
    try {
      await this.#call({
        verb: 'delete',
        method: 'DELETE',
        resource,
        target: named(resource, target),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          preconditions: { uid, resourceVersion },
          propagationPolicy: propagation,
        },
        options,
      })
      return true
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return false
      throw error
    }
  }

  async watch(resource: Resource<unknown>, options: WatchOptions): Promise<AsyncIterable<Uint8Array>> {
    const what = `watch ${resource.plural}`
    const { resourceVersion, timeoutSeconds, labelSelector, fieldSelector } = options
    const answer = await this.#send(what, {
      method: 'GET',
      path: pathOf(resource, { namespace: options.namespace }),
      query: {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion,
        timeoutSeconds: String(timeoutSeconds),
        labelSelector,
        fieldSelector,
      },
      accept: acceptOf(resource, 'PartialObjectMetadata'),
      signal: options.signal,
      headTimeoutMs: this.#timeoutMs,
    })
    if (answer.status !== 200) throw statusError(what, resource, answer, await readText(answer.body))
    return answer.body
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  async #apply<T>(resource: Resource<T>, target: ObjectName, body: unknown, options: ApplyOptions): Promise<T> {
    const query = {
      ...writeQuery(options),
      fieldManager: options.fieldManager ?? FIELD_MANAGER,
      force: options.force === true ? 'true' : undefined,
    }
    return (await this.#call({
      verb: 'apply',
      method: 'PATCH',
      resource,
      target: named(resource, target),
      subresource: options.subresource,
      query,
      // Every JSON document is a YAML document; the server offers this type alone.
      contentType: 'application/apply-patch+yaml',
      body,
      options,
    })) as T
  }

  async #call(call: Call): Promise<unknown> {
    const what = `${call.verb} ${describeTarget(call.resource, call.target)}`
    try {
      return await this.#once(what, call)
    } catch (error) {
      if (call.method === 'GET' && isKubeError(error, 'KUBE_UNAVAILABLE') && isBroken(error.cause))
        return await this.#once(what, call)
      throw error
    }
  }

  async #once(what: string, call: Call): Promise<unknown> {
    const timeoutMs = call.options.timeoutMs ?? this.#timeoutMs
    const controller = new AbortController()
    const late = new Error('timeout')
    const timer = setTimeout(() => controller.abort(late), timeoutMs)
    const abort = (): void => controller.abort(call.options.signal?.reason)
    if (call.options.signal?.aborted === true) abort()
    call.options.signal?.addEventListener('abort', abort, { once: true })
    try {
      const answer = await this.#send(what, {
        method: call.method,
        path: pathOf(call.resource, call.target, call.subresource),
        ...(call.query === undefined ? {} : { query: call.query }),
        ...(call.contentType === undefined ? {} : { contentType: call.contentType }),
        ...(call.accept === undefined ? {} : { accept: call.accept }),
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        signal: controller.signal,
        headTimeoutMs: timeoutMs,
      })
      const text = await readText(answer.body)
      if (answer.status < 200 || answer.status > 299) throw statusError(what, call.resource, answer, text)
      return parse(what, text)
    } catch (error) {
      if (controller.signal.reason === late)
        throw new KubeError('KUBE_UNAVAILABLE', `${what}: no answer within ${timeoutMs} ms`)
      throw error
    } finally {
      clearTimeout(timer)
      call.options.signal?.removeEventListener('abort', abort)
    }
  }

  async #send(what: string, ask: Ask): Promise<Answer> {
    try {
      return await this.#transport.send(ask)
    } catch (error) {
      if (!isKubeError(error))
        throw new KubeError('KUBE_PROTOCOL', `${what}: ${describeError(error)}`, { cause: error })
      throw new KubeError(error.code, `${what}: ${error.message}`, { cause: error.cause })
    }
  }
}

/** A server that did not know it would send whole objects: there is none left (Kubernetes 1.15). */
function acceptOf(resource: Resource<unknown>, as: string): string {
  return resource.metadataOnly === true ? `application/json;as=${as};g=meta.k8s.io;v=v1` : 'application/json'
}

function withKind(resource: Resource<unknown>, object: unknown): Readonly<Record<string, unknown>> {
  const { apiVersion, kind } = resource
  return { ...(isRecord(object) ? object : {}), apiVersion, kind }
}

/** A namespaced kind without namespace would be a request for something else. */
function inNamespace<N extends Partial<ObjectName>>(resource: Resource<unknown>, target: N): N {
  if (resource.namespaced && (target.namespace === undefined || target.namespace === ''))
    throw new KubeError('KUBE_INVALID', `${describeTarget(resource, target)}: metadata.namespace must be set`)
  return target
}

function named(resource: Resource<unknown>, target: ObjectName): ObjectName {
  if (target.name === '') throw new KubeError('KUBE_INVALID', `${resource.kind}: metadata.name must be set`)
  const { name, namespace } = inNamespace(resource, target)
  return { name, namespace }
}

function writeQuery(options: WriteOptions): Readonly<Record<string, string | undefined>> {
  // Ours are the fields we send: another manager's name on them would make the next apply a conflict.
  return { fieldManager: FIELD_MANAGER, dryRun: options.dryRun === true ? 'All' : undefined }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function parse(what: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // The parser's message quotes the text, which may be a Secret.
    throw new KubeError('KUBE_PROTOCOL', `${what}: the answer of ${text.length} characters is not JSON`)
  }
}

function statusError(what: string, resource: Resource<unknown>, answer: Answer, text: string): KubeError {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const { reason, message, fields, retryAfterMs } = readStatus(body)
  const header = Number(answer.header('retry-after') ?? Number.NaN)
  const said = safeMessage(resource, answer.status, message)
  const where = fields.length > 0 ? ` [${fields.join(', ')}]` : ''
  return new KubeError(
    codeOfStatus(answer.status, reason),
    `${what}: HTTP ${answer.status}${reason === '' ? '' : ` ${reason}`}${where}${said === '' ? '' : `: ${said}`}`,
    {
      status: answer.status,
      reason,
      fields,
      ...(Number.isFinite(header) && header >= 0
        ? { retryAfterMs: header * 1000 }
        : retryAfterMs === undefined
          ? {}
          : { retryAfterMs }),
    },
  )
}

function safeMessage(resource: Resource<unknown>, status: number, message: string): string {
  const quotes = status === 400 || status === 422 || status >= 500 || message.startsWith('admission webhook')
  if (CONFIDENTIAL.has(resource.kind) && quotes) return ''
  return message.length > 600 ? `${message.slice(0, 600)}…` : message
}

/** A kept-alive connection that the server closed while we wrote on it: worth one more try for reads. */
function isBroken(cause: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(systemCode(cause))
}
