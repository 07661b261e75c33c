/** What can go wrong with a request to the API server, as codes to decide by. */

export type KubeErrorCode =
  /** 400, 406, 415, 422: the request or the object is wrong; the same again fails again. */
  | 'KUBE_INVALID'
  /** 401. */
  | 'KUBE_UNAUTHORIZED'
  /** 403: a permission is missing (or the namespace is being deleted: see `reason`). */
  | 'KUBE_FORBIDDEN'
  /** 404: the object, its namespace or its kind does not exist. */
  | 'KUBE_NOT_FOUND'
  /** 409: resourceVersion moved on, or another field manager owns the field. */
  | 'KUBE_CONFLICT'
  /** 409 with reason AlreadyExists, on create. */
  | 'KUBE_ALREADY_EXISTS'
  /** 410: resourceVersion or continue token too old. */
  | 'KUBE_GONE'
  /** 429; `retryAfterMs` says how long to wait. */
  | 'KUBE_THROTTLED'
  /** No connection, connection lost, no answer in time, 5xx. Whether a write took effect is unknown. */
  | 'KUBE_UNAVAILABLE'
  /** The caller's signal ended the request. */
  | 'KUBE_ABORTED'
  /** An answer that is not what the API promises, for example not JSON. */
  | 'KUBE_PROTOCOL'
  /** The kubeconfig, or the credentials that it names, cannot be used. */
  | 'KUBE_CONFIG'

export interface KubeErrorDetails {
  /** HTTP status; 0 if there was no answer. */
  readonly status?: number
  /** `reason` of the API's Status object, for example `NotFound`, `NamespaceTerminating`. */
  readonly reason?: string
  /** JSON paths of the fields that were refused. */
  readonly fields?: readonly string[]
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/** Names verb, kind and object; never holds credentials or data of Secrets. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  readonly code: KubeErrorCode
  readonly status: number
  readonly reason: string
  readonly fields: readonly string[]
  readonly retryAfterMs: number | undefined

  constructor(code: KubeErrorCode, message: string, details: KubeErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.status = details.status ?? 0
    this.reason = details.reason ?? ''
    this.fields = details.fields ?? []
    this.retryAfterMs = details.retryAfterMs
  }
}

/** Thrown instead of a write when this replica may not lead any more. */
export class NotLeaderError extends Error {
  readonly code = 'SLUICE_NOT_LEADER'
  override readonly name = 'NotLeaderError'
}

export function isNotLeader(error: unknown): error is NotLeaderError {
  return error instanceof Error && error.name === 'NotLeaderError'
}

/** By code, as jest and bundles may hold the class twice. */
export function isKubeError(error: unknown, ...codes: readonly KubeErrorCode[]): error is KubeError {
  if (!(error instanceof Error) || error.name !== 'KubeError' || !('code' in error)) return false
  return codes.length === 0 || codes.some(code => code === error.code)
}

/** True if the same request may succeed later without anybody changing it. */
export function isTransient(error: unknown): boolean {
  return isKubeError(error, 'KUBE_UNAVAILABLE', 'KUBE_THROTTLED', 'KUBE_CONFLICT')
}

/** `ECONNRESET` and the like. Not by class: errors of Node are of another realm in jest. */
export function systemCode(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/** One line for logs of whatever was thrown, causes included. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const inner = error.cause instanceof Error ? ` (${describeError(error.cause)})` : ''
  return `${error.message}${inner}`
}

/** What a Status object of the API says. Everything in it is untrusted. */
export interface ApiStatus {
  readonly code: number
  readonly reason: string
  readonly message: string
  readonly fields: readonly string[]
  readonly retryAfterMs: number | undefined
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown): string => (typeof value === 'string' ? value : '')

export function readStatus(value: unknown): ApiStatus {
  const status = isRecord(value) ? value : {}
  const details = isRecord(status['details']) ? status['details'] : {}
  const causes: readonly unknown[] = Array.isArray(details['causes']) ? details['causes'] : []
  const retry = details['retryAfterSeconds']
  return {
    code: typeof status['code'] === 'number' ? status['code'] : 0,
    reason: text(status['reason']),
    message: text(status['message']),
    fields: causes.map(c => (isRecord(c) ? text(c['field']) : '')).filter(f => f !== ''),
    retryAfterMs: typeof retry === 'number' && retry > 0 ? retry * 1000 : undefined,
  }
}

export function codeOfStatus(status: number, reason: string): KubeErrorCode {
  switch (status) {
    case 401:
      return 'KUBE_UNAUTHORIZED'
    case 403:
      return 'KUBE_FORBIDDEN'
    case 404:
      return 'KUBE_NOT_FOUND'
    case 409:
      return reason === 'AlreadyExists' ? 'KUBE_ALREADY_EXISTS' : 'KUBE_CONFLICT'
    case 410:
      return 'KUBE_GONE'
    case 429:
      return 'KUBE_THROTTLED'
    default:
      if (status >= 500) return 'KUBE_UNAVAILABLE'
      return status >= 400 ? 'KUBE_INVALID' : 'KUBE_PROTOCOL'
  }
}
