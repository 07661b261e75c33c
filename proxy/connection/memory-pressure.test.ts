import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { NO_SHEDDING, shed, type MemoryReading, type Shedding } from './memory-pressure.ts'

const HIGH = 0.85
const LOAD = { idle: 1_000, busy: 400 }

const full = (rss: number, heap = 0): MemoryReading => ({
  ...{ rss: rss * 1_000, limit: 1_000, heapUsed: heap * 500, heapLimit: 500 },
})
const after = (readings: readonly number[], load = LOAD): Shedding =>
  readings.reduce((before, rss) => shed(before, full(rss), load, HIGH), NO_SHEDDING)

describe('what is let go of', () => {
  it('is nothing below the mark', () => {
    expect(after([0.1, 0.84])).toEqual(NO_SHEDDING)
  })

  it('is idle connections first, a part at a time', () => {
    expect(after([0.85])).toEqual({ closeIdle: 125, maxRequests: Infinity })
    expect(after([0.89], { idle: 3, busy: 400 })).toEqual({ closeIdle: 16, maxRequests: Infinity })
  })

  it('is requests, too, where it goes on: fewer with each look', () => {
    expect(after([0.9])).toEqual({ closeIdle: 125, maxRequests: 300 })
    expect(after([0.9, 0.95])).toMatchObject({ maxRequests: 225 })
    // Those that are under way end one after the other.
    expect(shed({ closeIdle: 0, maxRequests: 225 }, full(0.9), { idle: 0, busy: 100 }, HIGH).maxRequests).toBe(75)
  })

  it('by the heap of the thread as by the memory of the process; where no limit is known, by the heap alone', () => {
    expect(shed(NO_SHEDDING, full(0.1, 0.91), LOAD, HIGH)).toEqual({ closeIdle: 125, maxRequests: 300 })
    expect(shed(NO_SHEDDING, { ...full(5, 0.1), limit: 0 }, LOAD, HIGH)).toEqual(NO_SHEDDING)
  })

  it('grows slowly where it is not critical any more, and ends step by step below the mark', () => {
    expect(after([0.9, 0.87])).toEqual({ closeIdle: 125, maxRequests: 338 })
    // What was freed may never go back to the kernel.
    expect(after([0.99, ...new Array<number>(60).fill(0.82)]).maxRequests).toBeGreaterThan(10_000)
    expect(after([0.9, 0.79])).toEqual({ closeIdle: 0, maxRequests: 600 })
    expect(after([0.9, ...new Array<number>(6).fill(0.79)])).toEqual(NO_SHEDDING)
  })

  it('is never so much that nobody is served', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 3, noNaN: true })), fc.nat(), fc.nat(), (readings, idle, busy) => {
        const { closeIdle, maxRequests } = after(readings, { idle, busy })
        return maxRequests >= 16 && closeIdle >= 0 && Number.isInteger(closeIdle)
      }),
    )
  })
})
