import { beforeEach, describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { HAND, NOBODY } from '../assign/testing.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import type { Policy } from '../model/policy.ts'
import type { Renewal } from '../model/renewal.ts'
import type { IngressRolloutSpec, IngressRolloutStatus } from '../model/generated/crds.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { Maker } from './maker.ts'
import { Rollouts } from './rollouts.ts'
import { Starter, isRollingOut, wish } from './starter.ts'
import { DEFAULT_POLICY, viewOf } from './testing-views.ts'
import type { ViewOf } from './testing-views.ts'

const ABSENT = ABSENT_REVISION
const v2 = { revisions: { v2: { hash: 'v2', content: null } } }

const wishes: readonly (readonly [string, ViewOf, ReturnType<typeof wish>])[] = [
  ['released as it is', {}, 'nothing'],
  ['changed', { content: 'v2' }, 'roll out'],
  ['changed, and on its way already', { content: 'v2', record: { update: 'v2', index: 1 } }, 'roll out'],
  ['changed, on all pods, not complete', { content: 'v2', record: { update: 'v2', index: -1 } }, 'nothing'],
  ['changed again in mid-rollout', { content: 'v3', record: { update: 'v2', index: 1 } }, 'roll out'],
  ['the old content again in mid-rollout', { record: { update: 'v2', index: 1 } }, 'go back'],
  ['the old content again after it was taken back', { record: { update: 'v1', index: 0 } }, 'nothing'],
  ['changed to what was taken back', { content: 'v2', record: { refused: ['v2'] } }, 'nothing'],
  [
    'made anew with what was taken back, while the deletion is on pods',
    { content: 'v2', record: { refused: ['v2'], update: ABSENT, index: 1 } },
    'go back',
  ],
  [
    'refused, and on its way all the same',
    { content: 'v2', record: { refused: ['v2'], update: 'v2', index: 1 } },
    'nothing',
  ],
  [
    'released under a hand-written name',
    { content: 'v2', record: { current: 'mine', revisions: named('v2') } },
    'nothing',
  ],
  ['created', { content: 'v1', record: { current: null } }, 'roll out'],
  ['deleted', { content: ABSENT }, 'roll out'],
  ['deleted, and refused', { content: ABSENT, record: { refused: [ABSENT] } }, 'nothing'],
  ['deleted, and released', { content: ABSENT, record: { current: ABSENT, update: ABSENT } }, 'nothing'],
  ['deleted before anything was released', { content: ABSENT, record: { current: null } }, 'nothing'],
  [
    'deleted while it was on its way',
    { content: ABSENT, record: { current: null, update: 'v1', index: 1, ...v2 } },
    'go back',
  ],
  [
    'deleted while it was on its way, gone back',
    { content: ABSENT, record: { current: null, update: ABSENT, index: 0 } },
    'nothing',
  ],
  ['of invalid content', { content: 'v2', invalid: true }, 'nothing'],
  ['in a namespace that is being deleted', { content: 'v2', namespaceTerminating: true }, 'nothing'],
  ['governed by nobody', { content: 'v2', governance: NOBODY }, 'nothing'],
  ['governed by hand', { content: 'v2', governance: HAND, record: { byHand: true } }, 'nothing'],
  ['not recorded', { content: 'v2', record: null }, 'nothing'],
  ['recorded as not governed yet', { content: 'v2', record: { governed: false } }, 'nothing'],
  ['another object of the same name', { content: 'v2', source: { uid: 'u2' } }, 'nothing'],
  ['gone', { content: null }, 'nothing'],
]

function named(hash: string): ReleaseRecord['revisions'] {
  return { mine: { hash, content: null } }
}

describe('what is to happen with an object', () => {
  it.each(wishes)('%s', (_what, of, wanted) => {
    expect(wish(viewOf(of))).toBe(wanted)
  })

  it('a Secret is never rolled out as absent', () => {
    const view = viewOf({ content: ABSENT })
    expect(wish({ ...view, key: 'Secret/shop/tls' })).toBe('nothing')
  })
})

describe('Starter', () => {
  let api: FakeApi
  let rollouts: Rollouts
  let starter: Starter
  let maker: Maker
  let leads: boolean
  let stored: ReleaseRecord[]
  let takes: string | null
  let renewal: Renewal | null
  let isInUse: boolean
  let said: string[]
  /** What happens between the effect of a write that makes something and its answer. */
  let meanwhile: () => void
  const now = new Date('2026-01-01T12:00:00Z')

  beforeEach(() => {
    api = new FakeApi()
    rollouts = new Rollouts()
    leads = true
    stored = []
    takes = null
    renewal = null
    isInUse = true
    said = []
    meanwhile = () => undefined
    const client = api.client()
    const events = {
      event: (_about: unknown, _type: unknown, reason: string, message: string) =>
        void said.push(`${reason}: ${message}`),
    }
    maker = new Maker({
      ...{ rollouts, events, mayWrite: () => leads, failed: () => undefined },
      client: {
        ...client,
        create: async (...of: Parameters<typeof client.create>) => {
          const made = await client.create(...of)
          meanwhile()
          return made
        },
      } as typeof client,
    })
    starter = new Starter({
      ...{ client, maker, events },
      rollouts,
      records: {
        put: record => Promise.resolve(void stored.push(record)),
        putLater: () => undefined,
        remove: () => Promise.resolve(),
        byKey: () => null,
      },
      mayWrite: () => leads,
      wall: () => now,
      pipeline: { takes: () => takes, renewal: () => renewal, isInUse: () => isInUse },
    })
  })

  const ROLLOUT = 'ing-web-v2'
  const find = (
    name = ROLLOUT,
  ): {
    readonly metadata: { readonly uid?: string }
    readonly spec?: IngressRolloutSpec
    readonly status?: IngressRolloutStatus
  } | null => api.object('ingressrollouts', `shop/${name}`) as never
  /** One that exists. */
  function known(status: IngressRolloutStatus, of: { readonly uid?: string; readonly name?: string } = {}): void {
    const { uid = 'u1', name = ROLLOUT } = of
    const spec: IngressRolloutSpec = {
      objectRef: { kind: 'Ingress', name: 'web', uid },
      revision: name.replace('ing-web-', ''),
      ...{ paused: false, approvedBatches: 2, abort: false, promote: true, retry: 0 },
    }
    const made = api.put('ingressrollouts', { metadata: { name, namespace: 'shop' }, spec, status })
    rollouts.put(made)
  }
  const changed = (of: ViewOf = {}): ObjectView => viewOf({ content: 'v2', ...of })

  it('makes a rollout with a name that can be computed', async () => {
    // It may be driven at once.
    expect(await starter.start(changed())).toBe(false)
    expect(rollouts.get('shop', ROLLOUT)?.spec.revision).toBe('v2')
    expect(find()?.spec).toEqual({
      objectRef: { kind: 'Ingress', name: 'web', uid: 'u1' },
      ...{ revision: 'v2', paused: false, approvedBatches: 0, abort: false, promote: false, retry: 0 },
    })
    expect(await starter.start(changed())).toBe(false)
    // Made by another leader a moment ago, and the watch is late.
    rollouts.remove(api.object('ingressrollouts', `shop/${ROLLOUT}`)!)
    maker.start()
    expect(await starter.start(changed())).toBe(false)
    expect(rollouts.get('shop', ROLLOUT)).toMatchObject({ uid: find()?.metadata.uid })
    expect(api.all('ingressrollouts')).toHaveLength(1)
    const wait = 'kubectl wait -n shop --for=condition=Ready ingressrollout/ing-web-v2 --timeout=10m'
    expect(said).toEqual([`RolloutCreated: ing-web-v2 is made for revision v2; ${wait}`])
  })

  it('takes nothing for new that the watch knows better', async () => {
    meanwhile = () => {
      api.edit('ingressrollouts', `shop/${ROLLOUT}`, { spec: { abort: true } })
      rollouts.put(api.object('ingressrollouts', `shop/${ROLLOUT}`)!)
    }
    await starter.start(changed())
    expect(rollouts.get('shop', ROLLOUT)?.spec.abort).toBe(true)
  })

  it('is owned by its object, in a way that needs no right to the finalizers of that', async () => {
    await starter.start(changed())
    expect(api.object('ingressrollouts', `shop/${ROLLOUT}`)?.metadata.ownerReferences).toEqual([
      { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'web', uid: 'u1' },
    ])
    rollouts.put(api.object('ingressrollouts', `shop/${ROLLOUT}`)!)
    expect(rollouts.get('shop', ROLLOUT)?.owned).toBe(true)
    maker.start()
    await starter.start({ ...changed(), key: 'Secret/shop/web' })
    expect(api.object('ingressrollouts', 'shop/sec-web-v2')?.metadata.ownerReferences).toEqual([
      { apiVersion: 'v1', kind: 'Secret', name: 'web', uid: 'u1' },
    ])
  })

  it('is made for a created object that takes something', async () => {
    takes = 'requests of a.example/ from its Prefix /'
    await starter.start(changed({ record: { current: null } }))
    expect(find()?.spec).toMatchObject({ revision: 'v2' })
    expect(stored).toEqual([])
  })

  it.each<[string, Policy['creation'], string | null, boolean]>([
    ['that takes nothing is released at once', 'Auto', null, true],
    ['that takes something is rolled out', 'Auto', 'requests', false],
    ['is always rolled out where the policy says so', 'Gradual', null, false],
    ['is always released at once where the policy says so', 'Immediate', 'requests', true],
  ])('a created object %s', async (_what, creation, taken, atOnce) => {
    takes = taken
    const view = changed({ record: { current: null } })
    const policy = view.policy === null ? null : { ...view.policy, creation }
    expect(await starter.start({ ...view, policy })).toBe(atOnce)
    expect(find() === null).toBe(atOnce)
    expect(stored.map(({ current, update, index }) => [current, update, index])).toEqual(
      atOnce ? [['v2', null, -1]] : [],
    )
    expect(said.map(text => text.split(':')[0])).toEqual([atOnce ? 'Released' : 'RolloutCreated'])
  })

  it.each<[string, Partial<Renewal>, Policy['creation'], boolean, boolean]>([
    ['in the place of one that is useless goes out at once', { useless: 'it expired' }, 'Auto', true, true],
    ['in the place of one that is of use is rolled out', {}, 'Auto', true, false],
    ['that must not wait is rolled out, too', { standing: 'urgent' }, 'Auto', true, false],
    ['is rolled out where the policy says so', { useless: 'it expired' }, 'Gradual', true, false],
    ['that no pod serves anything with goes out at once', {}, 'Gradual', false, true],
  ])('a certificate %s', async (_what, of, creation, used, atOnce) => {
    renewal = { useless: null, standing: 'valid', isPlain: false, why: '', ...of }
    isInUse = used
    const view = changed()
    const policy = view.policy === null ? null : { ...view.policy, creation }
    await starter.start({ ...view, key: 'Secret/shop/web', policy })
    expect(stored.map(({ current, index }) => [current, index])).toEqual(atOnce ? [['v2', -1]] : [])
    expect(said[0]).toContain(
      !atOnce
        ? 'RolloutCreated'
        : used
          ? 'Released: revision v2 is released to all pods at once: it expired'
          : 'Released: revision v2 is released to all pods at once: no pod serves anything with it yet',
    )
  })

  it('a path is never renewed: an Ingress is rolled out, whatever is said of certificates', async () => {
    renewal = { useless: 'it expired', standing: 'urgent', isPlain: false, why: '' }
    isInUse = false
    await starter.start(changed())
    expect([stored, find() === null]).toEqual([[], false])
  })

  it('a created object that is on its way already goes on', async () => {
    await starter.start(changed({ record: { current: null, update: 'v2', index: 1 } }))
    expect([stored, find() === null]).toEqual([[], false])
  })

  it('leaves one that is on its way alone', async () => {
    known({ phase: 'Progressing', attempt: 1 })
    expect(await starter.start(changed())).toBe(false)
    expect(api.writes).toBe(0)
  })

  it('begins a new attempt with one that has ended: first its commands are consumed, then its status gives way', async () => {
    known({ phase: 'Superseded', attempt: 1, policy: 'default', conditions: [] })
    expect(await starter.start(changed())).toBe(true)
    expect(api.log).toEqual([`patch IngressRollout ${ROLLOUT}`, `status of IngressRollout ${ROLLOUT}`])
    expect(said).toEqual([expect.stringContaining('RolloutCreated: ing-web-v2 begins attempt 2 of revision v2')])
    expect(find()).toMatchObject({
      spec: { approvedBatches: 0, abort: false, promote: false },
      status: { phase: 'Pending', attempt: 2, stableRevision: 'v1', policy: 'default' },
    })
    const holding = find()?.status?.conditions?.filter(({ status }) => status === 'True')
    expect(holding?.map(({ type }) => type)).toEqual(['Reconciling'])
  })

  it('finishes an attempt of which only the commands were consumed', async () => {
    known({ phase: 'Complete', attempt: 1 })
    api.fail(new Map([[2, 'lost']]))
    await expect(starter.start(changed())).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
    expect(find()).toMatchObject({ spec: { promote: false }, status: { phase: 'Complete', attempt: 1 } })
    rollouts.put(api.object('ingressrollouts', `shop/${ROLLOUT}`)!)
    expect(await starter.start(changed())).toBe(true)
    expect(find()).toMatchObject({ spec: { promote: false }, status: { phase: 'Pending', attempt: 2 } })
  })

  it('deletes one of an earlier object of the same name first', async () => {
    known({ phase: 'Progressing' }, { uid: 'u0' })
    expect(await starter.start(changed())).toBe(true)
    expect(find()).toBeNull()
    expect(api.log).toEqual([`delete IngressRollout ${ROLLOUT}`])
  })

  it('does not delete a newer one that has its name', async () => {
    known({ phase: 'Complete' }, { uid: 'u0' })
    api.remove('ingressrollouts', `shop/${ROLLOUT}`)
    api.put('ingressrollouts', { metadata: { name: ROLLOUT, namespace: 'shop' } })
    await expect(starter.start(changed())).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    expect(find()).not.toBeNull()
  })

  it('writes the record back where nobody else will', async () => {
    const view = viewOf({ record: { update: 'v2', index: 1 } })
    known({ phase: 'Progressing', attempt: 1 })
    expect(await starter.start(view)).toBe(false)
    expect(stored).toEqual([])
    rollouts.remove(api.object('ingressrollouts', `shop/${ROLLOUT}`)!)
    expect(await starter.start(view)).toBe(true)
    expect(stored).toMatchObject([{ current: 'v1', update: 'v1', index: 0 }])
  })

  it('keeps so many that have ended as the policy says, the newest', async () => {
    for (let i = 1; i <= 5; i++) {
      const finishedAt = `2026-01-01T00:00:0${6 - i}Z`
      known({ phase: i % 2 === 0 ? 'Complete' : 'RolledBack', attempt: 1, finishedAt }, { name: `ing-web-r${i}` })
    }
    known({ phase: 'Paused', attempt: 1 }, { name: 'ing-web-open' })
    await starter.start(viewOf({ policy: { ...DEFAULT_POLICY, historyLimit: 2 } }))
    expect(
      api
        .all('ingressrollouts')
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(['ing-web-open', 'ing-web-r1', 'ing-web-r2'])
  })

  it('keeps those of an object that is gone for an hour', async () => {
    const at = (minutes: number): string => new Date(now.getTime() - minutes * 60_000).toISOString()
    known({ phase: 'Complete', attempt: 1, finishedAt: at(50) }, { uid: 'u0', name: 'ing-web-young' })
    known({ phase: 'Complete', attempt: 1, finishedAt: at(70) }, { uid: 'u0', name: 'ing-web-old' })
    await starter.start(viewOf())
    expect(api.all('ingressrollouts').map(({ metadata }) => metadata.name)).toEqual(['ing-web-young'])
  })

  it('writes nothing when it does not lead any more', async () => {
    leads = false
    const lost = { name: 'NotLeaderError' }
    await expect(starter.start(changed())).rejects.toMatchObject(lost)
    await expect(starter.start(viewOf({ record: { update: 'v2', index: 1 } }))).rejects.toMatchObject(lost)
    known({ phase: 'Complete', attempt: 1 })
    await expect(starter.start(changed())).rejects.toMatchObject(lost)
    expect([api.writes, stored]).toEqual([0, []])
  })

  it('a rollout counts as on its way from the wish to its end, and again when a held deletion is promoted', () => {
    const moving = (view: ObjectView): boolean => isRollingOut(view, rollouts.of(view.key))
    expect([moving(viewOf()), moving(changed())]).toEqual([false, true])
    known({ phase: 'Pending', attempt: 1 })
    expect(moving(viewOf())).toBe(true)
    known({ phase: 'RolledBack', attempt: 1 })
    expect(moving(viewOf())).toBe(false)
    known({ phase: 'Held', attempt: 1 }, { name: 'ing-web-absent' })
    expect(moving(viewOf())).toBe(false)
    const held = { content: ABSENT, source: { deleting: true }, record: { refused: [ABSENT] } } as const
    expect(moving(viewOf(held))).toBe(true)
  })
})
