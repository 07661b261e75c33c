/** Load on all proxies while something happens, with every answer written down. */
import { HttpLoad } from '../../load/http-load.ts'
import type { ConnectionCounts } from '../../load/http-load.ts'
import { failed } from '../../load/record.ts'
import type { LoadRecord } from '../../load/record.ts'
import { reasonOf } from '../../load/summary.ts'
import { TlsLoad } from '../../load/tls-load.ts'
import type { Cluster } from './cluster.ts'

/** No test needs more; a load that is forgotten ends by itself. */
const MAX_MS = 300_000

export interface LoadSettings {
  readonly host: string
  readonly path?: string
  readonly perSecond: number
}

export class NodeLoad {
  readonly #records: LoadRecord[] = []
  readonly #http: HttpLoad | null
  readonly #tls: TlsLoad | null

  private constructor(make: (onRecord: (record: LoadRecord) => void) => { http?: HttpLoad; tls?: TlsLoad }) {
    const { http = null, tls = null } = make(record => this.#records.push(record))
    this.#http = http
    this.#tls = tls
  }

  /** On kept-alive connections. */
  static http(cluster: Cluster, settings: LoadSettings): NodeLoad {
    return new NodeLoad(onRecord => ({
      http: new HttpLoad({ ...common(settings), targets: cluster.http, connectionsPerTarget: 4, onRecord }),
    }))
  }

  /** A new connection for every request, by clients that trust this authority alone. */
  static tls(cluster: Cluster, settings: LoadSettings & { readonly ca: string }): NodeLoad {
    return new NodeLoad(onRecord => ({
      tls: new TlsLoad({ ...common(settings), targets: cluster.https, ca: settings.ca, onRecord }),
    }))
  }

  get records(): readonly LoadRecord[] {
    return this.#records
  }

  get connections(): readonly ConnectionCounts[] {
    return this.#http?.connections ?? []
  }

  async stop(): Promise<void> {
    await Promise.all([this.#http?.stop(), this.#tls?.stop()])
  }
}

function common({ host, path = '/', perSecond }: LoadSettings): {
  readonly host: string
  readonly path: string
  readonly perSecond: number
  readonly timeoutMs: number
  readonly maxMs: number
  readonly maxRequests: number
} {
  return { host, path, perSecond, timeoutMs: 10_000, maxMs: MAX_MS, maxRequests: 1_000_000 }
}

/** How often each proxy failed, and how: `{"3: ECONNRESET": 2}`; empty: never. Pure. */
export function failuresOf(records: readonly LoadRecord[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const record of records) {
    if (!failed(record)) continue
    const key = `${record.ordinal}: ${reasonOf(record)}`
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

/** Ordinals that ever answered from a version, ascending. Pure. */
export function ordinalsOf(records: readonly LoadRecord[], version: string): readonly number[] {
  const found = new Set(records.filter(record => record.version === version).map(record => record.ordinal))
  return [...found].sort((a, b) => a - b)
}

/** Of each of these proxies, what it answered from a version. */
function answersOf(
  records: readonly LoadRecord[],
  version: string,
  ordinals: readonly number[],
): readonly (readonly LoadRecord[])[] {
  const found = records.filter(record => record.version === version)
  return ordinals.map(ordinal => found.filter(record => record.ordinal === ordinal))
}

/** When each proxy first answered from a version, in milliseconds of performance.now(); Infinity: never. Pure. */
export function firstAnswers(
  records: readonly LoadRecord[],
  version: string,
  ordinals: readonly number[],
): readonly number[] {
  return answersOf(records, version, ordinals).map(answers =>
    answers.reduce((first, { at, ms }) => Math.min(first, at + ms), Infinity),
  )
}

/**
 * When each proxy was last asked for what it then answered from a version, in milliseconds of performance.now(): it changed no
 * sooner, whereas its first other answer comes as late as nobody asks. -Infinity: never. Pure.
 */
export function lastAsked(
  records: readonly LoadRecord[],
  version: string,
  ordinals: readonly number[],
): readonly number[] {
  return answersOf(records, version, ordinals).map(answers =>
    answers.reduce((last, { at }) => Math.max(last, at), -Infinity),
  )
}

/** From the first to the last answer from a version, in milliseconds; 0 without any. Pure. */
export function spanOf(records: readonly LoadRecord[], version: string): number {
  const times = records.filter(record => record.version === version).map(({ at, ms }) => at + ms)
  return times.reduce((a, b) => Math.max(a, b), 0) - times.reduce((a, b) => Math.min(a, b), times[0] ?? 0)
}
