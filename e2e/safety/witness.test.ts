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
  it('is told by second, with what was done meanwhile, in order of time', () => {
    const seen = witness(
      { at: 900, ms: 50 },
      { at: 10_050, ms: 900, ordinal: 3 },
      { at: 10_200, ms: 700, ordinal: 4 },
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
      '   0 s  slow: 2 on pods 3-4, up to 900 ms',
      '   1 s  a backend restarts',
      '   2 s  ECONNREFUSED: 1 on pod 4, up to 5 ms',
      '   2 s  503: 1 on pod 4, up to 5 ms',
    ])
  })

  it('is bounded: the last of it is kept, and all failures are counted', () => {
    const seen = witness(...Array.from({ length: 5_000 }, (_, i) => ({ at: i, status: 500 })))
    const kept = seen.story(0, 10_000, [])
    expect(kept).toEqual(
      ['3', '4', '5'].map(second => expect.stringMatching(`^   ${second} s  500: \\d+ on pod 0, up to 5 ms$`)),
    )
    expect([...seen.failures]).toEqual([['500', 5_000]])
  })

  it('is added up, most first', () => {
    const [one, other] = [witness({ status: 503 }), witness({ status: 503 }, { status: null, error: 'TIMEOUT' })]
    expect(failuresText([one, other])).toBe('2 503, 1 TIMEOUT')
    expect(failuresText([witness({})])).toBe('')
  })
})
