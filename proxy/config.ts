/** Settings of a proxy's data plane, from its environment. Everything has a default that suits a pod; what is set must be right. */
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { DataPlaneError } from './errors.ts'
import { SOCKET_IOS, type SocketIoName } from './io/contract.ts'
import { REQUEST_PATHS, type RequestPath } from './gateway/transport.ts'
import { heapPerWorker, memoryLimit } from './workers/heap.ts'
import { UPSTREAM_DEFAULTS, type UpstreamSettings } from './upstream/settings.ts'

export interface DataPlaneConfig {
  /** Worker threads that serve traffic. */
  readonly workers: number
  /** A worker that gave no sign of life for so long, in milliseconds, is replaced; 0: none is. */
  readonly workerStallTimeout: number
  /** Heap that a worker may have, in MiB. */
  readonly workerHeap: number
  /** Address to listen on, for traffic and for the admin server; null: every address, of both families where there are two. */
  readonly listenAddress: string | null
  /** 0: any free port (tests). */
  readonly httpPort: number
  readonly httpsPort: number
  readonly adminPort: number
  /** Ports that clients connect to, in front of the pod: X-Forwarded-Port. */
  readonly publicPorts: { readonly http: number; readonly https: number }
  /** `off`, `stdout`, or an absolute path of a file to append to. */
  readonly accessLog: string
  /** Bytes of lines that wait for whoever reads the access log; what comes above is dropped and counted. */
  readonly accessLogBuffer: number
  /** Hosts with metrics of their own; the rest is `other`. */
  readonly metricsHosts: number
  /** Services, and endpoints, with metrics of their own; the rest is `other`. */
  readonly metricsUpstreams: number
  /** Milliseconds, all of them. */
  readonly drainDelay: number
  readonly drainTimeout: number
  readonly headersTimeout: number
  /** For a whole request with its body; 0: none, so that long uploads are not cut. */
  readonly requestTimeout: number
  readonly keepAliveTimeout: number
  readonly bodyIdleTimeout: number
  readonly handshakeTimeout: number
  /** Lag of a worker during a handshake from which on the failure of the handshake is no evidence. */
  readonly handshakeLag: number
  readonly upstreamHeadersTimeout: number
  readonly upstreamBodyTimeout: number
  /** Connections to backends. */
  readonly upstream: UpstreamSettings
  readonly maxHeaderBytes: number
  /** Of a request's first line. */
  readonly maxLineBytes: number
  /** Of the head of a backend's answer. */
  readonly maxResponseHeaderBytes: number
  /** How long what a client still sends after its answer is thrown away: in all, and between two pieces. */
  readonly lingerTimeout: number
  readonly lingerIdleTimeout: number
  /** A tunnel (WebSocket) through which nothing goes for so long is closed. */
  readonly tunnelIdleTimeout: number
  /** The same where one of its sides sends no more. */
  readonly tunnelHalfClosedTimeout: number
  /** Requests on one client connection, and its age, before it is closed with an answer; 0: no limit. */
  readonly keepAliveRequests: number
  readonly keepAliveAge: number
  /** Per worker; 0: no limit. */
  readonly maxConnections: number
  readonly maxRequests: number
  /** Of one client, per worker; 0: no limit. */
  readonly maxConnectionsPerClient: number
  /** Percent of the memory that the process, or the heap that a worker, may have: from there on load is shed; 0: never. */
  readonly memoryHighWater: number
  readonly maxHandshakes: number
  /** Bodies up to this size are read before a backend is chosen. */
  readonly bodyBuffer: number
  /** Which way requests take that need no more than a route. */
  readonly requestPath: RequestPath
  /** How bytes get into sockets and out of them. */
  readonly socketIo: SocketIoName
  /** Clients of TLS may speak HTTP/2. */
  readonly http2: boolean
  /** Requests under way on one connection of HTTP/2. */
  readonly http2MaxStreams: number
  /** Header names with `_` reach backends. */
  readonly underscoresInHeaders: boolean
  /** What the proxy calls itself in Via to backends; null: it sends none. */
  readonly via: string | null
  /** Whose X-Forwarded-* are believed. */
  readonly trustedAddresses: readonly string[]
  /** Whose connections begin with a header of the PROXY protocol. */
  readonly proxyProtocolFrom: readonly string[]
  /** Bytes of TLS contexts that a worker keeps ready. */
  readonly tlsContextMemory: number
}

type Environment = Readonly<Record<string, string | undefined>>

