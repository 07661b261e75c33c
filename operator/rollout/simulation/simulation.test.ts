/** The acceptance of the gates, in short: `make monte-carlo` plays it at length. Seeds are fixed: what passes once passes always. */
import { describe, expect, it } from '@jest/globals'
import { CONNECT, RELATIVE, count, played, quantile } from './scenarios.ts'
import type { Row } from './scenarios.ts'
import { readmePolicy } from './simulate.ts'
import type { Scenario } from './simulate.ts'

const SEED = 1
const ends = (row: Row, runs: number): string => {
  const outcomes = played(row, runs, SEED)
  return `${count(outcomes, 'taken back')} of ${runs} taken back`
}
const connect = (scenario: Partial<Scenario>): Row => ({ name: '', scenario, policy: CONNECT })
const relative = (scenario: Partial<Scenario>): Row => ({ name: '', scenario, policy: RELATIVE })

describe('a change that is as good as what it replaces', () => {
  // With the intervals of before, 27 of 100 were taken back by the minimum, 3 by the stable pods, half beside a stuck client.
  it.each<[string, Row]>([
    ['half as many errors as are allowed', { name: '', scenario: { errors: 0.005, rate: 4 } }],
    ['the same, and only the stable pods to compare with', relative({ errors: 0.005, rate: 4 })],
    ['many errors', relative({ errors: 0.03, rate: 4 })],
    ['many errors of many requests', relative({ errors: 0.03, rate: 50 })],
    ['few requests', relative({ errors: 0.01, rate: 1 })],
    ['a client with errors that is stuck to one pod', relative({ errors: 0.002, rate: 20, stuck: 0.04 })],
    ['backends that are not reached now and then', connect({ errors: 0.03, rate: 20, unreached: 'all' })],
    ['a client of such backends that is stuck', connect({ errors: 0.002, rate: 20, stuck: 0.04, unreached: 'all' })],
    ['one that sends them in bunches', relative({ errors: 0.002, rate: 20, stuck: 0.04, bunchedMs: 20_000 })],
  ])('is not taken back: %s', (_, row) => {
    expect(ends(row, 40)).toBe('0 of 40 taken back')
  })

  it('may wait for a weekend', () => {
    const policy: Row['policy'] = { ...readmePolicy(true), gates: RELATIVE.gates, onInconclusive: 'Promote' }
    const waits = { errors: 0.01, waitMs: 64 * 3_600_000 }
    const outcomes = [4, 20].flatMap(rate => played({ name: '', scenario: { ...waits, rate }, policy }, 1, SEED))
    expect(outcomes.map(one => one.end)).toEqual(outcomes.map(() => 'complete'))
    // Two in a row take it back: of so many minutes there are to be fewer than one of a thousand.
    const minutes = outcomes.reduce((sum, one) => sum + one.minutes, 0)
    const odd = outcomes.reduce((sum, one) => sum + one.oddMinutes, 0)
    expect(minutes).toBeGreaterThan(2 * 3_800)
    expect(odd / minutes).toBeLessThan(5e-4)
  })

  it('may wait for one while a client is stuck to a pod and the others sleep at night', () => {
    const policy: Row['policy'] = { ...readmePolicy(true), gates: RELATIVE.gates, onInconclusive: 'Promote' }
    const scenario = { errors: 0.002, rate: 20, stuck: 0.04, nights: true, waitMs: 64 * 3_600_000 }
    expect(played({ name: '', scenario, policy }, 1, SEED).map(one => one.end)).toEqual(new Array(1).fill('complete'))
  })
})

describe('a fault', () => {
  it.each([0.001, 0.005])('of two points beside %d is found in nine of ten batches of a thousand requests', errors => {
    const outcomes = played(relative({ errors, rate: 36, fault: 0.02 }), 500, SEED)
    const soon = outcomes.filter(one => one.end === 'taken back' && one.requests <= 1_200 && one.reached === 1)
    expect(soon.length).toBeGreaterThanOrEqual(450)
  })

  it.each([0.01, 0.03])(
    'of two points beside %d waits for twice or four times as many, and reaches no second pod',
    errors => {
      const outcomes = played(relative({ errors, rate: 36, fault: 0.02 }), 100, SEED)
      const found = outcomes.filter(one => one.end === 'taken back' && one.requests <= 5_000 && one.reached === 1)
      expect(found.length).toBeGreaterThanOrEqual(90)
    },
  )

  it('of two points more connect failures does not drown in the errors of an application', () => {
    const of = { errors: 0.03, rate: 36, fault: 0.02, unreached: 'fault' } as const
    const outcomes = played(connect(of), 100, SEED)
    const soon = outcomes.filter(one => one.end === 'taken back' && one.requests <= 1_200 && one.reached === 1)
    expect(soon.length).toBeGreaterThanOrEqual(70)
  })

  it('is found beside a stuck client', () => {
    const outcomes = played(relative({ errors: 0.002, rate: 36, stuck: 0.04, fault: 0.05 }), 100, SEED)
    expect(count(outcomes, 'taken back')).toBe(100)
  })

  it.each([4, 20])('that begins in a late minute is found within two, %d requests a second', rate => {
    const late = { rate, fault: 0.1, faultAfterMs: 900_000, waitMs: 3_600_000, waitLookMs: 2_000 }
    const outcomes = played({ name: '', scenario: late }, 5, SEED)
    expect(count(outcomes, 'taken back')).toBe(5)
    expect(
      quantile(
        outcomes.map(one => one.afterMs),
        1,
      ),
    ).toBeLessThanOrEqual(120_000)
  })
})
