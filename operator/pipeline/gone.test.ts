/** Objects that are gone from the API server, and whose deletion is rolled out: what the record says is served. */
import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { adopt, advance, begin, complete, inherit, withPolicy } from '../assign/records.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { PREFIX, Replica, WEB, ingress, namespace, policy } from './testing.ts'

const BY = { by: 'policy', policy: 'default', manual: false } as const

/** An Ingress that was released under a policy, and is gone. */
function gone(change: Partial<ReleaseRecord> = {}): {
  readonly replica: Replica
  readonly record: ReleaseRecord
  readonly a: string
} {
  const replica = new Replica().put(namespace(), ingress()).policies(policy()).publish()
  const source = replica.source(WEB)
  const record = { ...withPolicy(adopt(source), BY), ...change }
  replica.store(record).publish().drop(ingress()).publish()
  return { replica, record, a: source.revision }
}

describe('an object that is gone', () => {
  it('is served as it was, and leaves pod by pod', () => {
    const { replica, record, a } = gone()
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    const source = replica.source(WEB)
    expect(source).toMatchObject({ gone: true, deleting: true, revision: ABSENT_REVISION, uid: record.uid })
    expect(replica.view(WEB)).toMatchObject({ raw: null, governance: BY, policy: { name: 'default' } })
    let next = begin(record, source)
    const at = (index: number): readonly (string | null)[] => {
      next = advance(next, index)
      replica.store(next).publish()
      return replica.givenTo(WEB)
    }
    expect([at(0), at(1)]).toEqual([
      [a, a, a, a],
      [null, a, a, a],
    ])
    replica.store(complete({ ...next, index: -1 })).publish()
    expect(replica.givenTo(WEB)).toEqual([null, null, null, null])
    replica.unstore(next).publish()
    expect(replica.pipeline.view(WEB)).toBeNull()
    expect(replica.pipeline.live.size).toBe(0)
  })

  it.each<[string, Partial<ReleaseRecord>]>([
    ['nobody governed', { governed: false }],
    ['a person drove by its annotations', { byHand: true }],
    ['an older operator recorded without its policy', { policy: undefined as never }],
    ['was never released', { current: null }],
  ])('that %s is dropped at once', (_what, change) => {
    const { replica } = gone(change)
    expect(replica.givenTo(WEB)).toEqual([null, null, null, null])
  })

  it('stays under the policy that has the place of its own, and is dropped where there is none', () => {
    const { replica, a } = gone({ policy: 'former' })
    expect([replica.view(WEB).policy?.name, replica.givenTo(WEB)]).toEqual(['default', [a, a, a, a]])
    const objectSelector = { matchLabels: { tier: 'one' } }
    replica.policies(policy({ spec: { selector: { objectSelector } } })).publish()
    expect(replica.givenTo(WEB)).toEqual([null, null, null, null])
  })

  it('stays, and goes no further, where its policy cannot be read', () => {
    const { replica, a } = gone()
    replica.pipeline.setPolicies([], new Set(['default']))
    replica.publish()
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    expect(replica.view(WEB)).toMatchObject({ policy: null, governance: BY })
  })

  it('is dropped with its namespace, whether that is on its way out or gone', () => {
    const { replica, a } = gone()
    replica.put(namespace({}, true)).touchGone().publish()
    expect(replica.givenTo(WEB)).toEqual([null, null, null, null])
    replica.put(namespace()).touchGone().publish()
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    replica.drop(namespace()).touchGone().publish()
    expect(replica.givenTo(WEB)).toEqual([null, null, null, null])
    expect(replica.pipeline.goneIn('other')).toEqual([])
  })

  it('is none of a namespace that was made again since, and no predecessor of what is in it', () => {
    const { record } = gone()
    const { metadata, ...rest } = namespace()
    const again = { ...rest, metadata: { ...metadata, uid: 'again', creationTimestamp: '2036-01-01T00:00:00Z' } }
    const replica = new Replica().put(again).policies(policy()).store(record).publish()
    expect(replica.givenTo(WEB)).toEqual([null, null, null, null])
    replica.put(ingress({ uid: 'second' })).publish()
    expect(replica.view(WEB).record).toBeNull()
  })

  it('goes on where it is made again, with what was said against its deletion forgotten', () => {
    const { replica, record, a } = gone({ refused: [ABSENT_REVISION, 'bad'] })
    replica.put(ingress({ uid: 'second', host: 'b.example' })).publish()
    expect(replica.givenTo(WEB)).toEqual([a, a, a, a])
    expect(replica.pipeline.goneIn('shop')).toEqual([])
    const inherited = inherit(record, replica.source(WEB))
    expect(inherited).toMatchObject({ uid: 'second', current: a, refused: ['bad'] })
  })

  it('is new where it is made again after its deletion was released', () => {
    const { replica, record } = gone()
    replica.store(complete({ ...begin(record, replica.source(WEB)), index: -1 })).publish()
    replica.put(ingress({ uid: 'second' })).publish()
    expect(replica.view(WEB).record).toBeNull()
  })
})

