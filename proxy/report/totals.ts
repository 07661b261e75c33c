/**
 * Totals since the start for /metrics, of the busiest hosts; the rest is one: `other`. A count is booked when it comes,
 * under its host if that is listed and under `other` if not, and never moves: every series only grows, and every request
 * is in exactly one. A host that gets its own series later starts from 0; one that loses them starts from 0 when it comes back.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { addRequestCounts, requestCounts, type CountsDelta, type RequestCounts } from './counts.ts'

/** One host and Ingress. */
export interface Series {
  readonly host: string
  /** `namespace/name`; empty: no Ingress answered; `other`: one of those that are too many. */
  readonly ingress: string
  /** Both as the text format wants them. */
  readonly labels: string
  readonly counts: RequestCounts
}

export interface TlsSeries {
  readonly host: string
  handshakes: number
  failures: number
}

export interface TotalOptions {
  /** Hosts with series of their own. */
  readonly hosts?: number
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

interface Listed {
  readonly tls: TlsSeries
  /** By object, NO_INGRESS or OTHER. */
  readonly series: Map<string, Series>
  /** Reviews in a row in which it was not among the busiest. */
  outranked: number
}

const OTHER = 'other'
const NO_INGRESS = ''

/** How often the busiest hosts are looked for, in milliseconds. Activity counts half as much after each time. */
const REVIEW_MS = 60_000
/** A host gives its place to a busier one after so many reviews: five minutes. */
const OUTRANKED_MOST = 5
/** The challenger must be so many times busier: two hosts alike would take turns. */
const BUSIER = 2
/** Series with an Ingress, for each host that may be listed: hosts that hundreds of Ingresses share are rare, and no reason to write them all. */
const SERIES_PER_HOST = 2

export class TotalCounts {
  readonly #knows: (host: string, object: ObjectKey | null) => boolean
  readonly #most: number
  readonly #now: () => number
  readonly #listed = new Map<string, Listed>()
  readonly #other = makeListed(OTHER)
  /** Requests and handshakes lately, of every host that is in the table. */
  readonly #activity = new Map<string, { recent: number }>()
  /** Series of listed hosts, without those named `other`. */
  #seriesCount = 0
  readonly #events = new Map<string, number>()
  #connectFailures = 0
  #defects = 0
  #reviewedAt: number

  /** @param knows the host, and the object if there is one, are in the table */
  constructor(
    knows: (host: string, object: ObjectKey | null) => boolean,
    { hosts = 200, now = () => performance.now() }: TotalOptions = {},
  ) {
    this.#knows = knows
    this.#most = hosts
    this.#now = now
    this.#reviewedAt = now()
  }

  get connectFailures(): number {
    return this.#connectFailures
  }

  get defects(): number {
    return this.#defects
  }

  /** As CountsDelta.events. */
  get events(): ReadonlyMap<string, number> {
    return this.#events
  }

