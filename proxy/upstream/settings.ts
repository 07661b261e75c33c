/** Everything that can be set about connections to backends, per worker. All times in milliseconds. */
export interface UpstreamSettings {
  /**
   * To open a connection. Pods are near: whoever has not answered a SYN and its first repetition (Linux: after 1 s) is
   * not there, and a request waits for it.
   */
  readonly connectTimeout: number
  /** Endpoints that one wish connects to at most, the first included (nginx: proxy_next_upstream_tries). */
  readonly maxAttempts: number
  /** No further endpoint is tried when this much time has gone by; 0: no limit (nginx: proxy_next_upstream_timeout). */
  readonly attemptTime: number
  /** How long an unused connection is kept (ingress-nginx: upstream-keepalive-timeout, 60 s). */
  readonly idleTimeout: number
  /** Idle connections kept per endpoint; 0: none (ingress-nginx: upstream-keepalive-connections, 320 for all together). */
  readonly maxIdlePerEndpoint: number
  /** A connection is closed after so many exchanges (ingress-nginx: upstream-keepalive-requests, 10000). */
  readonly maxRequestsPerConnection: number
  /** A connection that is older is not used again; 0: no limit (nginx: keepalive_time, 1 h). */
  readonly maxAge: number
  /** Connections per endpoint, lent, idle and being opened; 0: no limit. At the limit the next endpoint is taken. */
  readonly maxConnectionsPerEndpoint: number
  /** How long an endpoint that comes to others gets less than its share (slow-start.ts); 0: not at all. */
  readonly slowStart: number
}

export const UPSTREAM_DEFAULTS: UpstreamSettings = {
  connectTimeout: 2_000,
  maxAttempts: 3,
  attemptTime: 0,
  idleTimeout: 60_000,
  maxIdlePerEndpoint: 64,
  maxRequestsPerConnection: 10_000,
  maxAge: 3_600_000,
  maxConnectionsPerEndpoint: 0,
  slowStart: 0,
}
