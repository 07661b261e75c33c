/** A small typed client: one method per thing that the operator asks of the API server. */
import { readStatus, codeOfStatus, describeError, isKubeError, KubeError } from './errors.ts'
import type { KubeObject, ObjectName } from './objects.ts'
import { describeTarget, pathOf } from './resources.ts'
import type { Resource } from './resources.ts'
import type { Answer, Transport } from './transport.ts'

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
