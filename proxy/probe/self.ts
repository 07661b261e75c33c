/**
 * A worker that asks itself: a request of the policy takes the gateway, the table, the rewriting and the backends that a
 * client's would take. It comes over memory, not over the network, and is in no count and no log of clients' requests
 * (docs/adr/0033-probes.md).
 */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Probe } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { describe, errorCode } from '../errors.ts'
import { parseTarget } from '../exchange/target.ts'
import type { Peer } from '../exchange/peer.ts'
import type { TableReader } from '../table/contract.ts'
import { memoryPair } from './memory-pair.ts'

export type ProbeRequest = Omit<Probe, 'expect' | 'intervalMs'>

export interface ProbeAnswer {
  /** Null: there was none. */
  readonly status: number | null
  /** Why there was none, or not all of the answer; null: all came. */
  readonly error: string | null
  /** To which the table sends the request; null: to none. */
  readonly object: ObjectKey | null
}

export interface SelfParts {
  readonly table: Pick<TableReader, 'route'>
  /** Takes the proxy's end of a connection as it takes a client's. */
  readonly accept: (socket: Socket, peer: Peer) => void
  /** Of an answer, in bytes. */
  readonly maxHeadBytes: number
}

/** By this backends and their logs know a probe. */
export const PROBE_AGENT = 'sluice-probe'

/** So much of a body is waited for: an answer without end passes, one that breaks off early does not. Bytes. */
const BODY_BYTES = 65_536

const BROKEN_OFF = 'the answer broke off'
const OTHER_BODY = 'the body has not the text that is expected'

const TLS = { version: 'TLSv1.3', cipher: '', resumed: false } as const

/** Never rejects. */
export function askSelf(probe: ProbeRequest, { table, accept, maxHeadBytes }: SelfParts): Promise<ProbeAnswer> {
  const { method, scheme, host, path, headers, body, timeoutMs } = probe
  const target = parseTarget(method, path, host)
  const object = (target.ok ? table.route(target.host, target.path)?.object : null) ?? null
  const { client, server } = memoryPair()
  const tls = scheme === 'https' ? { ...TLS, serverName: host } : null
  accept(server, { address: '127.0.0.1', port: 0, tls })
  const { promise, resolve } = Promise.withResolvers<ProbeAnswer>()
  const say = (status: number | null, error: string | null): void => {
    clearTimeout(timer)
    client.destroy()
    server.destroy()
    resolve({ status, error, object })
  }
  let status: number | null = null
  const timer = setTimeout(() => say(status, `no complete answer within ${timeoutMs / 1_000} s`), timeoutMs)
  const request = httpRequest({
    ...{ method, path, maxHeaderSize: maxHeadBytes + 1_024, setHost: false },
    headers: [...headers.flat(), 'Host', host, 'User-Agent', PROBE_AGENT],
    createConnection: (): Duplex => client,
  })
  request.on('error', error => say(status, status === null ? errorCode(error) || describe(error) : BROKEN_OFF))
  request.on('response', (response: IncomingMessage) => {
    status = response.statusCode ?? null
    const pieces: Buffer[] = []
    let bytes = 0
    const judge = (): void => {
      const held = body === undefined || Buffer.concat(pieces).subarray(0, BODY_BYTES).includes(body)
      say(status, held ? null : `status ${status}, and ${OTHER_BODY}`)
    }
    response.on('data', (piece: Buffer) => {
      bytes += piece.length
      if (body !== undefined) pieces.push(piece)
      if (bytes >= BODY_BYTES) judge()
    })
    response.on('end', judge)
    response.on('error', () => say(status, BROKEN_OFF))
  })
  request.end()
  return promise
}
