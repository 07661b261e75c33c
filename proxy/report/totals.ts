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
import { figuresOf, type Figures } from './figures.ts'
import { Rows } from './rows.ts'
import { OTHER, Series, escapeLabel } from './series.ts'

/** Status codes, beside 200, that one series tells by themselves: backends may answer any of 500. */
const CODES_PER_SERIES = 30

/** One host and Ingress. */
export class HostSeries extends Series {
  readonly host: string
  /** `namespace/name`; empty: no Ingress answered; `other`: one of those that are too many. */
  readonly ingress: string
  /** All that was counted when the minute began; null: nothing. */
  #begun: Float64Array | null = null
  #lastMinute: Float64Array | null = null
  readonly #codes = new Map<number, number>()
  /** By class. */
  readonly #moreCodes = Array.from({ length: CLASSES }, () => 0)

  constructor(rows: Rows, host: string, ingress: string) {
    super(rows, `host="${escapeLabel(host)}",ingress="${escapeLabel(ingress)}"`)
    this.host = host
    this.ingress = ingress
  }

  /** What was counted in the last whole minute; null: nothing. */
  get lastMinute(): Float64Array | null {
    return this.#lastMinute
  }

  /** A minute is over. @param last what was counted in it is that of the last one; false: a whole one went by after it */
  turnMinute(last: boolean): void {
    const before = this.#begun
    const now = this.read()
    this.#begun = now
    this.#lastMinute =
      last && now[REQUESTS] !== (before?.[REQUESTS] ?? 0) ? now.map((n, i) => n - (before?.[i] ?? 0)) : null
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

/** Of one host, for people. */
export interface HostFigures {
  /** Seconds since the start, or since it had series again; what came before is in those of `other`. */
  readonly sinceStart: Figures
  /** The last whole minute; null: there was none yet. */
  readonly lastMinute: Figures | null
  /** Since the start; `ingress` as the series have it. */
  readonly ingresses: readonly {
    readonly ingress: string
    readonly codes: Readonly<Record<string, number>>
    readonly sinceStart: Figures
    readonly lastMinute: Figures | null
  }[]
  readonly tls: readonly {
    readonly version: string
    readonly cipher: string
    readonly resumed: string
    readonly handshakes: number
    readonly failures: number
  }[]
}

export interface TotalOptions {
  /** Hosts with series of their own. */
  readonly hosts?: number
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

interface Listed {
  readonly host: string
  /** When it was listed. */
  readonly since: number
  /** By kindOf. */
  readonly tls: Map<string, TlsSeries>
  /** By object, NO_INGRESS or OTHER. */
  readonly series: Map<string, HostSeries>
}

const NO_INGRESS = ''

/** Of a host, by version, cipher and resumption: clients choose among some forty ciphers, and honest ones use three. Beyond: `other`. */
const TLS_KINDS_PER_HOST = 8

const MINUTE_MS = 60_000

/** Series with an Ingress, for each host that may be listed: hosts that hundreds of Ingresses share are rare, and no reason to write them all. */
const SERIES_PER_HOST = 2

export class TotalCounts {
  readonly #knows: (host: string, object: ObjectKey | null) => boolean
  readonly #most: number
  readonly #rows = new Rows(WIDTH)
  readonly #hosts: Busiest<Listed>
  readonly #other: Listed
  readonly #now: () => number
  /** When the minute that is under way began. */
  #minuteAt: number
  /** Whole minutes that went by. */
  #minutes = 0
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
    this.#now = now
    this.#minuteAt = now()
    this.#other = makeListed(OTHER, now())
    this.#hosts = new Busiest({
      ...{ most: hosts, now, knows: host => knows(host, null), list: host => makeListed(host, now()) },
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
    this.#turnMinutes()
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

  /** @param host as the table writes it @returns null: it has no series of its own */
  figures(host: string): HostFigures | null {
    this.#turnMinutes()
    const listed = this.#all().find(one => one !== this.#other && one.host === host)
    if (listed === undefined) return null
    const seconds = Math.max(1, (this.#now() - listed.since) / 1_000)
    const all = [...listed.series.values()]
    const minute = (rows: readonly (Float64Array | null)[]): Figures | null =>
      this.#minutes === 0 ? null : figuresOf(sumOf(rows), MINUTE_MS / 1_000)
    return {
      sinceStart: figuresOf(sumOf(all.map(one => one.read())), seconds),
      lastMinute: minute(all.map(one => one.lastMinute)),
      ingresses: all.map(one => ({
        ...{ ingress: one.ingress, codes: Object.fromEntries(one.codes()) },
        ...{ sinceStart: figuresOf(one.read(), seconds), lastMinute: minute([one.lastMinute]) },
      })),
      tls: [...listed.tls].map(([kind, { handshakes, failures }]) => ({ ...partsOf(kind), handshakes, failures })),
    }
  }

  /** Whatever is counted until the next call belongs to the minute that is under way. */
  #turnMinutes(): void {
    const over = Math.floor((this.#now() - this.#minuteAt) / MINUTE_MS)
    if (over < 1) return
    this.#minuteAt += over * MINUTE_MS
    this.#minutes += over
    for (const { series } of [this.#other, ...this.#hosts.values()]) {
      for (const one of series.values()) one.turnMinute(over === 1)
    }
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

function sumOf(rows: readonly (Float64Array | null)[]): Float64Array {
  const sum = new Float64Array(WIDTH)
  for (const row of rows) row?.forEach((n, i) => (sum[i] = (sum[i] ?? 0) + n))
  return sum
}

/** Of kindOf. */
function partsOf(kind: string): { readonly version: string; readonly cipher: string; readonly resumed: string } {
  const [version = '', cipher = '', resumed = ''] = kind.split(' ')
  return { version, cipher, resumed }
}

function makeListed(host: string, since: number): Listed {
  return { host, since, tls: new Map(), series: new Map() }
}

function tlsOf({ host, tls }: Pick<Listed, 'host' | 'tls'>, kind: string): TlsSeries {
  const found = tls.get(kind)
  if (found !== undefined) return found
  const { version, cipher, resumed } = partsOf(kind)
  if (tls.size >= TLS_KINDS_PER_HOST && cipher !== OTHER) return tlsOf({ host, tls }, `${version} ${OTHER} ${resumed}`)
  const of = `version="${escapeLabel(version)}",cipher="${escapeLabel(cipher)}",resumed="${resumed}"`
  const made: TlsSeries = { host, labels: `host="${escapeLabel(host)}",${of}`, handshakes: 0, failures: 0 }
  tls.set(kind, made)
  return made
}
