import { describe, expect, it } from '@jest/globals'
import type { Report } from '../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { NOBODY, POLICY } from '../assign/testing.ts'
import { NotLeaderError } from '../kube/errors.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import { ingress } from '../pipeline/testing.ts'
import type { Address } from '../status/addresses.ts'
import { AddressWriter, MOST_ASKED, PATIENCE_MS } from './address-writer.ts'
import { viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const IP = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } }
const NONE = { loadBalancer: { ingress: [] } }
const OURS = {
  manager: 'sluice-operator',
  subresource: 'status',
  fieldsV1: { 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } },
}
const THEIRS = { ...OURS, manager: 'nginx-ingress-controller' }

interface Case {
  readonly wanted: readonly Address[] | null
  readonly status?: object
  readonly of?: ViewOf
  readonly managedFields?: readonly object[]
  readonly leads?: boolean
  /** Somebody changes the Ingress after it was seen. */
  readonly edited?: boolean
}

/** The Ingress's status after a look, and how many writes that took. */
async function after(of: Case): Promise<readonly [unknown, number]> {
  const api = new FakeApi()
  const { status, managedFields } = of
  const made = api.put('ingresses', { ...ingress(), ...(status === undefined ? {} : { status }) })
  if (of.edited === true) api.edit('ingresses', 'shop/web', { metadata: { labels: { edited: 'yes' } } })
  const addresses = new AddressWriter({
    client: api.client(),
    wanted: () => of.wanted,
    mayWrite: () => of.leads ?? true,
    ...{ released: () => true, pods: () => [], now: () => 0 },
  })
  const raw = { ...made, metadata: { ...made.metadata, ...(managedFields === undefined ? {} : { managedFields }) } }
  await addresses.write({ ...viewOf(of.of), raw })
  return [api.object('ingresses', 'shop/web')?.status, api.writes]
}

describe('an Ingress of our class', () => {
  it('gets the addresses', async () => {
    const wanted = [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }]
    expect(await after({ wanted })).toEqual([{ loadBalancer: { ingress: wanted } }, 1])
  })

  it('is not written where they are there already', async () => {
    expect(await after({ wanted: [{ ip: '192.0.2.1' }], status: IP })).toEqual([IP, 0])
    expect(await after({ wanted: [] })).toEqual([undefined, 0])
  })

  it('loses those that are no more', async () => {
    expect(await after({ wanted: [], status: IP })).toEqual([NONE, 1])
    const next = [{ ip: '192.0.2.2' }]
    expect(await after({ wanted: next, status: IP })).toEqual([{ loadBalancer: { ingress: next } }, 1])
  })

  it('loses them when its deletion begins, whatever pods serve until that is through', async () => {
    const of = { source: { deleting: true } }
    for (const wanted of [[{ ip: '192.0.2.9' }], null]) {
      expect(await after({ wanted, status: IP, of, managedFields: [OURS] })).toEqual([NONE, 1])
      expect(await after({ wanted, status: IP, of, managedFields: [THEIRS] })).toEqual([IP, 0])
    }
  })

  it('is left alone while nothing is known', async () => {
    const wanted = [{ ip: '192.0.2.9' }]
    expect(await after({ wanted: null, status: IP })).toEqual([IP, 0])
    expect(await after({ wanted, status: IP, of: { content: null } })).toEqual([IP, 0])
  })
})

describe('an Ingress that is not of our class', () => {
  const wanted = [{ ip: '192.0.2.1' }]
  /** A view of one that is not ours, with what its record says of it. */
  const left = (record: ViewOf['record'] = {}, governance = NOBODY): ViewOf => ({
    content: ABSENT_REVISION,
    source: { ours: false, deleting: false },
    ...{ record, governance },
  })
  const gone = left(null)

  it('loses what we published', async () => {
    expect(await after({ wanted, status: IP, of: gone, managedFields: [OURS] })).toEqual([NONE, 1])
  })

  it('loses it whatever we would publish now', async () => {
    for (const now of [[{ ip: '192.0.2.2' }], [], null])
      expect(await after({ wanted: now, status: IP, of: gone, managedFields: [OURS] })).toEqual([NONE, 1])
  })

  it('keeps what another controller published, be it the same address', async () => {
    expect(await after({ wanted, status: IP, of: gone, managedFields: [THEIRS] })).toEqual([IP, 0])
    expect(await after({ wanted, status: IP, of: gone })).toEqual([IP, 0])
  })

  it.each<readonly [string, boolean, ViewOf]>([
    ['nobody governs it: at once, whatever is noted of it', true, left()],
    ['its leaving is on no pod yet', false, left({ update: ABSENT_REVISION, index: 0 }, POLICY)],
    ['its leaving is on one pod', false, left({ update: ABSENT_REVISION, index: 1 }, POLICY)],
    ['its leaving is on all pods', true, left({ update: ABSENT_REVISION, index: -1 }, POLICY)],
    ['its leaving is complete', true, left({ current: ABSENT_REVISION }, POLICY)],
  ])('loses it when no proxy serves it any more: %s', async (_, taken, of) => {
    const expected = taken ? [NONE, 1] : [IP, 0]
    expect(await after({ wanted, status: IP, of, managedFields: [OURS] })).toEqual(expected)
  })

  it('gets none', async () => {
    expect(await after({ wanted, of: gone })).toEqual([undefined, 0])
    expect(await after({ wanted, of: gone, managedFields: [OURS] })).toEqual([undefined, 0])
  })
})

