import { describe, expect, it } from '@jest/globals'
import { Rows } from './rows.ts'
import { Series } from './series.ts'

describe('Series', () => {
  it('has a row of its own, which begins at 0 for the next one when it ends', () => {
    const rows = new Rows(2)
    const [one, other] = [new Series(rows, 'a="1"'), new Series(rows, 'a="2"')]
    one.addRow(Float64Array.of(0, 0, 3, 4), 1)
    one.add(1, 1)
    other.add(0, 7)
    expect([[...one.read()], [...other.read()], one.ended]).toEqual([[3, 5], [7, 0], false])
    one.end()
    expect([one.ended, rows.size]).toEqual([true, 1])
    const next = new Series(rows, 'a="3"')
    expect([next.at(0), next.at(1), rows.size, next.ended]).toEqual([0, 0, 2, false])
    expect(other.at(0)).toBe(7)
  })
})
