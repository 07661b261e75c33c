import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { HAND, NOBODY, POLICY } from '../assign/testing.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { FINALIZER, wantedFinalizers } from './finalizer.ts'
import { viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const gone = { deleting: true, finalizers: [FINALIZER] } as const
const ABSENT = ABSENT_REVISION
const DRIVEN = { byHand: true, update: 'v1' }
const yes = true
const no = false

/** What it is about, the view, whether the finalizer is to be there. */
const cases: readonly (readonly [string, ViewOf, boolean])[] = [
  ['governed, released', {}, no],
  ['governed, on its way', { record: { update: 'v2', index: 1 } }, no],
  ['governed, of an older operator that set it', { source: { finalizers: [FINALIZER] } }, no],
  [
    'governed, deleted, held by an older operator',
    { content: ABSENT, source: gone, record: { refused: [ABSENT] } },
    no,
  ],
  ['driven by hand, not yet', { governance: HAND, record: { byHand: true } }, no],
  ['driven by hand', { governance: HAND, record: DRIVEN }, yes],
  ['driven by hand, not recorded yet', { governance: HAND, record: null }, no],
  ['driven by hand, recorded as not governed', { governance: HAND, record: { ...DRIVEN, governed: false } }, no],
  ['driven by hand, deleted', { content: ABSENT, source: gone, governance: HAND, record: DRIVEN }, yes],
  [
    'driven by hand, deleted, on its way out',
    { content: ABSENT, source: gone, governance: HAND, record: { ...DRIVEN, update: ABSENT, index: 1 } },
    yes,
  ],
  [
    'driven by hand, deleted everywhere',
    { content: ABSENT, source: gone, governance: HAND, record: { byHand: true, current: ABSENT, update: ABSENT } },
    no,
  ],
  [
    'driven by hand, deleted, and had no finalizer: too late',
    { content: ABSENT, source: { ...gone, finalizers: ['other'] }, governance: HAND, record: DRIVEN },
    no,
  ],
  [
    'driven by hand, its namespace is being deleted',
    { governance: HAND, record: DRIVEN, namespaceTerminating: true },
    no,
  ],
  ['not governed', { governance: NOBODY, record: { governed: false } }, no],
]

describe('the finalizer', () => {
  it.each(cases)('%s', (_what, of, wanted) => {
    const without = viewOf(of)
    const present = without.source?.finalizers.includes(FINALIZER) === true
    expect(wantedFinalizers(without).includes(FINALIZER)).toBe(wanted)
    // What is there and right stays the same list: nothing is written.
    if (present === wanted) expect(wantedFinalizers(without)).toBe(without.source?.finalizers)
  })

  it.each(cases)('leaves those of others alone: %s', (_what, of) => {
    const before = viewOf(of).source?.finalizers ?? []
    for (const others of [['a'], ['a', 'b']]) {
      const source = { ...of.source, finalizers: [...others, ...before.filter(name => name === FINALIZER)] }
      expect(wantedFinalizers(viewOf({ ...of, source })).filter(name => name !== FINALIZER)).toEqual(others)
    }
  })

  it('is never put on a Secret, nor on an object that is being deleted', () => {
    for (const [, of] of cases) {
      const view = viewOf(of)
      const secret: ObjectView = { ...view, key: 'Secret/shop/tls' }
      expect(wantedFinalizers(secret)).not.toContain(FINALIZER)
      const { source } = view
      if (source === null) continue
      const deleting: ObjectView = { ...view, source: { ...source, deleting: true, finalizers: [] } }
      expect([view.record, wantedFinalizers(deleting)]).toEqual([view.record, []])
    }
  })

  it('is nobody’s where there is no object', () => {
    expect(wantedFinalizers(viewOf({ content: null, governance: POLICY }))).toEqual([])
  })
})
