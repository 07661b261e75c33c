import { describe, expect, it } from '@jest/globals'
import { Turns } from './turns.ts'
import type { Claim } from './turns.ts'

const claim = (object: string, hosts: readonly string[] = [], policy = 'p'): Claim => ({
  object: `Ingress/shop/${object}`,
  ...{ hosts, policy },
})

describe('Turns', () => {
  it('one rollout per object', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a.example']))
    expect(turns.obstacle('u2', claim('a'), 20)).toContain('another rollout of Ingress/shop/a')
    expect(turns.obstacle('u1', claim('a', ['a.example']), 1)).toBeNull()
  })

  it('those that share a host one after another, whatever their policies', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a.example', 'shared.example']))
    const waiting = claim('b', ['b.example', 'shared.example'], 'q')
    expect(turns.obstacle('u2', waiting, 20)).toContain('Ingress/shop/a is under way on the same host shared.example')
    expect(turns.release('u1')).toBe(true)
    expect(turns.obstacle('u2', waiting, 20)).toBeNull()
  })

  it('so many of a policy at once', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a']))
    turns.claim('u2', claim('b', ['b']))
    turns.claim('u3', claim('c', ['c'], 'q'))
    expect(turns.obstacle('u4', claim('d', ['d']), 2)).toBe('2 of 2 rollouts of policy p are under way')
    expect(turns.obstacle('u4', claim('d', ['d']), 3)).toBeNull()
    expect(turns.obstacle('u4', claim('d', ['d'], 'q'), 1)).toBe('1 of 1 rollouts of policy q are under way')
  })

  it('gives back once, and forgets all', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a'))
    turns.claim('u1', claim('a', ['other']))
    expect(turns.size).toBe(1)
    expect([turns.release('u1'), turns.release('u1')]).toEqual([true, false])
    turns.claim('u1', claim('a'))
    turns.clear()
    expect(turns.obstacle('u2', claim('a'), 1)).toBeNull()
  })
})
