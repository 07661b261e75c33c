/** HTTP to the API server: addresses, TLS and credentials of a KubeConfig over kept-alive connections. */

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly contentType?: string
  readonly body?: string
  readonly signal: AbortSignal
  /** Milliseconds until the head of the answer must be here. */
  readonly headTimeoutMs: number
}

export interface Answer {
  readonly status: number
  readonly header: (name: string) => string | undefined
  /** Read it to the end or abort the signal, else the connection stays taken. */
  readonly body: AsyncIterable<Uint8Array>
}

export interface Transport {
  /** Rejects with KubeError of code KUBE_UNAVAILABLE, KUBE_ABORTED or KUBE_CONFIG; any HTTP status is an answer. */
  send(ask: Ask): Promise<Answer>
  close(): Promise<void>
}
