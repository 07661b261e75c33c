/**
 * Totals of Services and endpoints for /metrics: of the busiest, the rest is one, `other`, as with hosts (totals.ts).
 * What is lent and idle is a state, not a count: of each worker the sum of its changes is kept, and a worker that ends takes
 * its own with it.
 */
import {
  CONNECTS,
  CONNECT_FAILURES,
  FAILURES,
  IDLE,
  LEASES,
  OPEN,
  RESTS,
  RETRIES,
  TALLY_WIDTH,
  type UpstreamCounts,
} from '../upstream/endpoint-counters.ts'
import type { ServiceKey } from '../../protocol/objects.ts'
import { Busiest } from './busiest.ts'
import { Rows } from './rows.ts'
import { OTHER, Series, escapeLabel } from './series.ts'

/** Counts, in contrast to states. */
const COUNTS = [LEASES, FAILURES, CONNECTS, CONNECT_FAILURES, RETRIES, RESTS] as const

interface State {
  readonly open: number
  readonly idle: number
}

const NOTHING: State = { open: 0, idle: 0 }

export interface UpstreamTotalOptions {
  /** Services, and endpoints, with series of their own. */
  readonly most?: number
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

/** Series of one kind of name. */
class Family {
  readonly #rows = new Rows(TALLY_WIDTH)
  readonly #busiest: Busiest<Series>
  readonly #other: Series
  /** By worker, what is not 0. */
  readonly #states = new Map<number, Map<string, State>>()

  constructor(labels: (name: string) => string, knows: (name: string) => boolean, most: number, now: () => number) {
    this.#other = new Series(this.#rows, labels(OTHER))
    this.#busiest = new Busiest({
      ...{ most, now, knows, list: name => new Series(this.#rows, labels(name)) },
      unlist: series => series.end(),
    })
  }

  add(worker: number, name: string, figures: Float64Array, row: number): void {
    const at = (column: number): number => figures[row * TALLY_WIDTH + column] ?? 0
    const activity = at(LEASES) + at(CONNECTS)
    const series = (activity > 0 ? this.#busiest.note(name, activity) : this.#busiest.get(name)) ?? this.#other
    for (const column of COUNTS) series.add(column, at(column))
    const states = this.#states.get(worker) ?? new Map<string, State>()
    const before = states.get(name) ?? NOTHING
    const state = { open: before.open + at(OPEN), idle: before.idle + at(IDLE) }
    if (state.open === 0 && state.idle === 0) states.delete(name)
    else states.set(name, state)
    this.#states.set(worker, states)
  }

  forget(worker: number): void {
    this.#states.delete(worker)
  }

  review(): void {
    this.#busiest.review()
  }

  /** With the states as they are now. */
  series(): readonly Series[] {
    this.#busiest.prune()
    const all = [this.#other, ...this.#busiest.values()]
    for (const series of all) {
      for (const column of [OPEN, IDLE]) series.add(column, -series.at(column))
    }
    for (const states of this.#states.values()) {
      for (const [name, { open, idle }] of states) {
        const series = this.#busiest.get(name) ?? this.#other
        series.add(OPEN, open)
        series.add(IDLE, idle)
      }
    }
    return all
  }
}

export class UpstreamTotals {
  readonly #services: Family
  readonly #endpoints: Family

  /** @param knows the Service, and the endpoint if there is one, are in the table */
  constructor(
    knows: (service: ServiceKey, endpoint: string | null) => boolean,
    { most = 200, now = () => performance.now() }: UpstreamTotalOptions = {},
  ) {
    const labelsOf = (service: string): string => `service="${escapeLabel(service)}"`
    this.#services = new Family(labelsOf, service => knows(service, null), most, now)
    this.#endpoints = new Family(
      name => {
        const [service = '', endpoint = service] = name.split(' ')
        return `${labelsOf(service)},endpoint="${escapeLabel(endpoint)}"`
      },
      name => {
        const [service = '', endpoint = ''] = name.split(' ')
        return knows(service, endpoint)
      },
      most,
      now,
    )
  }

  add(worker: number, { names, figures }: UpstreamCounts): void {
    names.forEach(({ service, endpoint }, i) => {
      if (endpoint === null) this.#services.add(worker, service, figures, i)
      else this.#endpoints.add(worker, `${service} ${endpoint}`, figures, i)
    })
    this.#services.review()
    this.#endpoints.review()
  }

  /** The worker ended: what was lent and idle there is closed. What it counted stays. */
  forget(worker: number): void {
    this.#services.forget(worker)
    this.#endpoints.forget(worker)
  }

  services(): readonly Series[] {
    return this.#services.series()
  }

  endpoints(): readonly Series[] {
    return this.#endpoints.series()
  }
}
