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
    expect(rollouts.remove(raw('old', undefined))).toBe('Ingress/shop/web')
    expect(rollouts.remove(raw('old', undefined))).toBeNull()
    expect([...rollouts.all()].map(({ name }) => name)).toEqual(['young'])
    rollouts.remove(raw('young', undefined))
    expect(rollouts.of('Ingress/shop/web')).toEqual([])
  })

  it('leaves out what it cannot read', () => {
    const rollouts = new Rollouts()
    expect(rollouts.put({ metadata: { name: 'x', namespace: 'shop', uid: 'u', resourceVersion: '1' } })).toBeNull()
    expect(rollouts.put({ ...raw('x', undefined), metadata: { name: 'x' } })).toBeNull()
    expect([...rollouts.all()]).toEqual([])
  })
})
