/**
 * When a request may go to a backend again. One more try over a new connection, where a backend closed an idle one just
 * then, is no retry: see Forward.
 */
import type { Cluster } from '../upstream/contract.ts'

export interface RetrySettings {
  /** Endpoints that a request is sent to at most, the first included (proxy-next-upstream-tries). */
  readonly maxTries: number
  /** No further one when so much time went by, in milliseconds; 0: no limit (proxy-next-upstream-timeout). */
  readonly triesTime: number
  /** It may go on where the connection could not be opened, or broke (proxy-next-upstream). */
  readonly onError: boolean
  /** Where connecting, or the answer, took too long. */
  readonly onTimeout: boolean
  /** Where the answer is none. */
  readonly onInvalid: boolean
  /** Where the answer has one of these statuses; null: whatever it has. */
  readonly onStatus: ReadonlySet<number> | null
  /** What is not idempotent is sent again, too (non_idempotent). */
  readonly unsafe: boolean
}

/** How a backend broke an exchange. */
export type BreakKind = 'onError' | 'onTimeout' | 'onInvalid'

/** RFC 9110 9.2.2. Others may have done their work although no answer came. */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'PROPFIND',
  'REPORT',
  'SEARCH',
])
/**
 * It does no harm if a backend gets it twice, and all of it is there.
 * @param whole the body was read to its end, and is kept @param unsafe who owns the backend says that nothing harms it
 */
export function repeatable(method: string, whole: boolean, upgrade: boolean, unsafe: boolean): boolean {
  return whole && !upgrade && (unsafe || IDEMPOTENT.has(method))
}

/**
 * May a repeatable request that a backend broke go to another endpoint? Counts it in the retry budget of the Service.
 * @param tries so far @param failed endpoints that broke it @param startedAt performance.now() when the request began
 */
export function mayTryNext(
  { maxTries, triesTime }: Pick<RetrySettings, 'maxTries' | 'triesTime'>,
  tries: number,
  failed: number,
  startedAt: number,
  cluster: Pick<Cluster, 'size' | 'mayRetry'>,
): boolean {
  if (tries >= maxTries || failed >= cluster.size) return false
  if (triesTime > 0 && performance.now() - startedAt >= triesTime) return false
  return cluster.mayRetry()
}
