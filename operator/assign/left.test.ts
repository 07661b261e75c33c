/** Rollout annotations that stand on a Secret and drive nothing: those of an older operator, and of people under a policy. */
import { describe, expect, it } from '@jest/globals'
import { governanceOf } from './governance.ts'
import { noted } from './records.ts'
import { removeStamps, restoreStamps } from './stamps.ts'
import { CLOSED_POLICY, HAND, NOBODY, ingress, planOf, record, secret } from './testing.ts'
import type { StampTexts } from './testing.ts'
import { stampText, withLeft } from './left.ts'
import type { Governance, ReleaseRecord } from './types.ts'

const KEY = 'Secret/shop/tls'
const OLD: StampTexts = { flag: 'true', current: 'v1', update: 'v2', index: '1' }
const OTHER: StampTexts = { ...OLD, index: '2' }
const of = (change: Partial<ReleaseRecord> = {}): ReleaseRecord => record({ key: KEY, ...change })
const note = (content: string, texts: StampTexts, governance: Governance, known: ReleaseRecord): ReleaseRecord => {
  const object = secret(content, texts)
  const plan = planOf(object, governance, known)
  return noted({ object, governance, record: known, plan, invalid: false, fresh: false }) ?? known
}

describe('annotations left on a Secret', () => {
  it('are neither written, nor restored, nor removed, but where a person drives', () => {
    const known = of({ update: 'v2', index: 1 })
    expect(restoreStamps(secret('v2'), CLOSED_POLICY, known, 'x')).toBeNull()
    expect(restoreStamps(secret('v2', OTHER), CLOSED_POLICY, known, 'x')).toBeNull()
    expect(removeStamps(secret('v2', OLD), NOBODY, known, 'x')).toBeNull()
    expect(restoreStamps(secret('v2'), HAND, { ...known, byHand: true }, 'x')).not.toBeNull()
  })

  it.each<[string, StampTexts, Governance, boolean]>([
    ['under a policy', OLD, CLOSED_POLICY, true],
    ['where nobody governs', OLD, NOBODY, true],
    ['where a person drives by them', OLD, HAND, false],
    ['without a flag', { update: 'v2' }, CLOSED_POLICY, false],
  ])('are remembered: %s', (_, texts, governance, expected) => {
    const object = secret('v2', texts)
    expect(withLeft(of(), object, governance).left).toBe(expected ? stampText(object) : undefined)
    expect(withLeft(of({ left: 'before' }), object, governance).left).toBe(expected ? stampText(object) : undefined)
  })

  it('are no matter for Ingresses, and the record stays the same one where nothing differs', () => {
    const [web, known] = [ingress('v1', OLD), record()]
    expect(withLeft(known, web, CLOSED_POLICY)).toBe(known)
    const left = withLeft(of(), secret('v1', OLD), CLOSED_POLICY)
    expect(withLeft(left, secret('v1', OLD), CLOSED_POLICY)).toBe(left)
  })

  it('do not begin to drive when the policy goes, however many revisions came after them', () => {
    const governed = note('v9', OLD, CLOSED_POLICY, of({ current: 'v9' }))
    expect(governed.left).toBe(stampText(secret('v9', OLD)))
    const now = secret('v9', OLD)
    expect(governanceOf(now, null, governed).governance).toEqual(NOBODY)
    const free = note('v9', OLD, NOBODY, governed)
    expect(free).toMatchObject({ governed: false, current: 'v9', left: governed.left })
    // A renewal later goes out as of any Secret that nobody governs.
    const next = secret('v10', OLD)
    expect(governanceOf(next, null, free).governance).toEqual(NOBODY)
    expect(planOf(next, NOBODY, free)).toMatchObject({ current: 'v10', hold: null })
    expect(note('v10', OLD, NOBODY, free)).toMatchObject({ current: 'v10', left: governed.left })
  })

  it('drive again once a person writes others', () => {
    const free = note('v9', OLD, NOBODY, note('v9', OLD, CLOSED_POLICY, of({ current: 'v9' })))
    expect(governanceOf(secret('v9', OTHER), null, free).governance).toEqual(HAND)
    expect(note('v9', OTHER, HAND, free)).toMatchObject({ byHand: true, governed: true })
    expect(note('v9', OTHER, HAND, free).left).toBeUndefined()
  })

  it('do not move what a policy governs, also where it lets people drive Ingresses', () => {
    const policy = { name: 'p', allowOptOut: false, allowManualIndex: true }
    expect(governanceOf(secret('v1', OLD), policy, of()).governance).toMatchObject({ by: 'policy', manual: false })
    expect(governanceOf(ingress('v1', OLD), policy, record()).governance).toMatchObject({ by: 'policy', manual: true })
  })
})
