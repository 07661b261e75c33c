import { describe, expect, it } from '@jest/globals'
import type { LoadRecord } from '../load/record.ts'
import { Witness, failuresText } from './witness.ts'

const record = (of: Partial<LoadRecord>): LoadRecord => ({
  ...{ kind: 'http', at: 0, ms: 5, ordinal: 0, status: 200, version: null, issuer: null, error: null },
  ...{ connection: 'reused', ...of },
})

function witness(...records: readonly Partial<LoadRecord>[]): Witness {
  const all = new Witness()
  for (const of of records) all.saw(record(of))
  return all
}

describe('what clients saw', () => {
  it('is told by second and pod, with what was done meanwhile, in order of time', () => {
    const seen = witness(
      { at: 900, ms: 50 },
      { at: 10_050, ms: 900, ordinal: 3 },
      { at: 10_200, ms: 700, ordinal: 3 },
      { at: 12_000, ordinal: 4, status: null, error: 'ECONNREFUSED' },
      { at: 12_100, ordinal: 4, status: 503 },
      { at: 30_000, ordinal: 4, status: 503 },
    )
    const disturbances = [
      { at: 9_000, what: 'pod/a is deleted' },
      { at: 11_500, what: 'a backend restarts' },
      { at: -20_000, what: 'long ago' },
      { at: 25_000, what: 'too late' },
    ]
    expect(seen.story(10_000, 20_000, disturbances)).toEqual([
      '  -1 s  pod/a is deleted',
      '   0 s  pod 3  slow: 2, up to 900 ms',
      '   1 s  a backend restarts',
      '   2 s  pod 4  ECONNREFUSED: 1, up to 5 ms',
      '   2 s  pod 4  503: 1, up to 5 ms',
    ])
  })

  it('is bounded: the last of it is kept, and all failures are counted', () => {
    const seen = witness(...Array.from({ length: 5_000 }, (_, i) => ({ at: i, status: 500 })))
    const kept = seen.story(0, 10_000, [])
    expect(kept.map(line => line.slice(0, 21))).toEqual([
      '   3 s  pod 0  500: 9',
      '   4 s  pod 0  500: 1',
      '   5 s  pod 0  500: 5',
    ])
    expect([...seen.failures]).toEqual([['500', 5_000]])
  })

  it('is added up, most first', () => {
    const [one, other] = [witness({ status: 503 }), witness({ status: 503 }, { status: null, error: 'TIMEOUT' })]
    expect(failuresText([one, other])).toBe('2 503, 1 TIMEOUT')
    expect(failuresText([witness({})])).toBe('')
  })
})
