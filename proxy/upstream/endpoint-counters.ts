/**
 * What a worker did with Services and endpoints since it last said so, for metrics. Only those that had something to do
 * have a row: most of 100 000 Services have none.
 */
import type { ServiceKey } from '../../protocol/objects.ts'
import { Rows } from '../report/rows.ts'

/**
 * Columns. The last two are states, told as what they changed by: an address that leaves a Service while a connection is
 * lent and comes back is two endpoints of one name, and neither knows the state of both.
 */
export const LEASES = 0
/** Exchanges that the backend broke or did not answer in time. */
export const FAILURES = 1
/** Connections begun to be opened, and those that never opened. */
export const CONNECTS = 2
export const CONNECT_FAILURES = 3
/** Of Services only. */
export const RETRIES = 4
/** Times that it was taken for unwell, a probe that failed included. Of endpoints only. */
export const RESTS = 5
/** Lent or awaited, more or fewer than told before. */
export const OPEN = 6
/** More or fewer than told before. Of endpoints only. */
export const IDLE = 7
export const TALLY_WIDTH = 8

export interface TallyName {
  readonly service: ServiceKey
  /** `ip:port`; null: the Service itself. */
  readonly endpoint: string | null
}

export interface UpstreamCounts {
  readonly names: readonly TallyName[]
  /** TALLY_WIDTH for each name. */
  readonly figures: Float64Array<ArrayBuffer>
}

/** A Service or an endpoint. */
export interface Tallied {
  readonly service: ServiceKey
  readonly address: string | null
  readonly open: number
  readonly idle: number
  /** Its row since the last flush; -1: none. The tally's alone. */
  row: number
  /** The states that the last flush told. The tally's alone. */
  toldOpen: number
  toldIdle: number
}

export class Tally {
  readonly #rows = new Rows(TALLY_WIDTH)
  #touched: Tallied[] = []

  add(to: Tallied, column: number): void {
    this.touch(to)
    this.#rows.add(to.row, column, 1)
  }

  /** Its state may be another one. */
  touch(of: Tallied): void {
    if (of.row !== -1) return
    of.row = this.#rows.take()
    this.#touched.push(of)
  }

  /** What came since the last call; null: nothing. */
  flush(): UpstreamCounts | null {
    const touched = this.#touched
    if (touched.length === 0) return null
    this.#touched = []
    for (const of of touched) {
      const { open, idle } = of
      this.#rows.add(of.row, OPEN, open - of.toldOpen)
      this.#rows.add(of.row, IDLE, idle - of.toldIdle)
      of.toldOpen = open
      of.toldIdle = idle
      of.row = -1
    }
    const names = touched.map(({ service, address }) => ({ service, endpoint: address }))
    return { names, figures: this.#rows.drain() }
  }
}
