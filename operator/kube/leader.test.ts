import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ADDRESS_ANNOTATION, LeaderElector } from './leader.ts'
import type { LeaderCallbacks, LeaderOptions } from './leader.ts'
import { FakeClock, settle } from './testing/fake-clock.ts'
import { LeaseServer } from './testing/lease-server.ts'
import type { Link } from './testing/lease-server.ts'

let clock: FakeClock
let server: LeaseServer
let electors: LeaderElector[]
let events: string[]

beforeEach(() => {
  clock = new FakeClock()
  server = new LeaseServer(clock)
  electors = []
  events = []
})

afterEach(async () => {
  const stops = Promise.all(electors.map(e => e.stop()))
  await clock.advance(60_000)
  await stops
  expect(clock.timers).toBe(0)
})

interface Replica {
  readonly elector: LeaderElector
  readonly link: Link
}

function replica(identity: string, options: Partial<LeaderOptions> = {}, more: Partial<LeaderCallbacks> = {}): Replica {
  const link: Link = { state: 'fine', delayMs: 0 }
  const elector = new LeaderElector({
    client: server.client(link),
    namespace: 'sluice-system',
    identity,
    address: `${identity}:8443`,
    clock,
    callbacks: {
      onStartedLeading: () => void events.push(`${identity}+`),
      onStoppedLeading: () => void events.push(`${identity}-`),
      ...more,
    },
    ...options,
  })
  electors.push(elector)
  elector.start()
  return { elector, link }
}

/** Moves time in small steps and fails if two lead at once. */
async function pass(ms: number): Promise<void> {
  for (let i = 0; i < ms; i += 100) {
    await clock.advance(Math.min(100, ms - i))
    const leading = electors.filter(e => e.isLeader()).length
    if (leading > 1) throw new Error(`${leading} lead at once`)
  }
}

const holder = (): string | undefined => server.lease?.spec?.holderIdentity

describe('one replica', () => {
  it('takes the free Lease at once, and says in it who and where it is', async () => {
    const a = replica('a')
    await settle()
    expect(a.elector.isLeader()).toBe(true)
    expect(server.lease).toMatchObject({
      metadata: {
        name: 'sluice-operator',
        namespace: 'sluice-system',
        annotations: { [ADDRESS_ANNOTATION]: 'a:8443' },
      },
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 15,
        leaseTransitions: 0,
        acquireTime: '2026-01-01T00:00:00.000000Z',
        renewTime: '2026-01-01T00:00:00.000000Z',
      },
    })
  })

  it('renews without counting that as a change of leader', async () => {
    const a = replica('a')
    await pass(60_000)
    expect(a.elector.isLeader()).toBe(true)
    expect(events).toEqual(['a+'])
    expect(server.writes).toBeGreaterThan(11)
    expect(server.lease?.spec).toMatchObject({ leaseTransitions: 0, acquireTime: '2026-01-01T00:00:00.000000Z' })
    expect(server.lease?.spec?.renewTime).toMatch(/^2026-01-01T00:00:5/)
  })

  it('of the same name (a container started again) takes over at once', async () => {
    server.lease = { metadata: { name: 'sluice-operator', resourceVersion: '7' }, spec: { holderIdentity: 'a' } }
    const a = replica('a')
    await settle()
    expect(a.elector.isLeader()).toBe(true)
    expect(server.lease.spec?.leaseTransitions).toBe(1)
  })

  it('gives the Lease back when it ends, after all that must not overlap has ended', async () => {
    const order: string[] = []
    let finish = (): void => undefined
    const a = replica(
      'a',
      {},
      {
        onStoppedLeading: () =>
          new Promise<void>(resolve => {
            finish = () => {
              order.push(`ended while held by ${holder() ?? ''}`)
              resolve()
            }
          }),
      },
    )
    await settle()
    let stopped = false
    const stop = a.elector.stop().then(() => (stopped = true))
    await settle()
    expect([stopped, a.elector.isLeader()]).toEqual([false, false])
    finish()
    await stop
    expect(order).toEqual(['ended while held by a'])
    expect(holder()).toBe('')
    expect(server.lease?.metadata.annotations).toEqual({})
  })

  it('refuses times with which two could lead', () => {
    for (const times of [{ leaseMs: 10_000 }, { renewMs: 10_000 }, { renewDeadlineMs: 20_000 }])
      expect(() => replica('a', times)).toThrow('renewMs < renewDeadlineMs < leaseMs')
  })
})

