/** HTTP to the API server: addresses, TLS and credentials of a KubeConfig over kept-alive connections. */
import { hash } from 'node:crypto'
import type { RequestOptions as HttpsOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import { Agent, ProxyAgent, request } from 'undici'
import type { Dispatcher } from 'undici'
import { KubeError, isKubeError, systemCode } from './errors.ts'

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly contentType?: string
  /** Default: application/json. */
  readonly accept?: string
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

const CONNECT_TIMEOUT_MS = 5_000
/** Shorter than what load balancers before API servers allow, so that we seldom write on a connection they closed. */
const IDLE_MS = 30_000

type Tls = Pick<HttpsOptions, 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'>

interface Access {
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
  readonly tls: Tls
  readonly proxy: string | undefined
}

export class HttpTransport implements Transport {
  readonly #config: KubeConfig
  #dispatcher: Dispatcher | null = null
  /** What the dispatcher was made from: client certificates and authorities are renewed under our feet. */
  #madeFrom = ''
  /** Dispatchers of older certificates, with watches that still run. */
  readonly #retired = new Set<Promise<void>>()

  constructor(config: KubeConfig) {
    this.#config = config
  }

  async send(ask: Ask): Promise<Answer> {
    const access = await this.#access()
    const url = new URL(access.origin)
    url.pathname = url.pathname.replace(/\/$/, '') + ask.path
    for (const [name, value] of Object.entries(ask.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, value)
    try {
      const response = await request(url, {
        method: ask.method,
        dispatcher: this.#dispatcherFor(access),
        headers: {
          accept: ask.accept ?? 'application/json',
          'user-agent': 'sluice-operator',
          ...access.headers,
          ...(ask.body === undefined ? {} : { 'content-type': ask.contentType ?? 'application/json' }),
        },
        body: ask.body ?? null,
        signal: ask.signal,
        headersTimeout: ask.headTimeoutMs,
        // Quiet is the caller's business: a watch may say nothing for a minute.
        bodyTimeout: 0,
      })
      // Destroying a body that nobody reads any more must not become an uncaught error.
      response.body.on('error', () => undefined)
      return {
        status: response.statusCode,
        header: name => {
          const value = response.headers[name]
          return typeof value === 'string' ? value : value?.[0]
        },
        body: readable(response.body, ask.signal),
      }
    } catch (error) {
      throw connectionError(error, ask.signal)
    }
  }

  async close(): Promise<void> {
    const dispatcher = this.#dispatcher
    this.#dispatcher = null
    this.#madeFrom = ''
    await dispatcher?.destroy()
    await Promise.allSettled(this.#retired)
  }

  async #access(): Promise<Access> {
    const cluster = this.#config.getCurrentCluster()
    if (cluster === null)
      throw new KubeError('KUBE_CONFIG', 'the kubeconfig names no cluster: set current-context to one that exists')
    if (cluster.server.startsWith('http:') && !cluster.skipTLSVerify)
      throw new KubeError(
        'KUBE_CONFIG',
        `cluster ${cluster.name} has an http address: credentials would travel in the clear (insecure-skip-tls-verify allows it)`,
      )
    const options: HttpsOptions = {}
    try {
      await this.#config.applyToHTTPSOptions(options)
    } catch (error) {
      throw new KubeError('KUBE_CONFIG', 'the credentials that the kubeconfig names could not be read', {
        cause: error,
      })
    }
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(options.headers ?? {}))
      if (typeof value === 'string') headers[name.toLowerCase()] = value
    if (typeof options.auth === 'string')
      headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options
    return {
      origin: cluster.server,
      headers,
      tls: defined({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }),
      proxy: cluster.proxyUrl,
    }
  }

  #dispatcherFor(access: Access): Dispatcher {
    const from = fingerprint(access)
    if (this.#dispatcher !== null && this.#madeFrom === from) return this.#dispatcher
    const old = this.#dispatcher
    if (old !== null) {
      const closed = old.close().catch(() => undefined)
      this.#retired.add(closed)
      void closed.then(() => this.#retired.delete(closed))
    }
    this.#dispatcher = makeDispatcher(access)
    this.#madeFrom = from
    return this.#dispatcher
  }
}

function makeDispatcher(access: Access): Dispatcher {
  const common = { keepAliveTimeout: IDLE_MS, keepAliveMaxTimeout: IDLE_MS }
  const connect = { ...access.tls, timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: 30_000 }
  if (access.proxy === undefined || access.proxy === '') return new Agent({ ...common, connect })
  if (!/^https?:/.test(access.proxy))
    throw new KubeError(
      'KUBE_CONFIG',
      'proxy-url of the kubeconfig must be http or https: other proxies are not supported',
    )
  return new ProxyAgent({ ...common, uri: access.proxy, requestTls: access.tls, connect })
}

async function* readable(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk
  } catch (error) {
    throw connectionError(error, signal)
  }
}

function connectionError(error: unknown, signal: AbortSignal): KubeError {
  if (isKubeError(error)) return error
  if (signal.aborted) return new KubeError('KUBE_ABORTED', 'the request was ended', { cause: signal.reason })
  const code = systemCode(error)
  return new KubeError('KUBE_UNAVAILABLE', `no answer from the API server${code === '' ? '' : ` (${code})`}`, {
    cause: error,
  })
}

function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}

function fingerprint(access: Access): string {
  const plain = Object.entries(access.tls).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? value.toString('base64') : value,
  ])
  return hash('sha256', JSON.stringify([plain, access.proxy]))
}
