/**
 * HTTPS to replicas of the operator. Token and authority are read from their files each time, as both change while the
 * proxy runs. The Service's host is the name to verify also where the connection goes to a replica's own address.
 */
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import type { Readable } from 'node:stream'
import { ZSTD, zstdText } from '../../protocol/zstd.ts'
import type { Address } from './address.ts'
import type { StreamConfig } from './config.ts'
import { StreamError } from './errors.ts'

export interface Answer {
  readonly status: number
  readonly body: string
}

export interface Transport {
  /** Asks the Service for the stream; `stateHash` null: with a full snapshot. Whoever gets the answer must read or destroy it. */
  open(stateHash: string | null, signal: AbortSignal): Promise<Readable>
  /** Sends a report to a replica. */
  report(to: Address, body: string, signal: AbortSignal): Promise<Answer>
  close(): void
}

/** Longest answer to a report that is read. */
const MAX_ANSWER_BYTES = 64 * 1024

interface Request {
  readonly to: Address
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly agent: Agent | false
  readonly body: string | null
  readonly signal: AbortSignal
}

export class HttpsTransport implements Transport {
  readonly #config: Pick<StreamConfig, 'operator' | 'tokenFile' | 'caFile'>
  /** Reports come every few seconds: their connection is kept. */
  readonly #reports = new Agent({ keepAlive: true, maxSockets: 2, timeout: 60_000 })

  constructor(config: Pick<StreamConfig, 'operator' | 'tokenFile' | 'caFile'>) {
    this.#config = config
  }

  async open(stateHash: string | null, signal: AbortSignal): Promise<Readable> {
    const path = stateHash === null ? '/v1/stream' : `/v1/stream?stateHash=${stateHash}`
    const to = this.#config.operator
    const response = await this.#request({ to, method: 'GET', path, agent: false, body: null, signal })
    if (response.statusCode === 200) {
      return response.headers['content-encoding'] === ZSTD ? zstdText(response) : response
    }
    const body = await text(response).catch(() => '')
    const status = response.statusCode ?? 0
    throw new StreamError('SLUICE_STREAM_STATUS', `the operator answered ${status}: ${body.trim().slice(0, 300)}`)
  }

  async report(to: Address, body: string, signal: AbortSignal): Promise<Answer> {
    const response = await this.#request({
      ...{ to, method: 'POST', path: '/v1/report', agent: this.#reports, body, signal },
    })
    return { status: response.statusCode ?? 0, body: await text(response) }
  }

  close(): void {
    this.#reports.destroy()
  }

  async #request({ to, method, path, agent, body, signal }: Request): Promise<IncomingMessage> {
    const { operator, tokenFile, caFile } = this.#config
    const [token, ca] = await Promise.all([readText(tokenFile), readText(caFile)])
    signal.throwIfAborted()
    const request = httpsRequest({
      ...{ host: to.host, port: to.port, method, path, agent, ca, signal, minVersion: 'TLSv1.2' },
      // TLS allows no address as a server name; then the address itself is what the certificate must carry.
      servername: isIP(operator.host) === 0 ? operator.host : '',
      headers: {
        authorization: `Bearer ${token.trim()}`,
        ...(body === null
          ? { accept: 'application/x-ndjson', 'accept-encoding': ZSTD }
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    })
    return new Promise((resolve, reject) => {
      request.on('response', resolve)
      // Stays: an error after the answer began shows on the answer too, and must not be uncaught here.
      request.on('error', error => reject(signal.aborted ? (signal.reason as Error) : error))
      request.end(body ?? undefined)
    })
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new StreamError('SLUICE_STREAM_FILE', 'a file for the stream cannot be read', { cause })
  }
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) break
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
