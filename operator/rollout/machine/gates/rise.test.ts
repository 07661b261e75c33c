import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { batchChances } from '../statistics.ts'
import type { Sample } from '../statistics.ts'
import { compareRise, compareShare, evidenceOf, ownPast, reference } from './rise.ts'
import type { Evidence } from './rise.ts'
import { baked, input } from './testing.ts'

const sample = (count: number, total: number): Sample => ({ count, total })
const DECISIVE: Evidence = { enough: 100, decisive: true, chances: batchChances(1), dispersion: 1 }

describe('reference', () => {
  const name = (update: number, stable: number, before: number): string | undefined =>
    reference(sample(0, update), sample(0, stable), sample(0, before), 100, null)?.name
  it.each([
    ['stable pods', 'as many', [500, 500, 500]],
    ['stable pods', 'one pod of ten is left', [9_000, 1_000, 5_000]],
    ['before the rollout', 'too few', [500, 99, 500]],
    ['before the rollout', 'the last batch: what was stable until it confirmed', [60_000, 400, 6_000]],
    ['stable pods', 'nor was there more before', [60_000, 400, 300]],
    ['stable pods', 'neither, and there is more of these', [500, 99, 98]],
    ['before the rollout', 'neither, and there is more of that', [500, 19, 20]],
    [undefined, 'hardly any', [500, 19, 19]],
  ] as const)('%s: %s', (expected, _, [update, stable, before]) => {
    expect(name(update, stable, before)).toBe(expected)
  })
})

describe('what was counted in the same time', () => {
  const name = (stable: Sample, before: Sample, past: Sample | null = null, sameTime = true) =>
    reference(sample(9, 40), stable, before, 100, null, past, sameTime)?.name
  it.each<[string, string, Sample, Sample, (Sample | null)?, boolean?]>([
    ['stable pods', 'a few of them fail as they never did', sample(5, 20), sample(1, 500), null, true],
    ['stable pods', 'by what the pods did before that', sample(2, 20), sample(0, 30), sample(2, 900), true],
    ['before the rollout', 'hardly any', sample(5, 19), sample(1, 500), null, true],
    ['before the rollout', 'a few of them do as they always did', sample(1, 60), sample(5, 500), null, true],
    ['before the rollout', 'they may have been counted at another time', sample(5, 20), sample(1, 500), null, false],
    ['stable pods', 'enough of them, whatever they do', sample(0, 100), sample(1, 500), null, true],
  ])('%s: %s', (expected, _, stable, before, past = null, sameTime = true) => {
    expect(name(stable, before, past, sameTime)).toBe(expected)
  })

  it('is no more evidence than it is', () => {
    const found = reference(sample(9, 40), sample(5, 20), sample(1, 500), 100, null, null, true)
    expect(found).toMatchObject({ total: 20, isThin: true })
  })
})

describe('what the same pods showed in the last quarter of an hour', () => {
  const name = (before: number, past: number): string | undefined => {
    const found = reference(sample(0, 500), sample(0, 0), sample(0, before), 100, null, sample(1, past))
    return found === null ? undefined : `${found.name} ${found.total}`
  }
  it.each([
    ['before the rollout 100', 'a minute that is enough is nearer', [100, 1_000]],
    ['before the rollout 1000', 'is more than a minute that is not', [99, 1_000]],
    ['before the rollout 99', 'or less', [99, 50]],
    [undefined, 'hardly any', [5, 19]],
  ] as const)('%s: %s', (expected, _, [before, past]) => {
    expect(name(before, past)).toBe(expected)
  })
})

describe('a handful of stable requests', () => {
  it('is no measure of how the others moved: what fails on nearly all still fails', () => {
    const [update, stable] = [sample(48_000, 60_000), sample(0, 8)]
    const own = ownPast(update, stable, sample(10, 10_000), sample(40, 40_000))
    const against = reference(update, stable, sample(50, 50_000), 100, own)
    expect(against?.name).toBe('before the rollout')
    expect(against === null ? null : compareRise(update, against, 0.5, DECISIVE)).toBe('above')
  })
})

