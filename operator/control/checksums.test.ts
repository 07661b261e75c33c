import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { FleetPod } from '../fleet/fleet.ts'
import type { KubeObject } from '../kube/objects.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import { until } from '../kube/testing/fake-clock.ts'
import type { IngressCheckSumSpec, IngressCheckSumStatus } from '../model/generated/crds.ts'
import { Replica, WEB, ingress } from '../pipeline/testing.ts'
import { Checksums } from './checksums.ts'
import { SYSTEM } from './testing.ts'

const PLURAL = 'ingresschecksums'
const OURS = `${SYSTEM}/sluice`

let api: FakeApi
let replica: Replica
let told: string[]
let leads: boolean
let pods: FleetPod[]
let changed: number
const running: Checksums[] = []

function create(mode: 'operator' | 'external' = 'operator'): Checksums {
  const made: Checksums = new Checksums({
    ...{ client: api.client(), kind: 'Ingress', mode, namespace: SYSTEM, replica: 'operator-a' },
    releases: replica.releases,
    pods: () => pods,
    events: { event: (about, type, reason) => told.push(`${about.name} ${type} ${reason}`) },
    mayWrite: () => leads,
    changed: () => {
      changed++
      replica.publishOnly('Ingress', made.counting?.published ?? null)
    },
    failed: what => told.push(`failed: ${what}`),
    wall: () => new Date('2026-01-01T00:00:00.500Z'),
  })
  running.push(made)
  return made
}

/** What stands in the API server now reaches the watch. */
const seen = (checksums: Checksums, name = OURS): void => {
  const object = api.object(PLURAL, name)
  if (object !== null) checksums.upsert(object)
}
const published = (name = OURS): IngressCheckSumSpec | undefined => api.object(PLURAL, name)?.spec as never
const status = (name = OURS): IngressCheckSumStatus | undefined => api.object(PLURAL, name)?.status as never
const foreign = (name: string, checksum: string, timestamp: string): KubeObject =>
  api.put(PLURAL, {
    metadata: { name, namespace: 'elsewhere' },
    spec: { timestamp, checksum, ids: [] },
  })

beforeEach(() => {
  api = new FakeApi()
  replica = new Replica().put(ingress())
  replica.turn()
  told = []
  leads = true
  pods = []
  changed = 0
})

afterEach(() => {
  for (const one of running.splice(0)) one.stop()
})

describe('mode operator', () => {
  it('publishes one object, edited in place, with the time in whole seconds', async () => {
    const checksums = create()
    checksums.want()
    await until('published', () => published() !== undefined)
    const { checksum, ids } = replica.releases.gate('Ingress').publication()
    expect(published()).toEqual({ timestamp: '2026-01-01T00:00:00Z', checksum, count: 1, ids })
    expect(replica.given(WEB, 0)).toBeNull()
    seen(checksums)
    expect(replica.given(WEB, 0)).toBe(replica.source(WEB).revision)
    replica.put(ingress({ host: 'new.example' })).turn()
    checksums.want()
    await until('published again', () => published()?.checksum !== checksum)
    expect(api.all(PLURAL)).toHaveLength(1)
  })

  it('publishes what is to be while its record is on its way to the store, and takes it back where that fails', async () => {
    const checksums = create()
    checksums.want()
    await until('published', () => published() !== undefined)
    seen(checksums)
    const { checksum = '', ids = [] } = published() ?? {}
    const { promise, reject } = Promise.withResolvers<void>()
    const storing = checksums.storing(WEB, 'shop/web:next', () => promise)
    await until('published ahead', () => published()?.checksum !== checksum)
    expect(published()?.ids).toEqual(['shop/web:next'])
    reject(new Error('refused'))
    await expect(storing).rejects.toThrow('refused')
    await until('as it is', () => published()?.checksum === checksum)
    expect(published()?.ids).toEqual(ids)
  })

  it('publishes nothing ahead while pods wait for what is published anyway', async () => {
    const checksums = create()
    checksums.want()
    await until('published', () => published() !== undefined)
    // Its watch event has not come.
    const before = api.writes
    await checksums.storing(WEB, 'shop/web:next', () => new Promise(resolve => setTimeout(resolve, 20)))
    expect(api.writes).toBe(before)
  })

  it('does not publish while another leads, and does as soon as it leads itself', async () => {
    leads = false
    const checksums = create()
    checksums.want()
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(api.writes).toBe(0)
    leads = true
    checksums.lead()
    await until('published', () => published() !== undefined)
  })

  it('writes its object again when somebody changes or deletes it, and the gate stays shut meanwhile', async () => {
    const checksums = create()
    checksums.want()
    await until('published', () => published() !== undefined)
    seen(checksums)
    const right = published()?.checksum
    const given = replica.given(WEB, 0)
    checksums.upsert(api.edit(PLURAL, OURS, { spec: { checksum: '0'.repeat(32) } }))
    expect(replica.releases.status('Ingress')).toBe('mismatch')
    await until('corrected', () => published()?.checksum === right)
    seen(checksums)
    const gone = api.object(PLURAL, OURS)!
    api.remove(PLURAL, OURS)
    checksums.remove(gone)
    expect(checksums.counting).toBeNull()
    replica.put(ingress({ host: 'new.example' })).turn()
    expect(replica.releases.status('Ingress')).toBe('unpublished')
    expect(replica.given(WEB, 0)).toBe(given)
    await until('made again', () => published() !== undefined)
    seen(checksums)
    expect(replica.given(WEB, 0)).not.toBe(given)
  })

  it('ignores objects of others, and says so once', async () => {
    const checksums = create()
    checksums.upsert(foreign('theirs', '0'.repeat(32), '2027-01-01T00:00:00Z'))
    expect(checksums.counting).toBeNull()
    checksums.want()
    await until('published', () => published() !== undefined)
    seen(checksums)
    expect(checksums.counting?.name).toBe('sluice')
    await checksums.writeStatus()
    await checksums.writeStatus()
    expect(told).toEqual(['theirs Warning Ignored'])
    expect(status('elsewhere/theirs')).toBeUndefined()
  })

  it('tries again when it could not write, and says what failed', async () => {
    api.fail(new Map([[1, 'lost']]))
    const checksums = create()
    checksums.want()
    await until('told', () => told.length > 0)
    expect(told).toEqual(['failed: publish the IngressCheckSum'])
    await until('published', () => published() !== undefined)
  })
})