describe('a write', () => {
  const wanted = [{ ip: '192.0.2.1' }]

  it('is made by the leader alone', async () => {
    await expect(after({ wanted, leads: false })).rejects.toThrow(NotLeaderError)
    expect(await after({ wanted, status: IP, leads: false })).toEqual([IP, 0])
  })

  it('is of the state that was looked at', async () => {
    await expect(after({ wanted, edited: true })).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
  })
})

describe('the first address of an Ingress', () => {
  const KEY = 'Ingress/shop/web'
  const wanted: readonly Address[] = [{ ip: '192.0.2.1' }]
  /** What each pod says it serves; undefined: it said nothing. */
  type Says = string | null | undefined

  function rig(says: readonly Says[], { ready = says.map(() => true), released = true } = {}) {
    const api = new FakeApi()
    const raw = api.put('ingresses', { ...ingress() })
    const state = { says, now: 0, released }
    const addresses = new AddressWriter({
      ...{ client: api.client(), wanted: () => wanted, mayWrite: () => true },
      released: () => state.released,
      now: () => state.now,
      pods: () =>
        state.says.map((revision, ordinal) => ({
          ...{ name: `sluice-proxy-${ordinal}`, uid: `uid-${ordinal}`, ordinal, ready: ready[ordinal] ?? true },
          report: revision === undefined ? null : ({ revisions: { [KEY]: revision } } as unknown as Report),
          reportedAt: 0,
        })),
    })
    const shown = (): unknown => api.object('ingresses', 'shop/web')?.status
    const look = (of: ViewOf = {}): Promise<number | null> => addresses.write({ ...viewOf(of), raw })
    return { addresses, state, look, shown, viewed: (of: ViewOf = {}) => ({ ...viewOf(of), raw }) }
  }

  it('comes when every ready pod serves it', async () => {
    const { addresses, state, look, shown, viewed } = rig(['v1', undefined, null])
    expect(addresses.note(KEY, viewed())).toBe(true)
    expect(addresses.asked).toEqual([KEY])
    expect(await look()).toBe(PATIENCE_MS)
    state.says = ['v1', 'v1', null]
    state.now = 400
    expect(await look()).toBe(PATIENCE_MS - 400)
    expect(shown()).toBeUndefined()
    state.says = ['v1', 'v1', 'v1']
    expect(await look()).toBeNull()
    expect(shown()).toEqual(IP)
  })

  it('does not wait for pods that are not ready, nor for ever for one that says nothing', async () => {
    const notReady = rig(['v1', null], { ready: [true, false] })
    await notReady.look()
    expect(notReady.shown()).toEqual(IP)
    const silent = rig(['v1', undefined])
    expect(await silent.look()).toBe(PATIENCE_MS)
    silent.state.now = PATIENCE_MS
    await silent.look()
    expect(silent.shown()).toEqual(IP)
  })

  it('does not come while a part of the pods is not to serve it, or the stream holds it back', async () => {
    const created: ViewOf = {
      content: 'v1',
      texts: { flag: 'true', update: 'v1', index: '1' },
      record: { current: ABSENT_REVISION, update: 'v1', index: 1 },
    }
    const partly = rig(['v1', null])
    partly.addresses.note(KEY, partly.viewed(created))
    expect(partly.addresses.asked).toEqual([])
    partly.state.now = 10 * PATIENCE_MS
    expect(await partly.look(created)).toBeNull()
    expect(partly.shown()).toBeUndefined()
    const held = rig(['v1'], { released: false })
    held.state.now = 10 * PATIENCE_MS
    expect(await held.look()).toBeNull()
    expect(held.shown()).toBeUndefined()
  })

  it('is asked for no more once it is there, or its Ingress gone', () => {
    const { addresses, viewed } = rig([null])
    addresses.note(KEY, viewed())
    expect(addresses.note(KEY, viewed())).toBe(false)
    const there = viewed()
    const raw = { ...there.raw, status: IP, metadata: { ...there.raw.metadata, managedFields: [OURS] } }
    expect(addresses.note(KEY, { ...there, raw })).toBe(true)
    expect(addresses.asked).toEqual([])
    addresses.note(KEY, viewed())
    expect(addresses.note(KEY, null)).toBe(true)
    expect(addresses.asked).toEqual([])
  })

  it('is asked for of so many Ingresses at a time, oldest first', () => {
    const { addresses, viewed } = rig([null])
    const keys = Array.from({ length: MOST_ASKED + 5 }, (_, i) => `Ingress/shop/web-${i}` as const)
    for (const key of keys) addresses.note(key, { ...viewed(), key })
    expect(addresses.asked).toEqual(keys.slice(0, MOST_ASKED))
  })
})
