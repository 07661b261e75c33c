import { afterEach, describe, expect, it } from '@jest/globals'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { ClusterSet } from './cluster-set.ts'
import type { Lease } from './contract.ts'
import { UPSTREAM_DEFAULTS } from './settings.ts'
import {
  CONNECTS,
  CONNECT_FAILURES,
  FAILURES,
  IDLE,
  LEASES,
  OPEN,
  RESTS,
  RETRIES,
  TALLY_WIDTH,
  type UpstreamCounts,
} from './endpoint-counters.ts'
import { PLAIN_REQUEST } from './testing/plain-request.ts'

/** Connects in the next microtask, or never where its address ends in .9. */
class Socketlike extends EventEmitter {
  readonly readable = true
  readonly writable = true

  constructor(refuses: boolean) {
    super()
    queueMicrotask(() => {
      if (!refuses) this.emit('connect')
      else this.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    })
  }

  isPaused(): boolean {
    return false
  }

  destroy(error?: Error): void {
    if (error) this.emit('error', error)
    this.emit('close')
  }
}

const sets: ClusterSet[] = []
afterEach(() => {
  for (const set of sets.splice(0)) set.destroy()
})

function start(...addresses: readonly string[]): ClusterSet {
  const set = new ClusterSet(UPSTREAM_DEFAULTS, {
    connect: host => new Socketlike(host.endsWith('.9')) as unknown as Socket,
    now: () => 0,
  })
  sets.push(set)
  set.apply({ upsert: new Map([['ns/web:80', addresses]]), remove: [] })
  return set
}

const lend = (set: ClusterSet): Promise<Lease | null> =>
  new Promise(resolve => {
    set.hold('ns/web:80').lease(PLAIN_REQUEST, {
      ...{ leased: resolve, failed: () => resolve(null), trying: () => undefined },
    })
  })

const COLUMNS = {
  ...{ leases: LEASES, failures: FAILURES, connects: CONNECTS, connectFailures: CONNECT_FAILURES },
  ...{ retries: RETRIES, rests: RESTS, open: OPEN, idle: IDLE },
}

/** What is not 0, by Service or endpoint. */
function read(counts: UpstreamCounts | null): Readonly<Record<string, object>> {
  return Object.fromEntries(
    (counts?.names ?? []).map(({ service, endpoint }, i) => {
      const figures = Object.entries(COLUMNS).map(([name, column]) => [
        name,
        counts?.figures[i * TALLY_WIDTH + column] ?? 0,
      ])
      return [endpoint ?? service, Object.fromEntries(figures.filter(([, value]) => value !== 0))]
    }),
  )
}

describe('what a worker says of Services and endpoints', () => {
  it('is nothing where nothing was done, however many there are', () => {
    expect(start('10.0.0.1:80', '10.0.0.2:80').flush()).toBeNull()
  })

  it('is what came since the last time, and what changed of what is open and idle', async () => {
    const set = start('10.0.0.1:80')
    const first = await lend(set)
    expect(read(set.flush())).toEqual({
      'ns/web:80': { leases: 1, connects: 1, open: 1 },
      '10.0.0.1:80': { leases: 1, connects: 1, open: 1 },
    })
    first?.done('reusable')
    expect(read(set.flush())).toEqual({ 'ns/web:80': { open: -1 }, '10.0.0.1:80': { open: -1, idle: 1 } })
    const again = await lend(set)
    expect(set.hold('ns/web:80').mayRetry()).toBe(true)
    again?.done('failed')
    expect(read(set.flush())).toEqual({
      'ns/web:80': { leases: 1, failures: 1, retries: 1 },
      '10.0.0.1:80': { leases: 1, failures: 1, idle: -1 },
    })
    expect(set.flush()).toBeNull()
  })

  it('sums up to what is open, where an address leaves and comes back while a connection to it is lent', async () => {
    const set = start('10.0.0.1:80')
    const name = (...addresses: readonly string[]): void => {
      set.apply({ upsert: new Map([['ns/web:80', addresses]]), remove: [] })
    }
    const leases = [await lend(set)]
    name()
    name('10.0.0.1:80')
    leases.push(await lend(set))
    let open = 0
    const flush = (): number => {
      const { names = [], figures = [] } = set.flush() ?? {}
      names.forEach(({ endpoint }, i) => (open += endpoint === null ? 0 : (figures[i * TALLY_WIDTH + OPEN] ?? 0)))
      return open
    }
    expect(flush()).toBe(2)
    leases[0]?.done('close')
    expect(flush()).toBe(1)
    leases[1]?.done('close')
    expect(flush()).toBe(0)
  })

  it('tells of connections that could not be opened, and that an endpoint rests', async () => {
    const set = start('10.0.0.9:80')
    expect(await lend(set)).toBeNull()
    expect(read(set.flush())).toEqual({
      'ns/web:80': { connects: 1, connectFailures: 1 },
      '10.0.0.9:80': { connects: 1, connectFailures: 1, rests: 1 },
    })
  })

  it('tells of an endpoint that goes with connections that are idle', async () => {
    const set = start('10.0.0.1:80')
    ;(await lend(set))?.done('reusable')
    set.flush()
    set.apply({ upsert: new Map(), remove: ['ns/web:80'] })
    expect(read(set.flush())).toMatchObject({ '10.0.0.1:80': {} })
  })
})
