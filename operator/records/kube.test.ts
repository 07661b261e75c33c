import { describe, expect, it } from '@jest/globals'
import type { ReleaseRecord } from '../assign/types.ts'
import type { KubeClient } from '../kube/client.ts'
import { FakeApi, type Failure } from '../kube/testing/fake-api.ts'
import { kubeShardApi } from './kube.ts'
import { KeyRing, storeKey } from './seal.ts'
import { ROOTS, shardName, shardOf } from './paths.ts'
import { MARKER_NAME, encodeShard } from './shards.ts'
import { ReleaseStore } from './store.ts'

const NAMESPACE = 'sluice-system'
const KEYS = new KeyRing([storeKey('key-1', Buffer.alloc(32, 1))])
const SHARD = shardName(shardOf('u'))

const record = (index: number): ReleaseRecord => ({
  ...{ uid: 'u', key: 'Ingress/shop/web', createdAt: 1, governed: true, byHand: false, seen: null },
  ...{ current: 'r1', update: null, index, refused: [], revisions: {} },
})

const storeOn = (api: FakeApi): ReleaseStore =>
  new ReleaseStore(kubeShardApi(api.client() as KubeClient, NAMESPACE), {
    ...{ mayWrite: () => true, keys: KEYS, recover: () => null },
    ...{ changed: () => undefined, unreadable: () => undefined },
  })

const failing = (failure: Failure): ReadonlyMap<number, Failure> => new Map([[1, failure]])

async function stored(api: FakeApi): Promise<ReleaseRecord | null> {
  const store = storeOn(api)
  await store.load()
  return store.get('u')
}

describe('the store on Secrets whose events have not come yet', () => {
  it('goes on where the answer to the creation of a shard was lost', async () => {
    const api = new FakeApi()
    const store = storeOn(api)
    api.fail(failing('unanswered'))
    await expect(store.put(record(1))).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
    await store.put(record(1))
    await store.put(record(2))
    expect(await stored(api)).toEqual(record(2))
    expect(api.log.filter(what => what === `create Secret ${SHARD}`)).toHaveLength(1)
  })

  it('refuses what was decided before another leader created the shard with another record', async () => {
    const api = new FakeApi()
    const store = storeOn(api)
    await storeOn(api).put(record(2))
    await expect(store.put(record(1))).rejects.toMatchObject({ name: 'KubeError', code: 'KUBE_CONFLICT' })
    expect(await stored(api)).toEqual(record(2))
  })

  it('creates a shard again that a person deleted, with all that it held', async () => {
    const api = new FakeApi()
    const store = storeOn(api)
    await store.put(record(1))
    api.remove('secrets', `${NAMESPACE}/${SHARD}`)
    await store.put(record(2))
    expect(await stored(api)).toEqual(record(2))
  })

  it('is complete where another leader said so first', async () => {
    const api = new FakeApi()
    const store = storeOn(api)
    await kubeShardApi(api.client() as KubeClient, NAMESPACE).write(MARKER_NAME, null, encodeShard([], KEYS))
    await store.complete()
    expect(store.isComplete).toBe(true)
    expect(api.all('secrets')).toHaveLength(ROOTS + 1)
  })
})
