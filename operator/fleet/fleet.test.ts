import { describe, expect, it } from '@jest/globals'
import type { Report } from '../../protocol/messages.ts'
import type { Pod } from '../kube/objects.ts'
import { Fleet, confirmed } from './fleet.ts'

const pod = (
  name: string,
  options: { uid?: string; ready?: boolean; owner?: string; deleting?: boolean } = {},
): Pod => ({
  metadata: {
    name,
    uid: options.uid ?? `uid-${name}`,
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'StatefulSet', name: options.owner ?? 'sluice-proxy', uid: 's', controller: true },
    ],
    ...(options.deleting === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
  },
  status: { conditions: [{ type: 'Ready', status: options.ready === false ? 'False' : 'True' }] },
})

const report = (revisions: Record<string, string | null>): Report => ({
  type: 'report',
  protocol: 1,
  pod: 'p',
  instance: 'i',
  sequence: 1,
  stateHash: '',
  source: 'stream',
  checksums: { ingress: null, secret: null },
  refused: [],
  revisions,
  hosts: {},
  objects: {},
})

describe('Fleet', () => {
  it('lists pods by ordinal, not by name', () => {
    const fleet = new Fleet('sluice-proxy')
    for (const n of ['sluice-proxy-10', 'sluice-proxy-2', 'sluice-proxy-0']) fleet.put(pod(n))
    expect(fleet.pods().map(p => p.ordinal)).toEqual([0, 2, 10])
  })

  it('says what is so now, and makes nothing anew of which nothing is new', () => {
    const fleet = new Fleet('sluice-proxy')
    for (const n of [2, 0, 1]) fleet.put(pod(`sluice-proxy-${n}`))
    const before = fleet.pods()
    expect(fleet.pods()).toBe(before)
    fleet.heard({ name: 'sluice-proxy-1', uid: 'uid-sluice-proxy-1' }, report({ a: 'r1' }), 7)
    const after = fleet.pods()
    expect(after.map(p => p.reportedAt)).toEqual([null, 7, null])
    expect([after[0] === before[0], after[1] === before[1]]).toEqual([true, false])
    expect(before[1]?.report).toBeNull()
    fleet.put(pod('sluice-proxy-1', { uid: 'another', ready: false }))
    expect(fleet.pods()[1]).toMatchObject({ uid: 'another', ready: false, report: null })
    fleet.remove(pod('sluice-proxy-0'))
    fleet.put(pod('sluice-proxy-10'))
    fleet.put(pod('sluice-proxy-2', { owner: 'other' }))
    expect([fleet.pods().map(p => p.ordinal), fleet.size]).toEqual([[1, 10], 2])
  })

  it('hears nothing new in a report that is the last one again', () => {
    const fleet = new Fleet('sluice-proxy')
    const said = (of: Report): unknown => fleet.heard({ name: 'p', uid: 'u' }, of, 1)
    const first = report({ a: 'r1' })
    expect(said(first)).toEqual({ objects: new Set(['a']), isNewState: true })
    const again = { ...first, sequence: 2 }
    expect(said(again)).toEqual({ objects: new Set(), isNewState: false })
    expect(said(report({ a: 'r1' }))).toEqual({ objects: new Set(), isNewState: false })
    expect(said({ ...first, checksums: { ingress: '1', secret: null } })).toEqual({
      ...{ objects: new Set(), isNewState: true },
    })
    expect(said({ ...first, revisions: { a: 'r2' } })).toEqual({ objects: new Set(['a']), isNewState: true })
  })

  it('does not know pods that another controller made', () => {
    const fleet = new Fleet('sluice-proxy')
    fleet.put(pod('sluice-proxy-0', { owner: 'other' }))
    expect(fleet.pods()).toEqual([])
    expect(fleet.find('sluice-proxy-0')).toBeNull()
  })

  it('tells of which objects a pod says something else than before', () => {
    const fleet = new Fleet('sluice-proxy')
    const said = (uid: string, of: Report): readonly string[] =>
      [...fleet.heard({ name: 'p', uid }, of, 1).objects].sort()
    const refusing = (object: string): Report => ({
      ...report({ a: 'r2', c: null }),
      refused: [{ reason: 'AssignmentInvalid', object, message: 'x' }],
    })
    expect(said('u', report({ a: 'r1', b: 'r1' }))).toEqual(['a', 'b'])
    expect(said('u', report({ a: 'r1', b: 'r1' }))).toEqual([])
    expect(said('u', report({ a: 'r2', c: null }))).toEqual(['a', 'b', 'c'])
    expect(said('u', refusing('d'))).toEqual(['d'])
    expect(said('u', refusing('d'))).toEqual([])
    expect(said('u', report({ a: 'r2', c: null }))).toEqual(['d'])
    // Another pod of that name.
    expect(said('v', report({ a: 'r2' }))).toEqual(['a'])
  })

  it('tells whether the checksums of a pod, or what it refuses, are others than before', () => {
    const fleet = new Fleet('sluice-proxy')
    const isNew = (of: Partial<Report>, uid = 'u'): boolean =>
      fleet.heard({ name: 'p', uid }, { ...report({}), ...of }, 1).isNewState
    expect(isNew({})).toBe(true)
    expect(isNew({ sequence: 7, stateHash: 'x' })).toBe(false)
    expect(isNew({ checksums: { ingress: 'x', secret: null } })).toBe(true)
    expect(isNew({ refused: [{ reason: 'Held', object: null, message: 'x' }] })).toBe(true)
    expect(isNew({})).toBe(true)
    expect(isNew({})).toBe(false)
    expect(isNew({}, 'v')).toBe(true)
  })

  it('forgets what a pod confirmed when it was replaced under the same name', () => {
    const fleet = new Fleet('sluice-proxy')
    fleet.put(pod('sluice-proxy-0', { uid: 'a' }))
    fleet.heard({ name: 'sluice-proxy-0', uid: 'a' }, report({ 'Ingress/x/y': 'r2' }), 1)
    expect(fleet.pods().map(p => confirmed(p, 'Ingress/x/y'))).toEqual(['r2'])
    fleet.put(pod('sluice-proxy-0', { uid: 'b' }))
    expect(fleet.pods().map(p => confirmed(p, 'Ingress/x/y'))).toEqual([undefined])
  })

  it.each([
    [pod('sluice-proxy-0'), true],
    [pod('sluice-proxy-0', { ready: false }), false],
    [pod('sluice-proxy-0', { deleting: true }), false],
  ])('knows which pods are ready', (p, ready) => {
    const fleet = new Fleet('sluice-proxy')
    fleet.put(p)
    expect(fleet.pods()[0]?.ready).toBe(ready)
  })
})
