/** What the echo backend answers to plain requests. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EchoConfig } from './config.ts'

/** What the backend saw: the body of ordinary answers, and the first message on a WebSocket. */
export interface Seen {
  readonly version: string
  readonly pod: string
  readonly method: string
  readonly url: string
  readonly protocol: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly rawHeaders: readonly string[]
  readonly remoteAddress: string
}

export interface SeenRequest extends Seen {
  /** Bytes of the request's body. */
  readonly bodyLength: number
}

const STREAM_INTERVAL_MS = 100
const BURST_EVERY_MS = 10_000

export function seen(request: IncomingMessage, config: EchoConfig): Seen {
  return {
    version: config.version,
    pod: config.pod,
    method: request.method ?? '',
    url: request.url ?? '',
    protocol: `HTTP/${request.httpVersion}`,
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    remoteAddress: request.socket.remoteAddress ?? '',
  }
}

async function bodyLength(request: IncomingMessage): Promise<number> {
  let bytes = 0
  for await (const chunk of request) bytes += (chunk as Buffer).length
  return bytes
}

/** `url` is what was asked for: a redirect sends there again, as a loop does. */
function send(response: ServerResponse, status: number, body: unknown, url: string): void {
  const text = `${JSON.stringify(body)}\n`
  const empty = status === 204 || status === 304
  if (status >= 300 && status < 400 && !empty) response.setHeader('location', url)
  response.writeHead(
    status,
    empty ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
  )
  response.end(empty ? undefined : text)
}

/** Server-sent events, a line every 100 ms: `?count=n` ends after n, else the client ends it. */
async function stream(response: ServerResponse, config: EchoConfig, count: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  for (let n = 0; n < count && !response.destroyed; n++) {
    response.write(`data: ${JSON.stringify({ n, version: config.version, pod: config.pod })}\n\n`)
    await sleep(STREAM_INTERVAL_MS)
  }
  response.end()
}

/** Milliseconds until the burst is over that the clock is in: it is the same one in every pod. */
export function burst(burstMs: number, wall: number): number {
  return Math.max(0, burstMs - (wall % BURST_EVERY_MS))
}

/** Half of the answer that was announced. */
function breakOff(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': 2_000 })
  response.write('x'.repeat(1_000), () => response.destroy())
}

/** Answers one request. Rejects if the client goes away in the middle of its body. */
export async function answer(request: IncomingMessage, response: ServerResponse, config: EchoConfig): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://echo')
  // Clients that count answers need not parse bodies.
  response.setHeader('x-echo-version', config.version)
  response.setHeader('x-echo-pod', config.pod)
  if (config.headerBytes > 0) response.setHeader('x-echo-long', 'x'.repeat(config.headerBytes))
  const wait =
    config.delayMs +
    burst(config.burstMs, Date.now()) +
    (url.pathname === '/slow' ? Math.min(Number(url.searchParams.get('ms') ?? '1000') || 0, 600_000) : 0)
  if (wait > 0) await sleep(wait)
  const asked = /^\/status\/([2-5][0-9][0-9])$/.exec(url.pathname)?.[1]
  if (config.breaksOff === 'head') {
    response.destroy()
    return
  }
  if (config.breaksOff === 'body') {
    breakOff(response, config.status)
    return
  }
  if (url.pathname === '/stream' && config.status === 200) {
    await stream(response, config, Number(url.searchParams.get('count') ?? 'Infinity'))
    return
  }
  const body: SeenRequest = { ...seen(request, config), bodyLength: await bodyLength(request) }
  const failing = Math.random() * 1_000 < config.errorsPerMille
  send(response, asked !== undefined ? Number(asked) : failing ? 500 : config.status, body, request.url ?? '/')
}
