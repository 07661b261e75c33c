import { describe, expect, it } from '@jest/globals'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { WEB, ingress } from '../pipeline/testing.ts'
import type { Rollout } from './rollouts.ts'
import { isToBeSaid, supersededAgain, supersededBefore } from './superseded.ts'
import { LeaderProcess, governed } from './testing.ts'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString()

interface Of {
  readonly before?: number
  readonly stable?: string | null
  readonly uid?: string
  readonly agoS?: number
}

function rollout(
  phase: IngressRolloutStatus['phase'],
  { before = 0, stable = 'v1', uid = 'u1', agoS = 1 }: Of = {},
): Rollout {
  return {
    ...{
      object: WEB,
      namespace: 'shop',
      name: 'x',
      id: 'x',
      uid: 'x',
      resourceVersion: '1',
      generation: 1,
      createdAt: NOW,
      owned: true,
    },
    supersededBefore: before,
    spec: {
      ...{ objectRef: { kind: 'Ingress', name: 'web', uid }, revision: 'v2' },
      ...{ paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 },
    },
    status:
      phase === undefined
        ? undefined
        : { phase, attempt: 1, finishedAt: ago(agoS), ...(stable === null ? {} : { stableRevision: stable }) },
  }
}

describe('how many in a row were superseded', () => {
  const cases: readonly (readonly [string, readonly Rollout[], number])[] = [
    ['the first of an object', [], 0],
    ['one is under way', [rollout('Progressing')], 1],
    ['one waits for its turn', [rollout(undefined)], 1],
    ['one is under way, after two', [rollout('Paused', { before: 2 })], 3],
    ['one was superseded a moment ago', [rollout('Superseded', { before: 2 })], 3],
    [
      'one is under way, others ended: it has counted them',
      [rollout('Superseded', { before: 7 }), rollout('Paused')],
      1,
    ],
    ['one was superseded, and long ago', [rollout('Superseded', { before: 2, agoS: 301 })], 0],
    ['one is being taken back', [rollout('RollingBack', { before: 2 })], 0],
    ['one was released', [rollout('Complete', { before: 2 })], 0],
    ['one was taken back', [rollout('RolledBack', { before: 2 })], 0],
    ['one was taken back after another', [rollout('Superseded', { before: 2, agoS: 9 }), rollout('RolledBack')], 0],
    ['one was superseded after another was taken back', [rollout('RolledBack', { agoS: 9 }), rollout('Superseded')], 1],
    ['one is released and waits for confirmations', [rollout('Progressing', { before: 2, stable: 'v0' })], 0],
    ['something else was released since', [rollout('Superseded', { before: 2, stable: 'v0' })], 0],
    ['nothing was ever released', [rollout('Progressing', { before: 2, stable: null })], 0],
    ['of an earlier object of the same name', [rollout('Progressing', { before: 2, uid: 'u0' })], 0],
  ]

  it.each(cases)('%s', (_what, rollouts, count) => {
    expect(supersededBefore(rollouts, { uid: 'u1', stable: 'v1', now: NOW })).toBe(count)
  })

  it('counts of an object that was never released, too', () => {
    const begun = rollout('Progressing', { before: 2, stable: null })
    expect(supersededBefore([begun], { uid: 'u1', stable: null, now: NOW })).toBe(3)
  })

  it('is said at the third, the tenth, the thirtieth', () => {
    const said = Array.from({ length: 1001 }, (_, count) => count).filter(isToBeSaid)
    expect(said).toEqual([3, 10, 30, 100, 300, 1000])
    expect([-3, 0.3, NaN, Infinity].some(isToBeSaid)).toBe(false)
  })

  it('objects are counted, not rollouts, and from three on', () => {
    const of = (before: number, object = WEB): Rollout => ({ ...rollout('Paused', { before }), object })
    expect(supersededAgain([of(3), of(4), of(2, 'Ingress/shop/other'), of(9, 'Ingress/shop/third')])).toBe(2)
  })
})

describe('an object that is edited all the time', () => {
  const SPEC = { batches: [{ pods: 1 }, { pods: '100%' }], bakeTime: '60s', historyLimit: 2 }
  const again = (leader: LeaderProcess): readonly string[] =>
    leader.events.filter(line => line.includes('SupersededAgain'))
  const BOTH = ['Ingress Warning SupersededAgain', 'IngressRollout Warning SupersededAgain']

  async function edited(): Promise<{ readonly leader: LeaderProcess; readonly edit: (host: string) => Promise<void> }> {
    const [api, leader] = await governed(SPEC)
    const edit = async (host: string): Promise<void> => {
      api.edit('ingresses', 'shop/web', { spec: ingress({ host }).spec })
      await leader.seconds(3)
    }
    return { leader, edit }
  }

  it('is told when the third was superseded, and at the tenth; its history does not grow', async () => {
    const { leader, edit } = await edited()
    for (let i = 0; i < 3; i++) await edit(`h${i}.example`)
    expect(again(leader)).toEqual([])
    await edit('h3.example')
    expect(again(leader)).toEqual(BOTH)
    for (let i = 4; i < 10; i++) await edit(`h${i}.example`)
    expect(again(leader)).toEqual(BOTH)
    expect(leader.rollouts.of(WEB).length).toBeLessThanOrEqual(4)
    await edit('h10.example')
    expect(again(leader)).toEqual([...BOTH, ...BOTH])
    expect(leader.errors).toEqual([])
  })

  it('is told if it is the same content again and again, which makes no new rollouts', async () => {
    const { leader, edit } = await edited()
    for (const host of ['b', 'c', 'b']) await edit(`${host}.example`)
    expect(again(leader)).toEqual([])
    await edit('c.example')
    expect(again(leader)).toEqual(BOTH)
  })

  it('is not told where one completed in between', async () => {
    const { leader, edit } = await edited()
    for (const host of ['b', 'c', 'd']) await edit(`${host}.example`)
    await leader.seconds(150)
    expect(leader.said).toContain('ended Complete')
    for (const host of ['e', 'f', 'g']) await edit(`${host}.example`)
    expect(again(leader)).toEqual([])
    await edit('h.example')
    expect(again(leader)).toEqual(BOTH)
  })

  it('is told by the leader that comes after', async () => {
    const { leader, edit } = await edited()
    for (let i = 0; i < 3; i++) await edit(`h${i}.example`)
    leader.crash()
    const next = await new LeaderProcess(leader.api, { clock: leader.clock }).start()
    leader.api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'h3.example' }).spec })
    await next.seconds(3)
    expect(again(next)).toEqual(BOTH)
  })

  it('does not count a deletion', async () => {
    const { leader, edit } = await edited()
    for (let i = 0; i < 3; i++) await edit(`h${i}.example`)
    leader.api.remove('ingresses', 'shop/web')
    await leader.seconds(3)
    expect(again(leader)).toEqual([])
  })
})
