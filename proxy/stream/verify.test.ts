import { describe, expect, it } from '@jest/globals'
import type { Refusal } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { certificate } from '../table/testing/fixtures.ts'
import { idsOf } from './id-lists.ts'
import type { StreamState } from './state.ts'
import type { Entry } from '../table/entry.ts'
import { checksumsOf, delta, entry, hashOf, partsOf, site, unassigned } from './testing/messages.ts'
import { TestState } from './testing/state.ts'
import { inPortions } from '../turns.ts'
import { proveDelta, proveSnapshot, verifyDelta, verifySnapshot } from './verify.ts'
import type { SnapshotParts, Verdict } from './verify.ts'

const web = entry(site('web'))
const shop = entry(site('shop'))
const cert = entry(certificate('web', 'ECDSA'))
const all = [web, shop, cert]
const announced = (entries: readonly Entry[]) => ({ checksums: checksumsOf(entries), stateHash: hashOf(entries) })

function refusalOf(verdict: Verdict): Refusal | null {
  return verdict.ok ? null : verdict.refusal
}

const NOTHING = new TestState().state

function holding(entries: readonly Entry[]): TestState {
  const state = new TestState()
  const verdict = verifySnapshot(state.state, partsOf(entries), announced(entries))
  if (!verdict.ok) throw new Error(verdict.refusal.message)
  state.commit(verdict.step)
  return state
}

const serving = (entries: readonly Entry[]): StreamState => holding(entries).state

/** What a fresh proxy says of a snapshot of `all` after this was done to its parts. */
function afterTampering(tamper: (parts: SnapshotParts) => Partial<SnapshotParts>): Refusal | null {
  const parts = partsOf(all)
  return refusalOf(verifySnapshot(NOTHING, { ...parts, ...tamper(parts) }, announced(all)))
}

describe('a snapshot', () => {
  it('is taken when everything proves right', () => {
    const state = serving(all)
    expect([...state.objects.keys()].sort()).toEqual(['Ingress/ns/shop', 'Ingress/ns/web', 'Secret/ns/web'])
    expect(state.counts).toEqual({ Ingress: 2, Secret: 1 })
    expect(state.hash.hex).toBe(hashOf(all))
    expect(state.checksums).toEqual(checksumsOf(all))
    expect([...idsOf(state.ids.Ingress)]).toEqual([['ns/shop:r1', 'ns/web:r1']])
    expect([...idsOf(state.ids.Secret)]).toEqual([['ns/web:r1']])
  })

  it('is refused if one byte of a fragment changed, and says of which', () => {
    const corrupt = { ...site('shop'), hosts: [{ host: 'shop.test', paths: [] }] }
    const refusal = afterTampering(({ fragments }) => ({
      fragments: fragments.map(f => (f.key === corrupt.key ? corrupt : f)),
    }))
    expect(refusal).toMatchObject({ reason: 'DigestMismatch', object: 'Ingress/ns/shop' })
  })

  it('is refused if a certificate is another one under the same revision', () => {
    const refusal = afterTampering(({ certificates }) => ({
      certificates: certificates.map(c => ({ ...c, chain: 'other' })),
    }))
    expect(refusal).toMatchObject({ reason: 'DigestMismatch', object: 'Secret/ns/web' })
  })

  it('is refused if an object was dropped with all that belongs to it', () => {
    const refusal = afterTampering(() => partsOf([web, cert]))
    expect(refusal).toMatchObject({ reason: 'ChecksumMismatch' })
    expect(refusal?.message).toContain('1 Ingress IDs')
  })

  it('names the dropped object to a proxy that served it', () => {
    const refusal = refusalOf(verifySnapshot(serving(all), partsOf([web, cert]), announced(all)))
    expect(refusal).toMatchObject({ reason: 'ChecksumMismatch', object: 'ns/shop:r1' })
    expect(refusal?.message).toContain('no longer there: ns/shop:r1')
  })

  it('is refused if an assignment differs in what no checksum covers', () => {
    const moved = { ...shop, assignment: { ...shop.assignment, current: 'r0' } }
    const refusal = refusalOf(verifySnapshot(NOTHING, partsOf([web, moved, cert]), announced(all)))
    expect(refusal).toMatchObject({ reason: 'StateHashMismatch' })
  })

  it('is held while no checksum is published', () => {
    const none = { ...announced(all), checksums: { ingress: null, secret: null } }
    expect(refusalOf(verifySnapshot(NOTHING, partsOf(all), none))).toMatchObject({ reason: 'Held' })
  })

  it('is held while one kind has no checksum, unless there is nothing of that kind', () => {
    const noSecret = (entries: readonly Entry[]) => ({
      ...announced(entries),
      checksums: { ...checksumsOf(entries), secret: null },
    })
    expect(refusalOf(verifySnapshot(NOTHING, partsOf(all), noSecret(all)))).toMatchObject({ reason: 'Held' })
    const ingresses = [web, shop]
    expect(refusalOf(verifySnapshot(NOTHING, partsOf(ingresses), noSecret(ingresses)))).toBeNull()
    // The last Secret is gone, and nobody says that this is right.
    expect(refusalOf(verifySnapshot(serving(all), partsOf(ingresses), noSecret(ingresses)))).toMatchObject({
      reason: 'Held',
    })
  })

  it('an empty one does not match the checksum of a full one', () => {
    expect(refusalOf(verifySnapshot(serving(all), partsOf([]), announced(all)))).toMatchObject({
      reason: 'ChecksumMismatch',
    })
  })

  it.each<[string, (parts: SnapshotParts) => Partial<SnapshotParts>, string]>([
    ['content without assignment', p => ({ assignments: p.assignments.slice(1) }), 'Ingress/ns/web'],
    ['assignment without content', p => ({ fragments: p.fragments.slice(1) }), 'Ingress/ns/web'],
    ['content twice', p => ({ fragments: [...p.fragments, ...p.fragments.slice(0, 1)] }), 'Ingress/ns/web'],
    ['assignment twice', p => ({ assignments: [...p.assignments, ...p.assignments.slice(0, 1)] }), 'Ingress/ns/web'],
    [
      'content of another revision',
      p => ({ fragments: p.fragments.map((f, i) => (i === 0 ? { ...f, revision: 'r9' } : f)) }),
      'Ingress/ns/web',
    ],
  ])('is refused with %s', (_name, tamper, object) => {
    expect(afterTampering(tamper)).toMatchObject({ reason: 'AssignmentInvalid', object })
  })
})

