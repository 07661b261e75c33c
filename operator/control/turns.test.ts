import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Turns } from './turns.ts'
import type { Claim } from './turns.ts'

const claim = (object: string, hosts: readonly string[] = [], policy = 'p', since = 0): Claim => ({
  object: `Ingress/shop/${object}`,
  ...{ requests: hosts, handshakes: [], policy, since, shrinks: false },
})
const secret = (object: string, hosts: readonly string[], since = 0): Claim => ({
  object: `Secret/shop/${object}`,
  ...{ requests: [], handshakes: hosts, policy: 'p', since, shrinks: false },
})

/** Whether one that is new has to wait, and why. */
function newcomer(turns: Turns, of: Claim, max = 20): string | null {
  turns.claim('new', of, 'waits')
  const why = turns.obstacle('new', max)
  turns.release('new')
  return why
}

describe('what grows', () => {
  const shrinks = (of: Claim): Claim => ({ ...of, shrinks: true })

  it('goes before what shrinks on the same host, also if it came later', () => {
    const turns = new Turns()
    turns.claim('old', shrinks(claim('a', ['a.example'], 'p', 1)), 'waits')
    turns.claim('young', claim('b', ['a.example'], 'p', 2), 'waits')
    expect(turns.obstacle('old', 20)).toBe(
      'a rollout of Ingress/shop/b that takes no path away goes first, judged by requests to a.example',
    )
    expect(turns.obstacle('young', 20)).toBeNull()
    turns.move('young', 'runs')
    expect(turns.obstacle('old', 20)).toContain('a rollout of Ingress/shop/b is under way')
    turns.release('young')
    expect(turns.obstacle('old', 20)).toBeNull()
  })

  it('waits like any for what shrinks and has waited for long: growth without end keeps nothing from its turn', () => {
    const turns = new Turns()
    turns.claim('old', shrinks(claim('a', ['a.example'], 'p', 1)), 'waits')
    expect(newcomer(turns, claim('b', ['a.example'], 'p', 60_000))).toBeNull()
    expect(newcomer(turns, claim('b', ['a.example'], 'p', 60_002))).toContain(
      'an older rollout of Ingress/shop/a waits',
    )
    turns.claim('young', claim('b', ['a.example'], 'p', 60_002), 'waits')
    expect(turns.obstacle('old', 20)).toBeNull()
  })

  it('waits for what shrinks and runs already; of two that shrink the older goes first', () => {
    const turns = new Turns()
    turns.claim('first', shrinks(claim('a', ['a.example'], 'p', 1)), 'runs')
    expect(newcomer(turns, claim('b', ['a.example'], 'p', 2))).toContain('Ingress/shop/a is under way')
    turns.move('first', 'waits')
    expect(newcomer(turns, shrinks(claim('b', ['a.example'], 'p', 2)))).toContain('an older rollout of Ingress/shop/a')
  })
})

