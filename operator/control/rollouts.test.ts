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
    expect(rollouts.remove(raw('old', undefined))).toEqual({ object: 'Ingress/shop/web', id: 'uid-old' })
    expect(rollouts.remove(raw('old', undefined))).toBeNull()
    expect([...rollouts.all()].map(({ name }) => name)).toEqual(['young'])
    rollouts.remove(raw('young', undefined))
    expect(rollouts.of('Ingress/shop/web')).toEqual([])
  })

  it('knows one that is being made, under an id that stays', async () => {
    const rollouts = new Rollouts()
    const sent = raw('new', undefined)
    const { uid: _uid, resourceVersion: _version, ...metadata } = sent.metadata
    let answer: (made: KubeObject) => void = () => undefined
    rollouts.put(raw('old', undefined, 9))
    rollouts.begin({ ...sent, metadata }, new Promise(resolve => (answer = resolve)), new Date(0))
    expect(rollouts.of('Ingress/shop/web').map(({ name }) => name)).toEqual(['old', 'new'])
    const being = rollouts.get('shop', 'new')!
    expect(being).toMatchObject({ uid: '', generation: 1 })
    // Of one that had its name before.
    expect(rollouts.remove({ ...sent, metadata: { ...sent.metadata, uid: 'before' } })?.id).toBe('before')
    expect(rollouts.get('shop', 'new')).toBe(being)
    const made = rollouts.made(being)
    answer(sent)
    await made
    const { id } = being
    expect(rollouts.get('shop', 'new')).toMatchObject({ id, uid: 'uid-new' })
    rollouts.put(raw('new', { phase: 'Complete' }))
    expect(rollouts.get('shop', 'new')).toMatchObject({ id, uid: 'uid-new', status: { phase: 'Complete' } })
    expect(rollouts.remove(sent)).toEqual({ object: 'Ingress/shop/web', id })
    rollouts.put({ ...sent, metadata: { ...sent.metadata, uid: 'after' } })
    expect(rollouts.get('shop', 'new')).toMatchObject({ id: 'after', uid: 'after' })
  })

  it('forgets one that could not be made, and keeps what came meanwhile', async () => {
    const rollouts = new Rollouts()
    for (const comes of [false, true]) {
      let fail: (why: Error) => void = () => undefined
      const creating = new Promise<KubeObject>((_resolve, reject) => (fail = reject))
      rollouts.begin(raw('new', undefined), creating, new Date(0))
      const making = rollouts.made(rollouts.get('shop', 'new')!)
      if (comes) rollouts.put(raw('new', undefined))
      fail(new Error('exists'))
      await expect(making).rejects.toThrow('exists')
      expect(rollouts.get('shop', 'new')?.uid).toBe(comes ? 'uid-new' : undefined)
    }
    await rollouts.made(rollouts.get('shop', 'new')!)
  })

  it('leaves out what it cannot read', () => {
    const rollouts = new Rollouts()
    expect(rollouts.put({ metadata: { name: 'x', namespace: 'shop', uid: 'u', resourceVersion: '1' } })).toBeNull()
    expect(rollouts.put({ ...raw('x', undefined), metadata: { name: 'x' } })).toBeNull()
    expect([...rollouts.all()]).toEqual([])
  })
})
