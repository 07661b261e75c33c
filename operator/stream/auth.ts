/**
 * Who is at the other end: a projected ServiceAccount token bound to a pod, checked by TokenReview, then against the
 * fleet. A pod gets its own configuration and no other's. Messages never hold the token.
 */
import { createHash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { podOrdinal } from '../../protocol/ids.ts'

/** Audience of the tokens that proxies present: one for the API server is refused here, and ours there. */
export const STREAM_AUDIENCE = 'sluice-stream'

export interface PodIdentity {
  readonly name: string
  readonly uid: string
  /** -1: not a name of a StatefulSet's pod. */
  readonly ordinal: number
}

/** The part of a TokenReview's status that matters; everything in it may be missing. */
export interface TokenReviewStatus {
  readonly authenticated?: boolean
  readonly audiences?: readonly string[]
  readonly user?: {
    readonly username?: string
    readonly extra?: Readonly<Record<string, readonly string[]>>
  }
}

export interface StreamAuthOptions {
  /** Creates a TokenReview for STREAM_AUDIENCE; rejects if the API server cannot be asked. */
  readonly review: (token: string) => Promise<TokenReviewStatus>
  /** The pod of this name in the operator's namespace, and the StatefulSet that controls it; null: there is none. */
  readonly findPod: (name: string) => { readonly uid: string; readonly statefulSet: string | null } | null
  readonly namespace: string
  readonly serviceAccount: string
  /** The StatefulSet whose pods are the fleet. */
  readonly statefulSet: string
  /** Wall clock in milliseconds, to compare with the token's expiry; default Date.now. */
  readonly wall?: () => number
  /** Monotonic milliseconds; default performance.now. */
  readonly now?: () => number
}

export type StreamAuthErrorCode = 'SLUICE_UNAUTHENTICATED' | 'SLUICE_FORBIDDEN' | 'SLUICE_AUTH_UNAVAILABLE'

export class StreamAuthError extends Error {
  override readonly name = 'StreamAuthError'
  readonly code: StreamAuthErrorCode
  /** HTTP status to answer with. */
  readonly status: 401 | 403 | 503

  constructor(code: StreamAuthErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.status = code === 'SLUICE_UNAUTHENTICATED' ? 401 : code === 'SLUICE_FORBIDDEN' ? 403 : 503
  }
}

/** How long a verdict holds, in milliseconds: a deleted pod's token is good for no longer than this. */
const CACHE_MS = 60_000
/** Above the number of pods of any fleet; a guard against a flood of different tokens. */
const MAX_CACHED = 10_000

interface Claimed {
  readonly name: string
  readonly uid: string
}

export class StreamAuth {
  readonly #options: StreamAuthOptions
  readonly #wall: () => number
  readonly #now: () => number
  /** By SHA-256 of the token; monotonic deadline. */
  readonly #reviewed = new Map<string, { readonly claimed: Claimed; readonly until: number }>()
  readonly #pending = new Map<string, Promise<Claimed>>()

  constructor(options: StreamAuthOptions) {
    this.#options = options
    this.#wall = options.wall ?? Date.now
    this.#now = options.now ?? ((): number => performance.now())
  }

  /** @throws StreamAuthError */
  async authenticate(token: string): Promise<PodIdentity> {
    if (token === '') throw new StreamAuthError('SLUICE_UNAUTHENTICATED', 'no bearer token')
    const { name, uid } = await this.#claimed(token)
    this.#checkPod(name, uid)
    return { name, uid, ordinal: podOrdinal(name) }
  }

  /** False once the pod was deleted or replaced: its open stream is to be closed. */
  stillOurs(pod: PodIdentity): boolean {
    return this.#options.findPod(pod.name)?.uid === pod.uid
  }

  async #claimed(token: string): Promise<Claimed> {
    const id = createHash('sha256').update(token).digest('base64')
    const cached = this.#reviewed.get(id)
    if (cached !== undefined && cached.until > this.#now()) return cached.claimed
    this.#reviewed.delete(id)
    const pending = this.#pending.get(id) ?? this.#review(token, id)
    this.#pending.set(id, pending)
    try {
      return await pending
    } finally {
      this.#pending.delete(id)
    }
  }

  async #review(token: string, id: string): Promise<Claimed> {
    let status: TokenReviewStatus
    try {
      status = await this.#options.review(token)
    } catch (cause) {
      throw new StreamAuthError('SLUICE_AUTH_UNAVAILABLE', 'the API server cannot check tokens now: try again', {
        cause,
      })
    }
    const claimed = this.#verdict(status)
    const left = expiry(token) - this.#wall()
    const now = this.#now()
    if (this.#reviewed.size >= MAX_CACHED) {
      for (const [key, { until }] of this.#reviewed) if (until <= now) this.#reviewed.delete(key)
      if (this.#reviewed.size >= MAX_CACHED) this.#reviewed.clear()
    }
    if (left > 0) this.#reviewed.set(id, { claimed, until: now + Math.min(CACHE_MS, left) })
    return claimed
  }

  #verdict(status: TokenReviewStatus): Claimed {
    if (status.authenticated !== true || status.audiences?.includes(STREAM_AUDIENCE) !== true) {
      throw new StreamAuthError(
        'SLUICE_UNAUTHENTICATED',
        `the token is not valid for audience ${STREAM_AUDIENCE}: it is expired, of another audience, or its pod is gone`,
      )
    }
    const { namespace, serviceAccount } = this.#options
    const wanted = `system:serviceaccount:${namespace}:${serviceAccount}`
    const username = status.user?.username ?? ''
    if (username !== wanted) {
      throw new StreamAuthError('SLUICE_FORBIDDEN', `${username} is not the proxies' ServiceAccount ${wanted}`)
    }
    const name = status.user?.extra?.['authentication.kubernetes.io/pod-name']?.[0] ?? ''
    const uid = status.user?.extra?.['authentication.kubernetes.io/pod-uid']?.[0] ?? ''
    if (name === '' || uid === '') {
      throw new StreamAuthError(
        'SLUICE_FORBIDDEN',
        `the token of ${username} is not bound to a pod: use a projected serviceAccountToken volume`,
      )
    }
    return { name, uid }
  }

  #checkPod(name: string, uid: string): void {
    const { findPod, namespace, statefulSet } = this.#options
    const pod = findPod(name)
    if (pod === null) {
      throw new StreamAuthError('SLUICE_FORBIDDEN', `pod ${namespace}/${name} is not known as one of the fleet`)
    }
    if (pod.uid !== uid) {
      throw new StreamAuthError(
        'SLUICE_FORBIDDEN',
        `pod ${namespace}/${name} was replaced: the token is of another uid`,
      )
    }
    if (pod.statefulSet !== statefulSet) {
      throw new StreamAuthError(
        'SLUICE_FORBIDDEN',
        `pod ${namespace}/${name} is not controlled by StatefulSet ${statefulSet}`,
      )
    }
  }
}

/** `exp` of a token that was already checked, in milliseconds; -Infinity if it cannot be read (then nothing is cached). */
function expiry(token: string): number {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined
    return typeof exp === 'number' ? exp * 1000 : -Infinity
  } catch {
    return -Infinity
  }
}
