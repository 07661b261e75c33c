/** The load generator of the rows with TLS: it sends the server name, and resumes no session. */
import { debian, output } from './programs.ts'

export interface TlsLoad {
  readonly h2load: string
  /** Core to run on. */
  readonly core: number
  readonly port: number
  readonly host: string
  /** `keptAlive`: so many connections for so many seconds. `perRequest`: so many connections a second, one request each. */
  readonly connections: { readonly keptAlive: number } | { readonly perRequest: number }
  readonly seconds: number
}

export interface TlsResult {
  readonly requests: number
  readonly good: number
  /** Of all answers, without heads. */
  readonly bodyBytes: number
  readonly seconds: number
  /** `TLSv1.3`, as its first connection has it. */
  readonly protocol: string
}

/** A burst of connections each so many milliseconds, not all of a second at once. */
const BURST_MS = 50

export function h2loadProgram(): Promise<string> {
  return debian('h2load', 'nghttp2-client')
}

export async function h2loadVersion(h2load: string): Promise<string> {
  return /nghttp2\/(\S+)/.exec(await output(h2load, ['--version']))?.[1] ?? 'unknown'
}

export async function runH2load({ h2load, core, port, host, connections, seconds }: TlsLoad): Promise<TlsResult> {
  const amount =
    'keptAlive' in connections
      ? ['-D', `${seconds}`, '-c', `${connections.keptAlive}`]
      : oncePerConnection(connections.perRequest, seconds)
  const to = [`--connect-to=127.0.0.1:${port}`, `https://${host}/`]
  return parseH2load(await output('taskset', ['-c', String(core), h2load, '--h1', '-t', '1', ...amount, ...to]))
}

function oncePerConnection(perSecond: number, seconds: number): readonly string[] {
  const burst = Math.max(1, Math.round((perSecond * BURST_MS) / 1_000))
  const all = `${Math.round((burst * seconds * 1_000) / BURST_MS)}`
  return ['-n', all, '-c', all, '-r', `${burst}`, `--rate-period=${BURST_MS}ms`]
}

/** @throws if it did not say what it counted */
export function parseH2load(text: string): TlsResult {
  const requests = /^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded/m.exec(text)
  const body = /^traffic: .*\((\d+)\) data$/m.exec(text)
  const finished = /^finished in ([\d.]+)(ms|s),/m.exec(text)
  const protocol = /^TLS Protocol: (\S+)$/m.exec(text)?.[1]
  if (requests === null || body === null || finished === null || protocol === undefined)
    throw new Error(`h2load did not say what it counted: ${text.slice(-200)}`)
  return {
    requests: Number(requests[1]),
    good: Number(requests[2]),
    bodyBytes: Number(body[1]),
    seconds: Number(finished[1]) / (finished[2] === 'ms' ? 1_000 : 1),
    protocol,
  }
}

/** Null: every answer was right, and came over TLS 1.3. What was on its way at the end may be counted by one of the two. */
export function tlsFaultOf({ requests, good, bodyBytes, protocol }: TlsResult, body: number): string | null {
  if (requests === 0) return 'no answer at all'
  if (good !== requests) return `${requests - good} of ${requests} answers were not 2xx`
  if (protocol !== 'TLSv1.3') return `${protocol} instead of TLS 1.3`
  const [least, most] = [requests * body * 0.995, requests * body * 1.005 + 64 * body]
  if (bodyBytes < least || bodyBytes > most)
    return `${requests} bodies of ${body} bytes, but ${bodyBytes} bytes were read`
  return null
}
