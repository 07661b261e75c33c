import { beforeEach, describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { CLOSED_POLICY, HAND, NOBODY, record as recordOf } from '../assign/testing.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { Problem } from '../model/types.ts'
import { KubeError } from '../kube/errors.ts'
import { ingress, namespace, policy } from '../pipeline/testing.ts'
import { CONDITIONS_ANNOTATION } from '../status/object-conditions.ts'
import { FINALIZER } from './finalizer.ts'
import { Keeper } from './keeper.ts'
import type { Kept } from './keeper.ts'
import { LeaderProcess, cluster, outcomeOf } from './testing.ts'
import { X, viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const ABSENT = ABSENT_REVISION
const STAMP = { flag: 'true', current: 'v1', update: 'v2', index: '1' } as const
const names = ['', '-current-revision', '-update-revision', '-index-id'].map(end => `${X}/ingress-rollout${end}`)

describe('one look', () => {
  /** What was written, in order. */
  let log: string[]
  let records: ReleaseRecord[]
  let patches: Readonly<Record<string, unknown>>[]
  let said: string[]
  let fresh: boolean
  let needed: boolean
  let refused: boolean
  let stored: ReleaseRecord | null
  let now: Date

  beforeEach(() => {
    now = new Date('2026-01-01T00:00:00Z')
    log = []
    records = []
    patches = []
    said = []
    fresh = false
    needed = true
    refused = false
    stored = null
  })

  const keeperOf = (): Keeper =>
    new Keeper({
      records: {
        put: record => {
          log.push('put')
          records.push(record)
          return Promise.resolve()
        },
        putLater: record => {
          log.push('put later')
          records.push(record)
        },
        remove: uid => {
          log.push(`remove ${uid}`)
          return Promise.resolve()
        },
        byKey: () => stored,
      },
      writer: {
        patch: (_object, patch) => {
          if (refused) return Promise.reject(new KubeError('KUBE_FORBIDDEN', 'no'))
          log.push('patch')
          patches.push({ ...patch })
          return Promise.resolve()
        },
      },
      annotationPrefix: X,
      fresh: () => fresh,
      needed: () => needed,
      named: () => needed,
      unnamed: () => !needed,
      now: () => now.getTime(),
      say: (_source, { type, status, reason }) => said.push(`${type}=${status} ${reason}`),
      wall: () => now,
    })
  const keep = (of: ViewOf, rollingOut = false, key?: string): Promise<Kept> => {
    const view = viewOf(of)
    return keeperOf().keep(key === undefined ? view : { ...view, key }, { rollingOut })
  }

  it('writes nothing of an object that is as it should be', async () => {
    expect(await keep({})).toBe('settled')
    expect(log).toEqual([])
  })

  it('puts the finalizer on what is driven by hand, beside those of others', async () => {
    const driven = { byHand: true, update: 'v1', index: -1 }
    const texts = { flag: 'true', current: 'v1', update: 'v1', index: '-1' }
    const of = { governance: HAND, record: driven, texts }
    expect(await keep({ ...of, source: { finalizers: ['other'] } })).toBe('changed')
    expect(patches).toEqual([{ finalizers: ['other', FINALIZER] }])
  })

  it('takes off the finalizer that an older operator put on what a policy governs', async () => {
    expect(await keep({ source: { finalizers: [FINALIZER, 'other'] } })).toBe('changed')
    expect(patches).toEqual([{ finalizers: ['other'] }])
  })

  it('notes which policy governs it, for the time when it is gone, and nobody waits for that', async () => {
    expect(await keep({ record: { policy: 'former' } })).toBe('settled')
    expect([log, records[0]?.policy]).toEqual([['put later'], 'default'])
    log.length = 0
    expect(await keep({ record: {} })).toBe('settled')
    expect(log).toEqual([])
  })

  it.each<[string, Partial<ReleaseRecord>, boolean, Kept]>([
    ['is served', {}, false, 'settled'],
    ['is on its way out', { update: 'absent', index: 1 }, true, 'settled'],
    ['is released, and pods have not confirmed', { current: 'absent', update: 'absent', index: -1 }, true, 'settled'],
    ['is off the pods', { current: 'absent', update: 'absent', index: -1 }, false, 'changed'],
  ])('of an object that is gone keeps what %s, and writes nothing to it', async (_what, record, rollingOut, kept) => {
    const view = viewOf({ content: 'absent', source: { gone: true, deleting: true }, record })
    expect(await keeperOf().keep(view, { rollingOut })).toBe(kept)
    expect(log).toEqual(kept === 'changed' ? [`remove ${view.stored?.uid ?? ''}`] : [])
  })

  it('of an object that is gone keeps nothing when its namespace is, or its policy', async () => {
    const of = { content: 'absent', source: { gone: true, deleting: true } } as const
    expect(await keep({ ...of, namespaceTerminating: true })).toBe('changed')
    expect(await keep({ ...of, governance: NOBODY })).toBe('changed')
    expect([log, patches]).toEqual([['remove u1', 'remove u1'], []])
  })

  it('says so where somebody changed annotations that are not his, and not where they are late', async () => {
    const governance = { by: 'policy', policy: 'default', manual: false } as const
    const keeper = keeperOf()
    const { record } = viewOf({ record: { update: 'v2', index: 1 } })
    const look = (index: string): Promise<Kept> => {
      const view = viewOf({ content: 'v2', governance, texts: { ...STAMP, index } })
      return keeper.keep({ ...view, record, stored: record }, { rollingOut: true })
    }
    expect([await look('0'), said]).toEqual(['changed', []])
    expect([await look('1'), said]).toEqual(['settled', []])
    expect([await look('-1'), said]).toEqual(['changed', ['Released=False StampMissing']])
    expect(patches.at(-1)).toMatchObject({ annotations: { [`${X}/ingress-rollout-index-id`]: '1' } })
  })

  it('takes over what was served, on a fresh install also what a policy selects at once', async () => {
    fresh = true
    expect(await keep({ record: null })).toBe('changed')
    expect(records).toMatchObject([{ current: 'v1', governed: true, byHand: false }])
  })

  it('records a created object as released nowhere', async () => {
    expect(await keep({ record: null })).toBe('changed')
    expect(records).toMatchObject([{ current: null, governed: true, revisions: {} }])
  })

  it('stores at once what was served before it is governed', async () => {
    const served = { governed: false, current: 'v1' }
    expect(await keep({ record: served, stored: { ...served, current: 'v0' } })).toBe('changed')
    expect(records).toMatchObject([{ current: 'v1', governed: false }])
  })

  it('stores what nobody governs a moment later, and waits for nothing', async () => {
    expect(await keep({ governance: NOBODY, record: null })).toBe('settled')
    expect([log, records]).toMatchObject([['put later'], [{ current: 'v1', governed: false }]])
    log.length = 0
    // The pipeline serves it, the store has the content before.
    const ahead = { governed: false, current: 'v2' }
    await keep({ content: 'v2', governance: NOBODY, record: ahead, stored: { governed: false, current: 'v1' } })
    expect([log, records.at(-1)]).toMatchObject([['put later'], { current: 'v2', governed: false }])
  })

  it('stores nothing of what is stored, nor of content that cannot be served', async () => {
    expect(await keep({ governance: NOBODY, record: { governed: false } })).toBe('settled')
    await keep({ content: 'bad', governance: NOBODY, record: { governed: false }, invalid: true })
    expect(records).toEqual([])
  })

  it('takes the stamps of a policy that is gone first, and changes the record only afterwards', async () => {
    const of: ViewOf = { content: 'v2', governance: NOBODY, record: { update: 'v2', index: 1 } }
    expect(await keep({ ...of, texts: STAMP })).toBe('changed')
    expect(log).toEqual(['patch'])
    const nothing = Object.fromEntries(names.map(name => [name, null]))
    expect(patches).toMatchObject([{ annotations: nothing }])
    expect(await keep(of)).toBe('changed')
    expect(records).toMatchObject([{ governed: false, current: 'v1', update: null, seen: 'v2' }])
  })

  it('writes lost annotations again, says so, and leaves invalid ones to whoever wrote them', async () => {
    const record = { update: 'v2', index: 1 }
    expect(await keep({ content: 'v2', record })).toBe('changed')
    const stamp = Object.fromEntries(names.map((name, i) => [name, ['true', 'v1', 'v2', '1'][i]]))
    expect(patches).toEqual([{ annotations: stamp }])
    expect(said).toEqual(['Released=False StampMissing'])
    patches.length = 0
    await keep({ content: 'v2', record, texts: { ...STAMP, index: 'abc' } })
    expect(patches).toEqual([{ annotations: { [CONDITIONS_ANNOTATION]: expect.stringContaining('InvalidIndex') } }])
  })

  it('follows a person: a name is bound, the index taken over, the end recorded', async () => {
    const by = { governance: HAND, source: { finalizers: [FINALIZER] } } as const
    const kept = { byHand: true }
    await keep({ ...by, content: 'v2', texts: { flag: 'true', update: 'mine', index: '0' }, record: kept })
    expect(records.at(-1)).toMatchObject({
      current: 'v1',
      update: 'mine',
      index: 0,
      revisions: { mine: { hash: 'v2' } },
    })
    const revisions = { mine: { hash: 'v2', content: null } }
    const bound = { ...kept, update: 'mine', index: 0, revisions }
    await keep({
      ...by,
      content: 'v2',
      texts: { flag: 'true', current: 'v1', update: 'mine', index: '2' },
      record: bound,
    })
    expect(records.at(-1)).toMatchObject({ current: 'v1', update: 'mine', index: 2 })
    const texts = { flag: 'true', current: 'mine', update: 'mine', index: '-1' }
    await keep({ ...by, content: 'v2', texts, record: { ...bound, index: 2 } })
    expect(records.at(-1)).toMatchObject({ current: 'mine', update: 'mine', index: -1 })
  })

  it('follows nobody where a policy governs', async () => {
    await keep({
      content: 'v2',
      texts: { ...STAMP, index: '4' },
      record: { update: 'v2', index: 1 },
    })
    expect(records).toEqual([])
  })

  it('lets an object go with its namespace, at once, and its record with it', async () => {
    await keep({ namespaceTerminating: true, source: { finalizers: [FINALIZER] } })
    expect([log, patches]).toEqual([['remove u1', 'patch'], [{ finalizers: [] }]])
    log.length = 0
    // Served, and not stored yet: there is nothing to remove.
    expect(await keep({ namespaceTerminating: true, stored: null })).toBe('settled')
    expect(log).toEqual([])
  })

  it('forgets the record of an object that is gone, of a Secret only when nothing needs it', async () => {
    expect(await keep({ content: null })).toBe('changed')
    expect(await keep({ content: null }, false, 'Secret/shop/tls')).toBe('settled')
    needed = false
    const keeper = keeperOf()
    const secret = { ...viewOf({ content: null }), key: 'Secret/shop/tls' } as const
    expect(await keeper.keep(secret, { rollingOut: false })).toBe(600_000)
    now = new Date(now.getTime() + 600_000)
    expect(await keeper.keep(secret, { rollingOut: false })).toBe('changed')
    expect(await keep({ content: null, namespaceTerminating: true }, false, 'Secret/shop/tls')).toBe('changed')
    expect(log).toEqual(['remove u1', 'remove u1', 'remove u1'])
    expect(await keep({ content: null, record: null })).toBe('settled')
  })

  it('a change of class that is everywhere takes the annotations, then the record', async () => {
    const of: ViewOf = {
      content: ABSENT,
      source: { deleting: false, ours: false },
      record: { current: ABSENT, update: ABSENT },
    }
    expect(await keep({ ...of, texts: { flag: 'true', current: ABSENT, update: ABSENT, index: '-1' } })).toBe('changed')
    expect([log, patches]).toEqual([['patch'], [{ annotations: Object.fromEntries(names.map(name => [name, null])) }]])
    expect(await keep(of)).toBe('changed')
    expect(log).toEqual(['patch', 'remove u1'])
  })

  it('a Secret that was made again takes the place of its predecessor', async () => {
    const of: ViewOf = { content: 'v2', source: { uid: 'u2' }, record: { uid: 'u1' } }
    await keep(of)
    expect(log).toEqual(['put', 'remove u1'])
    expect(records).toMatchObject([{ uid: 'u2', current: 'v1' }])
  })

  it('lets go of what nobody reads any more, unless its content may be one that was refused or held', async () => {
    needed = false
    const key = 'Secret/shop/tls'
    const forget = async (change: Partial<ReleaseRecord>): Promise<readonly Kept[]> => {
      stored = recordOf({ key, ...change })
      const keeper = keeperOf()
      const first = await keeper.forget(key)
      now = new Date(now.getTime() + 600_000)
      return [first, await keeper.forget(key)]
    }
    expect(await forget({})).toEqual([600_000, 'changed'])
    expect(log).toEqual(['remove u1'])
    for (const change of [{ refused: ['v2'] }, { seen: 'v2' }, { update: 'v2', index: 1 }, { byHand: true }]) {
      expect(await forget(change)).toEqual(['settled', 'settled'])
    }
    needed = true
    expect(await forget({})).toEqual(['settled', 'settled'])
  })

  const problem: Problem = { key: 'k', field: 'spec.x', reason: 'InvalidHost', message: 'is none', effect: 'reject' }

  it('says what is wrong once, and takes it back when it is mended', async () => {
    const of: ViewOf = { problems: [problem] }
    await keep(of)
    expect(said).toEqual(['Accepted=False InvalidHost'])
    const [{ annotations }] = patches as unknown as readonly [
      { readonly annotations: Readonly<Record<string, string>> },
    ]
    expect(await keep({ ...of, annotations })).toBe('settled')
    expect(said).toHaveLength(1)
    expect(await keep({ annotations })).toBe('changed')
    expect(patches.at(-1)).toEqual({ annotations: { [CONDITIONS_ANNOTATION]: null } })
    expect(said).toHaveLength(1)
  })

  it('says that a Service is missing once it was missed for some seconds, and asks to be looked at then', async () => {
    const keeper = keeperOf()
    const missing: Problem = { key: 'k', field: 'spec', reason: 'ServiceNotFound', message: 'no such', effect: 'warn' }
    const view = viewOf({ problems: [missing] })
    expect(await keeper.keep(view, { rollingOut: false })).toBe(5_000)
    expect([said, patches]).toEqual([[], []])
    now = new Date(now.getTime() + 5_000)
    expect(await keeper.keep(view, { rollingOut: false })).toBe('changed')
    expect(said).toEqual(['Accepted=True ServiceNotFound'])
    const [{ annotations }] = patches as unknown as readonly [
      { readonly annotations: Readonly<Record<string, string>> },
    ]
    // A new leader does not take it off again.
    expect(await keep({ problems: [missing], annotations })).toBe('settled')
  })

  it('says once that a Secret is gone which is still needed, and again when it was there in between', async () => {
    const keeper = keeperOf()
    const circumstances = { rollingOut: false }
    const lost = { ...viewOf({ content: null }), key: 'Secret/shop/tls' } as const
    const hold = { reason: 'StillNeeded', message: 'the last good certificate is served' } as const
    for (let i = 0; i < 3; i++) expect(await keeper.keep({ ...lost, hold }, circumstances)).toBe('settled')
    expect([said, log]).toEqual([['Released=False StillNeeded'], []])
    await keeper.keep({ ...viewOf({}), key: 'Secret/shop/tls' }, circumstances)
    await keeper.keep({ ...lost, hold }, circumstances)
    expect(said).toHaveLength(2)
    await keeper.keep({ ...lost, hold: null }, circumstances)
    expect(said).toHaveLength(2)
  })

  describe('of a Secret', () => {
    const tls = { key: 'Secret/shop/tls' } as const
    const byHand = { byHand: true, update: 'v2', index: 1, key: tls.key } as const

    it('writes nothing on it under a policy, and says what is wrong by event, once', async () => {
      const keeper = keeperOf()
      const record = { update: 'v2', index: 1, key: tls.key }
      const of: ViewOf = { content: 'v2', source: tls, governance: CLOSED_POLICY, record, problems: [problem] }
      for (let i = 0; i < 3; i++) await keeper.keep(viewOf(of), { rollingOut: true })
      expect([patches, said]).toEqual([[], ['Accepted=False InvalidHost']])
      await keeper.keep(viewOf({ ...of, problems: [] }), { rollingOut: true })
      await keeper.keep(viewOf(of), { rollingOut: true })
      expect([patches, said.length]).toEqual([[], 2])
    })

    it('writes lost annotations again where a person drives it', async () => {
      const texts = { flag: 'true', current: 'v1' }
      await keep({ content: 'v2', source: tls, governance: HAND, record: byHand, texts })
      const written = { [`${X}/secret-rollout-update-revision`]: 'v2', [`${X}/secret-rollout-index-id`]: '1' }
      expect(patches).toMatchObject([{ annotations: written }])
    })

    it('says once that it may not, and goes on', async () => {
      refused = true
      const keeper = keeperOf()
      const view = viewOf({ content: 'v2', source: tls, governance: HAND, record: byHand, texts: { flag: 'true' } })
      for (let i = 0; i < 3; i++) expect(await keeper.keep(view, { rollingOut: true })).toBe(60_000)
      expect([patches, said]).toEqual([[], ['Released=False NotWritten']])
      refused = false
      expect(await keeper.keep(view, { rollingOut: true })).toBe('changed')
      expect(said).toEqual(['Released=False NotWritten', 'Released=False StampMissing'])
      refused = true
      await expect(keep({ source: { finalizers: [FINALIZER] } })).rejects.toMatchObject({ code: 'KUBE_FORBIDDEN' })
    })
  })

  it('does not call a change unreleased whose rollout is about to begin', async () => {
    await keep({ content: 'v2' }, true)
    expect(said).toEqual([])
    await keep({
      content: 'v2',
      governance: HAND,
      record: { byHand: true },
      texts: { flag: 'true' },
    })
    expect(said).toEqual(['Released=False NotStamped'])
  })

  it('says nothing of what is none of ours', async () => {
    const foreign: ViewOf = { governance: NOBODY, record: null, problems: [problem] }
    await keep({ ...foreign, source: { ours: false } })
    needed = false
    await keep({ ...foreign, source: { key: 'Secret/shop/tls' } })
    expect([said, patches]).toEqual([[], []])
  })
})

describe('many looks', () => {
  it('content that nobody governs is recorded, and an object governed by the write that changes it falls back to it', async () => {
    const api = cluster(['ingresses', ingress({ host: 'a.example' })])
    const leader = await new LeaderProcess(api).start()
    const a = leader.view().source?.revision
    expect((await outcomeOf(api)).record).toMatchObject({ current: a, governed: false })
    api.put('ingressrolloutpolicies', policy())
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'b.example' }).spec })
    await leader.settle()
    expect((await outcomeOf(api)).record).toMatchObject({ current: a, governed: true })
    expect(leader.given('Ingress/shop/web', 2)).toBe(a)
  })

  it('a policy that goes and comes leaves everything as it was, and annotations of a person in between are theirs', async () => {
    const api = cluster(['ingresses', ingress()], ['ingressrolloutpolicies', policy()])
    const leader = await new LeaderProcess(api).start()
    await leader.seconds(8)
    const before = await outcomeOf(api)
    api.remove('ingressrolloutpolicies', 'default')
    await leader.settle()
    expect(await outcomeOf(api)).toMatchObject({ stamp: { flag: null, update: null }, finalizers: [] })
    api.put('ingressrolloutpolicies', policy())
    await leader.settle()
    expect((await outcomeOf(api)).record?.current).toBe(before.record?.current)
    api.remove('ingressrolloutpolicies', 'default')
    await leader.settle()
    const flag = 'nginx.ingress.kubernetes.io/ingress-rollout'
    api.edit('ingresses', 'shop/web', { metadata: { annotations: { [flag]: 'true' } } })
    await leader.settle()
    expect(leader.view().governance).toEqual({ by: 'hand' })
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'b.example' }).spec })
    await leader.settle()
    expect(leader.given('Ingress/shop/web', 0)).toBe(before.record?.current)
  })

  it('a namespace that is deleted in mid-rollout holds nothing back', async () => {
    const api = cluster(['namespaces', namespace()], ['ingresses', ingress()])
    const leader = await new LeaderProcess(api).start()
    api.put('ingressrolloutpolicies', policy())
    await leader.settle()
    api.edit('ingresses', 'shop/web', { spec: ingress({ host: 'b.example' }).spec })
    await leader.settle()
    api.put('namespaces', namespace({}, true))
    api.remove('ingresses', 'shop/web')
    await leader.settle()
    expect(api.object('ingresses', 'shop/web')).toBeNull()
    expect(await outcomeOf(api)).toMatchObject({ record: null, rollouts: { [rolloutOf(leader)]: 'Superseded 1' } })
  })

  const rolloutOf = (leader: LeaderProcess): string => [...leader.rollouts.all()].map(({ name }) => name).join()

  it('writes nothing that does not differ from what is there', async () => {
    const api = cluster(['ingresses', ingress()], ['ingressrolloutpolicies', policy()])
    const leader = await new LeaderProcess(api).start()
    await leader.seconds(8)
    const { writes } = api
    await leader.seconds(5)
    expect(api.writes).toBe(writes)
  })
})
