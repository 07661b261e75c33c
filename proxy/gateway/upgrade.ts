/** WebSockets and every other Upgrade: the handshake is a parsed request and answer, what follows is passed on as bytes. */
import { ServerResponse, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import type { Socket } from 'node:net'
import type { TableReader } from '../table/contract.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { answerFor, answerText } from './answers.ts'
import { Exchange, type PublicPorts } from './exchange.ts'
import { headerValues, requestHeaders, responseHeaders } from './headers.ts'
import { countedStatus, fail, record, type Books, type Passage } from './passage.ts'
import { hasBody } from './request-body.ts'
import { relayAnswer } from './relay-answer.ts'

interface UpgradeParts extends Books {
  readonly table: TableReader
  readonly upstream: Upstream
  readonly publicPorts: PublicPorts
}

/**
 * Only a GET without a body, and never to h2c: a backend that accepts it would take further requests on a connection that we no
 * longer read, past every route ("h2c smuggling"). Those go on as ordinary requests without their Upgrade.
 */
export function mayUpgrade(request: IncomingMessage): boolean {
  const protocol = request.headers.upgrade?.toLowerCase() ?? ''
  return (
    request.method === 'GET' && !hasBody(request) && protocol !== '' && !/(?:^|[\s,])h2c?(?:$|[\s,/])/.test(protocol)
  )
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
  const tunnel = { opened: false, bytesIn: 0 }
  const writtenBefore = client.bytesWritten
  client.once('close', () => {
    if (!tunnel.opened && !response.writableFinished) exchange.failure ??= 'client-gone'
    const bytesIn = exchange.headBytes + tunnel.bytesIn
    const bytesOut = Math.max(0, client.bytesWritten - writtenBefore)
    if (tunnel.opened) parts.accessLog.write(exchange, { status: 101, bytesIn, bytesOut })
    else record(passage, parts, { status: countedStatus(passage), bytesIn, bytesOut })
  })

  const refuse = (error: unknown): void => {
    if (client.destroyed) return
    attach(response, client)
    fail(answerFor(error), passage)
  }
  const { decision } = exchange
  if (decision.kind === 'answer') {
    attach(response, client)
    response.writeHead(decision.status, { 'Content-Type': 'text/plain; charset=utf-8' })
    response.end(answerText(decision.status, decision.reason, exchange.id))
    return
  }
  const onAttempt = (address: string): void => {
    exchange.endpoint = address
    exchange.attempts++
  }
  parts.upstream
    .connect({ service: decision.service, addresses: parts.upstream.addresses(decision.service), onAttempt })
    .then(backend => shakeHands(passage, client, head, backend, tunnel, parts, refuse), refuse)
}

/** The response is the last thing that goes out on this connection. */
function attach(response: ServerResponse, client: Socket): void {
  response.assignSocket(client)
  response.once('finish', () => client.end())
}

interface Tunnel {
  opened: boolean
  bytesIn: number
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
    // Used only without an agent, and also `agent: false` makes one.
    createConnection: () => backend,
    method: request.method ?? 'GET',
    path: exchange.target.forward,
    headers,
  }
  const outgoing = httpRequest(options)
  const { headers: limit } = parts.upstream.timeouts
  const late = (): void => {
    const error = new Error('the backend did not answer the handshake')
    outgoing.destroy(Object.assign(error, { code: 'UND_ERR_HEADERS_TIMEOUT' }))
  }
  const timer = limit > 0 ? setTimeout(late, limit) : undefined
  outgoing.once('error', error => {
    clearTimeout(timer)
    if (!tunnel.opened && !response.headersSent) refuse(error)
  })
  outgoing.once('response', answer => {
    clearTimeout(timer)
    attach(response, client)
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
    client.on('data', (chunk: Buffer) => (tunnel.bytesIn += chunk.length))
    // Whoever ends first still gets what the other one says; the client's close takes the backend with it (above).
    client.pipe(socket).pipe(client)
    socket.once('close', () => client.destroySoon())
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
