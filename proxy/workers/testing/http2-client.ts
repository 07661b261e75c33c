/** A client of HTTP/2 for tests: Node's own, on one connection that ends with the test. */
import { once } from 'node:events'
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { Answered, Ask, Ends } from './harness.ts'

export interface Http2Ask {
  readonly host?: string
  readonly method?: string
  readonly path?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Buffer
}

export interface Http2Answered {
  /** 0: none. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** [name, value, name, value …] */
  readonly rawHeaders: readonly string[]
  readonly trailers: IncomingHttpHeaders
  readonly informations: readonly IncomingHttpHeaders[]
  /** In latin1. */
  readonly body: string
  /** With which the stream ended (RFC 9113 7). */
  readonly code: number
}

export class Http2Client {
  readonly session: ClientHttp2Session
  readonly closed: Promise<unknown>
  /** Of a GOAWAY; null: none came. */
  goaway: number | null = null

  constructor(ends: Pick<Ends, 'add'>, port: number, servername = 'a.example') {
    // No name at all: what comes is no host of the table.
    const name = servername === '' ? {} : { servername }
    this.session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, ...name })
    this.session.on('error', () => undefined)
    this.session.on('goaway', (code: number) => (this.goaway = code))
    this.closed = once(this.session, 'close')
    ends.add(() => this.session.destroy())
  }

  /** Begins a request; its body is the caller's matter unless `headers` are all. */
  open(
    { host = 'a.example', method = 'GET', path = '/', headers = {} }: Http2Ask,
    endStream: boolean,
  ): ClientHttp2Stream {
    const pseudo = { ':authority': host, ':method': method, ':path': path }
    const stream = this.session.request({ ...pseudo, ...headers }, { endStream })
    stream.on('error', () => undefined)
    return stream
  }

  ask(what: Http2Ask): Promise<Http2Answered> {
    const stream = this.open(what, what.body === undefined)
    if (what.body !== undefined) stream.end(what.body)
    return answerOf(stream)
  }
}

/** Resolves when the stream is closed. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answered> {
  let status = 0
  let headers: IncomingHttpHeaders = {}
  let rawHeaders: readonly string[] = []
  let trailers: IncomingHttpHeaders = {}
  const informations: IncomingHttpHeaders[] = []
  const pieces: Buffer[] = []
  stream.on('headers', info => informations.push(info))
  stream.on('response', (received, _flags, raw) => {
    status = received[':status'] ?? 0
    headers = received
    rawHeaders = raw
  })
  stream.on('trailers', received => (trailers = received))
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  if (!stream.closed || !stream.destroyed) await new Promise(resolve => stream.once('close', resolve))
  const body = Buffer.concat(pieces).toString('latin1')
  return {
    status,
    headers,
    rawHeaders,
    trailers,
    informations,
    body,
    code: stream.rstCode,
  }
}

/** One request as the harness asks it, on a connection of its own. */
export async function askHttp2(
  port: number,
  { host = 'a.example', method, path, headers, body }: Ask,
): Promise<Answered> {
  const ends: (() => unknown)[] = []
  const client = new Http2Client({ add: (end: () => unknown) => void ends.push(end) }, port, host)
  try {
    const optional = { ...(method && { method }), ...(path && { path }), ...(body !== undefined && { body }) }
    const answered = await client.ask({ host, ...optional, headers: { ...headers } })
    return { ...answered, trailers: answered.trailers as Answered['trailers'] }
  } finally {
    for (const end of ends) end()
  }
}
