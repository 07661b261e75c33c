import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { Balancer } from './balancer.ts'

const THREE = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']

describe('Balancer', () => {
  it('goes round, from a place of its own', () => {
    const balancer = new Balancer(
      () => 0,
      () => 0.5,
    )
    const firsts = [1, 2, 3, 4].map(() => balancer.order('ns/web:80', THREE)[0])
    expect(firsts).toEqual(['10.0.0.2:80', '10.0.0.3:80', '10.0.0.1:80', '10.0.0.2:80'])
  })

  it('tries an endpoint that just failed last, until its time is over or it works', () => {
    let now = 0
    const balancer = new Balancer(
      () => now,
      () => 0,
    )
    balancer.failed('10.0.0.1:80')
    const lasts = [1, 2, 3].map(() => balancer.order('ns/web:80', THREE).at(-1))
    expect(lasts).toEqual(['10.0.0.1:80', '10.0.0.1:80', '10.0.0.1:80'])
    now = 5_001
    expect(balancer.order('ns/web:80', THREE)[0]).toBe('10.0.0.1:80')
    balancer.failed('10.0.0.2:80')
    balancer.succeeded('10.0.0.2:80')
    expect(balancer.order('ns/web:80', THREE)[0]).toBe('10.0.0.2:80')
    balancer.failed('10.0.0.3:80')
    balancer.forget([], ['10.0.0.3:80'])
    expect(balancer.order('ns/web:80', THREE)[0]).toBe('10.0.0.3:80')
  })

  it('names each endpoint at most once, three at most, and none of none', () => {
    const addresses = fc.uniqueArray(fc.integer({ min: 1, max: 9 }).map(n => `10.0.0.${n}:80`))
    const steps = fc.array(fc.record({ addresses, failed: fc.constantFrom('10.0.0.1:80', '10.0.0.2:80') }))
    fc.assert(
      fc.property(steps, all => {
        const balancer = new Balancer(() => 0)
        for (const { addresses: now, failed } of all) {
          const order = balancer.order('ns/web:80', now)
          expect(order).toHaveLength(Math.min(3, now.length))
          expect(new Set(order).size).toBe(order.length)
          for (const address of order) expect(now).toContain(address)
          balancer.failed(failed)
        }
      }),
    )
  })

  it('gives every endpoint the same share', () => {
    const balancer = new Balancer()
    const counts = new Map<string, number>()
    for (let i = 0; i < 300; i++) {
      const [first = ''] = balancer.order('ns/web:80', THREE)
      counts.set(first, (counts.get(first) ?? 0) + 1)
    }
    expect([...counts.values()]).toEqual([100, 100, 100])
  })
})
