/**
 * Totals since the start for /metrics, of the busiest hosts; the rest is one: `other`. A count is booked when it comes,
 * under its host if that is listed and under `other` if not, and never moves: every series only grows, and every request
 * is in exactly one. A host that gets its own series later starts from 0; one that loses them starts from 0 when it comes back.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { Busiest } from './busiest.ts'
import { CODES_OF_ROW, type Carried, type CountsDelta, type HandshakeCounts, type RequestCounts } from './counts.ts'
import { CLASSES, REQUESTS, WIDTH, readRow } from './columns.ts'
import { Rows } from './rows.ts'
import { OTHER, Series, escapeLabel } from './series.ts'

/** Status codes, beside 200, that one series tells by themselves: backends may answer any of 500. */
const CODES_PER_SERIES = 30

/** One host and Ingress. */
export class HostSeries extends Series {
  readonly host: string
  /** `namespace/name`; empty: no Ingress answered; `other`: one of those that are too many. */
  readonly ingress: string
  readonly #codes = new Map<number, number>()
  /** By class. */
  readonly #moreCodes = Array.from({ length: CLASSES }, () => 0)

  constructor(rows: Rows, host: string, ingress: string) {
    super(rows, `host="${escapeLabel(host)}",ingress="${escapeLabel(ingress)}"`)
    this.host = host
    this.ingress = ingress
  }

  /** Status codes but 200, that one booked with its requests. @param code beyond CODES_PER_SERIES it is told by its class */
  addCode(code: number, count: number): void {
    if (this.#codes.has(code) || this.#codes.size < CODES_PER_SERIES) {
      this.#codes.set(code, (this.#codes.get(code) ?? 0) + count)
    } else this.#moreCodes[Math.floor(code / 100) - 1] = (this.#moreCodes[Math.floor(code / 100) - 1] ?? 0) + count
  }

  /** Requests by status code, and by class what is beyond CODES_PER_SERIES; none that is 0. */
  codes(): readonly (readonly [code: string, count: number])[] {
    const more = this.#moreCodes.map((count, i) => [`${i + 1}xx`, count] as const)
    const others = [...this.#codes].sort(([a], [b]) => a - b).map(([code, count]) => [String(code), count] as const)
    const told = [...others, ...more].reduce((sum, [, count]) => sum + count, 0)
    return [['200', this.at(REQUESTS) - told] as const, ...others, ...more].filter(([, count]) => count > 0)
  }

  get counts(): RequestCounts {
    return readRow(this.read(), 0)
  }
}

/** Of one host, and what its clients agreed on with us. */
export interface TlsSeries extends HandshakeCounts {
  readonly host: string
  /** As the text format wants them. */
  readonly labels: string
}

export interface TotalOptions {
  /** Hosts with series of their own. */
  readonly hosts?: number
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

interface Listed {
  readonly host: string
  /** By kindOf. */
  readonly tls: Map<string, TlsSeries>
  /** By object, NO_INGRESS or OTHER. */
  readonly series: Map<string, HostSeries>
}

const NO_INGRESS = ''

/** Of a host, by version, cipher and resumption: clients choose among some forty ciphers, and honest ones use three. Beyond: `other`. */
const TLS_KINDS_PER_HOST = 8

/** Series with an Ingress, for each host that may be listed: hosts that hundreds of Ingresses share are rare, and no reason to write them all. */
const SERIES_PER_HOST = 2

export class TotalCounts {
  readonly #knows: (host: string, object: ObjectKey | null) => boolean
  readonly #most: number
  readonly #rows = new Rows(WIDTH)
  readonly #hosts: Busiest<Listed>
  readonly #other = makeListed(OTHER)
  /** Series of listed hosts, without those named `other`. */
  #seriesCount = 0
  readonly #events = new Map<string, number>()
  #connectFailures = 0
  #defects = 0
  #carried: Carried = { relay: 0, full: 0 }

  /** @param knows the host, and the object if there is one, are in the table */
  constructor(
    knows: (host: string, object: ObjectKey | null) => boolean,
    { hosts = 200, now = () => performance.now() }: TotalOptions = {},
  ) {
    this.#knows = knows
    this.#most = hosts
    this.#hosts = new Busiest({
      ...{ most: hosts, now, knows: host => knows(host, null), list: makeListed },
      unlist: ({ series }) => {
        for (const key of series.keys()) this.#end(series, key)
      },
    })
  }

