import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import {
  RecordError,
  adopt,
  advance,
  begin,
  bindByHand,
  complete,
  create,
  follow,
  govern,
  inherit,
  noted,
  release,
  retry,
  serve,
  takeBack,
  ungovern,
} from './records.ts'
import type { Observation } from './records.ts'
import { plan } from './plan.ts'
import { AS_IS, HAND, NOBODY, POLICY, ingress, planOf, record, secret } from './testing.ts'
import type { Governance, ReleaseRecord } from './types.ts'

const released = { governed: true, current: 'v1', update: null, index: -1 }

describe('a record', () => {
  it('adopts what is served already, without a rollout', () => {
    expect(adopt(ingress('v1'))).toMatchObject({ ...released, byHand: false, revisions: { v1: { hash: 'v1' } } })
  })

  it('has nothing released of an object created while governed', () => {
    expect(create(ingress('v1'))).toMatchObject({ governed: true, current: null, update: null, revisions: {} })
  })

  it('keeps the last served content of an ungoverned object, and forgets the one before', () => {
    const next = serve(record({ governed: false, seen: 'v0', refused: ['vx'] }), ingress('v2'))
    expect(next).toMatchObject({ governed: false, seen: null, current: 'v2', update: null, refused: ['vx'] })
    expect(Object.keys(next.revisions)).toEqual(['v2'])
  })

  it('goes from batch to batch to complete', () => {
    const begun = begin(record(), ingress('v2'))
    expect(begun).toMatchObject({ current: 'v1', update: 'v2', index: 0, revisions: { v1: {}, v2: {} } })
    const done = complete(advance(begun, 3))
    expect(done).toMatchObject({ current: 'v2', update: 'v2', index: -1 })
    expect(Object.keys(done.revisions)).toEqual(['v2'])
  })

  it('is superseded from the same stable revision', () => {
    const next = begin(record({ update: 'v2', index: 3 }), ingress('v3'))
    expect(next).toMatchObject({ current: 'v1', update: 'v3', index: 0 })
    expect(Object.keys(next.revisions).sort()).toEqual(['v1', 'v3'])
  })

  it('starts from the update where all pods serve it', () => {
    expect(begin(record({ update: 'v2', index: -1 }), ingress('v3'))).toMatchObject({ current: 'v2', update: 'v3' })
  })

  it('ends a rollout at once when the content is the current one again', () => {
    const named = record({ current: 'release-1', revisions: { 'release-1': { hash: 'v1', content: null } } })
    expect(begin(named, ingress('v1'))).toMatchObject({ current: 'release-1', update: 'release-1', index: 0 })
  })

  it('takes a change back and refuses it from then on, also after other content', () => {
    const back = takeBack(record({ update: 'v2', index: 2 }))
    expect(back).toMatchObject({ current: 'v1', update: 'v1', index: 0, refused: ['v2'] })
    expect(Object.keys(back.revisions)).toEqual(['v1'])
    const later = complete(begin(back, ingress('v3')))
    expect(() => begin(later, ingress('v2'))).toThrow(RecordError)
    expect(begin(retry(later, 'v2'), ingress('v2'))).toMatchObject({ update: 'v2', index: 0, refused: [] })
  })

  it('refuses the content, not only the name', () => {
    const bound = bindByHand(record(), 'release-2', ingress('v2', { index: '1' }))
    expect(bound.ok).toBe(true)
    if (bound.ok) expect(() => begin(takeBack(bound.record), ingress('v2'))).toThrow('was taken back')
  })

  it('of an object that was never released goes back to nothing', () => {
    expect(takeBack(record({ current: null, update: 'v1', index: 1 }))).toMatchObject({
      current: null,
      update: null,
      refused: ['v1'],
    })
  })

  it('has nothing to take back once complete', () => {
    expect(takeBack(record({ current: 'v2', update: 'v2' })).refused).toEqual([])
  })

  it('rolls a deletion out like a change', () => {
    expect(begin(record(), ingress(ABSENT_REVISION))).toMatchObject({
      update: ABSENT_REVISION,
      index: 0,
      revisions: { [ABSENT_REVISION]: { hash: ABSENT_REVISION, content: null } },
    })
  })

  it('keeps what is released and the content at that moment when it stops being governed', () => {
    expect(ungovern(record({ update: 'v2', index: 2 }), ingress('v2'))).toMatchObject({
      governed: false,
      seen: 'v2',
      current: 'v1',
      update: null,
    })
    expect(ungovern(record({ update: 'v2', index: -1 }), ingress('v2'))).toMatchObject({ seen: null, current: 'v2' })
  })

  it('is released whole when somebody promotes', () => {
    const next = release(record({ refused: ['v2'], update: 'v1', index: 0 }), ingress('v2'))
    expect(next).toMatchObject({ current: 'v2', update: 'v2', index: -1, refused: [], revisions: { v2: {} } })
  })

  it('refuses an index that is none', () => {
    expect(() => advance(record(), -2)).toThrow(RangeError)
    expect(() => advance(record(), 1.5)).toThrow(RangeError)
  })

  it('goes on under the uid of a Secret that was made again', () => {
    const next = inherit(record({ uid: 'u0' }), ingress('v2', {}, { uid: 'u9', createdAt: 7 }))
    expect(next).toMatchObject({ uid: 'u9', createdAt: 7, current: 'v1' })
  })
})

