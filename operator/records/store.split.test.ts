import { randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import type { ReleaseRecord } from '../assign/types.ts'
import { childPaths, shardName, shardOf } from './paths.ts'
import { encodeShard } from './shards.ts'
import { Slices } from './slices.ts'
import { KEYS, Replica, Secrets, opened, pathOfUid, record, uidsIn } from './testing.ts'

const LIMITS = { records: 4, length: 100_000 }
const ROOT = '15'
const UIDS = uidsIn(ROOT, 12)
const NAME = shardName(ROOT)
const CHILDREN = childPaths(ROOT).map(shardName)

/** A store that holds a record of each, one after another. */
async function filled(uids: readonly string[], limits = LIMITS): Promise<{ secrets: Secrets; replica: Replica }> {
  const secrets = new Secrets()
  const replica = new Replica(secrets, limits)
  await replica.store.complete()
  for (const uid of uids) await replica.store.put(record(uid, 1))
  await replica.store.flush()
  for (let i = 0; i < 20 && replica.store.isMissing; i++) await nextTurn()
  return { secrets, replica }
}

async function loaded(secrets: Secrets, limits = LIMITS): Promise<Replica> {
  const replica = new Replica(secrets, limits)
  await replica.store.load()
  return replica
}

const uidsOf = ({ store }: Replica): readonly string[] => [...store.all()].map(({ uid }) => uid).sort()
const at = (secrets: Secrets, name: string) => opened(secrets.shards.get(name)!)

describe('a shard that grows', () => {
  it('is split, and its children hold what it held; a change rewrites one of them', async () => {
    const { secrets, replica } = await filled(UIDS)
    expect(at(secrets, NAME)).toMatchObject({ records: null, of: '', split: expect.any(String) })
    for (const name of CHILDREN) expect(at(secrets, name).of).toBe(at(secrets, NAME).split)
    expect(uidsOf(await loaded(secrets))).toEqual([...UIDS].sort())
    expect(replica.store.isMissing).toBe(false)
    secrets.log.length = 0
    await replica.store.put(record(UIDS[0]!, 2))
    await nextTurn()
    expect(secrets.log).toEqual([shardName(pathOfUid(UIDS[0]!, 1))])
    await replica.store.remove(UIDS[1]!)
    expect(uidsOf(await loaded(secrets))).toEqual(UIDS.filter(uid => uid !== UIDS[1]).sort())
  })

  it('is what it was until it is one that is split, and no other shard is written for it', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 4))
    expect(at(secrets, NAME).split).toBe('')
    secrets.log.length = 0
    await replica.store.put(record(UIDS[4]!, 1))
    await nextTurn()
    expect(secrets.log).toEqual([NAME, ...CHILDREN, NAME])
    expect(replica.store.shards).toBe(64 + 3)
  })

  it('is not read by an operator from before', () => {
    // As `parse` of the version before: what is none of formats 1 and 2 is unreadable there, with and without records.
    for (const records of [null, [record('u')]]) {
      const data = encodeShard(records, KEYS, { of: '', split: 'x' })
      expect(opened({ name: NAME, resourceVersion: '1', data })).toMatchObject({ split: 'x' })
      const { format } = JSON.parse(gunzipSync(Buffer.from(data, 'base64')).toString()) as { readonly format: number }
      expect(format).toBe(3)
    }
  })

  it('is split by its length as well, until a record is alone', async () => {
    const large = (uid: string): ReleaseRecord => ({
      ...record(uid),
      revisions: { [randomBytes(3_000).toString('hex')]: { hash: 'h', content: null } },
    })
    const secrets = new Secrets()
    const replica = new Replica(secrets, { records: 100, length: 9_000 })
    for (const uid of UIDS.slice(0, 6)) await replica.store.put(large(uid))
    await replica.store.complete()
    for (const stored of secrets.shards.values()) expect(stored.data.length).toBeLessThanOrEqual(9_000)
    // One that is longer than that has a shard of its own, which is never split.
    const lone = new Replica(new Secrets(), { records: 100, length: 1_000 })
    for (const uid of UIDS.slice(0, 3)) await lone.store.put(large(uid))
    await lone.store.complete()
    const held = [...lone.secrets.shards.values()].map(stored => opened(stored).records?.length ?? 0)
    expect([Math.max(...held), held.reduce((a, b) => a + b)]).toEqual([1, 3])
  })
})

