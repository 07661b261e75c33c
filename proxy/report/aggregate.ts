/** Counts of all workers, merged in the main thread for reports. Those for metrics: totals.ts. */
import type { HostCounters, ObjectCounters } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import type { CounterSource, Counts } from './counter-source.ts'
import type { CountsDelta } from './counts.ts'
import { CLASSES, CLOSED, INTERNAL, REPORT_WIDTH, REQUESTS, STATUS, WIDTH, readRow } from './columns.ts'
import { Rows } from './rows.ts'

export interface AggregateParts {
  /** Makes workers hand over what they counted. */
  readonly flush: () => Promise<void>
  /** Hosts whose figures belong in reports. */
  readonly reports: (host: string) => boolean
  /** The revision of an object that is served now. */
  readonly revision: (object: ObjectKey) => string | null
}

/** Of one object at one revision. */
interface ObjectSum {
  readonly revision: string
  requests: number
  closed: number
  readonly status: [number, number, number, number, number]
  /** Of another revision, counted before: rare, and no reason for a Map per object. */
  readonly before: ObjectSum | null
}

/** Counts for reports, since the last take. */
export class ReportCounts implements CounterSource {
  readonly #parts: AggregateParts
  #rows = new Rows(REPORT_WIDTH)
  #hosts = new Map<string, number>()
  #tls = new Map<string, { handshakes: number; failures: number }>()
  /** Of the revision that was seen last. */
  #objects = new Map<ObjectKey, ObjectSum>()

  constructor(parts: AggregateParts) {
    this.#parts = parts
  }

  add(delta: CountsDelta): void {
    const { names, figures } = delta.requests
    names.forEach((name, i) => {
      if (name.host !== null && this.#parts.reports(name.host)) {
        this.#rows.addRow(this.#rowOf(name.host), figures, i, WIDTH)
      }
      if (name.object !== null && name.governed) this.#addToObject(name.object, name.revision, figures, i)
    })
    for (const { host, handshakes, failures } of delta.tls) {
      if (host === null || !this.#parts.reports(host)) continue
      const sum = this.#tls.get(host) ?? { handshakes: 0, failures: 0 }
      sum.handshakes += handshakes
      sum.failures += failures
      this.#tls.set(host, sum)
    }
  }

  async take(): Promise<Counts> {
    await this.#parts.flush()
    const hosts: Record<string, HostCounters> = {}
    for (const host of this.#tls.keys()) this.#rowOf(host)
    for (const [host, row] of this.#hosts) hosts[host] = this.#hostCounters(host, row)
    const objects: Record<ObjectKey, ObjectCounters> = {}
    for (const [key, last] of this.#objects) {
      // One revision per report: figures of the one before must not count for or against the one served now.
      const { revision, requests, status, closed } = ofRevision(last, this.#parts.revision(key)) ?? last
      objects[key] = { revision, requests, status, closed }
    }
    this.#rows = new Rows(REPORT_WIDTH)
    this.#hosts = new Map()
    this.#tls = new Map()
    this.#objects = new Map()
    return { hosts, objects }
  }

  #rowOf(host: string): number {
    const known = this.#hosts.get(host)
    if (known !== undefined) return known
    const row = this.#rows.take()
    this.#hosts.set(host, row)
    return row
  }

  /** Without our own faults and with closed paths apart, which all are 5xx: no gate may take them for a backend's. */
  #hostCounters(host: string, row: number): HostCounters {
    const { requests, status, internal, closed, notFound, upstreamErrors, latency } = readRow(this.#rows.read(row), 0)
    const { handshakes, failures } = this.#tls.get(host) ?? { handshakes: 0, failures: 0 }
    const [s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0] = status
    const apart = internal + closed
    return {
      ...{ requests: requests - apart, status: [s1, s2, s3, s4, s5 - apart], notFound, upstreamErrors },
      ...{ latency: latency.counts, tlsHandshakes: handshakes, tlsFailures: failures, closed },
    }
  }

  /** The same. */
  #addToObject(key: ObjectKey, revision: string, figures: Float64Array, row: number): void {
    const last = this.#objects.get(key) ?? null
    const known = ofRevision(last, revision)
    const sum: ObjectSum = known ?? { revision, requests: 0, closed: 0, status: [0, 0, 0, 0, 0], before: last }
    if (known === null) this.#objects.set(key, sum)
    const at = (column: number): number => figures[row * WIDTH + column] ?? 0
    const closed = at(CLOSED)
    const apart = at(INTERNAL) + closed
    sum.requests += at(REQUESTS) - apart
    sum.closed += closed
    for (let i = 0; i < CLASSES; i++) sum.status[i as 0] += at(STATUS + i)
    sum.status[4] -= apart
  }
}

function ofRevision(last: ObjectSum | null, revision: string | null): ObjectSum | null {
  let sum = last
  while (sum !== null && sum.revision !== revision) sum = sum.before
  return sum
}
