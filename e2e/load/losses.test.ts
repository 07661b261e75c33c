import { describe, expect, it } from '@jest/globals'
import { lossesIn } from './losses.ts'
import type { LoadRecord } from './record.ts'

const at = (ms: number, more: Partial<LoadRecord> = {}): LoadRecord => ({
  ...{ kind: 'http', at: ms, ms: 1, ordinal: 0, status: 200, version: 'v1', issuer: null, error: null },
  ...{ connection: 'reused', ...more },
})

describe('what was lost', () => {
  it('is nothing', () => {
    expect(lossesIn([at(5), at(6)])).toBe('0 of 2')
    expect(lossesIn([])).toBe('0 of 0')
  })

  it('is told with where and when, each way for itself', () => {
    const records = [
      at(1_000),
      at(3_100, { error: 'TIMEOUT', status: null, ordinal: 4 }),
      at(2_500, { error: 'TIMEOUT', status: null, ordinal: 1 }),
      at(4_000, { kind: 'tls', status: 502 }),
    ]
    expect(lossesIn(records)).toBe(
      '3 of 4: http TIMEOUT × 2 to pods 1, 4, begun 1.5 to 2.1 s after the first; tls 502 × 1 to pods 0, begun 3.0 to 3.0 s after the first',
    )
  })
})
