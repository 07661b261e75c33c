/** What can be seen of a running proxy from outside: its memory, its threads, its figures. */
import { readFileSync, readdirSync } from 'node:fs'
import { parseStat, rssOf } from '../bench/proc.ts'
import { SoakError } from './errors.ts'
import type { What } from './population.ts'

export interface Sample {
  /** Milliseconds since the run began. */
  readonly at: number
  /**
   * Bytes: of the process; of these, what is of no file (pages of the program come and go with the machine's need);
   * of the JavaScript heaps of all threads, used; outside of the main thread's heap; of the shared table.
   */
  readonly rss: number
  readonly anonymous: number
  readonly heap: number
  readonly external: number
  readonly table: number
  /** Files and sockets that the process has open. */
  readonly descriptors: number
  /** The longest that the worker's event loop was late since the last sample, milliseconds. */
  readonly lagMs: number
  readonly hosts: number
}

/** Bytes of resident memory that is of no file, from the text of /proc/<pid>/status. */
export function parseAnonymous(status: string): number {
  return Number(/^RssAnon:\s+([0-9]+) kB$/m.exec(status)?.[1] ?? 0) * 1_024
}

/** Samples of a text of /metrics: `name{labels}` to its value. */
export function parseMetrics(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').flatMap(line => {
    const [, name, value] = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? []
    return name === undefined ? [] : [[name, Number(value)] as const]
  })
  return new Map(lines)
}

/** Sum of the samples of a metric, whatever their labels. */
export function metric(metrics: ReadonlyMap<string, number>, name: string): number {
  return [...metrics].reduce((sum, [key, value]) => (key === name || key.startsWith(`${name}{`) ? sum + value : sum), 0)
}

/** What may not happen, whatever comes: metrics that have to stay 0. */
const DEFECTS = [
  ...['sluice_defects_total', 'sluice_internal_errors_total', 'sluice_worker_crashes_total'],
  ...['sluice_worker_out_of_memory_total', 'sluice_worker_stalls_total', 'sluice_updates_refused'],
  ...['sluice_connections_shed_total', 'sluice_requests_shed_total', 'sluice_disk_copy_failed', 'sluice_table_broken'],
] as const

/** `3 of sluice_defects_total`, of each that is not 0. */
export function defectsIn(metrics: ReadonlyMap<string, number>): readonly string[] {
  return DEFECTS.flatMap(name => (metric(metrics, name) === 0 ? [] : `${metric(metrics, name)} of ${name}`))
}

/** Microseconds of CPU time of each thread so far. */
export function cpuOfThreads(pid: number): ReadonlyMap<number, number> {
  const stats = readdirSync(`/proc/${pid}/task`).flatMap(id => {
    try {
      return parseStat(readFileSync(`/proc/${pid}/task/${id}/stat`, 'latin1')) ?? []
    } catch {
      // It ended while we were looking.
      return []
    }
  })
  return new Map(stats.map(stat => [stat.pid, stat.cpuUs]))
}

/** Microseconds that all threads used between the two, and the busiest of them: the worker, as soon as there is load. */
export function cpuBetween(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): { readonly all: number; readonly busiest: number } {
  const used = [...after].map(([id, us]) => us - (before.get(id) ?? 0))
  return { all: used.reduce((sum, us) => sum + us, 0), busiest: Math.max(0, ...used) }
}

export class Watched {
  readonly #pid: number
  readonly #admin: string

  constructor(pid: number, adminPort: number) {
    this.#pid = pid
    this.#admin = `http://127.0.0.1:${adminPort}`
  }

  /** @throws SoakError SLUICE_SOAK_ADMIN */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const response = await fetch(`${this.#admin}/metrics`)
    if (response.status !== 200) throw new SoakError('SLUICE_SOAK_ADMIN', `/metrics answers ${response.status}`)
    return parseMetrics(await response.text())
  }

  /** Where it sends a request. Null: its worker is too busy to say. */
  async route(host: string): Promise<What | null> {
    const response = await fetch(`${this.#admin}/route?host=${host}&path=/`)
    const text = await response.text()
    return response.status === 200 ? (JSON.parse(text) as What) : null
  }

  cpu(): ReadonlyMap<number, number> {
    return cpuOfThreads(this.#pid)
  }

  /** @param at see Sample */
  async sample(at: number): Promise<Sample> {
    const metrics = await this.metrics()
    const value = (name: string): number => metric(metrics, name)
    return {
      ...{ at, rss: rssOf(this.#pid), descriptors: readdirSync(`/proc/${this.#pid}/fd`).length },
      anonymous: parseAnonymous(readFileSync(`/proc/${this.#pid}/status`, 'latin1')),
      heap: value('sluice_worker_heap_bytes') + value('nodejs_heap_size_used_bytes'),
      external: value('nodejs_external_memory_bytes'),
      table: value('sluice_table_memory_bytes'),
      lagMs: value('sluice_worker_event_loop_lag_seconds') * 1_000,
      hosts: value('sluice_table_hosts'),
    }
  }
}