describe('Turns', () => {
  it('one rollout per object, also while it rests', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a.example']), 'runs')
    expect(newcomer(turns, claim('a'))).toBe('another rollout of Ingress/shop/a is under way')
    turns.move('u1', 'rests')
    expect(newcomer(turns, claim('a'))).toBe('another rollout of Ingress/shop/a is under way')
    turns.move('u1', 'waits')
    expect(newcomer(turns, claim('a'))).toBeNull()
  })

  it('that is the only obstacle for one that must not wait', () => {
    const turns = new Turns()
    turns.claim('u1', secret('a', ['a.example']), 'runs')
    turns.claim('new', secret('b', ['a.example']), 'waits')
    expect([turns.obstacle('new', 1) === null, turns.sibling('new')]).toEqual([false, null])
    turns.claim('u2', secret('b', ['b.example']), 'rests')
    expect(turns.sibling('new')).toBe('another rollout of Secret/shop/b is under way')
    expect(turns.sibling('nobody')).toBeNull()
  })

  it('one that takes no place waits for none, and keeps none from others', () => {
    const turns = new Turns()
    turns.claim('u1', { ...secret('a', ['a.example']), policy: null }, 'runs')
    turns.claim('u2', secret('b', ['b.example']), 'waits')
    expect(turns.obstacle('u2', 1)).toBeNull()
    turns.move('u2', 'runs')
    turns.claim('u3', { ...secret('c', ['c.example']), policy: null }, 'waits')
    turns.claim('null', { ...secret('n', ['n.example']), policy: 'null' }, 'runs')
    expect(turns.obstacle('u3', 1)).toBeNull()
    turns.claim('u4', { ...secret('d', ['a.example']), policy: null }, 'waits')
    const runs = 'a rollout of Secret/shop/a is under way and judged by handshakes of a.example'
    expect(turns.obstacle('u4', 1)).toBe(runs)
    turns.release('u1')
    // One that is older and waits for a place on the same host.
    turns.claim('u0', secret('e', ['a.example']), 'waits')
    expect(turns.obstacle('u0', 1)).toBe('1 of 1 Secret rollouts of policy p is under way')
    expect(turns.obstacle('u4', 1)).toBeNull()
    turns.claim('u5', { ...secret('d', ['d.example']), policy: null }, 'rests')
    expect(turns.obstacle('u4', 1)).toBe('another rollout of Secret/shop/d is under way')
  })

  it('those that the same requests judge one after another, whatever their policies', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a.example', 'shared.example']), 'runs')
    const waiting = claim('b', ['b.example', 'shared.example'], 'q')
    expect(newcomer(turns, waiting)).toBe(
      'a rollout of Ingress/shop/a is under way and judged by requests to shared.example',
    )
    expect(turns.release('u1')).toBe(true)
    expect(newcomer(turns, waiting)).toBeNull()
  })

  it('a certificate waits for no paths, nor they for it, unless handshakes judge them, too', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a.example']), 'runs')
    expect(newcomer(turns, secret('tls', ['a.example']))).toBeNull()
    turns.claim('u1', { ...claim('a', ['a.example']), handshakes: ['a.example'] }, 'runs')
    expect(newcomer(turns, secret('tls', ['a.example']))).toBe(
      'a rollout of Ingress/shop/a is under way and judged by handshakes of a.example',
    )
    turns.claim('u1', secret('tls', ['a.example']), 'runs')
    expect(newcomer(turns, claim('a', ['a.example']))).toBeNull()
  })

  it('so many of a policy at once, Ingresses and certificates each', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a']), 'runs')
    turns.claim('u2', claim('b', ['b']), 'runs')
    turns.claim('u3', claim('c', ['c'], 'q'), 'runs')
    const full = '2 of 2 Ingress rollouts of policy p are under way'
    expect(newcomer(turns, claim('d', ['d']), 2)).toBe(full)
    expect(newcomer(turns, claim('d', ['d']), 3)).toBeNull()
    expect(newcomer(turns, claim('d', ['d'], 'q'), 1)).toBe('1 of 1 Ingress rollouts of policy q is under way')
    expect(newcomer(turns, secret('d', ['d']), 1)).toBeNull()
  })

  it('what rests holds neither a place nor a host; it goes on when nothing else is judged there', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a.example']), 'runs')
    turns.move('u1', 'rests')
    expect(newcomer(turns, claim('b', ['a.example']), 1)).toBeNull()
    expect(turns.conflict('u1')).toBeNull()
    turns.claim('u2', claim('b', ['a.example']), 'runs')
    expect(turns.conflict('u1')).toContain('a rollout of Ingress/shop/b is under way')
    turns.move('u2', 'rests')
    // Two that rest are in nobody's way, and one that waits does not keep one back that began.
    expect(turns.conflict('u1')).toBeNull()
    turns.claim('u3', claim('c', ['a.example'], 'p', -1), 'waits')
    expect(turns.conflict('u1')).toBeNull()
  })

  it('an older one that waits for a host keeps it: many hosts are free some day', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a']), 'runs')
    turns.claim('u2', claim('many', ['a', 'b', 'c'], 'p', 1), 'waits')
    expect(newcomer(turns, claim('b', ['b'], 'p', 2))).toBe(
      'an older rollout of Ingress/shop/many waits, to be judged by requests to b',
    )
    expect(newcomer(turns, claim('b', ['b'], 'p', 0))).toBeNull()
    turns.release('u1')
    expect(turns.obstacle('u2', 20)).toBeNull()
  })

  it('a place goes to the oldest that can use it', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a', ['a']), 'runs')
    turns.claim('u2', claim('blocked', ['a'], 'p', 1), 'waits')
    turns.claim('u3', claim('older', ['o'], 'p', 2), 'waits')
    turns.claim('u4', claim('younger', ['y'], 'p', 3), 'waits')
    expect(turns.obstacle('u3', 2)).toBeNull()
    expect(turns.obstacle('u4', 2)).toBe('an older Ingress rollout of policy p waits for the same place')
    expect(turns.obstacle('u4', 3)).toBeNull()
    turns.claim('u5', claim('youngest', ['z'], 'p', 4), 'waits')
    expect(turns.obstacle('u5', 3)).toBe('2 older Ingress rollouts of policy p wait for the same place')
  })

  it('gives back once, and forgets all', () => {
    const turns = new Turns()
    turns.claim('u1', claim('a'), 'runs')
    turns.claim('u1', claim('a', ['other']), 'runs')
    expect(turns.size).toBe(1)
    expect([turns.release('u1'), turns.release('u1')]).toEqual([true, false])
    expect(newcomer(turns, claim('b', ['other']))).toBeNull()
    turns.claim('u1', claim('a'), 'runs')
    turns.clear()
    expect(newcomer(turns, claim('a'), 1)).toBeNull()
    expect([turns.stand('u1'), turns.obstacle('u1', 1), turns.conflict('u1')]).toEqual([null, null, null])
  })

  it('somebody can always go on: of those that wait where nothing runs, at least one may begin; nobody shares a host', () => {
    const hosts = fc.subarray(['a', 'b', 'c', 'd'], { minLength: 1 })
    const one = fc.record({ hosts, since: fc.integer({ min: 0, max: 3 }), kind: fc.boolean() })
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 3 }), (all, max) => {
        const turns = new Turns()
        const waiting = new Map(
          all.map(({ hosts, since, kind }, i) => [
            `u${i}`,
            kind ? claim(`${i}`, hosts, 'p', since) : secret(`${i}`, hosts, since),
          ]),
        )
        for (const [uid, of] of waiting) turns.claim(uid, of, 'waits')
        const running = new Map<string, Claim>()
        while (waiting.size > 0) {
          for (const [uid, of] of [...waiting]) {
            if (turns.obstacle(uid, max) !== null) continue
            turns.move(uid, 'runs')
            waiting.delete(uid)
            for (const other of running.values()) {
              expect(other.requests.filter(host => of.requests.includes(host))).toEqual([])
              expect(other.handshakes.filter(host => of.handshakes.includes(host))).toEqual([])
            }
            running.set(uid, of)
          }
          expect(running.size).toBeGreaterThan(0)
          const [first] = running.keys()
          if (first !== undefined) {
            turns.release(first)
            running.delete(first)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})