  add(delta: CountsDelta): void {
    this.#connectFailures += delta.connectFailures
    this.#defects += delta.defects
    for (const [id, count] of delta.events) this.#events.set(id, (this.#events.get(id) ?? 0) + count)
    for (const counts of delta.requests) {
      addRequestCounts(this.#seriesOf(this.#hostOf(counts.host, counts.requests), counts).counts, counts)
    }
    for (const { host, handshakes, failures } of delta.tls) {
      const { tls } = this.#hostOf(host, handshakes + failures)
      tls.handshakes += handshakes
      tls.failures += failures
    }
    if (this.#now() - this.#reviewedAt >= REVIEW_MS) this.#review()
  }

  /** Those of hosts and Ingresses that left the table end. */
  series(): readonly Series[] {
    this.#prune()
    const all = [this.#other, ...this.#listed.values()]
    return all.flatMap(({ series }) => [...series.values()])
  }

  requests(): readonly RequestCounts[] {
    return this.series().map(({ counts }) => counts)
  }

  tls(): readonly TlsSeries[] {
    this.#prune()
    const all = [this.#other, ...this.#listed.values()]
    return all.map(({ tls }) => tls).filter(({ handshakes, failures }) => handshakes + failures > 0)
  }

  /** Where to count, and that the host was active. */
  #hostOf(host: string | null, activity: number): Listed {
    if (host === null || !this.#knows(host, null)) return this.#other
    const known = this.#activity.get(host)
    if (known) known.recent += activity
    else this.#activity.set(host, { recent: activity })
    const found = this.#listed.get(host)
    if (found) return found
    return this.#listed.size < this.#most ? this.#list(host) : this.#other
  }

  #list(host: string): Listed {
    const listed = makeListed(host)
    this.#listed.set(host, listed)
    return listed
  }

  #seriesOf(listed: Listed, { object }: RequestCounts): Series {
    const { series, tls } = listed
    if (listed === this.#other) return series.get(NO_INGRESS) ?? makeSeries(listed, NO_INGRESS)
    const key = object ?? NO_INGRESS
    const found = series.get(key)
    if (found) return found
    const room = this.#seriesCount < this.#most * SERIES_PER_HOST && (object === null || this.#knows(tls.host, object))
    if (!room) return series.get(OTHER) ?? makeSeries(listed, OTHER)
    this.#seriesCount++
    return makeSeries(listed, key)
  }

  #unlist(host: string, { series }: Listed): void {
    this.#listed.delete(host)
    this.#seriesCount -= series.size - (series.has(OTHER) ? 1 : 0)
  }

  #prune(): void {
    for (const [host, listed] of this.#listed) {
      if (!this.#knows(host, null)) {
        this.#unlist(host, listed)
        continue
      }
      for (const object of listed.series.keys()) {
        if (object === NO_INGRESS || object === OTHER || this.#knows(host, object)) continue
        listed.series.delete(object)
        this.#seriesCount--
      }
    }
  }

  /** Hosts that are not among the busiest for long give their place to those that are. */
  #review(): void {
    this.#reviewedAt = this.#now()
    this.#prune()
    for (const [host, activity] of this.#activity) {
      if (activity.recent < 1 || !this.#knows(host, null)) this.#activity.delete(host)
      else activity.recent /= 2
    }
    const least = this.#leastOfTheBusiest()
    const outranked: [host: string, listed: Listed, activity: number][] = []
    for (const [host, listed] of this.#listed) {
      const activity = this.#activity.get(host)?.recent ?? 0
      listed.outranked = activity < least ? listed.outranked + 1 : 0
      if (listed.outranked >= OUTRANKED_MOST) outranked.push([host, listed, activity])
    }
    const free = this.#most - this.#listed.size
    if (free === 0 && outranked.length === 0) return
    const challengers = [...this.#activity]
      .filter(([host, activity]) => activity.recent >= least && !this.#listed.has(host))
      .sort(([, a], [, b]) => b.recent - a.recent)
    for (const [host] of challengers.slice(0, free)) this.#list(host)
    let next = free
    outranked.sort(([, , a], [, , b]) => a - b)
    for (const [host, listed, activity] of outranked) {
      const [challenger, theirs] = challengers[next++] ?? [null]
      if (challenger === null || theirs.recent <= activity * BUSIER) return
      this.#unlist(host, listed)
      this.#list(challenger)
    }
  }

  /** The activity that a host must have to be one of those that may be listed. */
  #leastOfTheBusiest(): number {
    // Any activity at all: a host without makes room.
    if (this.#activity.size < this.#most) return Number.MIN_VALUE
    // Numbers in a typed array: 100 000 of them are sorted in some milliseconds.
    const sorted = new Float64Array(this.#activity.size)
    let i = 0
    for (const { recent } of this.#activity.values()) sorted[i++] = recent
    sorted.sort()
    return sorted[sorted.length - this.#most] ?? Number.MIN_VALUE
  }
}

function makeListed(host: string): Listed {
  return { tls: { host, handshakes: 0, failures: 0 }, series: new Map(), outranked: 0 }
}

function makeSeries({ series, tls: { host } }: Listed, key: string): Series {
  const object = key === NO_INGRESS || key === OTHER ? null : parseObjectKey(key)
  const ingress = object ? `${object.namespace}/${object.name}` : key
  const made: Series = {
    ...{ host, ingress, labels: `host="${escapeLabel(host)}",ingress="${escapeLabel(ingress)}"` },
    counts: requestCounts({ host, object: object ? key : null, revision: '', governed: false }),
  }
  series.set(key, made)
  return made
}

/** A label's value as the text format wants it. */
export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, c => (c === '\n' ? '\\n' : `\\${c}`))
}
