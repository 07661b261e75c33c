import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import type { Said } from '../fleet/fleet.ts'
import { HAND, NOBODY } from '../assign/testing.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { NotLeaderError, KubeError } from '../kube/errors.ts'
import { silentLog } from '../kube/log.ts'
import { FakeClock, settle } from '../kube/testing/fake-clock.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { Leader, sayCondition } from './leader.ts'
import type { LeaderParts } from './leader.ts'
import { viewOf } from './testing-views.ts'

const WEB: ObjectKey = 'Ingress/shop/web'

let clock: FakeClock
/** What was done, in order. */
let log: string[]
let leads: boolean
let view: ObjectView | null
let stale: boolean
let empty: boolean
let kept: () => Promise<'settled' | 'changed'>
let load: () => Promise<void>
let leader: Leader
/** Its shard; and whether an Ingress names the Secret. */
let lost: boolean
let named: boolean
/** Rollouts under way, by their object. */
let open: { readonly object: ObjectKey }[]
/** So often the store has what views do not show yet. */
let behind: number
/** A report has figures that count. */
let moved: boolean

const NOTHING = { hosts: {} }
const said = (...objects: readonly ObjectKey[]): Said => ({ objects: new Set(objects), isNewState: false })

beforeEach(() => {
  clock = new FakeClock()
  log = []
  ;[leads, stale, empty] = [true, false, false]
  ;[lost, named] = [false, false]
  open = []
  moved = true
  behind = 0
  view = viewOf()
  kept = () => Promise.resolve('settled')
  load = () => Promise.resolve()
  const note =
    (what: string) =>
    (...of: readonly unknown[]): void =>
      void log.push([what, ...of.filter(one => typeof one === 'string')].join(' '))
  const noted =
    (what: string) =>
    (...of: readonly unknown[]): Promise<void> => {
      note(what)(...of)
      return Promise.resolve()
    }
  const checksums = { lead: note('checksums lead'), writeStatus: noted('checksum status') }
  const parts: { readonly [Part in keyof LeaderParts]: unknown } = {
    client: {},
    events: { event: note('event') },
    pipeline: {
      view: () => view,
      views: () => (view === null ? [] : [view]),
      isNamed: () => named,
      isBehind: () => (behind > 0 ? behind-- > 0 : false),
    },
    store: {
      load: () => load(),
      all: () => [],
      get isComplete() {
        return !empty
      },
      get isMissing() {
        return lost
      },
      stale: [],
      isLost: () => lost,
      complete: (found: readonly ReleaseRecord[] = []) => {
        for (const { key } of found) log.push(`found ${key}`)
        return noted('store complete')()
      },
    },
    rollouts: { of: () => [], all: () => [], open: () => open, isOpen: () => false },
    policies: { lead: note('policies lead'), writeStatus: () => noted('policy status')() },
    checksums: { Ingress: checksums, Secret: checksums },
    addresses: { write: noted('addresses'), asked: [] },
    writer: { stale: () => stale, forget: note('forget') },
    keeper: {
      start: () => undefined,
      forget: () => Promise.resolve('settled'),
      keep: () => {
        log.push('keep')
        return kept()
      },
    },
    starter: {
      start: () => Promise.resolve(log.push('start') === 0),
      sweep: (key: string) => Promise.resolve(void log.push(`sweep ${key}`)),
    },
    driver: {
      start: note('driver start'),
      stop: note('driver stop'),
      forget: note('driver forget'),
      isMovedBy: () => moved,
      drive: (key: string) => {
        log.push(`drive ${key}`)
        return Promise.resolve({})
      },
    },
    ...{ mayWrite: () => leads, clock, log: silentLog },
  }
  leader = new Leader(parts as unknown as LeaderParts)
})

afterEach(() => leader.stop())

function secretView(record: Partial<ReleaseRecord>): ObjectView {
  return { ...viewOf({ governance: NOBODY, record, stored: null }), key: 'Secret/shop/tls' }
}

