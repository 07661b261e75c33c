import { describe, expect, it } from '@jest/globals'
import { SETTINGS } from '../rollout/machine/testing.ts'
import { removeStamps, restoreStamps, stampFor, wasStamped } from './stamps.ts'
import { CLOSED_POLICY, HAND, NOBODY, POLICY, ingress, record, secret } from './testing.ts'
import type { StampTexts } from './testing.ts'

const rolling = record({ update: 'v2', index: 2 })
const all = {
  'x/ingress-rollout': 'true',
  'x/ingress-rollout-current-revision': 'v1',
  'x/ingress-rollout-update-revision': 'v2',
  'x/ingress-rollout-index-id': '2',
}
const texts = { flag: 'true', current: 'v1', update: 'v2', index: '2' }

describe('stampFor', () => {
  it('says what the record says', () => {
    expect(stampFor(rolling, 'x')).toEqual(all)
    expect(stampFor(record({ key: 'Secret/shop/tls', update: 'v1' }))).toMatchObject({
      'nginx.ingress.kubernetes.io/secret-rollout': 'true',
      'nginx.ingress.kubernetes.io/secret-rollout-index-id': '-1',
    })
  })

  it('removes what there is not', () => {
    expect(stampFor(record({ current: null, index: 0 }), 'x')).toEqual({
      'x/ingress-rollout': 'true',
      'x/ingress-rollout-current-revision': null,
      'x/ingress-rollout-update-revision': null,
      'x/ingress-rollout-index-id': '0',
    })
  })
})

describe('wasStamped', () => {
  it.each([
    ['begun, on no pod yet', { update: 'v2', index: 0 }, false],
    ['the first of a new object', { current: null, update: 'v1', index: 0 }, false],
    ['on a pod', { update: 'v2', index: 1 }, true],
    ['on all', { update: 'v2', index: -1 }, true],
    ['complete', { update: 'v1' }, true],
    ['taken back', { update: 'v1', index: 0 }, true],
    ['by hand, on no pod', { byHand: true, update: 'mine', index: 0 }, true],
    ['by hand, the flag alone', { byHand: true, update: null }, true],
  ] as const)('%s', (_what, change, wanted) => {
    expect(wasStamped(record(change))).toBe(wanted)
  })
})

