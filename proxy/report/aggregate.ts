/** Counts of all workers, merged in the main thread: what reports take, and what metrics keep. */
import { LATENCY_BUCKETS_MS, type HostCounters, type ObjectCounters } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import type { CounterSource, Counts } from '../table/update.ts'
import { addRequestCounts, requestCounts, type CountsDelta, type RequestCounts } from './counts.ts'

export interface AggregateParts {
  /** Makes workers hand over what they counted. */
  readonly flush: () => Promise<void>
  /** Hosts whose figures belong in reports. */
  readonly reports: (host: string) => boolean
  /** The revision of an object that is served now. */
  readonly revision: (object: ObjectKey) => string | null
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
interface HostSum extends Mutable<Omit<HostCounters, 'status' | 'latency'>> {
  readonly status: [number, number, number, number, number]
  readonly latency: number[]
}
interface ObjectSum extends Mutable<Omit<ObjectCounters, 'status'>> {
  readonly status: [number, number, number, number, number]
}

/** Counts for reports, since the last take. */
export class ReportCounts implements CounterSource {
  readonly #parts: AggregateParts
  #hosts = new Map<string, HostSum>()
  #objects = new Map<ObjectKey, Map<string, ObjectSum>>()

  constructor(parts: AggregateParts) {
    this.#parts = parts
  }

  add(delta: CountsDelta): void {
    for (const counts of delta.requests) {
      if (counts.host !== null && this.#parts.reports(counts.host)) addToHost(this.#host(counts.host), counts)
      if (counts.object !== null && counts.governed) this.#addToObject(counts.object, counts)
    }
    for (const { host, handshakes, failures } of delta.tls) {
      if (host === null || !this.#parts.reports(host)) continue
      const sum = this.#host(host)
      sum.tlsHandshakes += handshakes
      sum.tlsFailures += failures
    }
  }

  async take(): Promise<Counts> {
    await this.#parts.flush()
    const hosts = Object.fromEntries(this.#hosts)
    const objects: Record<ObjectKey, ObjectCounters> = {}
    for (const [key, sums] of this.#objects) {
      // One revision per report: figures of the one before must not count for or against the one served now.
      const sum = sums.get(this.#parts.revision(key) ?? '') ?? [...sums.values()].at(-1)
      if (sum) objects[key] = sum
    }
    this.#hosts = new Map()
    this.#objects = new Map()
    return { hosts, objects }
  }

  #host(host: string): HostSum {
    const found = this.#hosts.get(host) ?? {
      ...{ requests: 0, notFound: 0, upstreamErrors: 0, tlsHandshakes: 0, tlsFailures: 0 },
      status: [0, 0, 0, 0, 0],
      latency: new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0),
    }
    this.#hosts.set(host, found)
    return found
  }

  #addToObject(key: ObjectKey, counts: RequestCounts): void {
    const sums = this.#objects.get(key) ?? new Map<string, ObjectSum>()
    const { revision } = counts
    const sum = sums.get(revision) ?? { revision, requests: 0, status: [0, 0, 0, 0, 0] }
    sum.requests += counts.requests - counts.internal
    addStatus(sum.status, counts)
    this.#objects.set(key, sums.set(revision, sum))
  }
}

function addToHost(sum: HostSum, counts: RequestCounts): void {
  sum.requests += counts.requests - counts.internal
  sum.notFound += counts.notFound
  sum.upstreamErrors += counts.upstreamErrors
  addStatus(sum.status, counts)
  counts.latency.counts.forEach((count, i) => (sum.latency[i] = (sum.latency[i] ?? 0) + count))
}

/** Without our own faults, which all are 5xx: no gate may see them. */
function addStatus(into: [number, number, number, number, number], { status, internal }: RequestCounts): void {
  status.forEach((count, i) => (into[i as 0] += count))
  into[4] -= internal
}

/** Totals since the start, per host and Ingress, for /metrics. Hosts that nobody configured are one: `other`. */
export class TotalCounts {
  readonly #requests = new Map<string, RequestCounts>()
  readonly #tls = new Map<string, { handshakes: number; failures: number }>()
  readonly #knows: (host: string, object: ObjectKey | null) => boolean
  readonly #refused = new Map<string, number>()
  #connectFailures = 0
  #defects = 0

  /** @param knows the host, and the object if there is one, are in the table */
  constructor(knows: (host: string, object: ObjectKey | null) => boolean) {
    this.#knows = knows
  }

  get connectFailures(): number {
    return this.#connectFailures
  }

  get defects(): number {
    return this.#defects
  }

  /** Requests and connections that were refused: [`request <code>` or `connection <code>`, how many]. */
  get refused(): ReadonlyMap<string, number> {
    return this.#refused
  }

  add(delta: CountsDelta): void {
    this.#connectFailures += delta.connectFailures
    this.#defects += delta.defects
    for (const [id, count] of delta.refused) this.#refused.set(id, (this.#refused.get(id) ?? 0) + count)
    for (const counts of delta.requests) {
      const id = `${counts.host ?? ' '} ${counts.object ?? ''}`
      const sum = this.#requests.get(id) ?? requestCounts(counts)
      addRequestCounts(sum, counts)
      this.#requests.set(id, sum)
    }
    for (const { host, handshakes, failures } of delta.tls) {
      const sum = this.#tls.get(host ?? ' ') ?? { handshakes: 0, failures: 0 }
      sum.handshakes += handshakes
      sum.failures += failures
      this.#tls.set(host ?? ' ', sum)
    }
  }

  /** Series of hosts and Ingresses that left the table end, or they would grow for ever. */
  requests(): readonly RequestCounts[] {
    for (const [id, { host, object }] of this.#requests) {
      if (host !== null && !this.#knows(host, object)) this.#requests.delete(id)
    }
    return [...this.#requests.values()]
  }

  tls(): readonly { readonly host: string | null; readonly handshakes: number; readonly failures: number }[] {
    for (const host of this.#tls.keys()) if (host !== ' ' && !this.#knows(host, null)) this.#tls.delete(host)
    return [...this.#tls].map(([host, sum]) => ({ host: host === ' ' ? null : host, ...sum }))
  }
}