/** @throws DataPlaneError SLUICE_CONFIG naming variable, value and what is allowed */
export function dataPlaneConfig(env: Environment): DataPlaneConfig {
  const workers = integer(env, 'WORKERS', availableParallelism(), 1, 256)
  return {
    workers,
    workerHeap: integer(env, 'WORKER_HEAP', heapPerWorker(memoryLimit(), workers), 32, 65_536),
    workerStallTimeout: stallTimeout(env),
    listenAddress: address(env, 'LISTEN_ADDRESS'),
    httpPort: integer(env, 'HTTP_PORT', 8080, 0, 65_535),
    httpsPort: integer(env, 'HTTPS_PORT', 8443, 0, 65_535),
    adminPort: integer(env, 'ADMIN_PORT', 9090, 0, 65_535),
    publicPorts: {
      http: integer(env, 'PUBLIC_HTTP_PORT', 80, 1, 65_535),
      https: integer(env, 'PUBLIC_HTTPS_PORT', 443, 1, 65_535),
    },
    accessLog: accessLog(env),
    accessLogBuffer: integer(env, 'ACCESS_LOG_BUFFER', 8_388_608, 65_536, 1_073_741_824),
    metricsHosts: integer(env, 'METRICS_HOSTS', 200, 0, 100_000),
    metricsUpstreams: integer(env, 'METRICS_UPSTREAMS', 200, 0, 100_000),
    drainDelay: milliseconds(env, 'DRAIN_DELAY', 15_000),
    drainTimeout: milliseconds(env, 'DRAIN_TIMEOUT', 30_000),
    headersTimeout: milliseconds(env, 'HEADERS_TIMEOUT', 60_000),
    requestTimeout: milliseconds(env, 'REQUEST_TIMEOUT', 0),
    keepAliveTimeout: milliseconds(env, 'KEEP_ALIVE_TIMEOUT', 75_000),
    bodyIdleTimeout: milliseconds(env, 'BODY_IDLE_TIMEOUT', 60_000),
    handshakeTimeout: milliseconds(env, 'TLS_HANDSHAKE_TIMEOUT', 10_000, 1),
    handshakeLag: milliseconds(env, 'TLS_HANDSHAKE_LAG', 500, 1),
    upstreamHeadersTimeout: milliseconds(env, 'UPSTREAM_HEADERS_TIMEOUT', 60_000),
    upstreamBodyTimeout: milliseconds(env, 'UPSTREAM_BODY_TIMEOUT', 60_000),
    upstream: upstreamSettings(env),
    maxHeaderBytes: integer(env, 'MAX_HEADER_BYTES', 32_768, 1_024, 1_048_576),
    maxLineBytes: integer(env, 'MAX_LINE_BYTES', 16_384, 256, 1_048_576),
    maxResponseHeaderBytes: integer(env, 'MAX_RESPONSE_HEADER_BYTES', 65_536, 1_024, 1_048_576),
    lingerTimeout: milliseconds(env, 'LINGER_TIMEOUT', 30_000, 1),
    lingerIdleTimeout: milliseconds(env, 'LINGER_IDLE_TIMEOUT', 5_000, 1),
    tunnelIdleTimeout: milliseconds(env, 'TUNNEL_IDLE_TIMEOUT', 3_600_000),
    tunnelHalfClosedTimeout: milliseconds(env, 'TUNNEL_HALF_CLOSED_TIMEOUT', 60_000),
    keepAliveRequests: integer(env, 'KEEP_ALIVE_REQUESTS', 1_000, 0, 1_000_000_000),
    keepAliveAge: milliseconds(env, 'KEEP_ALIVE_AGE', 3_600_000),
    maxConnections: integer(env, 'MAX_CONNECTIONS', 16_384, 0, 1_000_000),
    maxRequests: integer(env, 'MAX_REQUESTS', 8_192, 0, 1_000_000),
    maxConnectionsPerClient: integer(env, 'MAX_CONNECTIONS_PER_CLIENT', 0, 0, 1_000_000),
    memoryHighWater: integer(env, 'MEMORY_HIGH_WATER', 85, 0, 99),
    maxHandshakes: integer(env, 'MAX_HANDSHAKES', 1_024, 0, 1_000_000),
    bodyBuffer: integer(env, 'BODY_BUFFER', 65_536, 0, 1_048_576),
    requestPath: oneOf(env, 'REQUEST_PATH', REQUEST_PATHS),
    socketIo: oneOf(env, 'SOCKET_IO', SOCKET_IOS),
    http2: oneOf(env, 'HTTP2', ['on', 'off']) === 'on',
    http2MaxStreams: integer(env, 'HTTP2_MAX_STREAMS', 128, 1, 65_536),
    underscoresInHeaders: flag(env, 'UNDERSCORES_IN_HEADERS'),
    via: pseudonym(env, 'VIA'),
    trustedAddresses: ranges(env, 'TRUSTED_ADDRESSES'),
    proxyProtocolFrom: ranges(env, 'PROXY_PROTOCOL_FROM'),
    tlsContextMemory: integer(env, 'TLS_CONTEXT_MEMORY', 67_108_864, 1_048_576, 68_719_476_736),
  }
}