describe('two replicas', () => {
  it('the second waits as long as the first is heard of, and knows where it is', async () => {
    const heard: (string | null)[] = []
    const a = replica('a')
    await settle()
    const b = replica('b', {}, { onLeader: address => void heard.push(address) })
    await pass(120_000)
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([true, false])
    expect(heard).toEqual(['a:8443'])
  })

  it('of two that start at once one leads', async () => {
    replica('a')
    replica('b')
    await pass(10_000)
    expect(electors.filter(e => e.isLeader())).toHaveLength(1)
    expect(events).toHaveLength(1)
  })

  it('a leader that is cut off ends before the other begins, and follows when it is back', async () => {
    const a = replica('a')
    await settle()
    const b = replica('b')
    await pass(7_000)
    a.link.state = 'cut'
    await pass(9_000)
    expect(events).toEqual(['a+', 'a-'])
    await pass(9_000)
    expect(events).toEqual(['a+', 'a-', 'b+'])
    a.link.state = 'fine'
    await pass(60_000)
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([false, true])
    expect(events).toEqual(['a+', 'a-', 'b+'])
    expect(server.lease?.spec?.leaseTransitions).toBe(1)
  })

  it('a leader whose renewals arrive unanswered counts itself out all the same', async () => {
    const a = replica('a')
    await settle()
    a.link.state = 'deaf'
    await pass(10_000)
    expect(a.elector.isLeader()).toBe(false)
    expect(events).toEqual(['a+', 'a-'])
    a.link.state = 'fine'
    await pass(5_000)
    expect(events).toEqual(['a+', 'a-', 'a+'])
  })

  it('a leader that was suspended is none, before any timer of it runs', async () => {
    const a = replica('a')
    await settle()
    clock.freeze(10_000)
    expect(a.elector.isLeader()).toBe(false)
  })

  it('a slow answer counts from when it was asked for', async () => {
    const a = replica('a', { renewDeadlineMs: 10_000 })
    await settle()
    a.link.delayMs = 2_400
    await pass(4_000)
    // find and update of the renewal took 4.8 s in all, and it was asked for at 5 s at the latest.
    await pass(6_000)
    expect(events).toEqual(['a+'])
    a.link.state = 'cut'
    await pass(5_100)
    expect(events).toEqual(['a+', 'a-'])
  })

  it('wall clocks that jump change nothing', async () => {
    const a = replica('a')
    await settle()
    const b = replica('b')
    for (const jump of [86_400_000, -172_800_000]) {
      clock.jump(jump)
      await pass(30_000)
    }
    expect([a.elector.isLeader(), b.elector.isLeader()]).toEqual([true, false])
    expect(events).toEqual(['a+'])
  })

  it('a Lease that somebody deletes is no invitation while its holder may still lead', async () => {
    const a = replica('a')
    await settle()
    const b = replica('b')
    await pass(1_000)
    a.link.state = 'cut'
    server.lease = null
    await pass(30_000)
    expect(events).toEqual(['a+', 'a-', 'b+'])
    expect(b.elector.isLeader()).toBe(true)
  })

  it('the second follows at once when the first ends', async () => {
    const a = replica('a')
    await settle()
    const b = replica('b')
    await pass(3_000)
    await a.elector.stop()
    await pass(2_100)
    expect(b.elector.isLeader()).toBe(true)
    expect(events).toEqual(['a+', 'a-', 'b+'])
  })
})

describe('callbacks', () => {
  it('that fail do not end the election', async () => {
    const fail = (): never => {
      throw new Error('no')
    }
    const a = replica('a', {}, { onStartedLeading: fail, onStoppedLeading: fail, onLeader: fail })
    await pass(30_000)
    expect(a.elector.isLeader()).toBe(true)
  })

  it('leading begins again only when the end of the last time has ended', async () => {
    let finish = (): void => undefined
    const a = replica(
      'a',
      {},
      {
        onStoppedLeading: () => {
          events.push('a-')
          return new Promise<void>(resolve => (finish = resolve))
        },
      },
    )
    await settle()
    a.link.state = 'cut'
    await pass(11_000)
    a.link.state = 'fine'
    await pass(6_000)
    expect(events).toEqual(['a+', 'a-'])
    expect(a.elector.isLeader()).toBe(false)
    finish()
    await pass(6_000)
    expect(events).toEqual(['a+', 'a-', 'a+'])
    finish()
    a.link.state = 'fine'
    const stop = a.elector.stop()
    await settle()
    finish()
    await clock.advance(10_000)
    await stop
  })
})