const begin = async (): Promise<void> => {
  await leader.start()
  await settle()
}

describe('a leader', () => {
  it.each([
    ['an Ingress', viewOf({ governance: NOBODY, record: { governed: false }, stored: null }), false, 1],
    ['a Secret that an Ingress names', secretView({ governed: false }), true, 1],
    ['a Secret that nothing names', secretView({ governed: false }), false, 0],
    ['a Secret that is driven by hand', secretView({ byHand: true }), false, 1],
  ])('writes the lost record of %s again, or not', async (_, of, isNamed, found) => {
    ;[view, lost, named] = [of, true, isNamed]
    await begin()
    expect(log.filter(line => line.startsWith('found '))).toHaveLength(found)
  })

  it('begins with everything: turns first, then each object in its order', async () => {
    await begin()
    expect(log).toEqual([
      ...['driver start', 'policies lead', 'checksums lead', 'checksums lead'],
      ...['keep', 'start', `drive ${WEB}`, 'addresses'],
    ])
    log.length = 0
    await clock.advance(300)
    expect(log).toEqual(['policy status', 'checksum status', 'checksum status'])
  })

  it('does nothing before it leads, and nothing afterwards', async () => {
    leader.viewed([WEB])
    leader.fleetChanged()
    leader.reported(said(WEB), NOTHING)
    leader.turnFree()
    leader.statusMayDiffer()
    await clock.advance(10_000)
    expect(log).toEqual([])
    await begin()
    await leader.stop()
    log.length = 0
    leader.viewed([WEB])
    await clock.advance(60_000)
    expect([log, leader.leading]).toEqual([[], false])
  })

  it('looks at figures a few times a second, however many pods report, and at what a pod says of an object at once', async () => {
    open = [{ object: WEB }]
    await begin()
    const looks = (): number => log.splice(0).filter(line => line === `drive ${WEB}`).length
    looks()
    for (let report = 0; report < 100; report++) {
      leader.reported(said(), NOTHING)
      await clock.advance(10)
    }
    expect(looks()).toBeLessThanOrEqual(9)
    await clock.advance(250)
    looks()
    leader.reported(said(), NOTHING)
    await settle()
    expect(looks()).toBe(1)
    leader.reported(said(), NOTHING)
    await settle()
    expect(looks()).toBe(0)
    leader.reported(said(WEB), NOTHING)
    await settle()
    expect(looks()).toBe(1)
    await clock.advance(250)
    expect(looks()).toBe(1)
  })

  it('looks at nothing for a report that counts nothing of it, but at what is said of it, and at what is said of the checksums', async () => {
    open = [{ object: WEB }]
    moved = false
    await begin()
    await clock.advance(1_000)
    log.length = 0
    leader.reported(said(), NOTHING)
    await clock.advance(1_000)
    expect(log).toEqual([])
    leader.reported(said(WEB), NOTHING)
    await settle()
    expect(log).toContain(`drive ${WEB}`)
    log.length = 0
    leader.reported({ ...said(), isNewState: true }, NOTHING)
    await clock.advance(1_000)
    expect(log).toEqual(['checksum status', 'checksum status'])
  })

  it('decides nothing on views that are older than the store, at its begin and later', async () => {
    behind = 3
    await leader.start()
    expect(behind).toBe(0)
    await settle()
    expect(log).toContain(`drive ${WEB}`)
    log.length = 0
    behind = 2
    leader.viewed([WEB])
    await settle()
    await clock.advance(20)
    expect(log).toEqual([])
    await clock.advance(20)
    expect(log).toContain(`drive ${WEB}`)
  })

  it('does not begin any more if it was stopped while it read', async () => {
    let read = (): void => undefined
    load = () => new Promise(resolve => (read = resolve))
    const starting = leader.start()
    await settle()
    await leader.stop()
    read()
    await starting
    expect([leader.leading, log]).toEqual([false, ['driver stop']])
  })

  it('takes over what was there when nothing had ever been stored, and only then', async () => {
    empty = true
    view = { ...viewOf(), stored: null }
    await begin()
    expect([leader.isFresh('u1'), leader.isFresh('u2')]).toEqual([true, false])
    await leader.stop()
    empty = false
    await begin()
    expect(leader.isFresh('u1')).toBe(false)
  })

  it.each<[string, ObjectView]>([
    ['it is recorded', { ...viewOf(), stored: viewOf().record }],
    ['it belongs to another class', { ...viewOf({ content: ABSENT_REVISION, source: { ours: false } }), stored: null }],
    ['its flag cannot be read', { ...viewOf({ governance: HAND, texts: { flag: 'yes' } }), stored: null }],
  ])('says that the store is whole when everything that was there is recorded: %s', async (_, others) => {
    empty = true
    view = { ...viewOf(), stored: null }
    await begin()
    await clock.advance(2_000)
    expect(log).not.toContain('store complete')
    view = others
    await clock.advance(2_500)
    expect(log).toContain('store complete')
  })

  it('waits for its own writes to show, and looks again in any case', async () => {
    kept = () => Promise.resolve('changed')
    await begin()
    expect(log.at(-1)).toBe('keep')
    log.length = 0
    kept = () => Promise.resolve('settled')
    stale = true
    leader.viewed([WEB])
    await clock.advance(1_000)
    expect(log).not.toContain('keep')
    stale = false
    await clock.advance(2_000)
    expect(log).toContain(`drive ${WEB}`)
  })

  const failures: readonly (readonly [string, Error, number])[] = [
    ['somebody else wrote first: soon', new KubeError('KUBE_CONFLICT', 'x'), 50],
    ['the object went away: later', new KubeError('KUBE_NOT_FOUND', 'x'), 2_000],
    ['its namespace goes: later', new KubeError('KUBE_FORBIDDEN', 'x', { reason: 'NamespaceTerminating' }), 2_000],
    ['the API server is away: with backoff', new KubeError('KUBE_UNAVAILABLE', 'x'), 200],
  ]

  it.each(failures)('looks again when %s', async (_what, error, ms) => {
    kept = () => Promise.reject(error)
    await begin()
    log.length = 0
    kept = () => Promise.resolve('settled')
    await clock.advance(ms)
    expect(log.filter(line => line === 'keep')).toEqual(['keep'])
  })

  it('does not count it as a failure that it leads no more', async () => {
    kept = () => Promise.reject(new NotLeaderError('no'))
    await begin()
    await clock.advance(5_000)
    expect(leader.queues().objects).toMatchObject({ failing: 0, errors: 0 })
    leads = false
    log.length = 0
    leader.viewed([WEB])
    leader.statusMayDiffer()
    await clock.advance(5_000)
    expect(log).toEqual([])
  })

  it('drives what is left of an object that nobody knows any more', async () => {
    view = null
    await begin()
    leader.viewed([WEB])
    await settle()
    expect(log.slice(4)).toEqual([`forget ${WEB}`, `drive ${WEB}`, `sweep ${WEB}`])
    leader.rolloutGone('uid')
    expect(log.at(-1)).toBe('driver forget uid')
  })
})

describe('a condition is said', () => {
  const cases = [
    ['Accepted', 'True', 'ServiceNotFound', 'Warning'],
    ['Accepted', 'False', 'InvalidHost', 'Warning'],
    ['Released', 'False', 'RevisionRefused', 'Warning'],
    ['Released', 'False', 'NotStamped', 'Normal'],
  ] as const

  it.each(cases)('%s=%s %s as %s', (type, status, reason, level) => {
    const said: unknown[] = []
    const { source } = viewOf()
    sayCondition({ event: (about, ...words) => said.push([about.kind, about.uid, ...words]) }, source!, {
      ...{ type, status, reason, message: 'why', lastTransitionTime: '' },
    })
    expect(said).toEqual([['Ingress', 'u1', level, reason, 'why']])
  })
})
