/** Single requests to one proxy, each on a connection of its own. They never reject: what goes wrong is an answer, too. */
import { request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { codeOf } from '../../load/http-load.ts'
import { checkAddress } from '../../load/targets.ts'
import type { Target } from '../../load/targets.ts'
import type { Cluster } from './cluster.ts'

export interface Answer {
  /** Null: none. */
  readonly status: number | null
  /** The backend's; null if the proxy itself answered. */
  readonly version: string | null
  readonly pod: string | null
  readonly body: string
  /** In lower case; empty if there was no answer. */
  readonly headers: IncomingHttpHeaders
  readonly error: string | null
  /** Common name of the certificate's issuer; null for plain HTTP. */
  readonly issuer: string | null
}

export interface AskOptions {
  readonly host: string
  readonly path?: string
  readonly method?: string
  readonly scheme?: 'http' | 'https'
  readonly headers?: Readonly<Record<string, string>>
}

/** What one proxy serves for a host, in a word: a version, a status, or an error's code. */
export type Served = string

export class Proxies {
  readonly #cluster: Cluster

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  get ordinals(): readonly number[] {
    return this.#cluster.ordinals
  }

  ask(ordinal: number, options: AskOptions): Promise<Answer> {
    const targets = options.scheme === 'https' ? this.#cluster.https : this.#cluster.http
    return askTarget(targets[ordinal], options)
  }

  /** One word per proxy, in the order of the ordinals. */
  async served(host: string, path = '/'): Promise<readonly Served[]> {
    return Promise.all(this.ordinals.map(async ordinal => wordOf(await this.ask(ordinal, { host, path }))))
  }

  /** The issuer that each proxy shows for a host, or an error's code. */
  async issuers(host: string): Promise<readonly string[]> {
    const answers = await Promise.all(this.ordinals.map(ordinal => this.ask(ordinal, { host, scheme: 'https' })))
    return answers.map(({ issuer, error }) => issuer ?? error ?? 'none')
  }

  async versionOn(ordinal: number, host: string): Promise<string | null> {
    return (await this.ask(ordinal, { host })).version
  }

  async isReady(ordinal: number): Promise<boolean> {
    const { status } = await askTarget(this.#cluster.admin[ordinal], { host: 'admin', path: '/readyz' })
    return status === 200
  }
}

export function wordOf({ version, status, error }: Answer): Served {
  if (version !== null && status !== null && status < 400) return version
  return status === null ? (error ?? 'nothing') : String(status)
}

export function askTarget(target: Target | undefined, options: AskOptions): Promise<Answer> {
  if (target === undefined) return Promise.resolve(failure('NO_SUCH_PROXY'))
  checkAddress(target.address)
  const { host, path = '/', method = 'GET', scheme = 'http', headers = {} } = options
  const common = {
    host: target.address,
    port: target.port,
    path,
    method,
    agent: false,
    headers: { ...headers, host },
    timeout: 5_000,
  }
  return new Promise(resolve => {
    // The certificate is what is asked about, so any is taken.
    const call =
      scheme === 'http' ? httpRequest(common) : httpsRequest({ ...common, servername: host, rejectUnauthorized: false })
    call.on('response', response => collect(call, response, scheme, resolve))
    call.on('timeout', () => call.destroy())
    call.on('error', error => resolve(failure(codeOf(error))))
    call.on('close', () => resolve(failure('CLOSED')))
    call.end()
  })
}

function collect(
  call: ClientRequest,
  response: IncomingMessage,
  scheme: 'http' | 'https',
  resolve: (answer: Answer) => void,
): void {
  const header = (name: string): string | null => {
    const value = response.headers[name]
    return typeof value === 'string' ? value : null
  }
  const certificate = scheme === 'https' ? (call.socket as TLSSocket).getPeerCertificate() : null
  const issuer = (certificate?.issuer as { readonly CN?: string } | undefined)?.CN ?? null
  let body = ''
  response.setEncoding('utf8').on('data', (chunk: string) => void (body += chunk))
  response.on('error', error => resolve(failure(codeOf(error))))
  response.on('end', () => {
    const status = response.statusCode ?? null
    const { headers } = response
    resolve({
      status,
      version: header('x-echo-version'),
      pod: header('x-echo-pod'),
      body,
      headers,
      error: null,
      issuer,
    })
  })
}

function failure(error: string): Answer {
  return { status: null, version: null, pod: null, body: '', headers: {}, error, issuer: null }
}
