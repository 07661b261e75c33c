import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { NOBODY, POLICY } from '../assign/testing.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import { ingress } from '../pipeline/testing.ts'
import type { Address } from '../status/addresses.ts'
import { Addresses } from './addresses.ts'
import { NotLeaderError } from './object-writer.ts'
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
  const addresses = new Addresses({
    client: api.client(),
    wanted: () => of.wanted,
    mayWrite: () => of.leads ?? true,
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

  it('is left alone while nothing is known, and while it is being deleted', async () => {
    const wanted = [{ ip: '192.0.2.9' }]
    expect(await after({ wanted: null, status: IP })).toEqual([IP, 0])
    expect(await after({ wanted, status: IP, of: { source: { deleting: true } } })).toEqual([IP, 0])
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
