import { beforeEach, describe, expect, it } from '@jest/globals'
import { KubeError } from '../kube/errors.ts'
import type { FakeApi } from '../kube/testing/fake-api.ts'
import { settle } from '../kube/testing/fake-clock.ts'
import { ingress } from '../pipeline/testing.ts'
import { isMade } from './rollouts.ts'
import { LeaderProcess, found, governed, outcomeOf } from './testing.ts'

const ROLLOUTS = 'ingressrollouts'

let api: FakeApi
let leader: LeaderProcess

/** A namespace in which one was made, and came to its end. */
beforeEach(async () => {
  ;[api, leader] = await governed()
  change('b.example')
  await leader.seconds(8)
  api.log.length = 0
})

function change(host: string): void {
  api.edit('ingresses', 'shop/web', { spec: ingress({ host }).spec })
}

/** From now on the API server makes none before it is told to. */
function held(): () => void {
  let act = (): void => undefined
  const acting = new Promise<void>(resolve => (act = resolve))
  api.slow(what => (what.startsWith('create IngressRollout') ? acting : null))
  return () => {
    api.slow(() => null)
    act()
  }
}

const refuse = (starts: string): void =>
  api.deny(what => (what.startsWith(starts) ? new KubeError('KUBE_FORBIDDEN', what) : null))

async function look(): Promise<void> {
  leader.deliver()
  await leader.look()
}

const isOut = async (): Promise<boolean> => {
  const { record } = await outcomeOf(api)
  return record?.update !== record?.current && record?.index === 1
}

/** The leader, while an IngressRollout is being made whose first batch is stored. */
async function diesMeanwhile(): Promise<void> {
  held()
  change('c.example')
  await look()
  expect(await isOut()).toBe(true)
  leader.crash()
  api.slow(() => null)
}

