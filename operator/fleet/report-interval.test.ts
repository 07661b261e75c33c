import { describe, expect, it } from '@jest/globals'
import { reportIntervalMs } from './report-interval.ts'

describe('reportIntervalMs', () => {
  it.each([
    [0, 1_000],
    [5, 1_000],
    [200, 1_000],
    [201, 1_005],
    [300, 1_500],
    [400, 2_000],
    [10_000, 2_000],
  ])('of %i pods is %i ms', (pods, ms) => {
    expect(reportIntervalMs(pods)).toBe(ms)
  })
})
