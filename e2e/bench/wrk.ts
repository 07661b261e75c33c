/** The load generator of row A. Its counts come from its own summary, exact, not from what it prints for people. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { output } from './programs.ts'

export interface WrkResult {
  readonly requests: number
  /** Bytes read, heads and bodies. */
  readonly bytes: number
  /** Microseconds. */
  readonly durationUs: number
  readonly p50Us: number
  readonly p99Us: number
  /** Answers that are neither 2xx nor 3xx. */
  readonly badStatus: number
  /** Connections refused or reset, reads, writes and answers that failed or were late. */
  readonly socketErrors: number
}

const MARK = 'bench-result '

/** `done` runs once, after the load: it costs no request anything. */
const SCRIPT = `done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '${MARK}{"requests":%d,"bytes":%d,"durationUs":%d,"p50Us":%d,"p99Us":%d,"badStatus":%d,"socketErrors":%d}\\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status, e.connect + e.read + e.write + e.timeout))
end
`

/** @throws if the line of the script is not in it */
export function parseWrk(text: string): WrkResult {
  const line = text.split('\n').find(l => l.startsWith(MARK))
  if (line === undefined) throw new Error(`wrk did not say what it counted: ${text.slice(0, 200)}`)
  return JSON.parse(line.slice(MARK.length)) as WrkResult
}

/**
 * Null: every answer was right. Statuses are wrk's own count. Lengths are checked by their sum: answers of one proxy are
 * all as long as `answerBytes`, beside what was on its way at the end; half a percent is left for heads that vary.
 */
export function faultOf(result: WrkResult, answerBytes: number, connections: number): string | null {
  const { requests, bytes, badStatus, socketErrors } = result
  if (requests === 0) return 'no answer at all'
  if (badStatus > 0) return `${badStatus} of ${requests} answers were not 2xx`
  if (socketErrors > 0) return `${socketErrors} socket errors at ${requests} requests`
  const least = requests * answerBytes * 0.995
  const most = (requests + connections) * answerBytes * 1.005
  if (bytes < least || bytes > most) return `${requests} answers of ${answerBytes} bytes, but ${bytes} bytes were read`
  return null
}

export interface WrkLoad {
  readonly wrk: string
  /** Core to run on. */
  readonly core: number
  /** For the script. */
  readonly folder: string
  readonly port: number
  readonly host: string
  readonly connections: number
  readonly seconds: number
  /** `Name: value`, with every request. */
  readonly headers?: readonly string[]
}

export async function runWrk({
  wrk,
  core,
  folder,
  port,
  host,
  connections,
  seconds,
  headers = [],
}: WrkLoad): Promise<WrkResult> {
  const script = join(folder, 'report.lua')
  await writeFile(script, SCRIPT)
  const load = [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '-s',
    script,
    '-H',
    `Host: ${host}`,
    ...headers.flatMap(line => ['-H', line]),
  ]
  return parseWrk(await output('taskset', ['-c', String(core), wrk, ...load, `http://127.0.0.1:${port}/`]))
}
