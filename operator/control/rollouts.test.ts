import { describe, expect, it } from '@jest/globals'
import type { KubeObject } from '../kube/objects.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { Rollouts, isTerminal, isUnderWay } from './rollouts.ts'
import type { Rollout } from './rollouts.ts'

const raw = (name: string, status: IngressRolloutStatus | undefined, second = 1): KubeObject =>
  ({
    metadata: {
      ...{ name, namespace: 'shop', uid: `uid-${name}`, resourceVersion: '1' },
      creationTimestamp: `2026-01-01T00:00:0${second}Z`,
    },
    spec: { objectRef: { kind: 'Ingress', name: 'web', uid: 'u1' }, revision: 'v2' },
    ...(status === undefined ? {} : { status }),
  }) as KubeObject

function read(status: IngressRolloutStatus | undefined): Rollout {
  const rollouts = new Rollouts()
  rollouts.put(raw('one', status))
  return rollouts.get('shop', 'one')!
}

describe('a rollout', () => {
  const cases: readonly (readonly [IngressRolloutStatus | undefined, boolean, boolean])[] = [
    [undefined, false, false],
    [{ phase: 'Pending', attempt: 1 }, false, false],
    [{ phase: 'Progressing', attempt: 1 }, false, true],
    [{ phase: 'Paused', attempt: 1 }, false, true],
    [{ phase: 'RollingBack', attempt: 1 }, false, true],
    [{ phase: 'Complete', attempt: 1 }, true, false],
    [{ phase: 'RolledBack' }, true, false],
    [{ phase: 'Superseded', attempt: 2 }, true, false],
    [{ phase: 'Held', attempt: 1 }, true, false],
  ]

  it.each(cases)('%j: ended %s, under way %s', (status, ended, underWay) => {
    const rollout = read(status)
    expect([isTerminal(rollout), isUnderWay(rollout)]).toEqual([ended, underWay])
  })
})

describe('Rollouts', () => {
  it('knows them by name and by object, the oldest first', () => {
    const rollouts = new Rollouts()
    expect(rollouts.put(raw('young', undefined, 5))).toBe('Ingress/shop/web')
    rollouts.put(raw('old', { phase: 'Complete' }, 2))
    expect(rollouts.of('Ingress/shop/web').map(({ name }) => name)).toEqual(['old', 'young'])
    expect([...rollouts.open()].map(({ name }) => name)).toEqual(['young'])
    rollouts.put(raw('young', { phase: 'Complete' }, 5))
    expect([...rollouts.open()]).toEqual([])
    expect(rollouts.remove(raw('old', undefined))).toMatchObject({ object: 'Ingress/shop/web' })
    expect(rollouts.remove(raw('old', undefined))).toBeNull()
    expect([...rollouts.all()].map(({ name }) => name)).toEqual(['young'])
    rollouts.remove(raw('young', undefined))
    expect(rollouts.of('Ingress/shop/web')).toEqual([])
  })

  it('knows one that is to be made, under the id that it has afterwards', () => {
    const rollouts = new Rollouts()
    rollouts.put(raw('old', undefined, 9))
    const { spec } = read(undefined)
    const wanted = {
      object: 'Ingress/shop/web',
      name: 'new',
      createdAt: 0,
      owned: true,
      supersededBefore: 0,
      spec,
    } as const
    const expected = rollouts.expect(wanted)
    expect(rollouts.of('Ingress/shop/web').map(({ name }) => name)).toEqual(['old', 'new'])
    expect(rollouts.get('shop', 'new')).toMatchObject({ uid: '', generation: 1, status: undefined })
    // Of one that had its name before, of the same object and of another.
    const before = raw('new', undefined)
    expect(rollouts.remove({ ...before, metadata: { ...before.metadata, uid: 'before' } })?.id).toBeNull()
    const objectRef = { ...spec.objectRef, uid: 'u0' }
    const removed = rollouts.remove({
      ...{ ...before, metadata: { ...before.metadata, uid: 'before' } },
      ...{ spec: { ...spec, objectRef } },
    })
    expect(removed?.id).toBe('shop/new u0')
    expect(rollouts.get('shop', 'new')).toBe(expected)
    rollouts.put(raw('new', { phase: 'Complete' }))
    expect(rollouts.get('shop', 'new')).toMatchObject({
      id: expected.id,
      uid: 'uid-new',
      status: { phase: 'Complete' },
    })
    rollouts.drop(expected)
    expect(rollouts.remove(raw('new', undefined))).toMatchObject({ object: 'Ingress/shop/web', id: expected.id })
    rollouts.expect(wanted)
    rollouts.drop(expected)
    expect(rollouts.get('shop', 'new')).toBeNull()
    rollouts.expect(wanted)
    rollouts.dropUnmade()
    expect([...rollouts.all()].map(({ name }) => name)).toEqual(['old'])
  })

  it('leaves out what it cannot read', () => {
    const rollouts = new Rollouts()
    expect(rollouts.put({ metadata: { name: 'x', namespace: 'shop', uid: 'u', resourceVersion: '1' } })).toBeNull()
    expect(rollouts.put({ ...raw('x', undefined), metadata: { name: 'x' } })).toBeNull()
    expect([...rollouts.all()]).toEqual([])
  })
})

it('is open from when it is made, or about to be, to its end; and again when it begins anew', () => {
  const rollouts = new Rollouts()
  const open = (): readonly string[] => [...rollouts.open()].map(({ name }) => name)
  const isOpen = (): boolean => rollouts.isOpen('Ingress/shop/web')
  expect(isOpen()).toBe(false)
  rollouts.put(raw('old', { phase: 'Complete', attempt: 1 }))
  expect([open(), isOpen()]).toEqual([[], false])
  rollouts.put(raw('one', undefined))
  expect([open(), isOpen()]).toEqual([['one'], true])
  rollouts.put(raw('one', { phase: 'RolledBack', attempt: 1 }))
  expect([open(), isOpen()]).toEqual([[], false])
  rollouts.put(raw('one', { phase: 'Pending', attempt: 2 }))
  expect([open(), isOpen()]).toEqual([['one'], true])
  rollouts.remove(raw('one', undefined))
  expect([open(), isOpen()]).toEqual([[], false])
  const { spec } = rollouts.get('shop', 'old')!
  rollouts.expect({ object: 'Ingress/shop/web', name: 'new', createdAt: 1, owned: true, supersededBefore: 0, spec })
  expect([open(), isOpen()]).toEqual([['new'], true])
  rollouts.dropUnmade()
  expect([open(), isOpen()]).toEqual([[], false])
})
