import { describe, expect, it } from '@jest/globals'
import {
  CONNECTS,
  FAILURES,
  IDLE,
  LEASES,
  OPEN,
  TALLY_WIDTH,
  type UpstreamCounts,
} from '../upstream/endpoint-counters.ts'
import type { Series } from './series.ts'
import { UpstreamTotals } from './upstream-totals.ts'

type Row = readonly [name: string, figures: Readonly<Record<number, number>>]

/** @param rows `ns/web:80`, or with an address behind it */
function counts(...rows: readonly Row[]): UpstreamCounts {
  const figures = new Float64Array(rows.length * TALLY_WIDTH)
  const names = rows.map(([name, columns], i): UpstreamCounts['names'][number] => {
    for (const [column, value] of Object.entries(columns)) figures[i * TALLY_WIDTH + Number(column)] = value
    const [service = '', endpoint] = name.split(' ')
    return { service, endpoint: endpoint ?? null }
  })
  return { names, figures }
}

const read = (all: readonly Series[], column: number): Readonly<Record<string, number>> =>
  Object.fromEntries(all.map(series => [series.labels, series.at(column)] as const).filter(([, value]) => value !== 0))

describe('UpstreamTotals', () => {
  it('sums up what workers counted, by Service and by endpoint', () => {
    const totals = new UpstreamTotals(() => true)
    totals.add(0, counts(['ns/web:80', { [LEASES]: 2 }], ['ns/web:80 10.0.0.1:80', { [LEASES]: 2, [FAILURES]: 1 }]))
    totals.add(1, counts(['ns/web:80', { [LEASES]: 3 }], ['ns/web:80 10.0.0.2:80', { [LEASES]: 3 }]))
    expect(read(totals.services(), LEASES)).toEqual({ 'service="ns/web:80"': 5 })
    expect(read(totals.endpoints(), LEASES)).toEqual({
      'service="ns/web:80",endpoint="10.0.0.1:80"': 2,
      'service="ns/web:80",endpoint="10.0.0.2:80"': 3,
    })
    expect(read(totals.endpoints(), FAILURES)).toEqual({ 'service="ns/web:80",endpoint="10.0.0.1:80"': 1 })
  })

  it('keeps of each worker what is open and idle now, from what changed, and forgets it with the worker', () => {
    const totals = new UpstreamTotals(() => true)
    const said = (open: number, idle: number): UpstreamCounts => counts(['a 1', { [OPEN]: open, [IDLE]: idle }])
    totals.add(0, counts(['a 1', { [LEASES]: 1, [OPEN]: 9 }]))
    totals.add(0, said(-7, 1))
    totals.add(1, said(3, 4))
    for (let scrape = 0; scrape < 2; scrape++) {
      expect(read(totals.endpoints(), OPEN)).toEqual({ 'service="a",endpoint="1"': 5 })
      expect(read(totals.endpoints(), IDLE)).toEqual({ 'service="a",endpoint="1"': 5 })
    }
    totals.forget(1)
    expect(read(totals.endpoints(), OPEN)).toEqual({ 'service="a",endpoint="1"': 2 })
    totals.add(0, said(-2, -1))
    expect(read(totals.endpoints(), OPEN)).toEqual({})
    expect(read(totals.endpoints(), LEASES)).toEqual({ 'service="a",endpoint="1"': 1 })
  })

  it('names so many and no more; the rest is one, and so is what nobody knows', () => {
    const totals = new UpstreamTotals(service => service !== 'gone', { most: 2 })
    const use = { [CONNECTS]: 1, [LEASES]: 10, [OPEN]: 1 }
    totals.add(0, counts(...['gone', 'a', 'b', 'c', 'd'].map(name => [name, use] as const)))
    const expected = { 'service="other"': 30, 'service="a"': 10, 'service="b"': 10 }
    expect(read(totals.services(), LEASES)).toEqual(expected)
    expect(read(totals.services(), OPEN)).toEqual({ 'service="other"': 3, 'service="a"': 1, 'service="b"': 1 })
  })

  it('gives no series to what does nothing', () => {
    const totals = new UpstreamTotals(() => true)
    totals.add(0, counts(['a', { [IDLE]: 1 }]))
    expect(totals.services()).toHaveLength(1)
  })

  it('ends the series of what left the table: who holds one still learns of it', () => {
    const known = new Set(['a 1', 'a 2'])
    const totals = new UpstreamTotals((service, endpoint) => known.has(`${service} ${endpoint}`))
    totals.add(0, counts(['a 1', { [LEASES]: 1 }], ['a 2', { [LEASES]: 2 }]))
    const held = totals.endpoints()
    known.delete('a 1')
    expect(read(totals.endpoints(), LEASES)).toEqual({ 'service="a",endpoint="2"': 2 })
    expect(held.map(series => series.ended)).toEqual([false, true, false])
  })
})