describe('an IngressRollout', () => {
  it('is made while its rollout begins, and says what happened until then', async () => {
    const make = held()
    change('c.example')
    await look()
    await look()
    expect(await isOut()).toBe(true)
    expect(api.log.map(line => line.replace(/ \S+$/, ''))).toEqual(['update Secret', 'patch Ingress'])
    leader.events.length = 0
    make()
    await settle()
    await look()
    expect(found(api, 1).status).toMatchObject({ phase: 'Progressing', index: 1, observedGeneration: 1 })
    expect(leader.events.filter(event => event.startsWith('IngressRollout'))).not.toEqual([])
    await leader.seconds(8)
    expect(found(api, 1).status.phase).toBe('Complete')
    expect([leader.turns.size, leader.errors]).toEqual([0, []])
  })

  it('is not needed to take back what is bad', async () => {
    const make = held()
    leader.onUpdate = { requests: 1000, failures: 500 }
    change('c.example')
    await leader.seconds(6)
    const { record } = await outcomeOf(api)
    expect([record?.refused.length, record?.index]).toEqual([1, 0])
    make()
    await settle()
    await leader.seconds(2)
    expect(found(api, 1).status.phase).toBe('RolledBack')
    expect(leader.turns.size).toBe(0)
  })

  it('that cannot be made takes its rollout off the pods, and the next one is waited for', async () => {
    refuse('create IngressRollout')
    const make = held()
    change('c.example')
    await look()
    expect(await isOut()).toBe(true)
    make()
    await settle()
    await look()
    expect(await isOut()).toBe(false)
    expect(leader.turns.size).toBe(0)
    api.log.length = 0
    await leader.seconds(8)
    expect(api.log).toEqual(['patch Ingress web'])
    expect(leader.said).toContain('refused: the IngressRollout of Ingress/shop/web')
    api.deny(() => null)
    await leader.seconds(8)
    expect(found(api, 1).status.phase).toBe('Complete')
  })

  it('that cannot be made, and whose record cannot be written either, holds nobody up', async () => {
    refuse('')
    change('c.example')
    await leader.seconds(4)
    api.deny(() => null)
    await leader.seconds(10)
    expect(found(api, 1).status.phase).toBe('Complete')
    expect(leader.turns.size).toBe(0)
  })

  it('is withdrawn from pods as soon as that can be written', async () => {
    const make = held()
    change('c.example')
    await look()
    refuse('')
    make()
    await settle()
    await leader.seconds(2)
    expect(await isOut()).toBe(true)
    refuse('create IngressRollout')
    await leader.seconds(1)
    expect(await isOut()).toBe(false)
  })

  it.each([false, true])('whose answer is lost is there all the same; the watch is late: %s', async isLate => {
    if (isLate) leader.lag(ROLLOUTS)
    change('c.example')
    leader.deliver()
    const failures = new Map([1, 2, 3].map(nth => [nth, 'unanswered' as const]))
    api.fail(failures)
    await leader.look()
    api.fail(new Map())
    await leader.seconds(3)
    leader.lag()
    await leader.seconds(8)
    expect(api.all(ROLLOUTS)).toHaveLength(2)
    expect(found(api, 1).status.phase).toBe('Complete')
  })

  it('of what was taken back meanwhile is made in the end, though that failed at first', async () => {
    refuse('create IngressRollout')
    const make = held()
    leader.onUpdate = { requests: 1000, failures: 500 }
    change('c.example')
    await leader.seconds(6)
    expect((await outcomeOf(api)).record?.refused).toHaveLength(1)
    make()
    await leader.seconds(2)
    expect(api.all(ROLLOUTS)).toHaveLength(1)
    api.deny(() => null)
    await leader.seconds(4)
    expect(found(api, 1).status).toMatchObject({
      phase: 'RolledBack',
      message: expect.stringContaining('success rate'),
    })
    expect(leader.turns.size).toBe(0)
  })

  it('that the watch brings is made, whatever becomes of the answer', async () => {
    change('c.example')
    let lose = (): void => undefined
    const losing = new Promise<void>(resolve => (lose = resolve))
    const create = leader.client.create.bind(leader.client)
    leader.client.create = async (...of) => {
      await create(...of)
      await losing
      throw new KubeError('KUBE_UNAVAILABLE', 'no answer')
    }
    await look()
    await look()
    lose()
    await settle()
    await look()
    expect(await isOut()).toBe(true)
    expect(leader.maker.mayFollow({ namespace: 'shop', object: 'Ingress/shop/web' })).toBe(true)
    await leader.seconds(8)
    expect(found(api, 1).status.phase).toBe('Complete')
  })

  it('that a person deletes before its answer comes is made again', async () => {
    change('c.example')
    let answer = (): void => undefined
    const { client } = leader
    const create = client.create.bind(client)
    const answering = new Promise<void>(resolve => (answer = resolve))
    leader.client.create = (async (...of: Parameters<typeof create>) => {
      const made = await create(...of)
      await answering
      return made
    }) as typeof client.create
    await look()
    const name = api.all(ROLLOUTS)[1]?.metadata.name ?? ''
    await look()
    api.remove(ROLLOUTS, `shop/${name}`)
    await look()
    leader.client.create = create
    answer()
    await leader.seconds(10)
    expect(found(api, 1).status.phase).toBe('Complete')
    expect(leader.rollouts.get('shop', name)?.uid).toBe(api.object(ROLLOUTS, `shop/${name}`)?.metadata.uid)
  })

  it('is waited for where many are being made', () => {
    held()
    const { maker, rollouts } = leader
    const [known] = rollouts.of('Ingress/shop/web')
    for (let i = 0; i < 8; i++) {
      expect(maker.mayFollow(known!)).toBe(true)
      maker.begin(rollouts.expect({ ...known!, name: `ing-web-${i}` }))
    }
    expect(maker.mayFollow(known!)).toBe(false)
  })

  it('that cannot be made for what cannot be served any more leaves nothing of it on pods', async () => {
    await diesMeanwhile()
    api.edit('ingresses', 'shop/web', { spec: { rules: [{ host: 'not a host' }] } })
    const next = await new LeaderProcess(api, { clock: leader.clock }).start()
    await next.seconds(2)
    expect(await isOut()).toBe(false)
  })

  it('is made by the next leader, which goes on from the record', async () => {
    await diesMeanwhile()
    const next = await new LeaderProcess(api, { clock: leader.clock }).start()
    expect(found(api, 1).status).toMatchObject({ phase: 'Progressing', index: 1 })
    await next.seconds(8)
    expect(found(api, 1).status.phase).toBe('Complete')
  })

  it('that is made in a later term of its leader is driven by that', async () => {
    const make = held()
    change('c.example')
    await look()
    leader.driver.stop()
    leader.driver.start()
    expect(leader.rollouts.of('Ingress/shop/web').map(isMade)).toEqual([true])
    make()
    await leader.seconds(10)
    expect(found(api, 1).status.phase).toBe('Complete')
    expect(leader.turns.size).toBe(0)
  })
})
