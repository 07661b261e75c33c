/** WebSockets and every other Upgrade: the handshake is a parsed request and answer, what follows is passed on as bytes. */
import {
  STATUS_CODES,
  ServerResponse,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream'
import type { Table } from '../table/contract.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { answerFor } from './answers.ts'
import { Exchange, type PublicPorts } from './exchange.ts'
import { headerValues, requestHeaders, responseHeaders } from './headers.ts'
import { fail, type Books, type Passage } from './passage.ts'
import { relayAnswer } from './relay-answer.ts'

interface UpgradeParts extends Books {
  readonly table: Table
  readonly upstream: Upstream
  readonly publicPorts: PublicPorts
}

/** How long a backend may take to answer the handshake, in milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 60_000

/**
 * Only a GET, and never to h2c: a backend that accepts it would take further requests on a connection that we no
 * longer read, past every route ("h2c smuggling"). Those go on as ordinary requests without their Upgrade.
 */
export function mayUpgrade(request: IncomingMessage): boolean {
  const protocol = request.headers.upgrade?.toLowerCase() ?? ''
  return request.method === 'GET' && protocol !== '' && !/(?:^|[\s,])h2c?(?:$|[\s,/])/.test(protocol)
}

/** The `upgrade` event's handler. Node gave the socket up: all of its life is ours from here. */
export function handleUpgrade(request: IncomingMessage, head: Buffer, parts: UpgradeParts): void {
  const client = request.socket
  const exchange = new Exchange(request, parts.table, parts.publicPorts)
  client.on('error', () => undefined)
  parts.connections.begin(client)
  // Anything but a switch is an ordinary last answer on this connection.
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  const passage: Passage = { exchange, request, response, expectsContinue: false, answer: null, error: null }
  const tunnel = { opened: false, bytesIn: 0, bytesOut: 0 }
  client.once('close', () => finish(passage, tunnel, parts))

  const refuse = (error: unknown): void => {
    if (client.destroyed) return
    response.assignSocket(client)
    response.once('finish', () => client.end())
    fail(answerFor(error), passage)
  }
  const { decision } = exchange
  if (decision.kind === 'answer') {
    response.assignSocket(client)
    response.once('finish', () => client.end())
    response.writeHead(decision.status, { 'Content-Type': 'text/plain; charset=utf-8' })
    response.end(
      `${decision.status} ${STATUS_CODES[decision.status] ?? ''}: ${decision.reason}\nrequest id: ${exchange.id}\n`,
    )
    return
  }
  const onAttempt = (address: string): void => {
    exchange.endpoint = address
    exchange.attempts++
  }
  parts.upstream
    .connect({ service: decision.service, addresses: decision.addresses, onAttempt })
    .then(backend => shakeHands(passage, client, head, backend, tunnel, parts, refuse), refuse)
}

interface Tunnel {
  opened: boolean
  bytesIn: number
  bytesOut: number
}

function shakeHands(
  passage: Passage,
  client: Socket,
  head: Buffer,
  backend: Socket,
  tunnel: Tunnel,
  parts: UpgradeParts,
  refuse: (error: unknown) => void,
): void {
  const { exchange, request, response } = passage
  backend.on('error', () => undefined)
  if (client.destroyed || !exchange.target.ok) {
    backend.destroy()
    return
  }
  client.once('close', () => backend.destroy())
  const headers = requestHeaders(request.rawHeaders, exchange.forwarded)
  headers.push('Connection', 'Upgrade', 'Upgrade', headerValues(request.rawHeaders, 'upgrade').join(', '))
  const options: RequestOptions = {
    createConnection: () => backend,
    method: request.method ?? 'GET',
    path: exchange.target.forward,
    headers,
    agent: false,
  }
  const outgoing = httpRequest(options)
  const timer = setTimeout(() => {
    outgoing.destroy(
      Object.assign(new Error('the backend did not answer the handshake'), { code: 'UND_ERR_HEADERS_TIMEOUT' }),
    )
  }, HANDSHAKE_TIMEOUT_MS)
  outgoing.once('error', error => {
    clearTimeout(timer)
    if (!tunnel.opened && !response.headersSent) refuse(error)
  })
  outgoing.once('response', answer => {
    clearTimeout(timer)
    response.assignSocket(client)
    response.once('finish', () => client.end())
    const { statusCode: status = 502, statusMessage: message = '', rawHeaders } = answer
    try {
      relayAnswer(exchange, { status, message, headers: rawHeaders, body: answer, trailers: {} }, response, true)
    } catch (error) {
      fail(answerFor(error), passage)
    }
  })
  outgoing.once('upgrade', (answer, socket, first) => {
    clearTimeout(timer)
    tunnel.opened = true
    countOpened(passage, parts)
    client.write(switchingHead(answer))
    if (first.length > 0) client.write(first)
    if (head.length > 0) socket.write(head)
    tunnel.bytesIn += head.length
    tunnel.bytesOut += first.length
    client.on('data', (chunk: Buffer) => (tunnel.bytesIn += chunk.length))
    socket.on('data', (chunk: Buffer) => (tunnel.bytesOut += chunk.length))
    pipeline(client, socket, () => undefined)
    pipeline(socket, client, () => client.destroy())
  })
  outgoing.end()
}

/** The backend's own words, with the Connection and Upgrade that belong to a switch. */
function switchingHead(answer: IncomingMessage): Buffer {
  const headers = responseHeaders(answer.rawHeaders)
  headers.push('Connection', 'Upgrade', 'Upgrade', headerValues(answer.rawHeaders, 'upgrade').join(', '))
  let text = `HTTP/1.1 101 ${answer.statusMessage ?? ''}\r\n`
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`
  return Buffer.from(`${text}\r\n`, 'latin1')
}

/** Counted when it opens: the hours that a tunnel stays open are no latency. */
function countOpened({ exchange }: Passage, parts: UpgradeParts): void {
  parts.recorder.request({
    host: exchange.countedHost,
    route: exchange.route,
    status: 101,
    notFound: false,
    upstreamError: false,
    milliseconds: exchange.milliseconds,
    requestBytes: exchange.headBytes,
    responseBytes: 0,
  })
}

function finish({ exchange, response }: Passage, tunnel: Tunnel, parts: UpgradeParts): void {
  if (!tunnel.opened && !response.writableFinished) exchange.failure ??= 'client-gone'
  const { decision, failure } = exchange
  const status = tunnel.opened ? 101 : exchange.failure === 'client-gone' ? 499 : response.statusCode
  const bytesIn = exchange.headBytes + tunnel.bytesIn
  if (!tunnel.opened) {
    parts.recorder.request({
      host: exchange.countedHost,
      route: exchange.route,
      status,
      notFound: decision.kind === 'answer' && decision.cause === 'no-route',
      upstreamError:
        failure === 'connect' ||
        failure === 'upstream' ||
        failure === 'upstream-timeout' ||
        (decision.kind === 'answer' && decision.cause === 'no-endpoint'),
      milliseconds: exchange.milliseconds,
      requestBytes: bytesIn,
      responseBytes: tunnel.bytesOut,
    })
  }
  parts.accessLog.write(exchange, { status, bytesIn, bytesOut: tunnel.bytesOut })
}
