import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { HAND, NOBODY, POLICY } from '../assign/testing.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { FINALIZER, wantedFinalizers } from './finalizer.ts'
import { viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const gone = { deleting: true, finalizers: [FINALIZER] } as const
const ABSENT = ABSENT_REVISION
const yes = true
const no = false

/** What it is about, the view, whether a rollout is on its way, whether the finalizer is to be there. */
const cases: readonly (readonly [string, ViewOf, boolean, boolean])[] = [
  ['governed, released', {}, no, yes],
  ['governed, released, on its way', { record: { update: 'v2', index: 1 } }, yes, yes],
  ['governed, created, on its way', { content: 'v2', record: { current: null, update: 'v2', index: 0 } }, yes, yes],
  ['governed, created, nothing on its way', { record: { current: null } }, yes, no],
  ['governed, not recorded yet', { record: null }, no, no],
  ['governed, recorded as not governed yet', { record: { governed: false } }, no, no],
  ['governed by hand, released', { governance: HAND, record: { byHand: true } }, no, no],
  ['governed by hand, stamped', { governance: HAND, record: { byHand: true, update: 'v1' } }, no, yes],
  ['not governed', { governance: NOBODY, record: { governed: false } }, no, no],
  ['policy gone, not noted yet', { governance: NOBODY }, no, no],
  ['its namespace is being deleted', { namespaceTerminating: true }, no, no],
  ['deleted, nothing rolled out yet', { content: ABSENT, source: gone }, yes, yes],
  ['deleted, and had no finalizer: too late', { content: ABSENT, source: { ...gone, finalizers: ['other'] } }, no, no],
  ['deleted, on its way out', { content: ABSENT, source: gone, record: { update: ABSENT, index: 1 } }, yes, yes],
  [
    'deleted, released, not confirmed',
    { content: ABSENT, source: gone, record: { current: ABSENT, update: ABSENT } },
    yes,
    yes,
  ],
  [
    'deleted, released, confirmed',
    { content: ABSENT, source: gone, record: { current: ABSENT, update: ABSENT } },
    no,
    no,
  ],
  ['deleted before anything of it was released', { content: ABSENT, source: gone, record: { current: null } }, no, no],
  [
    'deleted while it was on its way, and taken back',
    { content: ABSENT, source: gone, record: { current: null, update: ABSENT, index: 0 } },
    no,
    no,
  ],
  [
    'deletion refused',
    { content: ABSENT, source: gone, record: { refused: [ABSENT], update: 'v1', index: 0 } },
    no,
    yes,
  ],
  [
    'deletion refused, policy gone',
    { content: ABSENT, source: gone, governance: NOBODY, record: { refused: [ABSENT], governed: false } },
    no,
    yes,
  ],
  [
    'deletion not refused, policy gone',
    { content: ABSENT, source: gone, governance: NOBODY, record: { governed: false } },
    no,
    no,
  ],
  [
    'left our class, released',
    { content: ABSENT, source: { deleting: false, ours: false }, record: { current: ABSENT, update: ABSENT } },
    yes,
    no,
  ],
  [
    'left our class, on its way out',
    { content: ABSENT, source: { deleting: false, ours: false }, record: { update: ABSENT, index: 1 } },
    yes,
    yes,
  ],
]

describe('the finalizer', () => {
  it.each(cases)('%s', (_what, of, rollingOut, wanted) => {
    const without = viewOf(of)
    const present = without.source?.finalizers.includes(FINALIZER) === true
    expect(wantedFinalizers(without, rollingOut).includes(FINALIZER)).toBe(wanted)
    // What is there and right stays the same list: nothing is written.
    if (present === wanted) expect(wantedFinalizers(without, rollingOut)).toBe(without.source?.finalizers)
  })

  it.each(cases)('leaves those of others alone: %s', (_what, of, rollingOut) => {
    const before = viewOf(of).source?.finalizers ?? []
    for (const others of [['a'], ['a', 'b']]) {
      const source = { ...of.source, finalizers: [...others, ...before.filter(name => name === FINALIZER)] }
      const wanted = wantedFinalizers(viewOf({ ...of, source }), rollingOut)
      expect(wanted.filter(name => name !== FINALIZER)).toEqual(others)
    }
  })

  it('is never put on a Secret, nor on an object that is being deleted', () => {
    for (const [, of] of cases) {
      for (const rollingOut of [true, false]) {
        const view = viewOf(of)
        const secret: ObjectView = { ...view, key: 'Secret/shop/tls' }
        expect(wantedFinalizers(secret, rollingOut)).not.toContain(FINALIZER)
        const { source } = view
        if (source === null) continue
        const deleting: ObjectView = { ...view, source: { ...source, deleting: true, finalizers: [] } }
        expect([view.record, wantedFinalizers(deleting, rollingOut)]).toEqual([view.record, []])
      }
    }
  })

  it('is nobody’s where there is no object', () => {
    expect(wantedFinalizers(viewOf({ content: null, governance: POLICY }))).toEqual([])
  })
})