describe('a store of an older operator', () => {
  const many = uidsIn(ROOT, 40)
  const old = (): Secrets => {
    const secrets = new Secrets()
    const all = [...many, ...uidsIn('2a', 40)]
    for (const root of new Set(all.map(shardOf))) {
      const records = all.filter(uid => shardOf(uid) === root).map(uid => record(uid, 1))
      const data = gzipSync(JSON.stringify({ format: 2, records })).toString('base64')
      secrets.write(shardName(root), null, data)
    }
    secrets.log.length = 0
    return secrets
  }

  it('is read as it is, and nothing is written that does not change', async () => {
    const secrets = old()
    const other = secrets.shards.get(shardName('2a'))
    const replica = await loaded(secrets)
    expect(replica.store.get(many[7]!)).toEqual(record(many[7]!, 1))
    expect(secrets.log).toEqual([])
    await replica.store.put(record(many[7]!, 2))
    for (let i = 0; i < 30; i++) await nextTurn()
    expect(secrets.log.every(name => name.startsWith(NAME))).toBe(true)
    expect(secrets.shards.get(shardName('2a'))).toBe(other)
    const again = await loaded(secrets)
    expect(uidsOf(again)).toEqual(uidsOf(replica))
    expect([again.store.get(many[7]!)?.index, again.store.get(many[8]!)?.index]).toEqual([2, 1])
    for (const stored of secrets.shards.values()) {
      if (stored !== other) expect(opened(stored).records?.length ?? 0).toBeLessThanOrEqual(LIMITS.records)
    }
  })
})

describe('what waits', () => {
  it('is written when what was under way failed', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 2))
    const write = replica.write.bind(replica)
    replica.write = () => {
      replica.write = write
      return Promise.reject(new Error('away'))
    }
    const failed = replica.store.put(record(UIDS[0]!, 2))
    const waits = replica.store.put(record(UIDS[1]!, 2))
    await expect(failed).rejects.toThrow('away')
    await waits
    expect((await loaded(secrets)).store.get(UIDS[1]!)?.index).toBe(2)
  })

  it('is written when flush ends, also where that was under way already', async () => {
    const { secrets, replica } = await filled(UIDS)
    replica.stand()
    const first = replica.store.put(record(UIDS[0]!, 2))
    replica.store.putLater(record(UIDS[0]!, 3))
    let isDone = false
    const flushed = replica.store.flush().then(() => (isDone = true))
    for (let i = 0; i < 5; i++) await nextTurn()
    expect(isDone).toBe(false)
    replica.goOn()
    await flushed
    await first
    expect((await loaded(secrets)).store.get(UIDS[0]!)?.index).toBe(3)
  })
})

describe('a split that is under way', () => {
  it('is not done before the last child is there', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 4))
    const held = shardName(pathOfUid(UIDS[0]!, 1))
    const write = replica.write.bind(replica)
    replica.write = (name, ...rest) => (name === held ? new Promise(() => undefined) : write(name, ...rest))
    await replica.store.put(record(UIDS[4]!, 1))
    for (let i = 0; i < 10; i++) await nextTurn()
    expect(CHILDREN.filter(name => secrets.shards.has(name))).toEqual(CHILDREN.filter(name => name !== held))
    expect(at(secrets, NAME).records).not.toBeNull()
    const next = await loaded(secrets)
    expect([uidsOf(next), next.store.isLost(UIDS[0]!)]).toEqual([UIDS.slice(0, 5).sort(), false])
  })
})