describe('bindByHand', () => {
  it('binds a name to the content first seen with it', () => {
    const bound = bindByHand(record(), 'release-2', ingress('v2', { index: '1' }))
    expect(bound).toMatchObject({ ok: true, record: { update: 'release-2', index: 1, current: 'v1' } })
    if (!bound.ok) throw new Error('not bound')
    expect(bindByHand(bound.record, 'release-2', ingress('v2'))).toMatchObject({ ok: true })
    expect(bindByHand(bound.record, 'release-2', ingress('v3'))).toEqual({ ok: false, boundTo: 'v2' })
  })

  it('remembers what a name meant when its content is not kept any more', () => {
    const content = (revision: string, name: string): ReturnType<typeof ingress> =>
      ingress(revision, { flag: 'true', update: name, index: '1' })
    let of = record()
    for (const [revision, name] of [
      ['v2', 'r2'],
      ['v3', 'r3'],
    ] as const) {
      of = follow(of, content(revision, name), false).record
    }
    expect(Object.keys(of.revisions).sort()).toEqual(['r3', 'v1'])
    const again = content('v3', 'r2')
    expect(follow(of, again, false)).toEqual({ record: of, conflict: 'v2' })
    expect(plan(again, HAND, of, AS_IS)).toMatchObject({ update: 'r3', index: 1, hold: { reason: 'RevisionConflict' } })
    expect(follow(of, content('v2', 'r2'), false).record).toMatchObject({ update: 'r2', index: 1 })
  })

  it('keeps the name of absence for what is absent', () => {
    expect(bindByHand(record(), ABSENT_REVISION, ingress('v2'))).toEqual({ ok: false, boundTo: ABSENT_REVISION })
    expect(bindByHand(record(), ABSENT_REVISION, ingress(ABSENT_REVISION)).ok).toBe(true)
  })

  it('counts what reached all pods before as released', () => {
    expect(bindByHand(record({ update: 'v2', index: -1 }), 'v3', ingress('v3'))).toMatchObject({
      record: { current: 'v2', update: 'v3' },
    })
  })
})

describe('follow', () => {
  const at = { flag: 'true', current: 'v1', update: 'v2', index: '2' }

  it('changes nothing where there is nothing to follow', () => {
    const of = record({ update: 'v2', index: 2 })
    expect(follow(of, ingress('v2', at), false).record).toBe(of)
    for (const texts of [
      {},
      { ...at, flag: 'yes' },
      { ...at, index: 'x' },
      { ...at, update: undefined },
      { ...at, flag: 'false' },
    ]) {
      expect(follow(of, ingress('v3', texts), false).record).toBe(of)
    }
  })

  it('follows a hand from a new name to the end', () => {
    const first = follow(record(), ingress('v2', at), false).record
    expect(first).toMatchObject({ current: 'v1', update: 'v2', index: 2 })
    const all = follow(first, ingress('v2', { ...at, index: '-1' }), false).record
    expect(all).toMatchObject({ current: 'v1', index: -1 })
    expect(follow(all, ingress('v2', { ...at, index: '0' }), false).record).toMatchObject({ current: 'v1', index: 0 })
    expect(follow(all, ingress('v2', { ...at, index: '-1', current: 'v2' }), false).record).toMatchObject({
      current: 'v2',
      update: 'v2',
      index: -1,
    })
  })

  it('reports a name of other content', () => {
    const of = record({ revisions: { old: { hash: 'v0', content: null } } })
    expect(follow(of, ingress('v3', { ...at, update: 'old' }), false)).toEqual({ record: of, conflict: 'v0' })
  })

  it('binds neither what is invalid nor what was taken back', () => {
    const of = record({ refused: ['v2'] })
    expect(follow(of, ingress('v3', { ...at, update: 'v3' }), true).record).toBe(of)
    expect(follow(of, ingress('v2', { ...at, update: 'again' }), false).record).toBe(of)
  })
})