describe('difference in differences', () => {
  /** The update's pods and the stable ones in the window, and both before the rollout. */
  type Figures = readonly [Sample, Sample, Sample, Sample]
  const verdict = ([update, stable, updateBefore, stableBefore]: Figures, limit = 0.5): string => {
    const own = ownPast(update, stable, updateBefore, stableBefore)
    const against = reference(update, stable, null, 100, own)
    return against === null ? 'none' : compareRise(update, against, limit, DECISIVE)
  }
  const FINE = sample(8, 4_000)

  it.each<[string, string, Figures]>([
    ['above', 'a fault that was not there before', [sample(50, 1_000), FINE, sample(20, 10_000), sample(80, 40_000)]],
    ['above', 'nobody knows what was before', [sample(50, 1_000), FINE, sample(0, 0), sample(0, 0)]],
    ['above', 'only the update’s pods are new', [sample(50, 1_000), FINE, sample(0, 0), sample(80, 40_000)]],
    [
      'within',
      'a client that was stuck to that pod before',
      [sample(42, 1_000), FINE, sample(420, 10_000), sample(80, 40_000)],
    ],
    ['within', 'a short past that shows it plainly', [sample(42, 1_000), FINE, sample(17, 400), sample(3, 1_600)]],
    ['above', 'a short past that shows nothing', [sample(42, 1_000), FINE, sample(1, 200), sample(2, 800)]],
    ['above', 'a fault beside a stuck client', [sample(92, 1_000), FINE, sample(420, 10_000), sample(80, 40_000)]],
    [
      'within',
      'an outage that began meanwhile, on all pods, on this one a little more',
      [sample(540, 1_000), sample(2_000, 4_000), sample(420, 10_000), sample(80, 40_000)],
    ],
    [
      'above',
      'an outage that is over on the stable pods alone',
      [sample(300, 1_000), FINE, sample(5_000, 10_000), sample(20_000, 40_000)],
    ],
    [
      'above',
      'a past that chance made a little worse hides nothing',
      [sample(240, 12_000), sample(1_080, 108_000), sample(60, 4_500), sample(405, 40_500)],
    ],
    [
      'unsure',
      'a past that chance hardly made so much worse',
      [sample(240, 12_000), sample(1_080, 108_000), sample(72, 4_500), sample(405, 40_500)],
    ],
    [
      'unsure',
      'worse than the others, hardly worse than before',
      [sample(55, 1_000), FINE, sample(400, 10_000), sample(80, 40_000)],
    ],
  ])('%s: %s', (expected, _, figures) => {
    expect(verdict(figures)).toBe(expected)
  })

  it('an absolute limit counts what the update added', () => {
    const own = ownPast(sample(42, 1_000), FINE, sample(420, 10_000), sample(80, 40_000))
    expect(compareShare(sample(42, 1_000), { ...FINE, name: 'stable pods', isThin: false, own }, 1, DECISIVE)).toBe(
      'within',
    )
    expect(
      compareShare(sample(42, 1_000), { ...FINE, name: 'stable pods', isThin: false, own: null }, 1, DECISIVE),
    ).toBe('above')
  })

  it('whatever was before: what is no worse than stable is never above, and what is as before neither', () => {
    const share = fc.integer({ min: 0, max: 1_000 })
    fc.assert(
      fc.property(share, share, share, fc.constantFrom(0, 0.5, 25), (a, b, c, limit) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        const noWorse: Figures = [sample(low, 1_000), sample(high * 4, 4_000), sample(c, 1_000), sample(a, 4_000)]
        expect(verdict(noWorse, limit)).toBe('within')
        const asBefore: Figures = [
          sample(high, 1_000),
          sample(low * 4, 4_000),
          sample(high * 9, 9_000),
          sample(low * 9, 9_000),
        ]
        expect(verdict(asBefore, limit)).not.toBe('above')
      }),
    )
  })
})

describe('looks', () => {
  const at = (total: number, taken: number, last: number): Evidence =>
    evidenceOf({ ...baked({}), looks: { successRate: { taken, total: last } } }, 'successRate', 'failures', total, 100)

  it('are decisive after the bake, with enough, and again whenever that has doubled', () => {
    expect([99, 100, 5_000].map(total => at(total, 0, 0).decisive)).toEqual([false, true, true])
    expect([120, 199, 200].map(total => at(total, 1, 100).decisive)).toEqual([false, false, true])
    expect(evidenceOf(input({}), 'successRate', 'failures', 5_000, 100).decisive).toBe(false)
  })

  it('spend a budget: all of them together no more than twice the first', () => {
    const spent = [0, 1, 2, 3, 4, 5, 6, 7].map(taken => at(1e6, taken, 1).chances.likely)
    expect(spent.reduce((sum, chance) => sum + chance, 0)).toBeLessThan(2 * batchChances(1).likely)
  })

  it('bunched events are fewer', () => {
    const [update, against] = [
      sample(30, 1_000),
      { ...sample(20, 4_000), name: 'stable pods', isThin: false, own: null },
    ]
    expect(compareRise(update, against, 0.5, DECISIVE)).toBe('above')
    expect(compareRise(update, against, 0.5, { ...DECISIVE, dispersion: 5 })).toBe('unsure')
  })
})
