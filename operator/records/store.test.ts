import { gunzipSync, gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import type { ReleaseRecord } from '../assign/types.ts'
import type { StoredShard } from './tree.ts'
import { ReleaseStore } from './store.ts'
import { KubeError } from '../kube/errors.ts'
import { KeyRing, storeKey } from './seal.ts'
import { shardName, shardOf } from './paths.ts'
import { decodeShard, encodeShard as encode } from './shards.ts'

const KEYS = new KeyRing([storeKey('key-1', Buffer.alloc(32, 1))])
const encodeShard = (records: readonly ReleaseRecord[], keys = KEYS): string => encode(records, keys)
const recordsIn = (data: string, keys = KEYS): readonly ReleaseRecord[] =>
  decodeShard('x', data, { keys, recover: () => null }).records ?? []

function record(uid: string, change: Partial<ReleaseRecord> = {}): ReleaseRecord {
  return {
    uid,
    key: `Ingress/shop/${uid}`,
    createdAt: 1,
    governed: true,
    byHand: false,
    seen: null,
    current: 'r1',
    update: null,
    index: -1,
    refused: [],
    revisions: { r1: { hash: 'r1', content: { kind: 'Ingress', annotations: {}, spec: {} } } },
    ...change,
  }
}

/** An API server for shards: resourceVersions grow, a stale one conflicts. */
class FakeApi {
  readonly shards = new Map<string, StoredShard>()
  version = 0
  writes = 0
  down = false
  gate: Promise<void> = Promise.resolve()
  list(): Promise<readonly StoredShard[]> {
    return Promise.resolve([...this.shards.values()])
  }
  get(name: string): Promise<StoredShard | null> {
    return Promise.resolve(this.shards.get(name) ?? null)
  }
  async write(name: string, resourceVersion: string | null, data: string): Promise<StoredShard> {
    await this.gate
    if (this.down) throw new KubeError('KUBE_UNAVAILABLE', 'away')
    if ((this.shards.get(name)?.resourceVersion ?? null) !== resourceVersion) {
      throw new KubeError('KUBE_CONFLICT', 'conflict')
    }
    this.writes++
    const stored = { name, resourceVersion: String(++this.version), data }
    this.shards.set(name, stored)
    return stored
  }
}

function newStore(
  api: FakeApi,
  mayWrite = (): boolean => true,
  keys = KEYS,
  recover: (key: string, chain: string) => string | null = () => null,
): { store: ReleaseStore; changed: string[]; unreadable: string[] } {
  const changed: string[] = []
  const unreadable: string[] = []
  const store = new ReleaseStore(api, {
    mayWrite,
    ...{ keys, recover },
    changed: all => changed.push(...all),
    unreadable: e => unreadable.push(e.message),
  })
  return { store, changed, unreadable }
}

/** Two UIDs of the same shard. */
function twins(): [string, string] {
  for (let i = 0; ; i++) if (shardOf(`u${i}`) === shardOf('u')) return ['u', `u${i}`]
}

describe('ReleaseStore', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  it('shows a record only after the API server confirmed it', async () => {
    const api = new FakeApi()
    let open = (): void => undefined
    api.gate = new Promise(resolve => (open = resolve))
    const { store, changed } = newStore(api)
    const put = store.put(record('u'))
    expect(store.get('u')).toBeNull()
    expect(store.pending('u')).toMatchObject({ uid: 'u' })
    open()
    await put
    expect(store.get('u')).toMatchObject({ current: 'r1' })
    expect(store.byKey('Ingress/shop/u')).toMatchObject({ uid: 'u' })
    expect(changed).toEqual(['Ingress/shop/u'])
  })

  it.each<[string, number]>([
    ['later', 2],
    ['in the same second', 1],
  ])(
    'finds an object that was made again %s by its key, in whatever order the shards come',
    async (_when, createdAt) => {
      const api = new FakeApi()
      const { store } = newStore(api)
      const key = 'Ingress/shop/web'
      const [former, beside] = twins()
      await store.put(record(former, { key }))
      await store.put(record('second', { key, createdAt }))
      // Another object of the same shard: all of it is read again.
      await store.put(record(beside))
      await store.remove(former)
      expect(store.byKey(key)).toMatchObject({ uid: 'second' })
      await store.remove('second')
      expect(store.byKey(key)).toBeNull()
    },
  )

  it('joins the writes of one shard that wait for each other', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    const [a, b] = twins()
    await Promise.all([store.put(record(a)), store.put(record(b)), store.put(record(b, { index: 3 }))])
    expect(store.get(b)).toMatchObject({ index: 3 })
    expect(api.writes).toBeLessThanOrEqual(2)
  })

  it('takes over what another leader wrote when its own write conflicts', async () => {
    const api = new FakeApi()
    const [a, b] = twins()
    const { store } = newStore(api)
    await store.put(record(a))
    const other = newStore(api).store
    await other.load()
    await other.put(record(b))
    await store.put(record(a, { index: 1 }))
    expect(store.get(b)).not.toBeNull()
    expect(store.get(a)).toMatchObject({ index: 1 })
  })

  describe('a leader that stood still while its write was on the way', () => {
    /** Its write hangs until `go`; meanwhile another one took the update back. */
    const overtaken = async (mayWrite: () => boolean) => {
      const api = new FakeApi()
      const { store } = newStore(api, mayWrite)
      const [uid, beside] = twins()
      await store.put(record(uid, { update: 'r2', index: 1 }))
      const other = newStore(api).store
      await other.load()
      let go = (): void => undefined
      api.gate = new Promise(resolve => (go = resolve))
      const late = store.put(record(uid, { update: 'r2', index: 3 }))
      const unrelated = store.put(record(beside))
      api.gate = Promise.resolve()
      await other.put(record(uid, { update: 'r1', index: 0, refused: ['r2'] }))
      return { api, uid, beside, go, late, unrelated }
    }
    const stored = async (api: FakeApi, uid: string): Promise<ReleaseRecord | null> => {
      const { store } = newStore(api)
      await store.load()
      return store.get(uid)
    }

    it('does not undo what its successor decided, and is told', async () => {
      const { api, uid, beside, go, late, unrelated } = await overtaken(() => true)
      go()
      await expect(late).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
      await unrelated
      expect(await stored(api, uid)).toMatchObject({ update: 'r1', index: 0, refused: ['r2'] })
      // What nobody else changed is no matter of theirs.
      expect(await stored(api, beside)).not.toBeNull()
    })

    it('writes nothing more once it does not lead', async () => {
      let leads = true
      const { api, beside, go, late, unrelated } = await overtaken(() => leads)
      leads = false
      go()
      await expect(late).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
      await expect(unrelated).rejects.toMatchObject({ code: 'SLUICE_NOT_LEADER' })
      expect(await stored(api, beside)).toBeNull()
    })
  })

  it('refuses what was decided twice on what is no more, where nothing was stored at first', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    const [uid, beside] = twins()
    await store.put(record(beside))
    const write = api.write.bind(api)
    // It writes past what happens to ours.
    const other = newStore(
      Object.assign(new FakeApi(), { list: () => api.list(), get: (name: string) => api.get(name), write }),
    ).store
    await other.load()
    const late: Promise<unknown>[] = []
    api.write = async (...call) => {
      api.write = async (...again) => {
        // By now this one has read what the other stored.
        api.write = write
        late.push(store.put(record(uid, { index: 2 })))
        return write(...again)
      }
      late.push(store.put(record(uid, { index: 1 })))
      await other.put(record(uid, { index: 0 }))
      return write(...call)
    }
    await store.put(record(beside, { index: 3 }))
    expect(await Promise.allSettled(late)).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
    expect(store.get(uid)).toMatchObject({ index: 0 })
  })

  it('takes its own write for its own when the answer was lost', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    await store.put(record('u'))
    const write = api.write.bind(api)
    let lost = 0
    api.write = async (...call) => {
      const answer = await write(...call)
      if (lost++ === 0) throw new KubeError('KUBE_CONFLICT', 'the answer of the one before was lost')
      return answer
    }
    await store.put(record('u', { index: 2 }))
    expect([store.get('u')?.index, lost]).toEqual([2, 2])
  })

  it('tells the caller when a write fails, and shows nothing of it', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    await store.put(record('u'))
    api.down = true
    await expect(store.put(record('u', { index: 1 }))).rejects.toThrow('away')
    expect(store.get('u')).toMatchObject({ index: -1 })
  })

  it('ignores its own writes when their watch events come late', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    await store.put(record('u', { index: 1 }))
    const late = api.shards.get(shardName(shardOf('u')))
    await store.put(record('u', { index: 2 }))
    if (late !== undefined) store.observe(late)
    expect(store.get('u')).toMatchObject({ index: 2 })
  })

  describe('an event that tells of a time before the last read', () => {
    /** A store that has read what `index` 2 says, and the event of what was there before. */
    async function behind(): Promise<{ api: FakeApi; store: ReleaseStore; late: StoredShard }> {
      const api = new FakeApi()
      const other = newStore(api).store
      await other.put(record('u', { index: 1 }))
      const late = api.shards.get(shardName(shardOf('u')))!
      await other.put(record('u', { index: 2 }))
      return { api, store: newStore(api).store, late }
    }

    it('is not believed by a new leader', async () => {
      const { store, late } = await behind()
      await store.load()
      store.observe(late)
      expect(store.get('u')).toMatchObject({ index: 2 })
    })

    it('is not believed where a conflict led to the read', async () => {
      const { store, late } = await behind()
      await expect(store.put(record('u', { index: 3 }))).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
      store.observe(late)
      expect(store.get('u')).toMatchObject({ index: 2 })
    })

    it('is not believed after the write that it came in', async () => {
      const { api, store, late } = await behind()
      await store.load()
      let open = (): void => undefined
      api.gate = new Promise(resolve => (open = resolve))
      const write = store.put(record('u', { index: 3 }))
      store.observe(late)
      open()
      await write
      expect(store.get('u')).toMatchObject({ index: 3 })
    })

    it('is not undone by a list that was asked for before it', async () => {
      const { api, store, late } = await behind()
      const newest = api.shards.get(late.name)!
      api.shards.set(late.name, late)
      const load = store.load()
      store.observe(newest)
      await load
      expect(store.get('u')).toMatchObject({ index: 2 })
    })

    it('is believed where a list says so: a restored etcd counts from where it was', async () => {
      const { api, store, late } = await behind()
      await store.load()
      api.shards.set(late.name, late)
      await store.load()
      expect(store.get('u')).toMatchObject({ index: 1 })
    })
  })

  it('follows the watch, and keeps the last good records of a shard that cannot be read', () => {
    const api = new FakeApi()
    const { store, unreadable } = newStore(api)
    const name = shardName(shardOf('u'))
    store.observe({ name, resourceVersion: '7', data: encodeShard([record('u')]) })
    expect(store.get('u')).not.toBeNull()
    store.observe({ name, resourceVersion: '8', data: 'bm90IGd6aXA=' })
    expect(store.get('u')).not.toBeNull()
    expect(unreadable).toEqual([expect.stringContaining(name)])
    store.observe({ name, resourceVersion: '9', data: encodeShard([]) })
    expect(store.get('u')).toBeNull()
    expect(store.byKey('Ingress/shop/u')).toBeNull()
  })

  it('concludes nothing from a shard that it never could read, until somebody mends or deletes it', async () => {
    const api = new FakeApi()
    const { store, changed, unreadable } = newStore(api)
    const name = shardName(shardOf('u'))
    const broken = { name, resourceVersion: '7', data: 'bm90IGd6aXA=' }
    api.shards.set(name, broken)
    await expect(store.load()).rejects.toMatchObject({ code: 'SLUICE_SHARD' })
    expect([store.unreadable, unreadable.length]).toEqual([[name], 1])
    // It is not written over either.
    await store.complete().catch(() => undefined)
    await expect(store.put(record('u'))).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    expect(api.shards.get(name)).toBe(broken)
    store.observe({ name, resourceVersion: '8', data: encodeShard([record('u')]) })
    expect([store.unreadable, changed]).toEqual([[], ['Ingress/shop/u']])
    const other = newStore(api).store
    other.observe(broken)
    other.lost(name)
    expect(other.unreadable).toEqual([])
  })

  it('knows that a record was lost once every shard was written, and not before', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    await store.put(record('u'))
    expect([store.isComplete, store.isMissing, store.isLost('u')]).toEqual([false, true, false])
    await store.complete()
    expect([store.isComplete, store.isMissing, api.shards.size]).toEqual([true, false, 65])
    const name = shardName(shardOf('u'))
    api.shards.delete(name)
    const next = newStore(api).store
    await next.load()
    expect([next.isComplete, next.isMissing, next.isLost('u')]).toEqual([true, true, true])
    // One write for all that were in it: a shard that is there is whole.
    const [a, b] = twins()
    const lost = shardName(shardOf(a))
    api.shards.delete(lost)
    const third = newStore(api).store
    await third.load()
    const writes = api.writes
    await third.complete([record(a), record(b)])
    expect(
      recordsIn(api.shards.get(lost)?.data ?? '')
        .map(r => r.uid)
        .sort(),
    ).toEqual([a, b].sort())
    expect(api.writes - writes).toBe(name === lost ? 1 : 2)
    expect([third.isMissing, third.isLost(a)]).toEqual([false, false])
  })

  it('writes a shard again that is deleted under its feet, with what it held; another leader may have been first', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    await store.put(record('u'))
    await store.complete()
    const name = shardName(shardOf('u'))
    api.shards.delete(name)
    store.lost(name)
    expect([store.isMissing, store.isLost('u')]).toEqual([true, false])
    await store.complete()
    expect(recordsIn(api.shards.get(name)?.data ?? '').map(r => r.uid)).toEqual(['u'])
    const late = newStore(api).store
    await late.load()
    api.shards.delete(name)
    late.lost(name)
    await store.load()
    store.lost(name)
    await store.complete()
    await late.complete()
    expect([late.isMissing, late.isComplete]).toEqual([false, true])
  })

  it('batches what nobody waits for', async () => {
    const api = new FakeApi()
    const { store } = newStore(api)
    const [a, b] = twins()
    store.putLater(record(a))
    store.putLater(record(b))
    expect(api.writes).toBe(0)
    await store.flush()
    expect(api.writes).toBe(1)
    await store.remove(a)
    expect(store.get(a)).toBeNull()
    expect(recordsIn(api.shards.get(shardName(shardOf(a)))?.data ?? '').map(r => r.uid)).toEqual([b])
  })

  describe('of private keys', () => {
    const OTHER = storeKey('key-2', Buffer.alloc(32, 2))
    const content = { kind: 'Secret', chain: 'the chain', privateKey: 'PRIVATE KEY' } as const
    const tls = (uid = 'u'): ReleaseRecord =>
      record(uid, { key: `Secret/shop/${uid}`, revisions: { r1: { hash: 'r1', content } } })
    const name = shardName(shardOf('u'))
    const bare = (api: FakeApi): void => {
      const data = gzipSync(JSON.stringify({ format: 1, records: [tls()] })).toString('base64')
      api.shards.set(name, { name, resourceVersion: '7', data })
    }
    const text = (api: FakeApi): string =>
      gunzipSync(Buffer.from(api.shards.get(name)?.data ?? '', 'base64')).toString('utf8')

    it('writes none as it is, and shows every one', async () => {
      const api = new FakeApi()
      const { store } = newStore(api)
      await store.put(tls())
      expect([text(api).includes('PRIVATE KEY'), store.get('u'), store.stale]).toEqual([false, tls(), []])
      const next = newStore(api).store
      await next.load()
      expect([next.get('u'), next.stale]).toEqual([tls(), []])
    })

    it('encrypts what an older operator left as it was', async () => {
      const api = new FakeApi()
      bare(api)
      const { store, changed } = newStore(api)
      await store.load()
      expect([store.get('u'), store.stale]).toEqual([tls(), [name]])
      changed.length = 0
      await store.reseal()
      expect([text(api).includes('PRIVATE KEY'), store.stale, store.get('u')]).toEqual([false, [], tls()])
      // Nobody looks at an object again for it.
      expect(changed).toEqual([])
      const { writes } = api
      await store.reseal()
      expect(api.writes).toBe(writes)
    })

    it('takes up a new key, with which the old one is not needed any more; only the leader writes', async () => {
      const api = new FakeApi()
      const keys = new KeyRing(KEYS.all)
      let leads = false
      const { store } = newStore(api, () => leads, keys)
      leads = true
      await store.put(tls())
      keys.take([...KEYS.all, OTHER])
      expect(store.stale).toEqual([name])
      leads = false
      await expect(store.reseal()).rejects.toMatchObject({ code: 'SLUICE_NOT_LEADER' })
      leads = true
      await store.reseal()
      expect([store.stale, recordsIn(api.shards.get(name)?.data ?? '', new KeyRing([OTHER]))]).toEqual([[], [tls()]])
    })

    it('writes nothing rather than a bare key', async () => {
      const api = new FakeApi()
      const { store } = newStore(api, () => true, new KeyRing())
      await expect(store.put(tls())).rejects.toMatchObject({ code: 'SLUICE_SEAL' })
      expect([store.get('u'), api.shards.size]).toEqual([null, 0])
    })

    it('concludes nothing from what it cannot decrypt, until the key is there, or the Secret has it', async () => {
      const api = new FakeApi()
      await newStore(api).store.put(tls())
      const locked = api.shards.get(name)!
      const keys = new KeyRing([OTHER])
      let found: string | null = null
      const { store, unreadable, changed } = newStore(
        api,
        () => true,
        keys,
        () => found,
      )
      await expect(store.load()).rejects.toMatchObject({ code: 'SLUICE_SHARD', locked: true })
      expect([store.unreadable, store.locked, store.isLost('u')]).toEqual([[name], [name], false])
      store.reopen()
      // Told once, however often it is tried; and never written over.
      expect(unreadable).toEqual([expect.stringContaining('Secret/shop/u')])
      await expect(store.put(record('u'))).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
      await store.complete().catch(() => undefined)
      expect(api.shards.get(name)).toBe(locked)
      found = 'PRIVATE KEY'
      store.reopen()
      expect([store.unreadable, store.locked, store.get('u'), store.stale]).toEqual([[], [], tls(), [name]])
      expect(changed).toContain('Secret/shop/u')
      await store.reseal()
      expect(recordsIn(api.shards.get(name)?.data ?? '', keys)).toEqual([tls()])

      const other = newStore(api, () => true, new KeyRing(KEYS.all))
      other.store.observe(api.shards.get(name)!)
      expect(other.store.locked).toEqual([name])
      other.store.lost(name)
      expect([other.store.locked, other.store.unreadable]).toEqual([[], []])
    })

    it('goes on with what it knows where a newer version cannot be decrypted yet', async () => {
      const api = new FakeApi()
      const keys = new KeyRing(KEYS.all)
      const { store } = newStore(api, () => true, keys)
      await store.put(tls())
      const moved = { ...tls(), index: 2 }
      const data = encodeShard([moved], new KeyRing([OTHER]))
      store.observe({ name, resourceVersion: '99', data })
      expect([store.get('u')?.index, store.locked, store.unreadable]).toEqual([-1, [name], []])
      keys.take([...KEYS.all, OTHER])
      store.reopen()
      expect([store.get('u')?.index, store.locked]).toEqual([2, []])
    })
  })
})