function upstreamSettings(env: Environment): UpstreamSettings {
  const defaults = UPSTREAM_DEFAULTS
  return {
    connectTimeout: milliseconds(env, 'UPSTREAM_CONNECT_TIMEOUT', defaults.connectTimeout, 1),
    maxAttempts: integer(env, 'UPSTREAM_TRIES', defaults.maxAttempts, 1, 100),
    attemptTime: milliseconds(env, 'UPSTREAM_TRIES_TIME', defaults.attemptTime),
    idleTimeout: milliseconds(env, 'UPSTREAM_IDLE_TIMEOUT', defaults.idleTimeout, 1),
    maxIdlePerEndpoint: integer(env, 'UPSTREAM_MAX_IDLE', defaults.maxIdlePerEndpoint, 0, 10_000),
    maxRequestsPerConnection: integer(
      env,
      'UPSTREAM_MAX_REQUESTS',
      defaults.maxRequestsPerConnection,
      1,
      1_000_000_000,
    ),
    maxAge: milliseconds(env, 'UPSTREAM_MAX_AGE', defaults.maxAge),
    maxConnectionsPerEndpoint: integer(env, 'UPSTREAM_MAX_CONNECTIONS', defaults.maxConnectionsPerEndpoint, 0, 65_535),
    slowStart: milliseconds(env, 'UPSTREAM_SLOW_START', defaults.slowStart),
  }
}

function refuse(name: string, value: string, allowed: string): DataPlaneError {
  return new DataPlaneError('SLUICE_CONFIG', `${name}=${JSON.stringify(value)} is not allowed: set ${allowed}`)
}

function integer(env: Environment, name: string, fallback: number, min: number, max: number): number {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max) {
    throw refuse(name, text, `a whole number from ${min} to ${max}, or nothing for ${fallback}`)
  }
  return value
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** `500ms`, `5s`, `2m`, `1h`, or `0`. */
function milliseconds(env: Environment, name: string, fallback: number, min = 0): number {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  const [, digits, unit = ''] = /^([0-9]{1,9})(ms|s|m|h)?$/.exec(text) ?? []
  const value = Number(digits) * (UNITS[unit] ?? (digits === '0' ? 1 : Number.NaN))
  if (!(value >= min && value <= 86_400_000)) {
    throw refuse(name, text, `a duration from ${min} to 24h, such as 500ms, 5s or 2m, or nothing for ${fallback}ms`)
  }
  return value
}

function flag(env: Environment, name: string): boolean {
  const text = env[name]
  if (text === undefined || text === '' || text === 'false') return false
  if (text !== 'true') throw refuse(name, text, 'true or false')
  return true
}

/** One of a few words; the first one where nothing is set. */
function oneOf<T extends string>(env: Environment, name: string, words: readonly [T, ...T[]]): T {
  const text = env[name]
  if (text === undefined || text === '') return words[0]
  const word = words.find(one => one === text)
  if (word === undefined) throw refuse(name, text, words.join(' or '))
  return word
}

/** Addresses and ranges in CIDR notation, separated by commas or spaces. */
function ranges(env: Environment, name: string): readonly string[] {
  const text = env[name] ?? ''
  const list = text.split(/[\s,]+/).filter(entry => entry !== '')
  for (const entry of list) {
    const [ip = '', bits, ...more] = entry.split('/')
    const most = isIP(ip) === 6 ? 128 : 32
    const sane = bits === undefined || (/^[0-9]{1,3}$/.test(bits) && Number(bits) <= most)
    if (isIP(ip) === 0 || !sane || more.length > 0) {
      throw refuse(name, text, 'addresses or ranges such as 10.0.0.0/8, separated by commas')
    }
  }
  return list
}

/** RFC 9110 7.6.3: a token, or a host with a port. */
function pseudonym(env: Environment, name: string): string | null {
  const text = env[name]
  if (text === undefined || text === '') return null
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}(?::[0-9]{1,5})?$/.test(text)) {
    throw refuse(name, text, 'a name such as sluice, with a port or without, or nothing for no Via')
  }
  return text
}

/** Shorter than a second is a loop that is merely busy, and would end workers that serve. */
function stallTimeout(env: Environment): number {
  const value = milliseconds(env, 'WORKER_STALL_TIMEOUT', 10_000)
  if (value !== 0 && value < 1_000) {
    throw refuse('WORKER_STALL_TIMEOUT', env['WORKER_STALL_TIMEOUT'] ?? '', '0, or a duration from 1s to 24h')
  }
  return value
}

function address(env: Environment, name: string): string | null {
  const text = env[name]
  if (text === undefined || text === '') return null
  if (isIP(text) === 0) throw refuse(name, text, 'an IP address, or nothing for every address')
  return text
}

function accessLog(env: Environment): string {
  const text = env['ACCESS_LOG']
  if (text === undefined || text === '' || text === 'on') return 'stdout'
  if (text !== 'off' && text !== 'stdout' && !text.startsWith('/')) {
    throw refuse('ACCESS_LOG', text, 'off, stdout, or the absolute path of a file')
  }
  return text
}