describe('mode external', () => {
  it('takes the newest, wherever it is, and publishes nothing', async () => {
    const checksums = create('external')
    checksums.lead()
    const { checksum } = replica.releases.gate('Ingress').publication()
    checksums.upsert(foreign('old', '0'.repeat(32), '2026-01-01T00:00:00Z'))
    expect(replica.given(WEB, 0)).toBeNull()
    checksums.upsert(foreign('new', checksum, '2026-01-01T00:00:01Z'))
    expect(checksums.counting?.name).toBe('new')
    expect(replica.given(WEB, 0)).toBe(replica.source(WEB).revision)
    await checksums.writeStatus()
    expect(status('elsewhere/new')).toMatchObject({ objects: 1, observedChecksum: checksum })
    expect(told).toEqual([])
    // The newest goes, the one before does not open anything.
    replica.put(ingress({ host: 'new.example' })).turn()
    checksums.remove(api.object(PLURAL, 'elsewhere/new')!)
    expect(checksums.counting?.name).toBe('old')
    expect(replica.releases.status('Ingress')).toBe('mismatch')
    expect(published()).toBeUndefined()
    expect(api.log).toEqual(['status of IngressCheckSum new'])
  })

  it('a malformed one counts as none, and gets an event', () => {
    const checksums = create('external')
    checksums.upsert(foreign('bad', 'no md5', '2026-01-01T00:00:00Z'))
    expect(checksums.counting).toBeNull()
    expect(told).toEqual(['bad Warning Malformed'])
    expect(changed).toBe(1)
  })
})

describe('the status', () => {
  const pod = (checksum: string | null): FleetPod =>
    ({
      ...{ name: 'sluice-proxy-0', uid: 'u', ordinal: 0, ready: true, reportedAt: 0 },
      report: { checksums: { ingress: checksum, secret: null }, refused: [] },
    }) as unknown as FleetPod

  async function publishedHere(): Promise<Checksums> {
    const checksums = create()
    checksums.want()
    await until('published', () => published() !== undefined)
    seen(checksums)
    return checksums
  }

  it('counts pods, and is written only when it differs', async () => {
    const checksums = await publishedHere()
    const { checksum = '' } = published() ?? {}
    pods = [pod(checksum)]
    await checksums.writeStatus()
    expect(status()).toMatchObject({ pods: { summary: '1/1' }, observedChecksum: checksum, objects: 1 })
    const { writes } = api
    await checksums.writeStatus()
    expect(api.writes).toBe(writes)
    pods = [pod('another')]
    await checksums.writeStatus()
    expect([status()?.pods?.summary, api.writes]).toEqual(['0/1', writes + 1])
  })

  it('names how this replica differs, with an event', async () => {
    const checksums = await publishedHere()
    checksums.upsert(api.edit(PLURAL, OURS, { spec: { checksum: '0'.repeat(32), ids: [] } }))
    replica.now += 5_000
    await checksums.writeStatus()
    expect(status()?.mismatches).toMatchObject([{ source: 'operator-a' }])
    expect(told).toEqual(['sluice Warning Mismatch'])
  })

  it('is not written by one that does not lead any more, and not missed when the object is gone', async () => {
    const checksums = await publishedHere()
    leads = false
    await expect(checksums.writeStatus()).rejects.toMatchObject({ name: 'NotLeaderError' })
    leads = true
    api.remove(PLURAL, OURS)
    await checksums.writeStatus()
    expect(api.all(PLURAL)).toEqual([])
  })
})
