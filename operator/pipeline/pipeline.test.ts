import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority, mismatched } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { adopt, advance, begin, complete, create, serve, takeBack, ungovern } from '../assign/records.ts'
import { hashOf } from '../assign/revisions.ts'
import { stampFor } from '../assign/stamps.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { wantedFinalizers } from '../control/finalizer.ts'
import { wish } from '../control/starter.ts'
import { challengesKey } from '../model/challenges.ts'
import { revisionOf } from '../model/revision.ts'
import type { IngressContent, IngressSpec } from '../model/types.ts'
import {
  PREFIX,
  Replica,
  TLS,
  WEB,
  ingress,
  ingressClass,
  namespace,
  object,
  policy,
  secret,
  service,
  slice,
} from './testing.ts'
import type { IngressChange, Raw } from './testing.ts'

const DAY_MS = 86_400_000
const everywhere = (revision: Revision | null): readonly (Revision | null)[] => [revision, revision, revision, revision]
const stamped = (record: ReleaseRecord, change: IngressChange = {}): Raw => {
  const stamp = Object.entries(stampFor(record)).filter((entry): entry is [string, string] => entry[1] !== null)
  return ingress({ ...change, annotations: { ...change.annotations, ...Object.fromEntries(stamp) } })
}

/** A replica that serves `web` of host a, and a policy that governs it: recorded as current. */
function governed(): { readonly replica: Replica; readonly record: ReleaseRecord; readonly a: Revision } {
  const replica = new Replica().put(ingress({ host: 'a.example' })).publish()
  const record = adopt(replica.source(WEB))
  replica.policies(policy()).store(record).publish()
  return { replica, record, a: record.current ?? '' }
}

let authority: Authority
let good: Leaf
let renewed: Leaf

beforeAll(async () => {
  authority = await Authority.root('Pipeline tests')
  good = await authority.issue({ hosts: ['shop.example'] })
  renewed = await authority.issue({ hosts: ['shop.example'] })
})