describe('a split that somebody began', () => {
  /** Everything up to the write of that number, which is the last. */
  const begun = async (write: number, takesEffect: boolean): Promise<Secrets> => {
    const { secrets, replica } = await filled(UIDS.slice(0, 4))
    replica.dieAt({ write, takesEffect })
    void replica.store.put(record(UIDS[4]!, 1)).catch(() => undefined)
    for (let i = 0; i < 10; i++) await nextTurn()
    expect(replica.isAlive).toBe(false)
    return secrets
  }

  it.each([1, 2, 3, 4, 5, 6].flatMap(write => [false, true].map(takesEffect => [write, takesEffect] as const)))(
    'and died of at write %d (that took effect: %s) is ended by the next leader',
    async (write, takesEffect) => {
      const secrets = await begun(write, takesEffect)
      const wasConfirmed = write > 1 || takesEffect
      const expected = UIDS.slice(0, wasConfirmed ? 5 : 4)
      const next = await loaded(secrets)
      expect(uidsOf(next)).toEqual([...expected].sort())
      const isDone = at(secrets, NAME).records === null
      expect(next.store.isMissing).toBe(wasConfirmed && !isDone)
      for (const uid of expected) expect(next.store.isLost(uid)).toBe(false)
      await next.store.complete()
      expect([next.store.isMissing, uidsOf(await loaded(secrets))]).toEqual([false, [...expected].sort()])
      if (wasConfirmed) expect(at(secrets, NAME).records).toBeNull()
    },
  )

  it('holds nobody up: what is put is stored, and ends it', async () => {
    const secrets = await begun(2, false)
    const next = await loaded(secrets)
    await next.store.put(record(UIDS[0]!, 7))
    expect((await loaded(secrets)).store.get(UIDS[0]!)?.index).toBe(7)
    for (let i = 0; i < 10; i++) await nextTurn()
    expect([next.store.isMissing, at(secrets, NAME).records]).toEqual([false, null])
  })

  it('is not written by who does not lead', async () => {
    const secrets = await begun(3, true)
    secrets.log.length = 0
    const next = new Replica(secrets, LIMITS, () => false)
    await next.store.load()
    await expect(next.store.complete()).rejects.toMatchObject({ code: 'SLUICE_NOT_LEADER' })
    await expect(next.store.put(record(UIDS[0]!, 7))).rejects.toMatchObject({ code: 'SLUICE_NOT_LEADER' })
    expect(secrets.log).toEqual([])
  })
})

describe('a leader that was deposed', () => {
  it('finds the shard split by its successor, and is refused what that decided otherwise', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 4))
    replica.stand()
    const late = replica.store.put(record(UIDS[0]!, 5))
    const unrelated = replica.store.put(record(UIDS[1]!, 5))
    const next = await loaded(secrets)
    await next.store.put(record(UIDS[4]!, 1))
    await next.store.put(record(UIDS[0]!, 6))
    for (let i = 0; i < 10; i++) await nextTurn()
    expect(at(secrets, NAME).records).toBeNull()
    replica.goOn()
    await expect(late).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    await unrelated
    const { store } = await loaded(secrets)
    expect([0, 1, 4].map(i => store.get(UIDS[i]!)?.index)).toEqual([6, 5, 1])
  })

  it('stores again what went to a child that did not count any more', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 5))
    replica.deliver()
    replica.stand()
    const put = replica.store.put(record(UIDS[0]!, 7))
    // Somebody restores the shard as it was before it was split.
    const before = UIDS.slice(0, 4).map(uid => record(uid, 1))
    secrets.write(NAME, secrets.shards.get(NAME)!.resourceVersion, encodeShard(before, KEYS))
    replica.deliver()
    replica.goOn()
    await put
    expect((await loaded(secrets)).store.get(UIDS[0]!)?.index).toBe(7)
  })

  it('writes over nothing of a split that it has not heard of', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 5))
    // Somebody restores the shard as it was before it was split; another leader splits it again.
    const before = encodeShard(
      UIDS.slice(0, 4).map(uid => record(uid, 1)),
      KEYS,
    )
    const uid = UIDS[0]!
    const child = shardName(pathOfUid(uid, 1))
    secrets.write(NAME, secrets.shards.get(NAME)!.resourceVersion, before)
    const next = await loaded(secrets)
    expect(next.store.isMissing).toBe(false)
    await next.store.put(record(UIDS[5]!, 1))
    for (let i = 0; i < 10; i++) await nextTurn()
    await next.store.put(record(uid, 8))
    // The child's event comes before its parent's.
    replica.deliver(names => names.filter(name => name === child))
    await expect(replica.store.put(record(uid, 9))).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    expect((await loaded(secrets)).store.get(uid)?.index).toBe(8)
    expect(at(secrets, child).of).toBe(at(secrets, NAME).split)
  })
})