  get connectFailures(): number {
    return this.#connectFailures
  }

  get defects(): number {
    return this.#defects
  }

  get carried(): Carried {
    return this.#carried
  }

  /** As CountsDelta.events. */
  get events(): ReadonlyMap<string, number> {
    return this.#events
  }

  add(delta: CountsDelta): void {
    this.#connectFailures += delta.connectFailures
    this.#defects += delta.defects
    const { relay, full } = this.#carried
    this.#carried = { relay: relay + delta.carried.relay, full: full + delta.carried.full }
    for (const [id, count] of delta.events) this.#events.set(id, (this.#events.get(id) ?? 0) + count)
    const { names, figures, codes } = delta.requests
    const series = names.map(({ host, object }, i) => {
      const listed = this.#listedOf(host, figures[i * WIDTH + REQUESTS] ?? 0)
      const one = this.#seriesOf(listed, object)
      one.addRow(figures, i)
      return one
    })
    for (const [key, count] of codes) series[Math.floor(key / CODES_OF_ROW)]?.addCode(key % CODES_OF_ROW, count)
    for (const { host, handshakes, failures, kinds } of delta.tls) {
      const listed = this.#listedOf(host, handshakes + failures)
      for (const [kind, counts] of kinds) {
        const series = tlsOf(listed, kind)
        series.handshakes += counts.handshakes
        series.failures += counts.failures
      }
    }
    this.#hosts.review()
  }

  /** Those of hosts and Ingresses that left the table end. */
  series(): readonly HostSeries[] {
    return this.#all().flatMap(({ series }) => [...series.values()])
  }

  requests(): readonly RequestCounts[] {
    return this.series().map(({ counts }) => counts)
  }

  tls(): readonly TlsSeries[] {
    return this.#all().flatMap(({ tls }) => [...tls.values()])
  }

  #all(): readonly Listed[] {
    this.#hosts.prune()
    const listed = [...this.#hosts.values()]
    for (const { host, series } of listed) {
      for (const key of series.keys()) {
        if (key !== NO_INGRESS && key !== OTHER && !this.#knows(host, key)) this.#end(series, key)
      }
    }
    return [this.#other, ...listed]
  }

  #listedOf(host: string | null, activity: number): Listed {
    return (host === null ? null : this.#hosts.note(host, activity)) ?? this.#other
  }

  #seriesOf(listed: Listed, object: ObjectKey | null): HostSeries {
    const { series, host } = listed
    if (listed === this.#other) return series.get(NO_INGRESS) ?? this.#begin(listed, NO_INGRESS)
    const key = object ?? NO_INGRESS
    const found = series.get(key)
    if (found) return found
    const room = this.#seriesCount < this.#most * SERIES_PER_HOST && (object === null || this.#knows(host, object))
    if (!room) return series.get(OTHER) ?? this.#begin(listed, OTHER)
    this.#seriesCount++
    return this.#begin(listed, key)
  }

  #begin({ series, host }: Listed, key: string): HostSeries {
    const object = key === NO_INGRESS || key === OTHER ? null : parseObjectKey(key)
    const made = new HostSeries(this.#rows, host, object ? `${object.namespace}/${object.name}` : key)
    series.set(key, made)
    return made
  }

  #end(series: Map<string, HostSeries>, key: string): void {
    series.get(key)?.end()
    series.delete(key)
    if (key !== OTHER) this.#seriesCount--
  }
}

function makeListed(host: string): Listed {
  return { host, tls: new Map(), series: new Map() }
}

function tlsOf({ host, tls }: Pick<Listed, 'host' | 'tls'>, kind: string): TlsSeries {
  const found = tls.get(kind)
  if (found !== undefined) return found
  const [version = '', cipher = '', resumed = ''] = kind.split(' ')
  if (tls.size >= TLS_KINDS_PER_HOST && cipher !== OTHER) return tlsOf({ host, tls }, `${version} ${OTHER} ${resumed}`)
  const of = `version="${escapeLabel(version)}",cipher="${escapeLabel(cipher)}",resumed="${resumed}"`
  const made: TlsSeries = { host, labels: `host="${escapeLabel(host)}",${of}`, handshakes: 0, failures: 0 }
  tls.set(kind, made)
  return made
}
