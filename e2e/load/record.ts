/** What one request of the load came to. */

export interface LoadRecord {
  /** `http`: on a kept-alive connection; `tls`: on a new TLS connection of its own. */
  readonly kind: 'http' | 'tls'
  /** When it started, in milliseconds of performance.now(). */
  readonly at: number
  /** Until its last byte, or its failure, in milliseconds. */
  readonly ms: number
  /** Ordinal of the proxy that was asked. */
  readonly ordinal: number
  /** Null if there was no answer. */
  readonly status: number | null
  /** The backend's version, of its header x-echo-version. */
  readonly version: string | null
  /** Common name of who issued the proxy's certificate; null for plain HTTP or when none was seen. */
  readonly issuer: string | null
  /** Code of the error; null if there was an answer. */
  readonly error: string | null
  readonly connection: 'new' | 'reused'
}

/** No answer, or one that says that something is wrong: the load asks only for what exists. */
export function failed(record: LoadRecord): boolean {
  return record.error !== null || record.status === null || record.status >= 400
}
