import { describe, expect, it } from '@jest/globals'
import { dataPlaneConfig } from './config.ts'
import { heapPerWorker, memoryLimit } from './workers/heap.ts'

describe('dataPlaneConfig', () => {
  it('has a default for everything, also for what is empty', () => {
    const config = dataPlaneConfig({})
    expect(config).toMatchObject({ httpPort: 8080, httpsPort: 8443, adminPort: 9090, accessLog: 'stdout' })
    expect(config).toMatchObject({ workerStallTimeout: 10_000, metricsHosts: 200, drainDelay: 15_000 })
    expect(config.workerHeap).toBe(heapPerWorker(memoryLimit(), config.workers))
    expect(dataPlaneConfig({ WORKER_HEAP: '100' }).workerHeap).toBe(100)
    expect(dataPlaneConfig({ WORKER_STALL_TIMEOUT: '0' }).workerStallTimeout).toBe(0)
    expect(dataPlaneConfig({ HTTP_PORT: '', ACCESS_LOG: '', LISTEN_ADDRESS: '' })).toEqual(config)
    for (const value of Object.values(config)) expect(value).not.toBeNaN()
  })

  it('reads durations, numbers, addresses and files', () => {
    const env = { DRAIN_DELAY: '500ms', DRAIN_TIMEOUT: '2m', HEADERS_TIMEOUT: '0', KEEP_ALIVE_TIMEOUT: '1h' }
    expect(dataPlaneConfig({ ...env, WORKERS: '3', LISTEN_ADDRESS: '::1', ACCESS_LOG: '/tmp/x' })).toMatchObject({
      ...{ drainDelay: 500, drainTimeout: 120_000, headersTimeout: 0, keepAliveTimeout: 3_600_000 },
      ...{ workers: 3, listenAddress: '::1', accessLog: '/tmp/x' },
    })
  })

  it('reads what is said about connections to backends', () => {
    expect(dataPlaneConfig({}).upstream).toEqual({
      ...{ connectTimeout: 2_000, maxAttempts: 3, attemptTime: 0, idleTimeout: 60_000, maxIdlePerEndpoint: 64 },
      ...{ maxRequestsPerConnection: 10_000, maxAge: 3_600_000, maxConnectionsPerEndpoint: 0, slowStart: 0 },
    })
    const times = { UPSTREAM_CONNECT_TIMEOUT: '250ms', UPSTREAM_TRIES_TIME: '10s', UPSTREAM_MAX_AGE: '0' }
    const numbers = { UPSTREAM_TRIES: '1', UPSTREAM_MAX_IDLE: '0', UPSTREAM_MAX_REQUESTS: '1' }
    const env = {
      ...times,
      ...numbers,
      UPSTREAM_IDLE_TIMEOUT: '4s',
      UPSTREAM_MAX_CONNECTIONS: '100',
      UPSTREAM_SLOW_START: '30s',
    }
    expect(dataPlaneConfig(env).upstream).toEqual({
      ...{ connectTimeout: 250, maxAttempts: 1, attemptTime: 10_000, idleTimeout: 4_000, maxIdlePerEndpoint: 0 },
      ...{ maxRequestsPerConnection: 1, maxAge: 0, maxConnectionsPerEndpoint: 100, slowStart: 30_000 },
    })
  })

  it.each([
    ['WORKERS', '0', 'a whole number from 1 to 256'],
    ['WORKERS', '1.5', 'a whole number from 1 to 256'],
    ['HTTP_PORT', '65536', 'a whole number from 0 to 65535'],
    ['HTTP_PORT', '0x50', 'a whole number from 0 to 65535'],
    ['DRAIN_DELAY', '5', 'a duration from 0 to 24h'],
    ['DRAIN_DELAY', '-1s', 'a duration from 0 to 24h'],
    ['DRAIN_DELAY', '25h', 'a duration from 0 to 24h'],
    ['TLS_HANDSHAKE_TIMEOUT', '0', 'a duration from 1 to 24h'],
    ['TLS_HANDSHAKE_LAG', '0', 'a duration from 1 to 24h'],
    ['TLS_CONTEXT_MEMORY', '1000', 'a whole number from 1048576 to 68719476736'],
    ['UPSTREAM_CONNECT_TIMEOUT', '0', 'a duration from 1 to 24h'],
    ['UPSTREAM_IDLE_TIMEOUT', '0', 'a duration from 1 to 24h'],
    ['UPSTREAM_TRIES', '0', 'a whole number from 1 to 100'],
    ['UPSTREAM_MAX_REQUESTS', '0', 'a whole number from 1 to 1000000000'],
    ['UPSTREAM_MAX_CONNECTIONS', '-1', 'a whole number from 0 to 65535'],
    ['UPSTREAM_SLOW_START', '30', 'a duration from 0 to 24h'],
    ['METRICS_UPSTREAMS', '100001', 'a whole number from 0 to 100000'],
    ['WORKER_HEAP', '31', 'a whole number from 32 to 65536'],
    ['WORKER_HEAP', '1g', 'a whole number from 32 to 65536'],
    ['WORKER_STALL_TIMEOUT', '999ms', '0, or a duration from 1s to 24h'],
    ['ACCESS_LOG_BUFFER', '1000', 'a whole number from 65536 to 1073741824'],
    ['METRICS_HOSTS', '-1', 'a whole number from 0 to 100000'],
    ['TRUSTED_ADDRESSES', '10.0.0.0/33', 'addresses or ranges'],
    ['TRUSTED_ADDRESSES', '10.0.0.0/8, lb.example', 'addresses or ranges'],
    ['TRUSTED_ADDRESSES', '10.0.0.0/8/8', 'addresses or ranges'],
    ['PROXY_PROTOCOL_FROM', 'lb.example', 'addresses or ranges'],
    ['UNDERSCORES_IN_HEADERS', 'yes', 'true or false'],
    ['REQUEST_PATH', 'Relay', 'relay or full'],
    ['SOCKET_IO', 'raw', 'streams or direct'],
    ['VIA', 'our proxy', 'a name such as sluice'],
    ['VIA', 'x, 1.1 y', 'a name such as sluice'],
    ['MAX_CONNECTIONS', '-1', 'a whole number from 0 to 1000000'],
    ['MAX_CONNECTIONS_PER_CLIENT', '1e3', 'a whole number from 0 to 1000000'],
    ['MEMORY_HIGH_WATER', '100', 'a whole number from 0 to 99'],
    ['MEMORY_HIGH_WATER', '85%', 'a whole number from 0 to 99'],
    ['KEEP_ALIVE_AGE', '-1s', 'a duration from 0 to 24h'],
    ['LINGER_TIMEOUT', '0', 'a duration from 1 to 24h'],
    ['LISTEN_ADDRESS', 'localhost', 'an IP address'],
    ['ACCESS_LOG', 'file', 'off, stdout, or the absolute path'],
  ])('refuses %s=%s and says what is allowed', (name, value, allowed) => {
    const read = (): unknown => dataPlaneConfig({ [name]: value })
    expect(read).toThrow(expect.objectContaining({ code: 'SLUICE_CONFIG' }))
    expect(read).toThrow(`${name}="${value}" is not allowed: set ${allowed}`)
  })
})