describe('Secrets of a split store that a person deletes', () => {
  const uid = UIDS[0]!
  const child = shardName(pathOfUid(uid, 1))
  const ofChild = UIDS.filter(one => pathOfUid(one, 1) === pathOfUid(uid, 1))

  it.each([NAME, child])('%s is written again by who knows what it held', async name => {
    const { secrets, replica } = await filled(UIDS)
    replica.deliver()
    secrets.delete(name)
    replica.deliver()
    expect([replica.store.isMissing, replica.store.isLost(uid), uidsOf(replica)]).toEqual([
      true,
      false,
      [...UIDS].sort(),
    ])
    await replica.store.complete()
    expect([replica.store.isMissing, uidsOf(await loaded(secrets))]).toEqual([false, [...UIDS].sort()])
  })

  it('a parent, while nobody runs: its children are what is so, also for who never leads', async () => {
    const { secrets } = await filled(UIDS)
    const { split } = at(secrets, NAME)
    secrets.delete(NAME)
    const follower = new Replica(secrets, LIMITS)
    follower.deliver(names => [...names].reverse())
    const next = await loaded(secrets)
    for (const { store } of [follower, next]) {
      expect([[...store.all()].length, store.isLost(uid), store.isMissing]).toEqual([UIDS.length, false, true])
    }
    await next.store.complete()
    expect(at(secrets, NAME)).toMatchObject({ split, records: null })
    expect([next.store.isMissing, uidsOf(await loaded(secrets))]).toEqual([false, [...UIDS].sort()])
  })

  it('a leaf, while nobody runs: its records are lost, and no others; they are written at once with what is found', async () => {
    const { secrets } = await filled(UIDS)
    secrets.delete(child)
    const next = await loaded(secrets)
    expect(UIDS.filter(one => next.store.isLost(one))).toEqual(ofChild)
    secrets.log.length = 0
    await next.store.complete(ofChild.map(one => record(one, 3)))
    expect([secrets.log[0], uidsOf(await loaded(secrets))]).toEqual([child, [...UIDS].sort()])
    expect((await loaded(secrets)).store.isLost(uid)).toBe(false)
  })

  it('both, while nobody runs: what is left is what is so', async () => {
    const { secrets } = await filled(UIDS)
    for (const name of [NAME, child]) secrets.delete(name)
    const { store } = await loaded(secrets)
    expect(UIDS.filter(one => store.isLost(one))).toEqual(ofChild)
    expect(UIDS.filter(one => store.get(one) !== null)).toEqual(UIDS.filter(one => !ofChild.includes(one)))
  })

  it('a parent beside children of two splits: nobody guesses', async () => {
    const { secrets } = await filled(UIDS)
    const { resourceVersion } = secrets.shards.get(child)!
    secrets.write(child, resourceVersion, encodeShard([record(uid, 1)], KEYS, { of: 'another', split: '' }))
    secrets.delete(NAME)
    const { store } = await loaded(secrets)
    expect(UIDS.every(one => store.isLost(one))).toBe(true)
  })

  it('is seen also where it happens while the shard is written', async () => {
    const { secrets, replica } = await filled(UIDS)
    replica.deliver()
    const before = secrets.shards.get(child)
    let seen = (): void => undefined
    const written = new Promise<void>(resolve => (seen = resolve))
    secrets.watch((name, now) => {
      if (name === child && now !== before) seen()
    })
    const put = replica.store.put(record(uid, 5))
    // The answer is on its way.
    await written
    expect(replica.store.pending(uid)).toBeDefined()
    secrets.delete(child)
    replica.deliver()
    await put
    for (let i = 0; i < 10; i++) await nextTurn()
    expect(replica.store.isMissing).toBe(true)
    await replica.store.complete()
    expect((await loaded(secrets)).store.get(uid)?.index).toBe(5)
  })
})

