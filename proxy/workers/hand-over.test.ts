import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { REQUESTS, WIDTH } from '../report/columns.ts'
import { CODES_OF_ROW, type CountsDelta } from '../report/counts.ts'
import { LEASES, TALLY_WIDTH, type UpstreamCounts } from '../upstream/endpoint-counters.ts'
import { HandOver, MESSAGE_ROWS, type HandOverParts } from './hand-over.ts'

/** Rows of which each has its number as the only figure. */
function figuresOf(rows: number, width: number, column: number): Float64Array<ArrayBuffer> {
  const figures = new Float64Array(rows * width)
  for (let i = 0; i < rows; i++) figures[i * width + column] = i + 1
  return figures
}

function delta(rows: number, tls = 0): CountsDelta {
  const named = { object: null, revision: '', governed: false }
  return {
    requests: {
      names: Array.from({ length: rows }, (_, i) => ({ host: `h${i + 1}`, ...named })),
      figures: figuresOf(rows, WIDTH, REQUESTS),
      codes: Array.from({ length: rows }, (_, i) => [i * CODES_OF_ROW + 404, i + 1] as const),
    },
    tls: Array.from({ length: tls }, (_, i) => ({ host: `t${i + 1}`, handshakes: 1, failures: 0, kinds: new Map() })),
    ...{ connectFailures: 3, defects: 2, carried: { relay: 5, full: 7 }, events: [['context made', 1]] },
  }
}

function upstream(rows: number): UpstreamCounts {
  const names = Array.from({ length: rows }, (_, i) => ({ service: `s${i + 1}`, endpoint: null }))
  return { names, figures: figuresOf(rows, TALLY_WIDTH, LEASES) }
}

class Rig {
  counts: CountsDelta | null = null
  upstream: UpstreamCounts | null = null
  /** Turns of the loop so far. */
  turn = 0
  readonly rows: number[] = []
  readonly turns: number[] = []
  readonly said: string[] = []
  readonly codes: string[] = []
  readonly rest: number[] = []
  readonly handOver: HandOver
  #counting = true

  constructor() {
    const parts: HandOverParts = {
      flushCounts: () => {
        const taken = this.counts
        this.counts = null
        return taken
      },
      flushUpstream: () => {
        const taken = this.upstream
        this.upstream = null
        return taken
      },
      post: (message, buffer) => {
        this.turns.push(this.turn)
        const { names, figures } = message.type === 'counts' ? message.delta.requests : message.counts
        expect(figures.buffer).toBe(buffer)
        this.rows.push(names.length)
        const width = message.type === 'counts' ? WIDTH : TALLY_WIDTH
        names.forEach((name, i) => this.said.push(`${'host' in name ? name.host : name.service} ${figures[i * width]}`))
        if (message.type !== 'counts') return
        for (const [key, count] of message.delta.requests.codes) {
          const name = message.delta.requests.names[Math.floor(key / CODES_OF_ROW)]
          this.codes.push(`${name?.host} ${key % CODES_OF_ROW} ${count}`)
        }
        const { tls, connectFailures, defects, carried, events } = message.delta
        for (const { host } of tls) this.said.push(`${host}`)
        this.rest.push(connectFailures + defects + carried.relay + carried.full + events.length)
      },
    }
    this.handOver = new HandOver(parts)
    const count = async (): Promise<void> => {
      for (; this.#counting; this.turn++) await nextTurn()
    }
    void count()
  }

  end(): void {
    this.#counting = false
  }
}

const list = (letter: string, count: number, figure = true): readonly string[] =>
  Array.from({ length: count }, (_, i) => `${letter}${i + 1}${figure ? ` ${i + 1}` : ''}`)

describe('HandOver', () => {
  it('posts so many rows in a turn of the loop and no more, all of them once and in order', async () => {
    const rig = new Rig()
    rig.counts = delta(20_000)
    rig.upstream = upstream(2_500)
    await rig.handOver.inTurns()
    rig.end()
    expect(rig.rows).toEqual([...Array<number>(22).fill(MESSAGE_ROWS), 500])
    // A message a turn, none in the same one.
    expect(new Set(rig.turns).size).toBe(23)
    expect(rig.said).toEqual([...list('h', 20_000), ...list('s', 2_500)])
    expect(rig.rest.reduce((a, b) => a + b)).toBe(18)
    expect(rig.codes).toEqual(Array.from({ length: 20_000 }, (_, i) => `h${i + 1} 404 ${i + 1}`))
  })

  it('hands over what has no row, and names of TLS by the thousand', async () => {
    const rig = new Rig()
    rig.counts = delta(0)
    await rig.handOver.inTurns()
    expect([rig.rows, rig.rest]).toEqual([[0], [18]])
    rig.counts = delta(1, 2_001)
    await rig.handOver.inTurns()
    rig.end()
    expect(rig.said).toEqual(['h1 1', ...list('t', 2_001, false)])
    expect(rig.rows).toEqual([0, 1, 0, 0])
    await rig.handOver.inTurns()
    expect(rig.rows).toHaveLength(4)
  })

  it('has posted what was on its way, too, when a later call resolves', async () => {
    const rig = new Rig()
    rig.counts = delta(5_000)
    const first = rig.handOver.inTurns()
    rig.counts = delta(3)
    await rig.handOver.inTurns()
    expect(rig.said).toEqual([...list('h', 5_000), ...list('h', 3)])
    await first
    rig.end()
    expect(rig.said).toHaveLength(5_003)
  })

  it('posts the rest at once where the worker ends', () => {
    const rig = new Rig()
    rig.counts = delta(5_000)
    rig.upstream = upstream(1_500)
    void rig.handOver.inTurns()
    rig.counts = delta(2)
    rig.handOver.atOnce()
    rig.end()
    expect(rig.said).toEqual([...list('h', 5_000), ...list('s', 1_500), ...list('h', 2)])
  })
})
