import { describe, expect, it } from '@jest/globals'
import { governanceOf } from './governance.ts'
import { ingress, record } from './testing.ts'
import type { StampTexts } from './testing.ts'
import type { ReleaseRecord } from './types.ts'

const strict = { name: 'p', allowOptOut: false, allowManualIndex: false }
const lenient = { name: 'p', allowOptOut: true, allowManualIndex: true }
const ours = { flag: 'true', current: 'v1', update: 'v2', index: '2' }

const cases: readonly {
  readonly name: string
  readonly stamp: StampTexts
  readonly policy: typeof strict | null
  readonly record?: ReleaseRecord
  readonly by: 'none' | 'hand' | 'policy'
  readonly hold?: string
}[] = [
  { name: 'nothing', stamp: {}, policy: null, by: 'none' },
  { name: 'flag true', stamp: { flag: 'true' }, policy: null, by: 'hand' },
  { name: 'flag T, as Go reads it', stamp: { flag: 'T' }, policy: null, by: 'hand' },
  { name: 'flag false', stamp: { flag: '0' }, policy: null, by: 'none' },
  { name: 'flag yes', stamp: { flag: 'yes' }, policy: null, by: 'hand', hold: 'InvalidFlag' },
  { name: 'index without a flag', stamp: { index: '3' }, policy: null, by: 'none' },
  { name: 'policy', stamp: {}, policy: strict, by: 'policy' },
  { name: 'policy and flag yes', stamp: { flag: 'yes' }, policy: strict, by: 'policy', hold: 'InvalidFlag' },
  { name: 'policy refuses opting out', stamp: { flag: 'false' }, policy: strict, by: 'policy', hold: 'OptOutRefused' },
  { name: 'policy allows opting out', stamp: { flag: 'false' }, policy: lenient, by: 'none' },
  { name: 'policy allows opting out, flag true', stamp: { flag: 'true' }, policy: lenient, by: 'policy' },
  {
    name: 'flag lost where somebody drives by hand',
    stamp: {},
    policy: null,
    record: record({ byHand: true }),
    by: 'hand',
    hold: 'StampMissing',
  },
  {
    name: 'flag false ends driving by hand',
    stamp: { flag: 'false' },
    policy: null,
    record: record({ byHand: true }),
    by: 'none',
  },
  {
    name: 'our stamp outlives the policy',
    stamp: ours,
    policy: null,
    record: record({ update: 'v2', index: 2 }),
    by: 'none',
  },
  {
    name: 'our stamp of a revision that was taken back',
    stamp: ours,
    policy: null,
    record: record({ refused: ['v2'], update: 'v1', index: 0 }),
    by: 'none',
  },
  {
    name: 'our stamp, noted as ungoverned',
    stamp: { ...ours, update: 'v1' },
    policy: null,
    record: record({ governed: false, seen: 'v2' }),
    by: 'none',
  },
  {
    name: 'somebody else’s stamp after the policy',
    stamp: { ...ours, update: 'release-8' },
    policy: null,
    record: record({ update: 'v2', index: 2 }),
    by: 'hand',
  },
  {
    name: 'a stamp on an object that was never governed',
    stamp: ours,
    policy: null,
    record: record({ governed: false }),
    by: 'hand',
  },
]

describe('governanceOf', () => {
  it.each(cases)('$name', ({ stamp, policy, record: of, by, hold }) => {
    const decision = governanceOf(ingress('v2', stamp), policy, of ?? null)
    expect(decision.governance.by).toBe(by)
    expect(decision.hold?.reason).toBe(hold)
  })
})