describe('a proof in portions', () => {
  const many = Array.from({ length: 3_000 }, (_, i) => entry(site(`web-${i}`)))

  it('comes to the same as one in one go', async () => {
    for (const entries of [many, many.slice(1)]) {
      const verdict = await inPortions(proveSnapshot(NOTHING, partsOf(entries), announced(many)), 0)
      expect(verdict).toEqual(verifySnapshot(NOTHING, partsOf(entries), announced(many)))
      expect(verdict.ok).toBe(entries === many)
    }
  })

  it('takes a step for each object that a delta removes, to drop it and to say what that changes', () => {
    const { state } = holding(many)
    let steps = 0
    const proof = proveDelta(state, delta(many, []))
    let step = proof.next()
    for (; step.done !== true; step = proof.next()) steps++
    expect(step.value.ok).toBe(true)
    expect(steps).toBeGreaterThanOrEqual(2 * many.length)
  })

  it('lets the loop turn between small steps', async () => {
    let steps = 0
    const proof = proveSnapshot(NOTHING, partsOf(many), announced(many))
    for (let step = proof.next(); step.done !== true; step = proof.next()) steps++
    // Each object is named, proven, added to the state, and compared with what was there, each in a step.
    expect(steps).toBeGreaterThanOrEqual(4 * many.length)
    let turns = 0
    const turn = (): void => {
      turns++
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    await inPortions(proveSnapshot(NOTHING, partsOf(many), announced(many)), 1)
    clearImmediate(next)
    expect(turns).toBeGreaterThan(5)
  })
})

describe('an assignment', () => {
  const at = (more: Partial<Entry['assignment']>): Refusal | null => {
    const made = entry(site('web', more.assigned ?? 'r1'), more)
    const one = more.assigned === null ? { assignment: { ...made.assignment, digest: null }, payload: null } : made
    return refusalOf(verifySnapshot(NOTHING, partsOf([one]), announced([one])))
  }

  it.each([
    ['the announced revision', { announced: 'r2', current: 'r1', assigned: 'r2' }],
    ['the current revision', { announced: 'r2', current: 'r1', assigned: 'r1' }],
    ['nothing of a new object', { announced: 'r1', current: null, assigned: null }],
    [
      'nothing of an object whose deletion reached this pod',
      { announced: ABSENT_REVISION, current: 'r1', assigned: null },
    ],
    ['nothing of an object that comes back', { announced: 'r2', current: ABSENT_REVISION, assigned: null }],
  ])('may be %s', (_name, more) => {
    expect(at(more)).toBeNull()
  })

  it.each([
    ['a third revision', { announced: 'r2', current: 'r1', assigned: 'r3' }],
    ['nothing where a revision is released', { announced: 'r2', current: 'r1', assigned: null }],
    ['content of the absent revision', { announced: ABSENT_REVISION, current: 'r1', assigned: ABSENT_REVISION }],
  ])('may not be %s', (_name, more) => {
    expect(at(more)).toMatchObject({ reason: 'AssignmentInvalid', object: 'Ingress/ns/web' })
  })
})

describe('a delta', () => {
  const webNext = entry(site('web', 'r2'))

  it('is taken from the state that it starts from, and no other', () => {
    const message = delta(all, [webNext, shop, cert])
    expect(verifyDelta(serving(all), message).ok).toBe(true)
    expect(refusalOf(verifyDelta(serving([web]), message))).toMatchObject({ reason: 'StateHashMismatch' })
  })

  it('may leave out content that is already there', () => {
    // The update is announced, this pod stays on r1.
    const waiting = entry(site('web'), { announced: 'r2' })
    const message = { ...delta(all, [waiting, shop, cert]), fragments: [] }
    const verdict = verifyDelta(serving(all), message)
    expect(refusalOf(verdict)).toBeNull()
    expect(verdict.ok && verdict.step.changes.objects.upsert).toEqual([waiting])
  })

  it('may not leave out content that is not there', () => {
    const message = { ...delta(all, [webNext, shop, cert]), fragments: [] }
    expect(refusalOf(verifyDelta(serving(all), message))).toMatchObject({
      ...{ reason: 'AssignmentInvalid', object: 'Ingress/ns/web' },
    })
  })

  it('may not give the content kept under one revision for another', () => {
    const renamed = { assignment: { ...webNext.assignment, digest: web.assignment.digest }, payload: null }
    const message = delta(all, [renamed, shop, cert])
    expect(refusalOf(verifyDelta(serving(all), message))).toMatchObject({ reason: 'AssignmentInvalid' })
  })

  it.each([
    ['was never there', 'Ingress/ns/nobody'],
    ['is assigned in the same delta', 'Ingress/ns/web'],
  ])('may not remove what %s', (_name, key) => {
    const message = { ...delta(all, [webNext, shop, cert]), removed: [key] }
    expect(refusalOf(verifyDelta(serving(all), message))).toMatchObject({ reason: 'AssignmentInvalid', object: key })
  })

  it('is refused if an object was dropped from it', () => {
    const message = { ...delta(all, [...all, entry(site('new'))]), assignments: [], fragments: [] }
    expect(refusalOf(verifyDelta(serving(all), message))).toMatchObject({ reason: 'ChecksumMismatch' })
  })

  it('leaves the state alone until it is committed', () => {
    const state = serving(all)
    verifyDelta(state, delta(all, [webNext, shop, cert]))
    expect(state.hash.hex).toBe(hashOf(all))
    expect(state.objects.entry('Ingress/ns/web')).toEqual(web)
  })
})

describe('commit', () => {
  it('hands on what changed, and nothing else', () => {
    const state = holding([web, shop, cert, unassigned('Ingress/ns/new', 'r1')])
    const waiting = entry(site('shop'), { announced: 'r2' })
    const after = [entry(site('web', 'r2')), waiting, entry(site('new'))]
    const verdict = verifyDelta(state.state, delta([web, shop, cert, unassigned('Ingress/ns/new', 'r1')], after))
    expect(verdict.ok).toBe(true)
    if (!verdict.ok) return
    const { objects, needs, revisions } = state.commit(verdict.step)
    expect(objects.upsert).toEqual([...after.slice(0, 1), waiting, ...after.slice(2)])
    expect(objects.remove).toEqual(['Secret/ns/web'])
    expect(Object.fromEntries(needs)).toEqual({ 'ns/new:80': 1 })
    expect(Object.fromEntries(revisions)).toEqual({
      'Ingress/ns/web': 'r2',
      'Ingress/ns/new': 'r1',
      'Secret/ns/web': null,
    })
  })
})
