import { describe, expect, it } from '@jest/globals'
import { initialState } from '../rollout/machine/state.ts'
import type { Command, State } from '../rollout/machine/types.ts'
import { SETTINGS } from '../rollout/machine/testing.ts'
import { effectOf } from './effect.ts'
import type { Effect } from './effect.ts'
import { viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const PENDING = initialState(1, 0)
const OUT: State = { ...PENDING, phase: 'Progressing', settings: SETTINGS, index: 1 }
/** Its content is v2, and v1 is released. */
const CHANGED: ViewOf = { content: 'v2' }
const ON_ITS_WAY: ViewOf = { content: 'v2', record: { update: 'v2', index: 1 } }

function effect(of: ViewOf, before: State, next: State, ...commands: readonly Command[]): Effect {
  const { record, source } = viewOf(of)
  return effectOf({ record, source, revision: 'v2', uid: 'u1', before, next, commands })
}

describe('what a step makes of the record', () => {
  it('is one record of content, settings and first batch', () => {
    const { record, stamp } = effect(CHANGED, PENDING, OUT, { type: 'setIndex', index: 1 })
    expect(record).toMatchObject({ current: 'v1', update: 'v2', index: 1, rollout: { revision: 'v2', batch: 0 } })
    expect(Object.keys(record?.revisions ?? {}).sort()).toEqual(['v1', 'v2'])
    expect(stamp).toBe(true)
  })

  it('is all that the next leader goes on from, and no write where only figures in words differ', () => {
    const passed: State = { ...OUT, attempt: 2, batch: 1, index: 2, step: { name: 'waiting', until: null } }
    const { record, source } = viewOf({ content: 'v2', record: { update: 'v2', index: 2 } })
    const stepped = { source, revision: 'v2', uid: 'u1', before: OUT, commands: [] }
    const waits = effectOf({ ...stepped, record, next: passed })
    expect(waits.record?.rollout).toMatchObject({ attempt: 2, batch: 1, step: 'waiting', pauseEndsAt: null })
    // A person may be moving the index just now.
    expect(waits.stamp).toBe(false)
    const blocked = (message: string, approvedBefore: number): State => ({
      ...passed,
      blocked: { reason: 'Inconclusive', message, approvedBefore },
    })
    const asks = effectOf({ ...stepped, record: waits.record, next: blocked('12 requests', 1) })
    expect(asks.record?.rollout).toMatchObject({ blocked: { reason: 'Inconclusive', approvedBefore: 1 } })
    expect(effectOf({ ...stepped, record: asks.record, next: blocked('13 requests', 1) }).record).toBe(asks.record)
    expect(effectOf({ ...stepped, record: asks.record, next: blocked('13 requests', 2) }).record).not.toBe(asks.record)
    expect(effectOf({ ...stepped, record: asks.record, next: passed }).record?.rollout?.blocked).toBeNull()
  })

  it('has none of it once the rollout is at its end, but why it was taken back', () => {
    const { record, source } = viewOf(ON_ITS_WAY)
    const stepped = { source, revision: 'v2', uid: 'u1', before: OUT }
    const out = effectOf({ ...stepped, record, next: { ...OUT, attempt: 3 }, commands: [] }).record
    expect(out?.rollout?.attempt).toBe(3)
    const cause = { reason: 'GateFailed', message: 'success rate 80 %' }
    const back: State = { ...OUT, attempt: 3, phase: 'RollingBack', index: 0, cause }
    const taken = effectOf({ ...stepped, record: out, next: back, commands: [{ type: 'takeBack', refuse: true }] })
    expect(taken.record).toMatchObject({ takenBack: { revision: 'v2', attempt: 3, cause } })
    expect(taken.record?.rollout).toBeUndefined()
    const next = { ...viewOf({ content: 'v3' }).source!, uid: 'u1' }
    const other = effectOf({
      ...{ record: taken.record, source: next, revision: 'v3', uid: 'u1', before: PENDING, next: OUT },
      commands: [{ type: 'setIndex', index: 1 }],
    })
    expect(other.record).toMatchObject({ update: 'v3', rollout: { revision: 'v3', attempt: 1 } })
    expect(other.record?.takenBack).toBeUndefined()
  })

  it('is on no pod while a batch waits to begin', () => {
    expect(effect(CHANGED, PENDING, OUT).record).toMatchObject({ update: 'v2', index: 0 })
  })

  it.each<[string, Command, object]>([
    ['an index', { type: 'setIndex', index: 3 }, { update: 'v2', index: 3 }],
    ['a release', { type: 'release' }, { current: 'v2', index: -1, refused: [] }],
    [
      'what is taken back',
      { type: 'takeBack', refuse: true },
      { current: 'v1', update: 'v1', index: 0, refused: ['v2'] },
    ],
    ['what is superseded', { type: 'takeBack', refuse: false }, { current: 'v1', update: 'v1', index: 0, refused: [] }],
  ])('is %s, once', (_what, command, expected) => {
    const first = effect(ON_ITS_WAY, OUT, OUT, command)
    expect(first).toMatchObject({ record: expected, stamp: true })
    const again = effectOf({
      ...{ record: first.record, source: viewOf(ON_ITS_WAY).source, revision: 'v2', uid: 'u1' },
      ...{ before: OUT, next: OUT, commands: [command] },
    })
    expect(again.record).toEqual(first.record)
  })

  it('of a revision that is not on its way is nothing', () => {
    const other: ViewOf = { content: 'v3', record: { update: 'v3', index: 1 } }
    for (const command of [{ type: 'setIndex', index: 3 }, { type: 'release' }] as const) {
      const { record, stamp } = effect(other, OUT, OUT, command)
      expect([record, stamp]).toEqual([viewOf(other).record, false])
    }
  })

  it('of another object with the name is nothing', () => {
    const { record, source } = viewOf(CHANGED)
    const stepped = { record, source, revision: 'v2', uid: 'another', before: PENDING, next: OUT }
    expect(effectOf({ ...stepped, commands: [{ type: 'release' }] })).toEqual({ record, stamp: false })
  })

  it('is refused where the content was taken back, and goes out again in a new attempt', () => {
    const refused: ViewOf = { content: 'v2', record: { refused: ['v2'] } }
    expect(() => effect(refused, PENDING, OUT)).toThrow('taken back')
    expect(effect(refused, PENDING, { ...OUT, attempt: 2 }).record).toMatchObject({ update: 'v2', refused: [] })
    expect(effect(refused, OUT, PENDING, { type: 'begin', attempt: 2 }).record).toMatchObject({
      update: 'v2',
      index: 0,
    })
  })
})