describe('noted', () => {
  function note(
    change: Partial<Observation> & { governance: Governance; record: ReleaseRecord | null },
  ): ReleaseRecord | null {
    const object = change.object ?? ingress('v1')
    const invalid = change.invalid ?? false
    const plan = planOf(object, change.governance, change.record, { invalid })
    return noted({ object, invalid, fresh: false, plan, ...change })
  }

  it('keeps the served content of an ungoverned object, once', () => {
    const kept = note({ governance: NOBODY, record: null })
    expect(kept).toMatchObject({ governed: false, current: 'v1' })
    expect(note({ governance: NOBODY, record: kept })).toBeNull()
    expect(note({ governance: NOBODY, record: kept, object: ingress('v2') })).toMatchObject({ current: 'v2' })
    expect(note({ governance: NOBODY, record: kept, object: ingress('v2'), invalid: true })).toBeNull()
    expect(note({ governance: NOBODY, record: kept, object: ingress(ABSENT_REVISION) })).toBeNull()
  })

  it('adopts on a fresh install, and takes a created object for one that is to be rolled out', () => {
    expect(note({ governance: POLICY, record: null, fresh: true })).toMatchObject({ governed: true, current: 'v1' })
    expect(note({ governance: POLICY, record: null, fresh: true, invalid: true })).toMatchObject({ current: null })
    expect(note({ governance: POLICY, record: null })).toMatchObject({ governed: true, current: null })
    expect(note({ governance: POLICY, record: null, object: ingress(ABSENT_REVISION) })).toBeNull()
  })

  it('notes governance that came, went and changed hands', () => {
    const served = record({ governed: false })
    const governed = note({ governance: POLICY, record: served, object: ingress('v2') })
    expect(governed).toMatchObject({ governed: true, current: 'v1' })
    expect(note({ governance: POLICY, record: governed, object: ingress('v2') })).toBeNull()
    expect(note({ governance: HAND, record: governed, object: ingress('v2', { flag: 'true' }) })).toMatchObject({
      byHand: true,
    })
    const left = note({ governance: NOBODY, record: governed, object: ingress('v2') })
    expect(left).toMatchObject({ governed: false, seen: 'v2', current: 'v1' })
    expect(note({ governance: NOBODY, record: left, object: ingress('v2') })).toBeNull()
    expect(note({ governance: NOBODY, record: left, object: ingress('v3') })).toMatchObject({
      current: 'v3',
      seen: null,
    })
    expect(govern(served, true)).toMatchObject({ governed: true, byHand: true })
  })

  it('waits until our own stamp is gone before it takes over ungoverned content', () => {
    const left = record({ governed: false, seen: 'v2' })
    expect(note({ governance: NOBODY, record: left, object: ingress('v3', { flag: 'true', update: 'v1' }) })).toBeNull()
  })

  it('does not take a flag that does not parse for somebody who drives', () => {
    const served = record({ governed: false })
    expect(note({ governance: HAND, record: served, object: ingress('v2', { flag: 'yes' }) })).toBeNull()
    expect(note({ governance: HAND, record: null, object: ingress('v2', { flag: 'yes' }) })).toBeNull()
  })

  it('hands the record of a deleted Secret to the one that was made again', () => {
    const of = record({ key: 'Secret/shop/tls', uid: 'u0' })
    const next = note({ governance: POLICY, record: of, object: { ...secret('v2'), uid: 'u9' } })
    expect(next).toMatchObject({ uid: 'u9', current: 'v1', governed: true })
  })
})