describe('restoreStamps', () => {
  it('writes all where the important ones were lost', () => {
    expect(restoreStamps(ingress('v3'), POLICY, rolling, 'x')).toEqual(all)
    expect(restoreStamps(ingress('v2', { ...texts, index: undefined }), POLICY, rolling, 'x')).toEqual(all)
    expect(restoreStamps(ingress('v2', { ...texts, update: undefined, index: '-1' }), POLICY, rolling, 'x')).toEqual(
      all,
    )
  })

  it('writes only what is missing of the others', () => {
    expect(restoreStamps(ingress('v2', { ...texts, flag: undefined, index: '3' }), POLICY, rolling, 'x')).toEqual({
      'x/ingress-rollout': 'true',
    })
    expect(restoreStamps(ingress('v2', { ...texts, current: undefined }), POLICY, rolling, 'x')).toEqual({
      'x/ingress-rollout-current-revision': 'v1',
    })
  })

  it('writes what an earlier leader stored and did not come to write', () => {
    const back = record({ update: 'v1', index: 0, refused: ['v2'] })
    const released = record({ current: 'v2', update: 'v2', index: -1 })
    const moved = record({ update: 'v2', index: 3, rollout: { revision: 'v2', settings: SETTINGS, indexBefore: 2 } })
    for (const now of [back, released, moved]) {
      expect(restoreStamps(ingress('v2', texts), POLICY, now, 'x')).toEqual(stampFor(now, 'x'))
      // What differs since they agreed is somebody else's.
      expect(restoreStamps(ingress('v2', texts), POLICY, now, 'x', true)).toBeNull()
      expect(restoreStamps(ingress('v2', texts), HAND, now, 'x')).toBeNull()
    }
    // A person moved it meanwhile, or wrote something of his own; or the leader before saw that he did.
    const blocked = { reason: 'ManualIndex', message: '', approvedBefore: 0 } as const
    const asked = record({ update: 'v2', index: 3, rollout: { ...moved.rollout!, blocked } })
    expect(restoreStamps(ingress('v2', texts), POLICY, asked, 'x')).toBeNull()
    expect(restoreStamps(ingress('v2', { ...texts, index: '5' }), POLICY, moved, 'x')).toBeNull()
    expect(restoreStamps(ingress('v2', { ...texts, update: 'mine' }), POLICY, back, 'x')).toBeNull()
  })

  it('leaves what is there, what a person said, and what was never stamped', () => {
    expect(restoreStamps(ingress('v2', texts), POLICY, rolling, 'x')).toBeNull()
    expect(restoreStamps(ingress('v2', { flag: 'false' }), POLICY, rolling, 'x')).toBeNull()
    expect(restoreStamps(ingress('v2', { flag: 'yes' }), POLICY, rolling, 'x')).toBeNull()
    expect(restoreStamps(ingress('v2', { ...texts, index: 'abc', update: undefined }), POLICY, rolling, 'x')).toBeNull()
    expect(restoreStamps(ingress('v1'), POLICY, record(), 'x')).toBeNull()
    expect(restoreStamps(ingress('v2'), POLICY, { ...rolling, governed: false }, 'x')).toBeNull()
  })

  it('keeps somebody who drives by hand before his first revision', () => {
    expect(restoreStamps(ingress('v1'), POLICY, record({ byHand: true }), 'x')).toEqual({ 'x/ingress-rollout': 'true' })
  })
})

describe('removeStamps', () => {
  it('removes ours after the policy is gone, nobody else’s', () => {
    const left = record({ governed: false, seen: 'v2' })
    expect(removeStamps(ingress('v2', texts), NOBODY, left, 'x')).toEqual(
      Object.fromEntries(Object.keys(all).map(name => [name, null])),
    )
    expect(removeStamps(ingress('v2', texts), HAND, left, 'x')).toBeNull()
    expect(removeStamps(ingress('v2', { ...texts, flag: 'false' }), NOBODY, left, 'x')).toBeNull()
    expect(removeStamps(secret('v2', texts), NOBODY, null, 'x')).toBeNull()
  })
})

describe('restoreStamps where nobody but the operator drives', () => {
  const restore = (texts: StampTexts, of = rolling): unknown =>
    restoreStamps(ingress('v2', texts), CLOSED_POLICY, of, 'x')

  it('writes whatever differs from the record, valid or not', () => {
    expect(restore(texts)).toBeNull()
    expect(restore({ ...texts, index: '-1' })).toEqual({ 'x/ingress-rollout-index-id': String(rolling.index) })
    expect(restore({ ...texts, index: 'all of them' })).toEqual({ 'x/ingress-rollout-index-id': String(rolling.index) })
    expect(restore({ ...texts, update: 'v9' })).toEqual({ 'x/ingress-rollout-update-revision': 'v2' })
    expect(restore({})).toEqual(all)
  })

  it('removes what a manifest brought along before anything was rolled out', () => {
    const copied = { flag: 'true', current: 'v2', update: 'v2', index: '-1' }
    expect(restore(copied, record())).toEqual({
      'x/ingress-rollout-current-revision': null,
      'x/ingress-rollout-update-revision': null,
      'x/ingress-rollout-index-id': null,
    })
    expect(restore({}, record())).toBeNull()
  })

  it('leaves the flag to whoever wrote it', () => {
    expect(restore({ ...texts, flag: 'false' })).toBeNull()
    expect(restore({ ...texts, flag: undefined })).toEqual({ 'x/ingress-rollout': 'true' })
    expect(restore({ ...texts, index: '9' }, { ...rolling, governed: false })).toBeNull()
  })
})