describe('an object that nobody governs', () => {
  it('is given to every pod as it is, and its change at once', () => {
    const replica = new Replica().put(ingress()).publish()
    const first = replica.source(WEB).revision
    expect(replica.givenTo(WEB)).toEqual(everywhere(first))
    replica.put(ingress({ host: 'other.example' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(replica.source(WEB).revision))
    expect(replica.given(WEB, 0)).not.toBe(first)
  })

  it('is looked at before what changed for all at once, and what there is no time for is looked at the next time', () => {
    const { pipeline, caches } = new Replica().put(
      ...['a', 'b', 'c', 'd'].map(name => ingress({ name, host: `${name}.example` })),
    )
    const flush = (): readonly string[] => pipeline.flush(() => true).viewed.map(key => key.slice(-1))
    while (!pipeline.idle) flush()
    pipeline.touchAll()
    pipeline.touchAll()
    expect(flush()).toEqual(['a'])
    caches.putGoverned('Ingress', ingress({ name: 'c', host: 'other.example' }))
    pipeline.touch(['Ingress/shop/c'])
    expect([flush(), flush(), flush()]).toEqual([['c'], ['b'], ['d']])
    expect(pipeline.idle).toBe(true)
    expect(flush()).toEqual([])
    // What the store has a newer record of comes before everything, and it can be asked whether it was looked at.
    pipeline.touchAll()
    pipeline.touch(['Ingress/shop/a', 'Ingress/shop/b'])
    pipeline.touchFirst(['Ingress/shop/d'])
    expect([pipeline.isBehind(), pipeline.isBehind('Ingress/shop/d'), pipeline.isBehind('Ingress/shop/a')]).toEqual([
      ...[true, true, false],
    ])
    expect(flush()).toEqual(['d'])
    expect([pipeline.isBehind(), pipeline.isBehind('Ingress/shop/d')]).toEqual([false, false])
    expect([flush(), flush(), flush()]).toEqual([['a'], ['b'], ['c']])
  })

  it('is gone at once when it is deleted, and when its class is not ours any more', () => {
    for (const go of [
      (replica: Replica) => replica.drop(ingress()),
      (replica: Replica) => replica.put(ingress({ className: 'other' })),
      (replica: Replica) => replica.put({ ...ingressClass(), spec: { controller: 'example.com/another' } }),
    ]) {
      const replica = new Replica().put(ingress()).publish()
      go(replica).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(null))
      expect([...replica.releases.entries(0)]).toEqual([])
    }
  })

  it('stays as it was when the class object is gone, and says so; what nobody serves yet is not taken up by it', () => {
    const replica = new Replica().put(ingress()).publish()
    const first = replica.source(WEB).revision
    replica
      .drop(ingressClass())
      .put(ingress({ name: 'late' }))
      .publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(first))
    expect(replica.view(WEB).problems).toContainEqual(
      expect.objectContaining({ reason: 'ClassNotFound', effect: 'warn' }),
    )
    expect(replica.givenTo('Ingress/shop/late')).toEqual(everywhere(null))
    // Its changes go on; it leaves when it says so itself.
    replica.put(ingress({ host: 'other.example' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(replica.source(WEB).revision))
    replica.put(ingress({ className: 'other' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
  })

  it('stays away when it left for no class, however often it is looked at before its record is stored', () => {
    const replica = new Replica().put(ingress()).publish()
    replica.put({ ...ingress(), spec: { ...(ingress().spec as object), ingressClassName: undefined } }).publish()
    replica.pipeline.touchAll()
    replica.publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
  })

  it('leaves by the old annotation, too, where no object tells of the class that it names now', () => {
    const old = (name: string | null): Raw => {
      const made = ingress({ annotations: name === null ? {} : { 'kubernetes.io/ingress.class': name } })
      return { ...made, spec: { ...(made.spec as object), ingressClassName: undefined } }
    }
    for (const next of ['nginx', null]) {
      const replica = new Replica().put(old('sluice')).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(replica.source(WEB).revision))
      replica.put(old(next)).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(null))
    }
  })

  it('keeps its last good content when the new one cannot be served, also before anything is stored', () => {
    const replica = new Replica().put(ingress()).publish()
    const first = replica.source(WEB).revision
    replica.put(ingress({ host: 'not a host' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(first))
    expect(replica.view(WEB)).toMatchObject({ invalid: true, hold: { reason: 'InvalidContent' } })
  })

  it('that was released by an operator which did not know a setting goes on without it, where its value is wrong', () => {
    const annotations = { 'nginx.ingress.kubernetes.io/proxy-read-timeout': '2s' }
    const wrong = ingress({ annotations })
    const known = new Replica().put(wrong).publish()
    expect(known.givenTo(WEB)).toEqual(everywhere(null))
    // A new one, which finds it released.
    const record = adopt(known.source(WEB))
    for (const put of [(replica: Replica) => replica, (replica: Replica) => replica.policies(policy())]) {
      const replica = put(new Replica()).put(wrong).store(record).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(replica.source(WEB).revision))
      expect(replica.releases.entry(WEB, 0)?.payload).not.toHaveProperty('settings')
      expect(replica.view(WEB).invalid).toBe(true)
      expect(replica.view(WEB).problems.map(({ reason }) => reason)).toContain('InvalidAnnotation')
      // What is wrong in its next content keeps this one.
      replica.put(ingress({ annotations, host: 'b.example' })).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(record.current))
      replica.put(ingress({ annotations: { ...annotations, 'nginx.ingress.kubernetes.io/proxy-read-timeout': '2' } }))
      expect(replica.publish().view(WEB).invalid).toBe(false)
    }
  })

  it('serves nothing if its first content cannot be served', () => {
    const replica = new Replica().put(ingress({ host: 'not a host' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
  })
})

describe('an object that a policy governs', () => {
  it('is given by record and index, whoever asks', () => {
    const { replica, record, a } = governed()
    replica.put(ingress({ host: 'b.example' })).publish()
    const b = replica.source(WEB).revision
    expect(replica.givenTo(WEB)).toEqual(everywhere(a))
    let next = begin(record, replica.source(WEB))
    const at = (index: number): readonly (Revision | null)[] => {
      next = advance(next, index)
      replica
        .store(next)
        .put(stamped(next, { host: 'b.example' }))
        .publish()
      return replica.givenTo(WEB)
    }
    expect(at(0)).toEqual(everywhere(a))
    expect(at(1)).toEqual([b, a, a, a])
    expect(at(2)).toEqual([b, b, a, a])
    expect(at(1)).toEqual([b, a, a, a])
    expect(at(-1)).toEqual(everywhere(b))
  })

  it('goes by the record, whatever its annotations say; where people may drive, by both', () => {
    const { replica, record, a } = governed()
    replica.put(ingress({ host: 'b.example' })).turn()
    const begun = begin(record, replica.source(WEB))
    replica
      .store(begun)
      .put(stamped(begun, { host: 'b.example' }))
      .publish()
    const b = replica.source(WEB).revision
    replica.store(advance(begun, 2)).publish()
    expect(replica.givenTo(WEB)).toEqual([b, b, a, a])
    const all = { 'nginx.ingress.kubernetes.io/ingress-rollout-index-id': '-1' }
    const { annotations = {} } = stamped(begun).metadata
    replica.put(ingress({ host: 'b.example', annotations: { ...annotations, ...all } })).publish()
    expect(replica.givenTo(WEB)).toEqual([b, b, a, a])
    replica.policies(policy({ spec: { allowManualIndex: true } })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(b))
    replica.put(stamped(begun, { host: 'b.example' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(a))
  })

  it('is new, whatever a copied manifest says of revisions', () => {
    const { revision } = new Replica().put(ingress()).publish().source(WEB)
    const names = { '': 'true', '-current-revision': revision, '-update-revision': revision, '-index-id': '-1' }
    const annotations = Object.fromEntries(
      Object.entries(names).map(([end, value]) => [`nginx.ingress.kubernetes.io/ingress-rollout${end}`, value]),
    )
    const replica = new Replica().policies(policy()).put(ingress({ annotations })).publish()
    replica.store(create(replica.source(WEB))).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
  })

  it('has the content of its record on every pod when the change was taken back, whatever it says itself', () => {
    const { replica, record, a } = governed()
    replica.put(ingress({ host: 'b.example' })).turn()
    const begun = advance(begin(record, replica.source(WEB)), -1)
    replica
      .store(takeBack(begun))
      .put(stamped(begun, { host: 'b.example' }))
      .publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(a))
    expect(replica.view(WEB).hold?.reason).toBe('RevisionRefused')
  })

  it('is not there for any pod while nothing of it is released', () => {
    const replica = new Replica().policies(policy()).put(ingress()).publish()
    expect(replica.view(WEB).hold?.reason).toBe('NotStamped')
    replica.store(create(replica.source(WEB))).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
    expect(replica.pipeline.live.size).toBe(0)
  })

  it('falls back to what was served though nothing is stored of it yet', () => {
    const replica = new Replica().put(ingress({ host: 'a.example' })).publish()
    const a = replica.source(WEB).revision
    // The same turn brings policy and change.
    replica
      .policies(policy())
      .put(ingress({ host: 'b.example' }))
      .publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(a))
    expect(replica.view(WEB)).toMatchObject({ stored: null, record: { current: a, governed: false } })
  })

  it('falls back to the newest that was served, not to the older one that is stored', () => {
    const replica = new Replica().put(ingress({ host: 'a.example' })).publish()
    replica.store(serve(null, replica.source(WEB))).publish()
    replica.put(ingress({ host: 'b.example' })).publish()
    const b = replica.source(WEB).revision
    replica.put(ingress({ host: 'not a host' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(b))
    replica
      .policies(policy())
      .put(ingress({ host: 'c.example' }))
      .publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(b))
  })

  it('keeps what was released when its policy goes, until its content is another', () => {
    const { replica, record, a } = governed()
    replica.put(ingress({ host: 'b.example' })).turn()
    replica.policies().publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(a))
    replica.store(ungovern(record, replica.source(WEB))).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(a))
    replica.put(ingress({ host: 'c.example' })).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(replica.source(WEB).revision))
  })

  it('is dropped by index like any change: deletion, and change of class', () => {
    for (const leaving of [
      { deleting: true, finalizers: ['tengine.taobao.org/rollout'] },
      { className: 'other' },
    ] as const) {
      const { replica, record, a } = governed()
      const change = { host: 'a.example', ...leaving }
      replica.put(ingress(change)).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(a))
      const begun = begin(record, replica.source(WEB))
      expect(begun.update).toBe(ABSENT_REVISION)
      const one = advance(begun, 1)
      replica.store(one).put(stamped(one, change)).publish()
      expect(replica.givenTo(WEB)).toEqual([null, a, a, a])
      const done = complete(one)
      replica.store(done).put(stamped(done, change)).publish()
      expect(replica.givenTo(WEB)).toEqual(everywhere(null))
    }
  })

  it('is dropped at once with its namespace', () => {
    const { replica } = governed()
    replica.put(namespace({}, true)).publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
    expect(replica.view(WEB).hold?.reason).toBe('NamespaceTerminating')
  })

  it('a new canary takes requests of its main Ingress, and is governed', () => {
    const replica = new Replica().put(ingress()).publish().policies(policy())
    const annotations = { [`${PREFIX}/canary`]: 'true', [`${PREFIX}/canary-weight`]: '10' }
    replica.put(ingress({ name: 'next', service: 'next', annotations })).turn()
    const view = replica.view('Ingress/shop/next')
    expect(view.governance.by).toBe('policy')
    expect(replica.pipeline.takes(view)).toBe('requests of shop.example from its Prefix /, as a canary')
    replica.put(ingress({ name: 'next', host: 'other.example', annotations })).turn()
    expect(replica.pipeline.takes(replica.view('Ingress/shop/next'))).toBeNull()
  })

  it('a canary whose weight goes beyond what older ones leave says so, until they leave more', () => {
    const canary = (name: string, weight: number): Raw =>
      ingress({ name, annotations: { [`${PREFIX}/canary`]: 'true', [`${PREFIX}/canary-weight`]: String(weight) } })
    const replica = new Replica().put(ingress(), service('web'), canary('a', 70), canary('b', 50)).publish()
    const reasons = (name: string): readonly string[] =>
      replica.view(`Ingress/shop/${name}`).problems.map(({ reason }) => reason)
    expect([reasons('a'), reasons('b')]).toEqual([[], ['CanaryWeightExceeded']])
    replica.put(canary('a', 50)).publish()
    expect([reasons('a'), reasons('b')]).toEqual([[], []])
  })

  it('is governed by the labels of its namespace as they are now', () => {
    const selector = { namespaceSelector: { matchLabels: { team: 'shop' } } }
    const replica = new Replica().put(namespace({ team: 'shop' }), ingress()).policies(policy({ spec: { selector } }))
    replica.publish()
    expect(replica.view(WEB).governance).toEqual({ by: 'policy', policy: 'default', manual: false })
    replica.put(namespace({ team: 'other' })).turn()
    expect(replica.view(WEB).governance).toEqual({ by: 'none' })
    replica.put(namespace({ team: 'shop' })).turn()
    expect(replica.view(WEB).governance).toEqual({ by: 'policy', policy: 'default', manual: false })
  })

  it('is not looked at before its namespace is known, where a policy asks for labels of namespaces', () => {
    const selector = { namespaceSelector: { matchLabels: { team: 'shop' } } }
    const replica = new Replica()
      .policies(policy({ spec: { selector } }))
      .put(ingress())
      .publish()
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
    replica.put(namespace({ team: 'shop' })).publish()
    expect(replica.view(WEB).governance).toEqual({ by: 'policy', policy: 'default', manual: false })
    expect(replica.givenTo(WEB)).toEqual(everywhere(null))
  })

  it('whose record is lost goes on with what it has, whether or not anything of it was ever rolled out', () => {
    const { replica, record } = governed()
    const stamp = Object.entries(stampFor(record)).filter((entry): entry is [string, string] => entry[1] !== null)
    const annotations = Object.fromEntries(stamp)
    const found = (made: Raw, lost: boolean): Replica => {
      const next = new Replica().policies(policy())
      if (lost) next.lost.add(record.uid)
      return next.put(made).publish()
    }
    const whole = ingress({ annotations, host: 'a.example' })
    expect(found(whole, true).givenTo(WEB)).toEqual(everywhere(replica.source(WEB).revision))
    // In mid-rollout, or edited since: to serve nothing would harm more.
    const edited = found(ingress({ annotations }), true)
    expect(edited.givenTo(WEB)).toEqual(everywhere(edited.source(WEB).revision))
    expect(found(whole, true).view(WEB)).toMatchObject({ stored: null, record: { governed: true, byHand: false } })
    // Released at once when it was new, or taken over: it has no annotations yet.
    const bare = found(ingress(), true)
    expect(bare.givenTo(WEB)).toEqual(everywhere(bare.source(WEB).revision))
    // A copy of a manifest is not one of a record that was lost.
    expect(found(whole, false).givenTo(WEB)).toEqual(everywhere(null))
    expect(found(ingress({ annotations, host: 'not a host' }), true).givenTo(WEB)).toEqual(everywhere(null))
    // Nobody governs it: it is served without a record, and gets none that says otherwise.
    const free = new Replica()
    free.lost.add(record.uid)
    free.put(ingress()).publish()
    expect(free.givenTo(WEB)).toEqual(everywhere(free.source(WEB).revision))
    expect(free.view(WEB)).toMatchObject({ record: null, governance: { by: 'none' } })
  })

  it('is not replaced by a record that cannot be compiled, and holds up nobody', () => {
    const { replica, record, a } = governed()
    const other = ingress({ name: 'other', host: 'other.example' })
    const broken = { hash: 'broken', content: { kind: 'Ingress', annotations: {}, spec: { rules: [{ host: '?' }] } } }
    replica.store({ ...record, current: 'broken', revisions: { broken } } as ReleaseRecord)
    replica.put(other).publish()
    expect(replica.given(WEB, 0)).toBe(a)
    expect(replica.given('Ingress/shop/other', 0)).toBe(null)
    expect(replica.malformed.map(({ message }) => message)).toEqual([expect.stringContaining(WEB)])
    replica.policies().publish()
    expect(replica.given('Ingress/shop/other', 0)).not.toBeNull()
  })
})

describe('a malformed object', () => {
  it('leaves its last good state, and the others go on', () => {
    const broken = (raw: Raw): Raw => ({ ...raw, spec: { rules: 'none' } })
    const other = (host: string): Raw => ingress({ name: 'other', host })
    const replica = new Replica().put(ingress(), other('other.example')).publish()
    const first = replica.given(WEB, 0)
    replica.put(broken(ingress()), other('new.example'), broken(ingress({ name: 'never' }))).publish()
    expect(replica.given(WEB, 0)).toBe(first)
    expect(replica.given('Ingress/shop/other', 0)).toBe(replica.source('Ingress/shop/other').revision)
    expect(replica.given('Ingress/shop/never', 0)).toBeNull()
    expect(replica.malformed.map(error => error.object).sort()).toEqual(['Ingress shop/never', 'Ingress shop/web'])
    replica.put(ingress({ host: 'mended.example' })).publish()
    expect(replica.given(WEB, 0)).toBe(replica.source(WEB).revision)
  })
})

describe('a certificate', () => {
  const withTls = (): Replica => new Replica().put(ingress({ tls: ['tls'] }), secret(good)).publish()
  const served = (replica: Replica, ordinal = 0): unknown => replica.releases.entry(TLS, ordinal)?.payload
  const leaf = ({ chain, privateKey }: Leaf): object => ({ chain, privateKey })

  it('is given only while an Ingress that is given refers to it', () => {
    const replica = new Replica().put(secret(good)).publish()
    expect(served(replica)).toBeUndefined()
    replica.put(ingress({ tls: ['tls'] })).publish()
    expect(served(replica)).toMatchObject(leaf(good))
    replica.put(ingress()).publish()
    expect(served(replica)).toBeUndefined()
  })

  const bad: readonly (readonly [string, () => Promise<Leaf>, string])[] = [
    ['a foreign key under the good chain', () => Promise.resolve(mismatched(good, renewed)), 'KeyMismatch'],
    ['a foreign key under a new chain', () => Promise.resolve(mismatched(renewed, good)), 'KeyMismatch'],
    ['an expired one', () => authority.issueExpired({ hosts: ['shop.example'] }), 'CertificateExpired'],
    ['one of another host', () => authority.issue({ hosts: ['other.example'] }), 'HostNotCovered'],
    ['nonsense', () => Promise.resolve({ chain: 'x', privateKey: 'y' }), 'CertificateUnreadable'],
  ]

  it.each(bad)('is not replaced by %s', async (_what, make, reason) => {
    const next = secret(await make())
    for (const by of ['none', 'policy'] as const) {
      const replica = withTls()
      const record = by === 'none' ? serve(null, replica.source(TLS)) : adopt(replica.source(TLS))
      if (by === 'policy') replica.policies(policy({ spec: { kinds: ['Secret'] } })).store(record)
      replica.publish().put(next).publish()
      expect(served(replica)).toMatchObject(leaf(good))
      expect(replica.view(TLS)).toMatchObject({ invalid: true, problems: [{ reason }] })
      // Also when the store has it, and when everything is looked at again.
      replica.store(record).publish()
      replica.pipeline.touchAll()
      replica.publish()
      expect(served(replica)).toMatchObject(leaf(good))
      // Of itself, not because the entry before was held on to: a replica that starts now has none.
      expect(replica.malformed).toEqual([])
      const started = new Replica()
      if (by === 'policy') started.policies(policy({ spec: { kinds: ['Secret'] } }))
      started
        .store(record)
        .put(ingress({ tls: ['tls'] }), next)
        .publish()
      expect(served(started)).toMatchObject(leaf(good))
      expect(started.malformed).toEqual([])
    }
  })

  it('is replaced by a good one: at once, or by the record', () => {
    const replica = withTls().put(secret(renewed)).publish()
    expect(served(replica)).toMatchObject(leaf(renewed))
    const rolled = withTls()
    const record = adopt(rolled.source(TLS))
    rolled.policies(policy()).store(record).put(secret(renewed)).publish()
    expect(served(rolled)).toMatchObject(leaf(good))
    const one = advance(begin(record, rolled.source(TLS)), 1)
    const stamp = Object.entries(stampFor(one)).filter((entry): entry is [string, string] => entry[1] !== null)
    rolled
      .store(one)
      .put(secret(renewed, { annotations: Object.fromEntries(stamp) }))
      .publish()
    expect([served(rolled, 0), served(rolled, 1)]).toMatchObject([leaf(renewed), leaf(good)])
  })

  it('is governed by the policies of the Ingresses that name it: nobody puts labels on what cert-manager makes', () => {
    const labelled = (team: string): Raw => ingress({ tls: ['tls'], labels: { team } })
    const replica = new Replica().put(secret(good), labelled('shop')).publish()
    replica.policies(policy({ spec: { selector: { objectSelector: { matchLabels: { team: 'shop' } } } } })).publish()
    const governance = (): unknown => replica.view(TLS).governance.by
    expect(governance()).toBe('policy')
    replica.put(labelled('other')).publish()
    expect(governance()).toBe('none')
    // Of several Ingresses one that is governed is enough.
    const second = (team: string): Raw => ingress({ name: 'second', tls: ['tls'], labels: { team } })
    replica.put(second('other')).publish()
    expect(governance()).toBe('none')
    replica.put(second('shop')).publish()
    expect(governance()).toBe('policy')
    replica.put(second('other'), secret(good, { labels: { team: 'shop' } })).publish()
    expect(governance()).toBe('none')
  })

  it('goes on being served when it expires', () => {
    const replica = withTls()
    for (const stored of [false, true]) {
      if (stored) replica.store(serve(null, replica.source(TLS)))
      replica.wall = Date.now() + 40 * DAY_MS
      replica.pipeline.touchAll()
      replica.publish()
      expect(served(replica)).toMatchObject(leaf(good))
      expect(replica.view(TLS)).toMatchObject({ invalid: true, problems: [{ reason: 'CertificateExpired' }] })
    }
  })

  it('outlives its Secret while something served needs it, by its record', () => {
    const replica = withTls()
    replica.store(serve(null, replica.source(TLS))).publish()
    replica.drop(secret(good)).publish()
    expect(served(replica)).toMatchObject(leaf(good))
    expect(replica.view(TLS).hold?.reason).toBe('StillNeeded')
    // Made again under the same name, it goes on from there.
    replica
      .policies(policy())
      .put(secret(renewed, { uid: 'another' }))
      .publish()
    expect(served(replica)).toMatchObject(leaf(good))
    replica
      .drop(secret(renewed, { uid: 'another' }))
      .policies()
      .put(ingress())
      .publish()
    expect(served(replica)).toBeUndefined()
  })
})

describe('Services', () => {
  const OLD = 'shop/old:80'
  const NEW = 'shop/new:80'
  const endpoints = (replica: Replica): Readonly<Record<string, readonly string[]>> =>
    Object.fromEntries(replica.pipeline.endpoints)

  it('say what is wrong with a Service when that changes; whoever is behind it comes and goes without their being looked at', () => {
    const looked = (replica: Replica): boolean => replica.turn().viewed.includes(WEB)
    const replica = new Replica().put(ingress())
    expect(looked(replica)).toBe(true)
    const reasons = (): readonly string[] => replica.view(WEB).problems.map(({ reason }) => reason)
    expect(reasons()).toEqual(['ServiceNotFound'])
    expect(looked(replica.put(slice('web', '198.18.0.1')))).toBe(false)
    expect(looked(replica.put(service('web')))).toBe(true)
    expect(reasons()).toEqual([])
    expect(replica.put(slice('web', '198.18.0.1', '198.18.0.2')).turn()).toMatchObject({
      ...{ viewed: [], services: ['shop/web:80'] },
    })
    expect(looked(replica.put(service('web', 81)))).toBe(true)
    expect(reasons()).toEqual(['ServicePortNotFound'])
    expect(looked(replica.drop(service('web')))).toBe(true)
    expect(reasons()).toEqual(['ServiceNotFound'])
    // Another Ingress that names it is told, too, whichever was looked at last.
    const late = ingress({ name: 'late', host: 'late.example' })
    expect(looked(replica.put(late))).toBe(false)
    expect(replica.put(service('web')).turn().viewed).toEqual([WEB, 'Ingress/shop/late'])
    expect([...replica.pipeline.referringTo(['shop/other:80', 'shop/web:80'])]).toEqual([WEB, 'Ingress/shop/late'])
  })

  it('have the endpoints of their slices at once, whatever the checksum', () => {
    const replica = new Replica().put(ingress({ service: 'old' }), service('old'), slice('old', '198.18.0.1')).publish()
    expect(endpoints(replica)).toEqual({ [OLD]: ['198.18.0.1:8080'] })
    replica.publishOnly('Ingress', { checksum: '0'.repeat(32) })
    expect(replica.put(slice('old', '198.18.0.2')).turn().services).toEqual([OLD])
    expect(endpoints(replica)).toEqual({ [OLD]: ['198.18.0.2:8080'] })
    expect(replica.put(slice('old', '198.18.0.2')).turn().services).toEqual([])
    replica.drop(slice('old')).turn()
    expect(endpoints(replica)).toEqual({ [OLD]: [] })
  })

  it('are followed for what is released and for what waits, until it is released', () => {
    const replica = new Replica().put(ingress({ service: 'old' }), service('old'), service('new')).publish()
    const old = replica.given(WEB, 0)
    replica.put(ingress({ service: 'new' }), slice('new', '198.18.0.9'), slice('old', '198.18.0.1')).turn()
    expect(replica.given(WEB, 0)).toBe(old)
    expect(endpoints(replica)).toEqual({ [OLD]: ['198.18.0.1:8080'], [NEW]: ['198.18.0.9:8080'] })
    replica.put(slice('old', '198.18.0.3')).turn()
    expect(endpoints(replica)[OLD]).toEqual(['198.18.0.3:8080'])
    replica.publish()
    expect(replica.given(WEB, 0)).not.toBe(old)
    expect(endpoints(replica)).toEqual({ [NEW]: ['198.18.0.9:8080'] })
  })

  it('are followed for both revisions of a rollout', () => {
    const replica = new Replica().put(ingress({ service: 'old' })).publish()
    const record = adopt(replica.source(WEB))
    replica
      .policies(policy())
      .store(record)
      .put(ingress({ service: 'new' }))
      .publish()
    expect(Object.keys(endpoints(replica))).toEqual([OLD])
    const begun = begin(record, replica.source(WEB))
    replica
      .store(begun)
      .put(stamped(begun, { service: 'new' }))
      .publish()
    expect(Object.keys(endpoints(replica)).sort()).toEqual([NEW, OLD])
    const done = complete(advance(begun, -1))
    replica
      .store(done)
      .put(stamped(done, { service: 'new' }))
      .publish()
    expect(Object.keys(endpoints(replica))).toEqual([NEW])
  })

  it('that are not there are said so, as long as they are not', () => {
    const replica = new Replica().put(ingress()).publish()
    const reasons = (): readonly string[] => replica.view(WEB).problems.map(({ reason }) => reason)
    expect(reasons()).toEqual(['ServiceNotFound'])
    replica.put(service('web', 81)).turn()
    expect(reasons()).toEqual(['ServicePortNotFound'])
    replica.put(service('web')).turn()
    expect(reasons()).toEqual([])
    replica.drop(service('web')).turn()
    expect(reasons()).toEqual(['ServiceNotFound'])
  })

  it('of a slice without a Service are nobody', () => {
    const replica = new Replica()
      .put(ingress(), object('EndpointSlice', 'loose', {}, { addressType: 'IPv4' }))
      .publish()
    expect(endpoints(replica)).toEqual({ 'shop/web:80': [] })
  })
})

describe('the ID of an object', () => {
  const ids = (replica: Replica, key: ObjectKey): string | undefined => replica.pipeline.live.get(key)?.id

  it('names what it announces, the same for every index', () => {
    const { replica, record, a } = governed()
    expect(ids(replica, WEB)).toBe(`shop/web:${a}`)
    replica.put(ingress({ host: 'b.example' })).publish()
    expect(ids(replica, WEB)).toBe(`shop/web:${a}`)
    const b = replica.source(WEB).revision
    const begun = begin(record, replica.source(WEB))
    for (const index of [0, 1, -1]) {
      const next = advance(begun, index)
      replica
        .store(next)
        .put(stamped(next, { host: 'b.example' }))
        .turn()
      expect(ids(replica, WEB)).toBe(`shop/web:${b}`)
    }
  })

  it('is made of number and version in the form of upstream, and empty without them', () => {
    const replica = new Replica({ idForm: 'upstream' })
    const version = { 'nginx.ingress.kubernetes.io/version': '7' }
    replica.put(ingress({ name: 'web-3', annotations: version }), ingress()).publish()
    expect(ids(replica, 'Ingress/shop/web-3')).toBe('3-7')
    expect(ids(replica, WEB)).toBe('')
    expect(replica.given(WEB, 0)).not.toBeNull()
  })
})

describe('an Ingress that is new', () => {
  const NEW = 'Ingress/shop/new'
  const replica = (...served: readonly Raw[]): Replica =>
    new Replica()
      .put(...served)
      .publish()
      .policies(policy())
  const takes = (of: Replica): string | null => {
    of.turn()
    return of.pipeline.takes(of.view(NEW))
  }
  const comes = (host: string): Raw => ingress({ name: 'new', host })

  it('takes what a wildcard served, in any revision that is out, until that is on no pod any more', () => {
    const one = replica(ingress({ host: '*.example' }))
    expect(takes(one.put(comes('b.example')))).toBe('requests of b.example from *.example')
    expect(takes(one.put(comes('b.other')))).toBeNull()
    const adopted = adopt(one.source(WEB))
    one
      .store(adopted)
      .put(ingress({ host: '*.other' }))
      .turn()
    const begun = begin(adopted, one.source(WEB))
    one
      .store(begun)
      .put(stamped(begun, { host: '*.other' }))
      .publish()
    expect(takes(one)).toBe('requests of b.other from *.other')
    expect(takes(one.put(comes('b.example')))).toBe('requests of b.example from *.example')
    const done = complete(begun)
    one
      .store(done)
      .put(stamped(done, { host: '*.other' }))
      .publish()
    expect(takes(one)).toBeNull()
  })

  it('takes what pods still have, though its object is gone: no checksum says so yet', () => {
    const one = replica(ingress({ host: '*.example' })).drop(ingress({ host: '*.example' }))
    expect(takes(one.put(comes('b.example')))).toBe('requests of b.example from *.example')
    one.publish()
    expect(takes(one)).toBeNull()
  })

  it('takes nothing from another that was not released either', () => {
    const one = replica().put(ingress({ name: 'other', host: '*.example' }), comes('b.example'))
    expect(takes(one)).toBeNull()
  })

  it('stays governed when it was more before it is for ACME challenges alone', () => {
    const { replica: one } = governed()
    const backend = { service: { name: 'web', port: { number: 80 } } }
    const paths = [{ path: '/.well-known/acme-challenge/token', pathType: 'Exact', backend }]
    const spec = { ingressClassName: 'sluice', rules: [{ host: 'a.example', http: { paths } }] }
    one.put({ ...ingress({ host: 'a.example' }), spec }).turn()
    expect(one.view(WEB).governance.by).toBe('policy')
  })

  it('is governed by nobody where it is for ACME challenges alone', () => {
    const ofType = (pathType: string, ...paths: readonly string[]): Raw => {
      const backend = { service: { name: 'web', port: { number: 80 } } }
      const rules = [{ host: 'shop.example', http: { paths: paths.map(path => ({ path, pathType, backend })) } }]
      return { ...comes(''), spec: { ingressClassName: 'sluice', rules } }
    }
    const at = (...paths: readonly string[]): Raw => ofType('Exact', ...paths)
    const by = (raw: Raw): string => {
      const one = replica().put(raw)
      one.turn()
      return one.view(NEW).governance.by
    }
    expect(by(at('/.well-known/acme-challenge/token'))).toBe('none')
    expect(by(at('/.well-known/acme-challenge/token', '/'))).toBe('policy')
    expect(by(at('/.well-known/acme-challenge/../admin'))).toBe('policy')
    expect(by(at('/.well-known/acme-challenge/%2e%2E/%2e%2e/admin'))).toBe('policy')
    expect(by(at('/.well-known/'))).toBe('policy')
    // The folder, of somebody who answers all of them: where it would hide what serves the rest of its host.
    const below = (host: string, raw: Raw): string => {
      const one = replica(ingress({ host })).put(raw)
      one.turn()
      return one.view(NEW).governance.by
    }
    const folder = ofType('Prefix', '/.well-known/acme-challenge/')
    const hosts = ['*.example', 'shop.example', '*.other']
    expect(hosts.map(host => below(host, folder))).toEqual(['policy', 'none', 'none'])
    // A challenge hides nothing.
    const token = at('/.well-known/acme-challenge/token')
    expect(hosts.map(host => below(host, token))).toEqual(['none', 'none', 'none'])
    const one = replica(ingress({ host: '*.example' }))
      .put(token)
      .publish()
    expect(one.view(NEW).problems.map(({ reason }) => reason)).toEqual([])
    expect(wantedFinalizers(one.view(NEW))).toEqual([])
    one.put({ ...token, metadata: { ...token.metadata, deletionTimestamp: '2026-01-02T00:00:00Z' } }).publish()
    expect([one.view(NEW).governance.by, one.releases.released(challengesKey(NEW))]).toEqual(['none', null])
  })
})

describe('ACME challenges in an Ingress of somebody’s own', () => {
  const LAYER = challengesKey(WEB)
  const TOKEN = '/.well-known/acme-challenge/token'
  const solver = { service: { name: 'solver', port: { number: 8089 } } }
  /** As cert-manager edits it (`http01-edit-in-place`). */
  const edited = (raw: Raw, token = TOKEN): Raw => {
    const spec = raw.spec as IngressSpec
    const challenge = { path: token, pathType: 'ImplementationSpecific', backend: solver }
    const rules = (spec.rules ?? []).map(rule => ({
      ...rule,
      http: { paths: [challenge, ...(rule.http?.paths ?? [])] },
    }))
    return { ...raw, spec: { ...spec, rules } }
  }
  const servedBy = (replica: Replica): readonly boolean[] =>
    [0, 1, 2, -1].map(ordinal => {
      const payload = replica.releases.entry(LAYER, ordinal)?.payload ?? null
      return payload !== null && 'hosts' in payload && payload.hosts.some(({ paths }) => paths.length === 1)
    })
  const ON_ALL = [true, true, true, true]
  const ON_NONE = [false, false, false, false]

  it('are on every pod at once and leave its content where it is, in every state of it', () => {
    const { replica, record, a } = governed()
    const b = ingress({ host: 'b.example' })
    const invalid = ingress({ host: 'not a host' })
    // Not released yet.
    replica.put(edited(b)).publish()
    expect([replica.givenTo(WEB), servedBy(replica)]).toEqual([everywhere(a), ON_ALL])
    // On the first pod.
    const begun = advance(begin(record, replica.source(WEB)), 1)
    replica.store(begun).publish()
    const split = [begun.update, a, a, a]
    expect([replica.givenTo(WEB), servedBy(replica)]).toEqual([split, ON_ALL])
    replica.put(b).publish()
    expect([replica.givenTo(WEB), servedBy(replica), replica.source(WEB).revision]).toEqual([
      ...[split, ON_NONE],
      begun.update,
    ])
    replica.put(edited(b)).publish()
    expect([replica.givenTo(WEB), servedBy(replica), replica.source(WEB).revision]).toEqual([
      ...[split, ON_ALL],
      begun.update,
    ])
    // Taken back.
    replica.store(takeBack(begun)).put(edited(b)).publish()
    expect([replica.givenTo(WEB), servedBy(replica)]).toEqual([everywhere(a), ON_ALL])
    expect([replica.view(WEB).hold?.reason, wish(replica.view(WEB))]).toEqual(['RevisionRefused', 'nothing'])
    // Another host of it is none: that of the challenge is.
    const spec = edited(ingress({ host: 'c.example' })).spec as IngressSpec
    const rules = [...(spec.rules ?? []), ...((invalid.spec as IngressSpec).rules ?? [])]
    replica.put({ ...b, spec: { ...spec, rules } }).publish()
    expect([replica.view(WEB).invalid, replica.givenTo(WEB), servedBy(replica)]).toEqual([true, everywhere(a), ON_ALL])
  })

  it('of one that was never released are served, and it is not', () => {
    const replica = new Replica().policies(policy()).put(edited(ingress())).publish()
    replica.store(create(replica.source(WEB))).publish()
    expect([replica.givenTo(WEB), servedBy(replica)]).toEqual([everywhere(null), ON_ALL])
    // Before Kubernetes said anything of the pods behind it.
    expect(replica.pipeline.endpoints.get('shop/solver:8089')).toEqual([])
    replica.put(service('solver', 8089), slice('solver', '198.18.0.9')).publish()
    expect(replica.pipeline.endpoints.get('shop/solver:8089')).toEqual(['198.18.0.9:8080'])
    expect(replica.view(WEB).problems.filter(({ message }) => message.includes('solver'))).toEqual([])
    replica.put(ingress()).publish()
    expect(replica.pipeline.endpoints.has('shop/solver:8089')).toBe(false)
  })

  it('count in the checksum as what they are: no more and no less is given out than was published', () => {
    const { replica, a } = governed()
    const before = replica.releases.gate('Ingress').publication()
    expect(before.ids).toEqual([`shop/web:${a}`])
    replica.put(edited(ingress({ host: 'a.example' }))).turn()
    expect(servedBy(replica)).toEqual(ON_NONE)
    const { ids } = replica.releases.gate('Ingress').publication()
    expect(ids).toEqual([`shop/web:${a}`, expect.stringMatching(/^shop\/web~challenges:[0-9a-v]{10}$/)])
    replica.publish()
    expect(servedBy(replica)).toEqual(ON_ALL)
    // Another token is another configuration.
    replica.put(edited(ingress({ host: 'a.example' }), `${TOKEN}-2`)).turn()
    expect(replica.releases.gate('Ingress').publication().ids[1]).not.toBe(ids[1])
    replica.put(ingress({ host: 'a.example' })).turn()
    expect(replica.releases.gate('Ingress').publication()).toEqual(before)
    expect(servedBy(replica)).toEqual(ON_ALL)
    replica.publish()
    expect(servedBy(replica)).toEqual(ON_NONE)
  })

  it('take no part in the other form of the checksum, in which their Ingress does', () => {
    const replica = new Replica({ idForm: 'upstream' })
      .put(edited(ingress({ annotations: { 'nginx.ingress.kubernetes.io/version': '3' } })))
      .publish()
    expect([servedBy(replica), replica.releases.gate('Ingress').publication().ids]).toEqual([ON_ALL, []])
  })

  it('go with the Ingress, its class and its namespace, and come back when everything is looked at anew', () => {
    const raw = edited(ingress())
    const replica = new Replica().put(raw).publish()
    replica.pipeline.touchAll()
    replica.publish()
    expect(servedBy(replica)).toEqual(ON_ALL)
    for (const gone of [
      { ...raw, metadata: { ...raw.metadata, deletionTimestamp: '2026-01-02T00:00:00Z' } },
      { ...raw, spec: { ...(raw.spec as IngressSpec), ingressClassName: 'other' } },
    ]) {
      replica.put(gone).publish()
      expect(servedBy(replica)).toEqual(ON_NONE)
      replica.put(raw).publish()
      expect(servedBy(replica)).toEqual(ON_ALL)
    }
    replica.put(namespace({}, true)).publish()
    expect(servedBy(replica)).toEqual(ON_NONE)
    replica.put(namespace()).publish()
    replica.drop(raw).publish()
    expect(servedBy(replica)).toEqual(ON_NONE)
  })

  it('that were content before an upgrade start no rollout, and what is released keeps its name', () => {
    const raw = edited(ingress({ host: 'a.example' }))
    const whole: IngressContent = { kind: 'Ingress', annotations: {}, spec: raw.spec as IngressSpec }
    const replica = new Replica().policies(policy()).put(raw).publish()
    const old = { ...replica.source(WEB), content: whole, revision: revisionOf(whole) }
    const record = adopt(old)
    replica.store(record).publish()
    const view = replica.view(WEB)
    expect([wish(view), view.hold, replica.givenTo(WEB)]).toEqual(['nothing', null, everywhere(record.current)])
    expect(servedBy(replica)).toEqual(ON_ALL)
    const payload = replica.releases.entry(WEB, 0)?.payload ?? null
    expect(payload !== null && 'hosts' in payload && payload.hosts[0]?.paths.map(({ path }) => path)).toEqual(['/'])
    // It is written down so, and stays so when the challenge has gone.
    expect(view.record).not.toBe(view.stored)
    replica.store(view.record!).publish()
    expect(replica.view(WEB).record).toBe(replica.view(WEB).stored)
    replica.put(ingress({ host: 'a.example' })).publish()
    expect([wish(replica.view(WEB)), replica.view(WEB).hold]).toEqual(['nothing', null])
    // One that was on its way goes on under its name.
    const begun = advance(begin(adopt({ ...old, content: { ...whole, spec: {} }, revision: 'r0' }), old), 1)
    replica.store(begun).put(raw).publish()
    expect(replica.givenTo(WEB)).toEqual([begun.update, 'r0', 'r0', 'r0'])
    const underWay = replica.view(WEB)
    expect([underWay.hold, hashOf(underWay.record!, begun.update)]).toEqual([null, replica.source(WEB).revision])
  })
})
