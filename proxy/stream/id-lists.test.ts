import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { idsChecksum } from '../../protocol/hash.ts'
import { atOnce } from '../turns.ts'
import {
  idsOf,
  listedDifference as differenceSteps,
  sortedChecksum,
  sortedIds,
  withIds as stepsOf,
} from './id-lists.ts'
import type { IdList } from './id-lists.ts'

const listOf = (ids: readonly string[]): IdList => atOnce(sortedIds(ids))
const textsOf = (list: IdList): readonly string[] => [...idsOf(list)].flat()
const withIds = (sorted: readonly string[], gone: readonly string[], come: readonly string[]): readonly string[] =>
  textsOf(atOnce(stepsOf(listOf(sorted), gone, come)))
const listedDifference = (served: readonly string[], ids: readonly string[], published: string) =>
  atOnce(differenceSteps(listOf(served), listOf(ids), published))

const id = fc.constantFrom('', 'a', 'b', 'b-1', 'c', 'd', 'Z', '10', '9')

describe('sorting and hashing in small steps', () => {
  it.each([0, 1, 1_023, 1_024, 1_025, 5_000])('of %d IDs come to the same as in one go', count => {
    const ids = Array.from({ length: count }, (_, i) => `ns/web-${(i * 7_919) % 4_000}:r`)
    const sorted = listOf(ids)
    expect(textsOf(sorted)).toEqual([...ids].sort())
    expect(sorted).toHaveLength(count)
    expect(atOnce(sortedChecksum(sorted))).toBe(idsChecksum(ids))
  })

  it('leave out empty IDs, and take others than short ASCII', () => {
    const ids = ['ä', '', 'x'.repeat(70_000), 'b', '', 'a', '\u{1f600}']
    const sorted = listOf(ids)
    expect(textsOf(sorted)).toEqual(ids.filter(i => i !== '').sort())
    expect(atOnce(sortedChecksum(sorted))).toBe(idsChecksum(ids))
    expect(textsOf(atOnce(stepsOf(sorted, ['ä', 'x'.repeat(70_000)], ['ö'])))).toEqual(['a', 'b', 'ö', '\u{1f600}'])
  })

  it('take at least a step for every thousand', () => {
    const ids = Array.from({ length: 10_000 }, (_, i) => String((i * 7_919) % 10_000).padStart(5, '0'))
    expect([...sortedIds(ids)].length).toBeGreaterThanOrEqual(40)
    const sorted = listOf(ids)
    expect([...sortedChecksum(sorted)].length).toBeGreaterThanOrEqual(9)
    expect(
      [
        ...stepsOf(
          sorted,
          ids.slice(0, 5_000),
          ids.slice(0, 5_000).map(id => `${id}x`),
        ),
      ].length,
    ).toBeGreaterThan(15)
  })
})

describe('withIds', () => {
  it('is taking away, adding and sorting, duplicates counted', () => {
    fc.assert(
      fc.property(fc.array(id, { size: 'large' }), fc.array(id, { size: 'large' }), fc.nat(), (start, come, take) => {
        const sorted = start.filter(i => i !== '').sort()
        const gone = sorted.slice(0, take % (sorted.length + 1))
        const expected = [...sorted.slice(gone.length), ...come.filter(i => i !== '')].sort()
        expect(withIds(sorted, gone, come)).toEqual(expected)
      }),
    )
  })

  it('many changes at once come to the same', () => {
    const name = (n: number): string => `ns/web-${n}:r`
    const numbers = Array.from({ length: 5_000 }, (_, i) => i)
    const sorted = numbers.map(name).sort()
    const gone = numbers.filter(n => n % 3 === 0).map(name)
    const come = [...numbers.filter(n => n % 3 === 0).map(n => `${name(n)}2`), name(1)]
    const expected = [...sorted.filter(i => !gone.includes(i)), ...come].sort()
    expect(withIds(sorted, gone, come)).toEqual(expected)
  })

  it('returns the same list if nothing changes: its checksum is known', () => {
    const sorted = listOf(['a', 'b'])
    expect(atOnce(stepsOf(sorted, ['a', ''], ['a', '']))).toBe(sorted)
  })

  it('does not touch the list it was given', () => {
    const sorted = listOf(['a', 'c'])
    expect(textsOf(atOnce(stepsOf(sorted, ['a'], ['b'])))).toEqual(['b', 'c'])
    expect(textsOf(sorted)).toEqual(['a', 'c'])
  })

  it('writes anew only what lies around a change', () => {
    const ids = Array.from({ length: 20_000 }, (_, i) => `ns/web-${String(i).padStart(5, '0')}:r`)
    const before = listOf(ids)
    const after = atOnce(stepsOf(before, ['ns/web-07000:r'], ['ns/web-07000:s', 'ns/web-15000:s']))
    const fresh = after.pieces.filter(piece => !before.pieces.includes(piece))
    expect(before.pieces.length).toBeGreaterThan(30)
    expect(fresh.length).toBeLessThanOrEqual(4)
    expect(after.length).toBe(20_001)
  })

  it('stays in few pieces whatever comes and goes, the same ID in one', () => {
    const ids = Array.from({ length: 20_000 }, (_, i) => `ns/web-${String(i).padStart(5, '0')}:r`)
    const few = atOnce(
      stepsOf(
        listOf(ids),
        ids.filter((_, i) => i % 100 !== 0),
        [],
      ),
    )
    expect(textsOf(few)).toEqual(ids.filter((_, i) => i % 100 === 0))
    expect(few.pieces).toHaveLength(1)
    const same = listOf([...ids.slice(0, 600), ...new Array<string>(3_000).fill(ids[300]!)])
    const left = textsOf(atOnce(stepsOf(same, new Array<string>(2_999).fill(ids[300]!), [])))
    expect(left.length).toBe(601)
    expect(left).toEqual([...ids.slice(0, 600), ids[300]!].sort())
  })
})

