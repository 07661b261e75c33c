/**
 * Totals since the start for /metrics, of the busiest hosts; the rest is one: `other`. A count is booked when it comes,
 * under its host if that is listed and under `other` if not, and never moves: every series only grows, and every request
 * is in exactly one. A host that gets its own series later starts from 0; one that loses them starts from 0 when it comes back.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { Busiest } from './busiest.ts'
import type { CountsDelta, RequestCounts } from './counts.ts'
import { REQUESTS, WIDTH, readRow } from './columns.ts'
import { Rows } from './rows.ts'

/** One host and Ingress. */
export class Series {
  readonly host: string
  /** `namespace/name`; empty: no Ingress answered; `other`: one of those that are too many. */
  readonly ingress: string
  /** Both as the text format wants them. */
  readonly labels: string
  readonly #rows: Rows
  readonly #row: number
  #ended = false

  constructor(rows: Rows, host: string, ingress: string) {
    this.host = host
    this.ingress = ingress
    this.labels = `host="${escapeLabel(host)}",ingress="${escapeLabel(ingress)}"`
    this.#rows = rows
    this.#row = rows.take()
  }

  /** Its figures are another's from now on: whoever holds it still (a scrape under way) may not ask for them. */
  get ended(): boolean {
    return this.#ended
  }

  /** @param column of rows.ts */
  at(column: number): number {
    return this.#rows.at(this.#row, column)
  }

  get counts(): RequestCounts {
    return readRow(this.#rows.read(this.#row), 0)
  }

  add(figures: Float64Array, row: number): void {
    this.#rows.addRow(this.#row, figures, row)
  }

  end(): void {
    this.#ended = true
    this.#rows.give(this.#row)
  }
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
}

/** What is not listed by itself. */
export const OTHER = 'other'
const NO_INGRESS = ''

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

  /** As CountsDelta.events. */
  get events(): ReadonlyMap<string, number> {
    return this.#events
  }

  add(delta: CountsDelta): void {
    this.#connectFailures += delta.connectFailures
    this.#defects += delta.defects
    for (const [id, count] of delta.events) this.#events.set(id, (this.#events.get(id) ?? 0) + count)
    const { names, figures } = delta.requests
    names.forEach(({ host, object }, i) => {
      const listed = this.#listedOf(host, figures[i * WIDTH + REQUESTS] ?? 0)
      this.#seriesOf(listed, object).add(figures, i)
    })
    for (const { host, handshakes, failures } of delta.tls) {
      const { tls } = this.#listedOf(host, handshakes + failures)
      tls.handshakes += handshakes
      tls.failures += failures
    }
    this.#hosts.review()
  }

  /** Those of hosts and Ingresses that left the table end. */
  series(): readonly Series[] {
    return this.#all().flatMap(({ series }) => [...series.values()])
  }

  requests(): readonly RequestCounts[] {
    return this.series().map(({ counts }) => counts)
  }

  tls(): readonly TlsSeries[] {
    return this.#all()
      .map(({ tls }) => tls)
      .filter(({ handshakes, failures }) => handshakes + failures > 0)
  }

  #all(): readonly Listed[] {
    this.#hosts.prune()
    const listed = [...this.#hosts.values()]
    for (const { tls, series } of listed) {
      for (const key of series.keys()) {
        if (key !== NO_INGRESS && key !== OTHER && !this.#knows(tls.host, key)) this.#end(series, key)
      }
    }
    return [this.#other, ...listed]
  }

  #listedOf(host: string | null, activity: number): Listed {
    return (host === null ? null : this.#hosts.note(host, activity)) ?? this.#other
  }

  #seriesOf(listed: Listed, object: ObjectKey | null): Series {
    const { series, tls } = listed
    if (listed === this.#other) return series.get(NO_INGRESS) ?? this.#begin(listed, NO_INGRESS)
    const key = object ?? NO_INGRESS
    const found = series.get(key)
    if (found) return found
    const room = this.#seriesCount < this.#most * SERIES_PER_HOST && (object === null || this.#knows(tls.host, object))
    if (!room) return series.get(OTHER) ?? this.#begin(listed, OTHER)
    this.#seriesCount++
    return this.#begin(listed, key)
  }

  #begin({ series, tls: { host } }: Listed, key: string): Series {
    const object = key === NO_INGRESS || key === OTHER ? null : parseObjectKey(key)
    const made = new Series(this.#rows, host, object ? `${object.namespace}/${object.name}` : key)
    series.set(key, made)
    return made
  }

  #end(series: Map<string, Series>, key: string): void {
    series.get(key)?.end()
    series.delete(key)
    if (key !== OTHER) this.#seriesCount--
  }
}

function makeListed(host: string): Listed {
  return { tls: { host, handshakes: 0, failures: 0 }, series: new Map() }
}

/** A label's value as the text format wants it. */
export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, c => (c === '\n' ? '\\n' : `\\${c}`))
}
