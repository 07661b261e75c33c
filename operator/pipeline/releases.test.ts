import { describe, expect, it } from '@jest/globals'
import { adopt, advance, begin, takeBack } from '../assign/records.ts'
import { stampFor } from '../assign/stamps.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { Replica, WEB, ingress, policy } from './testing.ts'
import type { Raw } from './testing.ts'

const shop = (count: number): readonly Raw[] =>
  Array.from({ length: count }, (_, i) => ingress({ name: `web-${i}`, host: `${i}.example` }))
const stamped = (record: ReleaseRecord, host: string): Raw => {
  const stamp = Object.entries(stampFor(record)).filter((entry): entry is [string, string] => entry[1] !== null)
  return ingress({ host, annotations: Object.fromEntries(stamp) })
}

describe('before anything is published', () => {
  it('nothing is given out, and it says so with a checksum of null', () => {
    const replica = new Replica().put(...shop(3))
    replica.turn()
    expect([...replica.releases.entries(0)]).toEqual([])
    expect(replica.releases.checksums).toEqual({ ingress: null, secret: null })
    expect(replica.releases.entry('Ingress/shop/web-0', 0)).toBeNull()
  })

  it('also when there is nothing to give out', () => {
    const replica = new Replica()
    replica.publishOnly('Ingress', { checksum: '0'.repeat(32) })
    expect(replica.releases.checksums).toEqual({ ingress: null, secret: null })
    replica.publish()
    expect(replica.releases.checksums.ingress).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('two replicas, of which one lost an object', () => {
  const pair = (): readonly [Replica, Replica] => {
    const [one, two] = [new Replica(), new Replica()]
    for (const replica of [one, two]) replica.put(...shop(3)).publish()
    return [one, two]
  }

  it('the second gives out nothing of the update, goes on with what it had, and names the object', () => {
    const [one, two] = pair()
    const before = [0, 1, 2].map(i => two.given(`Ingress/shop/web-${i}`, 0))
    // Dropped from its cache alone, as a reflector's defect would.
    two.drop(...shop(1))
    for (const replica of [one, two]) replica.put(ingress({ name: 'web-1', host: 'new.example' })).turn()
    const published = one.releases.gate('Ingress').publication()
    for (const replica of [one, two]) replica.publishOnly('Ingress', published)
    expect(one.releases.status('Ingress')).toBe('consistent')
    expect(one.given('Ingress/shop/web-1', 0)).toBe(one.source('Ingress/shop/web-1').revision)
    expect([0, 1, 2].map(i => two.given(`Ingress/shop/web-${i}`, 0))).toEqual(before)
    // A difference that does not last is none.
    expect(two.releases.difference('Ingress')).toBeNull()
    expect(two.releases.holding).toBe(true)
    two.now += 2_000
    const { missing, unexpected, expected } = two.releases.difference('Ingress') ?? {}
    expect(missing).toEqual([expect.stringMatching(/^shop\/web-0:/)])
    expect(unexpected).toEqual([])
    expect(expected).toBe(published.checksum)
    expect(two.releases.held()).toEqual([
      { type: 'held', kind: 'Ingress', mismatch: two.releases.difference('Ingress') },
    ])
    expect(one.releases.held()).toEqual([])
    // Found again, it goes on by itself.
    two.put(...shop(1)).turn()
    expect(two.releases.status('Ingress')).toBe('consistent')
    expect(two.given('Ingress/shop/web-1', 0)).toBe(one.given('Ingress/shop/web-1', 0))
    expect(two.releases.difference('Ingress')).toBeNull()
    expect(two.releases.checksums).toEqual(one.releases.checksums)
  })

  it('the second names one that is too many, and one that has other content', () => {
    const [one, two] = pair()
    two.put(ingress({ name: 'web-9', host: '9.example' }), ingress({ name: 'web-2', host: 'stale.example' })).turn()
    one.put(ingress({ name: 'web-0', host: 'new.example' })).turn()
    two.publishOnly('Ingress', one.releases.gate('Ingress').publication())
    two.now += 5_000
    const { missing, unexpected } = two.releases.difference('Ingress') ?? { missing: [], unexpected: [] }
    expect(missing.map(id => id.split(':')[0])).toEqual(['shop/web-0', 'shop/web-2'])
    expect(unexpected.map(id => id.split(':')[0])).toEqual(['shop/web-0', 'shop/web-2', 'shop/web-9'])
    expect(two.given('Ingress/shop/web-9', 0)).toBeNull()
  })

  it('the other kind is not held by it', () => {
    const [, two] = pair()
    two.publishOnly('Ingress', { checksum: '0'.repeat(32) })
    two.now += 5_000
    expect(two.releases.held().map(({ kind }) => kind)).toEqual(['Ingress'])
    expect(two.releases.status('Secret')).toBe('consistent')
  })
})

describe('what is released', () => {
  it('holds while the object that says so is gone, and opens when it is there again', () => {
    const replica = new Replica().put(ingress()).publish()
    const first = replica.given(WEB, 0)
    replica.publishOnly('Ingress', null)
    replica.put(ingress({ host: 'new.example' })).turn()
    expect(replica.given(WEB, 0)).toBe(first)
    replica.now += 2_000
    expect(replica.releases.difference('Ingress')?.message).toContain('no checksum is published')
    replica.publish()
    expect(replica.given(WEB, 0)).not.toBe(first)
  })

  it('moves with the index without another checksum', () => {
    const replica = new Replica().put(ingress({ host: 'a.example' })).publish()
    const adopted = adopt(replica.source(WEB))
    replica
      .policies(policy())
      .store(adopted)
      .put(ingress({ host: 'b.example' }))
      .publish()
    const begun = begin(adopted, replica.source(WEB))
    replica.store(begun).put(stamped(begun, 'b.example')).publish()
    const published = replica.releases.checksums
    const [a, b] = [adopted.current, begun.update]
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    const raised = advance(begun, 2)
    replica.store(raised).put(stamped(raised, 'b.example')).turn()
    expect(replica.givenTo(WEB)).toEqual([b, b, a, a])
    expect(replica.releases.checksums).toEqual(published)
    const { assignment } = replica.releases.entry(WEB, 2) ?? {}
    expect(assignment).toMatchObject({ announced: b, current: a, assigned: a, id: `shop/web:${b ?? ''}` })
  })

  it.each([
    ['waits for its checksum', null],
    ['stands beside a checksum that fits nothing', { checksum: '0'.repeat(32) }],
  ])('takes an update back at once, also where the rollback %s', (_what, published) => {
    const replica = new Replica().put(ingress({ host: 'a.example' })).publish()
    const adopted = adopt(replica.source(WEB))
    replica
      .policies(policy())
      .store(adopted)
      .put(ingress({ host: 'b.example' }))
      .publish()
    const begun = advance(begin(adopted, replica.source(WEB)), 2)
    replica.store(begun).put(stamped(begun, 'b.example')).publish()
    const [a, b] = [adopted.current, begun.update]
    expect(replica.givenTo(WEB)).toEqual([b, b, a, a])
    const before = replica.releases.checksums
    if (published !== null) replica.publishOnly('Ingress', published)
    replica.store(takeBack(begun)).turn()
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    // Still the released configuration, on no pod any more.
    expect(replica.releases.checksums).toEqual(before)
    replica.publish()
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    expect(replica.releases.checksums).not.toEqual(before)
  })

  it('grows a version with every change, and is the same for the same question', () => {
    const replica = new Replica().put(ingress()).publish()
    const { version } = replica.releases
    expect(replica.releases.entry(WEB, 0)).toEqual(replica.releases.entry(WEB, 7))
    expect(replica.releases.version).toBe(version)
    replica.put(ingress({ host: 'b.example' })).turn()
    expect(replica.releases.version).toBeGreaterThan(version)
  })
})

describe('what is published while it is on its way to the store', () => {
  /** A replica of a governed Ingress whose content is new, and the record that is to be stored. */
  const begun = (): { readonly replica: Replica; readonly next: ReleaseRecord } => {
    const replica = new Replica().put(ingress({ host: 'a.example' })).publish()
    const adopted = adopt(replica.source(WEB))
    replica.policies(policy()).store(adopted).publish()
    replica.put(ingress({ host: 'b.example' })).turn()
    return { replica, next: advance(begin(adopted, replica.source(WEB)), 1) }
  }
  const publication = (replica: Replica, record: ReleaseRecord): { readonly checksum: string } => {
    const id = replica.pipeline.idAfter(record)
    return replica.releases.gate('Ingress').publication(new Map(id === null ? [] : [[record.key, id]]))
  }

  it('is given out when it is stored, and not before', () => {
    const { replica, next } = begun()
    const before = replica.given(WEB, 0)
    replica.publishOnly('Ingress', publication(replica, next))
    expect(replica.givenTo(WEB)).toEqual([before, before, before, before])
    replica.store(next).turn()
    expect(replica.releases.status('Ingress')).toBe('consistent')
    expect(replica.givenTo(WEB)).toEqual([next.update, before, before, before])
  })

  it('is what is published afterwards, also when it is taken back', () => {
    const { replica, next } = begun()
    const ahead = publication(replica, next)
    replica.store(next).publish()
    expect(replica.releases.gate('Ingress').publication()).toEqual(ahead)
    const back = takeBack(next)
    const aheadOfBack = publication(replica, back)
    expect(aheadOfBack).not.toEqual(ahead)
    replica.store(back).publish()
    expect(replica.releases.gate('Ingress').publication()).toEqual(aheadOfBack)
  })

  it('is nothing else where the index alone moves, the record is of another object, or no policy governs it', () => {
    const { replica, next } = begun()
    expect(replica.pipeline.idAfter(next)).not.toBeNull()
    expect(replica.pipeline.idAfter({ ...next, uid: 'another' })).toBeNull()
    expect(replica.pipeline.idAfter({ ...next, key: 'Ingress/shop/none' })).toBeNull()
    replica.store(next).turn()
    expect(replica.pipeline.idAfter(advance(next, 2))).toBeNull()
    const free = new Replica().put(ingress({ host: 'a.example' })).publish()
    const adopted = adopt(free.source(WEB))
    free.put(ingress({ host: 'b.example' })).turn()
    // It would keep `a`; but nobody governs it.
    expect(free.pipeline.idAfter({ ...adopted, refused: [free.source(WEB).revision] })).toBeNull()
  })
})