describe('paths that others serve', () => {
  const heir = (change: Parameters<typeof ingress>[0] = {}) => ingress({ name: 'heir', ...change })

  it.each<[boolean, string, Parameters<typeof ingress>[0]]>([
    [true, 'the same', {}],
    [false, 'those of another host', { host: 'other.example' }],
  ])('%s: %s', (expected, _what, change) => {
    const { replica } = gone()
    replica.put(heir(change)).publish()
    // Not released yet.
    expect(replica.pipeline.isTakenOver(WEB)).toBe(false)
    replica.store(withPolicy(adopt(replica.source('Ingress/shop/heir')), BY)).publish()
    expect(replica.pipeline.isTakenOver(WEB)).toBe(expected)
  })

  it('count when every pod has them', () => {
    const { replica } = gone()
    replica.put(heir({ host: 'other.example' })).publish()
    const before = withPolicy(adopt(replica.source('Ingress/shop/heir')), BY)
    replica.store(before).put(heir()).publish()
    const begun = begin(before, replica.source('Ingress/shop/heir'))
    const taken = (record: ReleaseRecord): boolean => {
      replica.store(record).publish()
      return replica.pipeline.isTakenOver(WEB)
    }
    expect([taken(advance(begun, 1)), taken(complete(advance(begun, -1)))]).toEqual([false, true])
  })

  it.each<[boolean, readonly string[]]>([
    [false, []],
    [true, ['other']],
  ])('%s: its host has a certificate of the heir: %j', (expected, tls) => {
    const web = ingress({ tls: ['tls'] })
    const replica = new Replica().put(namespace(), web, heir({ tls })).policies(policy()).publish()
    for (const key of [WEB, 'Ingress/shop/heir']) replica.store(withPolicy(adopt(replica.source(key)), BY)).publish()
    replica.drop(web).publish()
    expect(replica.pipeline.isTakenOver(WEB)).toBe(expected)
  })

  it('are none where they are closed', () => {
    const { replica } = gone()
    replica.put(heir({ annotations: { [`${PREFIX}/auth-tls-secret`]: 'shop/ca' } })).publish()
    replica.store(withPolicy(adopt(replica.source('Ingress/shop/heir')), BY)).publish()
    const paths = Object.values(replica.pipeline.live.get('Ingress/shop/heir')?.current?.value ?? {}).flat()
    expect(JSON.stringify(paths)).toContain('"status":503')
    expect(replica.pipeline.isTakenOver(WEB)).toBe(false)
  })

  it('are none where the other one is on its way out itself', () => {
    const { replica } = gone()
    replica.put(heir()).publish()
    const kept = withPolicy(adopt(replica.source('Ingress/shop/heir')), BY)
    replica.store(kept).publish()
    expect(replica.pipeline.isTakenOver(WEB)).toBe(true)
    replica.drop(heir()).publish()
    expect(replica.pipeline.isTakenOver(WEB)).toBe(false)
    replica.store(advance(begin(kept, replica.source('Ingress/shop/heir')), 1)).publish()
    expect(replica.pipeline.isTakenOver(WEB)).toBe(false)
  })

  it('are none where nothing is served of it', () => {
    const { replica } = gone({ governed: false })
    expect(replica.pipeline.isTakenOver(WEB)).toBe(false)
  })
})