describe('a child that was split itself while its parent is not done', () => {
  it('is not what its parent had for it, when it is gone and what was below it is there', async () => {
    const deep = uidsIn(`${ROOT}0`, 5)
    const secrets = new Secrets()
    const put = (path: string, records: readonly string[] | null, of: string, split: string): void => {
      const held = records === null ? null : records.map(uid => record(uid, 1))
      secrets.write(shardName(path), null, encodeShard(held, KEYS, { of, split }))
    }
    put(ROOT, deep.slice(0, 4), '', 'a')
    for (const path of childPaths(`${ROOT}0`))
      put(
        path,
        deep.filter(uid => pathOfUid(uid, 2) === path),
        'a.b',
        '',
      )
    const { store } = await loaded(secrets)
    // The fifth came later, and is there.
    expect([...store.all()].map(({ uid }) => uid).sort()).toEqual([...deep].sort())
  })
})

describe('what cannot be read of a split store', () => {
  const uid = UIDS[0]!
  const child = shardName(pathOfUid(uid, 1))

  it('is a leaf alone, of which nothing is concluded and over which nobody writes', async () => {
    const { secrets } = await filled(UIDS)
    const good = secrets.shards.get(child)!
    secrets.write(child, good.resourceVersion, 'bm90IGd6aXA=')
    const broken = secrets.shards.get(child)
    const next = new Replica(secrets, LIMITS)
    await expect(next.store.load()).rejects.toMatchObject({ code: 'SLUICE_SHARD', secret: child })
    expect([next.store.unreadable, next.unreadable.length, next.store.isLost(uid)]).toEqual([[child], 1, false])
    await next.store.complete().catch(() => undefined)
    await expect(next.store.put(record(uid, 2))).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    expect(secrets.shards.get(child)).toBe(broken)
    secrets.write(child, broken!.resourceVersion, good.data)
    next.deliver()
    expect([next.store.unreadable, next.store.get(uid)?.index]).toEqual([[], 1])
  })

  it('is not taken for absent while its parent is not done', async () => {
    const { secrets, replica } = await filled(UIDS.slice(0, 4))
    replica.dieAt({ write: 6, takesEffect: false })
    void replica.store.put(record(UIDS[4]!, 1))
    for (let i = 0; i < 10; i++) await nextTurn()
    expect(at(secrets, NAME).records).not.toBeNull()
    secrets.write(child, secrets.shards.get(child)!.resourceVersion, 'bm90IGd6aXA=')
    const next = new Replica(secrets, LIMITS)
    await expect(next.store.load()).rejects.toMatchObject({ code: 'SLUICE_SHARD', secret: child })
    expect([next.store.get(uid), next.store.isLost(uid)]).toEqual([null, false])
  })
})

