/**
 * TLS clients that open a connection for every request and verify the certificate, as browsers and tools do.
 * One that refuses sends no request: most just close (curl and Node do, ANCHORS: no alert), a share sends an alert.
 */
import { request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { AlertingTransport } from './alerting-transport.ts'
import { LoadTimeout, codeOf } from './http-load.ts'
import type { LoadOptions } from './http-load.ts'
import { Pace } from './pace.ts'
import type { LoadRecord } from './record.ts'
import { refusalOf } from './refusal.ts'
import { checkAddress } from './targets.ts'
import type { Target } from './targets.ts'

export interface TlsLoadOptions extends LoadOptions {
  /** PEM of the one authority that the clients trust. */
  readonly ca: string
}

/** How a client says no: `reset` drops the connection, `close` ends it in order, `alert` says why. */
export type Refuses = 'reset' | 'close' | 'alert'

const STYLES: readonly Refuses[] = ['reset', 'close', 'reset', 'reset', 'alert', 'reset', 'reset', 'close']
const MAX_IN_FLIGHT = 500

export class TlsLoad {
  readonly #options: TlsLoadOptions
  readonly #pace: Pace
  readonly #running = new Set<Promise<LoadRecord>>()
  #stopped: Promise<void> | null = null

  constructor(options: TlsLoadOptions) {
    for (const target of options.targets) checkAddress(target.address)
    this.#options = options
    const { perSecond, maxMs, maxRequests } = options
    const pace = { perSecond, maxMs, maxCalls: maxRequests, now: () => performance.now() }
    this.#pace = new Pace(pace, n => this.#send(n))
  }

  get sent(): number {
    return this.#pace.calls
  }

  /** No new connection; waits for those under way. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end()
    return this.#stopped
  }

  async #end(): Promise<void> {
    this.#pace.stop()
    await Promise.all(this.#running)
  }

  #send(n: number): void {
    const { targets, onRecord } = this.#options
    const target = targets[n % targets.length]
    // Styles change from round to round, so that every proxy meets all of them.
    const style = STYLES[Math.floor(n / targets.length) % STYLES.length] ?? 'reset'
    if (target === undefined || this.#running.size >= MAX_IN_FLIGHT) return
    const one = requestOnce(this.#options, target, style)
    this.#running.add(one)
    void one.then(record => {
      this.#running.delete(one)
      onRecord(record)
    })
  }
}

export type OnceOptions = Pick<TlsLoadOptions, 'host' | 'path' | 'timeoutMs' | 'ca'>

/** One connection, verified, and one request on it if the certificate is accepted. Never rejects. */
export function requestOnce(options: OnceOptions, target: Target, style: Refuses): Promise<LoadRecord> {
  const at = performance.now()
  return new Promise<LoadRecord>(resolve => {
    let issuer: string | null = null
    const end = (status: number | null, version: string | null, error: string | null): void => {
      clearTimeout(timer)
      const ms = performance.now() - at
      resolve({ kind: 'tls', at, ms, ordinal: target.ordinal, status, version, issuer, error, connection: 'new' })
    }
    const socket = open(options, target, style, end)
    const timer = setTimeout(() => socket.destroy(new LoadTimeout()), options.timeoutMs)
    socket.on('error', error => end(null, null, codeOf(error)))
    socket.on('close', () => end(null, null, 'CLOSED'))
    socket.on('secureConnect', () => {
      const authority = socket.getPeerCertificate().issuer as { readonly CN?: string } | undefined
      issuer = authority?.CN ?? null
      // Where Node itself rejects; done here so that the issuer can be told.
      const refusal = socket.authorizationError as Error | string | undefined | null
      if (refusal) {
        end(null, null, typeof refusal === 'string' ? refusal : codeOf(refusal))
        if (style === 'close') socket.end()
        else socket.destroy()
        return
      }
      exchange(options, socket, end)
    })
  })
}

type End = (status: number | null, version: string | null, error: string | null) => void

function open(options: OnceOptions, target: Target, style: Refuses, end: End): TLSSocket {
  const { host, ca } = options
  const tls = { servername: host, ca, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }
  if (style !== 'alert') return connect({ ...tls, host: target.address, port: target.port })
  const transport = new AlertingTransport(
    connectTcp(target.port, target.address),
    chain => refusalOf(chain, ca, host, new Date()),
    refusal => {
      end(null, null, refusal.code)
      socket.destroy()
    },
  )
  const socket = connect({ ...tls, socket: transport, maxVersion: 'TLSv1.2' })
  return socket
}

function exchange(options: OnceOptions, socket: TLSSocket, end: End): void {
  const headers = { host: options.host, connection: 'close' }
  const call = request({ createConnection: () => socket, path: options.path, headers })
  call.on('response', response => {
    const version = response.headers['x-echo-version']
    response.on('end', () => end(response.statusCode ?? null, typeof version === 'string' ? version : null, null))
    response.on('error', error => end(response.statusCode ?? null, null, codeOf(error)))
    response.resume()
  })
  call.on('error', error => end(null, null, codeOf(error)))
  call.end()
}
