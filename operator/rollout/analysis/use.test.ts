import { describe, expect, it } from '@jest/globals'
import type { ObjectCounters, Report } from '../../../protocol/messages.ts'
import { USE_MS, Use } from './use.ts'

const WEB = 'Ingress/shop/web'
const report = (requests: number, instance = 'one', closed?: number): Report => {
  const counters: ObjectCounters = {
    ...{ revision: 'v1', requests, status: [0, requests, 0, 0, 0] },
    ...(closed === undefined ? {} : { closed }),
  }
  return { instance, objects: requests + (closed ?? 0) === 0 ? {} : { [WEB]: counters } } as unknown as Report
}

/** Two pods that report every ten seconds until `end`. */
function watched(end: number, requests = 2): Use {
  const use = new Use()
  for (let at = 0; at <= end; at += 10_000) for (const pod of ['a', 'b']) use.add(pod, report(requests), at)
  return use
}

describe('the use of an object', () => {
  it('is what all pods answered for it in the last minute, closed paths included', () => {
    expect(watched(USE_MS).of(WEB, ['a', 'b'], USE_MS)).toBe(2 * 6 * 2)
    expect(watched(600_000).of(WEB, ['a', 'b'], 600_000)).toBe(2 * 7 * 2)
    expect(watched(USE_MS).of(WEB, ['a'], USE_MS)).toBe(12)
    expect(watched(USE_MS).of('Ingress/shop/other', ['a', 'b'], USE_MS)).toBe(0)
    const use = watched(USE_MS, 0)
    use.add('a', report(1, 'one', 4), USE_MS + 1)
    expect(use.of(WEB, ['a', 'b'], USE_MS + 1)).toBe(5)
  })

  it('is forgotten after a minute', () => {
    const use = watched(USE_MS)
    for (let at = 70_000; at <= 140_000; at += 10_000) for (const pod of ['a', 'b']) use.add(pod, report(0), at)
    expect(use.of(WEB, ['a', 'b'], 140_000)).toBe(0)
  })

  it.each<[string, (use: Use) => void, number]>([
    ['for less than a minute', () => undefined, USE_MS - 1],
    ['by a process that is new', use => use.add('b', report(0, 'two'), USE_MS), USE_MS],
    ['and was silent since', () => undefined, USE_MS + 30_001],
    ['no longer', use => use.forget('b'), USE_MS],
  ])('is not known of a pod that was watched %s', (_what, act, now) => {
    const use = watched(USE_MS)
    act(use)
    expect(use.of(WEB, ['a', 'b'], now)).toBeNull()
  })

  it('is not known of a pod that was never heard', () => {
    expect(watched(USE_MS).of(WEB, ['a', 'c'], USE_MS)).toBeNull()
  })

  it('is not known of an object that was not counted for a minute on all of them', () => {
    const use = watched(600_000)
    use.began(WEB, 540_001)
    use.began('Ingress/shop/other', 540_000)
    expect(use.of(WEB, ['a', 'b'], 600_000)).toBeNull()
    expect(use.of('Ingress/shop/other', ['a', 'b'], 600_000)).toBe(0)
    for (const pod of ['a', 'b']) use.add(pod, report(2), 600_001)
    expect(use.of(WEB, ['a', 'b'], 600_001)).toBe(2 * 7 * 2)
    // Again: on more pods, under another policy.
    use.began(WEB, 600_001)
    use.began('Ingress/shop/third', 600_002)
    expect(use.of(WEB, ['a', 'b'], 600_002)).toBeNull()
  })
})