describe('listedDifference', () => {
  const served = ['a', 'b', 'c']

  it.each([
    ['a missing one', ['a', 'c'], ['a', 'b', 'c'], 'b'],
    ['one too many', ['a', 'b', 'c', 'x'], ['a', 'b', 'c'], 'x'],
    ['one of several differences that alone explains it', ['a', 'y'], ['a', 'b', 'y'], 'b'],
    ['the first one missing', ['b', 'c'], ['a', 'b', 'c'], 'a'],
    ['the last one missing', ['a', 'b'], ['a', 'b', 'c'], 'c'],
    ['the first one too many', ['Z', 'a', 'b', 'c'], ['a', 'b', 'c'], 'Z'],
    ['the only one too many', ['x'], [], 'x'],
    ['one that is there twice', ['a', 'b', 'c', 'x', 'x'], ['a', 'b', 'c', 'x'], 'x'],
  ])('finds %s', (_name, ids, published, suspect) => {
    expect(listedDifference(served, ids, idsChecksum(published)).suspect).toBe(suspect)
  })

  it('names no suspect where several differ and none explains it', () => {
    const { suspect, text } = listedDifference(served, ['a', 'x', 'y'], idsChecksum(['q']))
    expect(suspect).toBeNull()
    expect(text).toBe('; no longer there: b, c; not served before: x, y')
  })

  it('finds what trying every ID would find', () => {
    fc.assert(
      fc.property(fc.array(id), fc.array(id), fc.nat(), (one, other, n) => {
        const sorted = (list: readonly string[]): readonly string[] => list.filter(i => i !== '').sort()
        const [from, ids] = [sorted(one), sorted(other)]
        const missing = from.filter(i => !ids.includes(i))
        const unexpected = ids.filter(i => !from.includes(i))
        const candidates = [...missing, ...unexpected]
        const wanted = candidates[n % (candidates.length + 1)]
        if (wanted === undefined) return
        const published = idsChecksum(missing.includes(wanted) ? [...ids, wanted] : withIds(ids, [wanted], []))
        expect(listedDifference(from, ids, published).suspect).toBe(wanted)
      }),
    )
  })

  it('is found in long lists that differ in much, and takes hardly more steps where they are twice as long', () => {
    const name = (n: number): string => `namespace/web-${String(n).padStart(6, '0')}:revision`
    const lists = (length: number): readonly [readonly string[], readonly string[]] => {
      const served = Array.from({ length }, (_, i) => name(i))
      return [served, served.filter((_, i) => i % 1_000 !== 500)]
    }
    const steps = (length: number): number => {
      const [served, ids] = lists(length)
      return [...differenceSteps(listOf(served), listOf(ids), 'x')].length
    }
    const [served, ids] = lists(50_000)
    expect(listedDifference(served, ids, idsChecksum([...ids, name(500)])).suspect).toBe(name(500))
    expect(listedDifference(served, ids, 'x').suspect).toBeNull()
    expect(steps(50_000) / steps(25_000)).toBeLessThan(1.5)
  })

  it('cuts long lists', () => {
    const many = Array.from({ length: 50 }, (_, i) => `id-${i + 10}`)
    const { text } = listedDifference([], many, 'x')
    expect(text).toContain('id-29, …')
    expect(text).not.toContain('id-30')
  })
})