describe('a record that no Secret can hold', () => {
  const MANY = { records: 128, length: 96 * 1024 }
  /** Hexadecimal digits are half a byte each when they are compressed. */
  const sized = (uid: string, kib: number): ReleaseRecord => ({
    ...record(uid, kib),
    revisions: { [randomBytes(kib * 1024).toString('hex')]: { hash: 'h', content: null } },
  })
  const some = uidsIn(ROOT, 4)

  it('is refused by its name, and keeps none of the others', async () => {
    const replica = new Replica(new Secrets(), MANY)
    const [first, second, third] = some.map(uid => replica.store.put(record(uid, 1)))
    await Promise.all([first, second, third])
    const others = replica.store.put(record(some[0]!, 2))
    const together = [replica.store.put(sized(some[1]!, 1_100)), replica.store.put(record(some[2]!, 2))]
    await others
    const [refused, stored] = await Promise.allSettled(together)
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'SLUICE_RECORD_SIZE' } })
    expect(String((refused as PromiseRejectedResult).reason)).toContain(`Ingress/shop/${some[1]!}`)
    expect(stored?.status).toBe('fulfilled')
    const { store } = await loaded(replica.secrets, MANY)
    expect(some.slice(0, 3).map(uid => store.get(uid)?.index)).toEqual([2, 1, 2])
  })

  it('is none of two that fit one by one, however they come', async () => {
    const replica = new Replica(new Secrets(), MANY)
    await replica.store.complete()
    await Promise.all(some.map(uid => replica.store.put(sized(uid, 600))))
    await replica.store.complete()
    const { store } = await loaded(replica.secrets, MANY)
    expect(some.map(uid => store.get(uid)?.index)).toEqual([600, 600, 600, 600])
    for (const { data } of replica.secrets.shards.values())
      expect(Buffer.byteLength(data, 'base64')).toBeLessThan(2 ** 20)
  }, 20_000)

  it('does not make new objects of those that were lost with it', async () => {
    const { secrets } = await filled([], MANY)
    secrets.delete(NAME)
    const next = await loaded(secrets, MANY)
    // It dies after the first write of the shard.
    next.dieAt({ write: 2, takesEffect: false })
    void next.store.complete(some.map(uid => sized(uid, 600)))
    for (let i = 0; i < 50 && next.isAlive; i++) await nextTurn()
    expect(secrets.shards.has(NAME)).toBe(true)
    const { store } = await loaded(secrets, MANY)
    for (const uid of some) expect([uid, store.get(uid) !== null || store.isLost(uid)]).toEqual([uid, true])
  }, 20_000)
})

describe('a new leader that reads everything', () => {
  it('decodes nothing again that it holds, and what was restored with another version', async () => {
    const { secrets, replica } = await filled(UIDS)
    const held = UIDS.map(uid => replica.store.get(uid))
    await replica.store.load()
    expect(UIDS.map(uid => replica.store.get(uid)).every((one, i) => one === held[i])).toBe(true)
    // A backup, with lower numbers.
    const before = encodeShard([record(UIDS[0]!, 0)], KEYS)
    secrets.shards.set(NAME, { name: NAME, resourceVersion: '1', data: before })
    await replica.store.load()
    expect(uidsOf(replica)).toEqual([UIDS[0]])
  })

  it('lets the event loop go between shards', async () => {
    const many = uidsIn(ROOT, 60)
    const { secrets } = await filled(many, { records: 2, length: 100_000 })
    const replica = new Replica(secrets, LIMITS, () => true, new Slices())
    let turns = 0
    let isDone = false
    const count = async (): Promise<void> => {
      for (; !isDone; turns++) await nextTurn()
    }
    // Each shard costs five milliseconds.
    const slow = slowed(replica)
    const counting = count()
    await replica.store.load()
    isDone = true
    await counting
    expect(turns).toBeGreaterThan(slow() / 4)
  }, 20_000)
})

/** Decoding takes time; returns how many were decoded. */
function slowed(replica: Replica): () => number {
  let decoded = 0
  const list = replica.list.bind(replica)
  replica.list = async () =>
    (await list()).map(({ name, resourceVersion, data }) => ({
      ...{ name, resourceVersion },
      get data() {
        decoded++
        for (const end = performance.now() + 5; performance.now() < end;);
        return data
      },
    }))
  return () => decoded
}
