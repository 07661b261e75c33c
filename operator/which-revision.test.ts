/** docs/which-revision.md, row by row: what the operator gives to pods 0 to 2, and the reason that it says. */
import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority, mismatched } from '../e2e/pki/pki.ts'
import type { Leaf } from '../e2e/pki/pki.ts'
import type { ObjectKey, Revision } from '../protocol/objects.ts'
import { LeaderProcess, cluster } from './control/testing.ts'
import { challengesKey } from './model/challenges.ts'
import type { FakeApi } from './kube/testing/fake-api.ts'
import { TLS, WEB, ingress, ingressClass, namespace, policy, secret, service, slice } from './pipeline/testing.ts'
import type { IngressChange } from './pipeline/testing.ts'

const PAGE = 'docs/which-revision.md'
const OLD = { host: 'shop.example', service: 'web' } as const
const NEW = { host: 'shop.example', service: 'other' } as const
const BAD = { host: 'not a host' } as const
const STEM = 'nginx.ingress.kubernetes.io/ingress-rollout'

interface Row {
  readonly case: string
  readonly serves: string
  readonly reason: string
}

function rowsOf(page: string): readonly Row[] {
  const lines = page.split('\n').filter(line => line.startsWith('| ') && !/^\| (case|---) /.test(line))
  return lines.map(line => {
    const [, first = '', second = '', third = ''] = line.split('|').map(cell => cell.trim())
    return { case: first, serves: second, reason: third }
  })
}

const ROWS = rowsOf(readFileSync(PAGE, 'utf8'))

const DAY_MS = 86_400_000
let authority: Authority
let another: Authority

beforeAll(async () => {
  authority = await Authority.root('Which revision')
  another = await Authority.root('Another one')
})

/** An API server and the operator that leads; the rollout of a change stays in its first batch, which is pod 0. */
class Scene {
  readonly api: FakeApi
  readonly leader: LeaderProcess
  /** Whose row it is. */
  key: ObjectKey = WEB
  /** What was served first. */
  old: Revision | null = null

  private constructor(api: FakeApi) {
    this.api = api
    this.leader = new LeaderProcess(api)
  }

  static async empty(): Promise<Scene> {
    const backends = (['web', 'other'] as const).flatMap(name => [
      ['services', service(name)] as const,
      ['endpointslices', slice(name, '198.18.0.1')] as const,
    ])
    const scene = new Scene(cluster(...backends))
    await scene.leader.start()
    return scene
  }

  /** An Ingress that nobody governs is served. */
  static async served(): Promise<Scene> {
    const scene = await Scene.empty()
    await scene.put(OLD)
    scene.old = scene.leader.given(WEB, 0)
    return scene
  }

  /** It is governed. */
  static async governed(spec: object = {}): Promise<Scene> {
    const scene = await Scene.served()
    await scene.govern(spec)
    return scene
  }

  /** An Ingress with a certificate that ends in so many days; without a policy where there is no spec. */
  static async secured(spec: object | null = null, days = 60): Promise<Scene> {
    const scene = await Scene.empty()
    scene.api.put('secrets', secret(await scene.issue(days)))
    await scene.put({ ...OLD, tls: ['tls'] })
    scene.key = TLS
    scene.old = scene.leader.given(TLS, 0)
    expect(scene.old).not.toBeNull()
    if (spec !== null) await scene.govern(spec)
    return scene
  }

  issue(days: number, from = -60, by = authority): Promise<Leaf> {
    const now = this.leader.clock.wall().getTime()
    return by.issue({
      hosts: ['shop.example'],
      notBefore: new Date(now + from * DAY_MS),
      notAfter: new Date(now + days * DAY_MS),
    })
  }

  async renew(leaf: Leaf, uid?: string): Promise<void> {
    const annotations = this.api.object('secrets', 'shop/tls')?.metadata.annotations ?? {}
    this.api.put('secrets', secret(leaf, { resourceVersion: '9', annotations, ...(uid === undefined ? {} : { uid }) }))
    await this.leader.settle()
  }

  async remove(plural: string, name: string): Promise<void> {
    this.api.remove(plural, name)
    await this.leader.settle()
  }

  /** Its change is on pod 0. */
  static async rolling(spec: object = {}): Promise<Scene> {
    const scene = await Scene.governed(spec)
    await scene.put(NEW)
    await scene.leader.seconds(3)
    return scene
  }

  async govern(spec: object = {}): Promise<void> {
    const batches = [{ pods: 1, pause: {} }, { pods: '100%' }]
    this.api.put('ingressrolloutpolicies', policy({ spec: { batches, ...spec } }))
    await this.leader.settle()
  }

  /** Annotations stay, as with `kubectl apply`. */
  async put(change: IngressChange): Promise<void> {
    this.write(change)
    await this.leader.settle()
  }

  write(change: IngressChange): void {
    const { annotations = {} } = this.api.object('ingresses', 'shop/web')?.metadata ?? {}
    const all = { ...annotations, ...change.annotations }
    this.api.put('ingresses', ingress({ ...change, annotations: all }))
  }

  async annotate(end: '' | '-index-id' | '-update-revision' | '-current-revision', text: string | null): Promise<void> {
    this.api.edit('ingresses', 'shop/web', { metadata: { annotations: { [`${STEM}${end}`]: text } } })
    await this.leader.settle()
  }

  async command(spec: object): Promise<void> {
    const [rollout] = this.api.all('ingressrollouts')
    this.api.edit('ingressrollouts', `shop/${rollout?.metadata.name ?? ''}`, { spec: spec })
    await this.leader.settle()
    await this.leader.seconds(3)
  }

  /** No operator leads: nothing is written any more, and what the objects say is still followed. */
  unled(): void {
    this.leader.leading = false
  }

  /** Per pod. */
  serves(key: ObjectKey = this.key): readonly string[] {
    return [0, 1, 2].map(ordinal => {
      const given = this.leader.given(key, ordinal)
      if (given === null) return 'nothing'
      return given === this.old ? 'old' : 'new'
    })
  }

  /** `–`: none. */
  reason(key: ObjectKey = this.key): string {
    const view = this.leader.pipeline.view(key)
    return view?.hold?.reason ?? view?.problems[0]?.reason ?? '–'
  }
}

const TLS_GATE = { interval: '1s', deadline: '10s', tlsFailureRate: { maxRise: 1 } }
const ALL_OLD = ['old', 'old', 'old']
const ALL_NEW = ['new', 'new', 'new']
const FIRST_NEW = ['new', 'old', 'old']
const NOTHING = ['nothing', 'nothing', 'nothing']

/** The second column in data, for pods 0, 1 and 2 of these scenarios: the same words mean the same everywhere. */
const PHRASES: Readonly<Record<string, readonly string[]>> = {
  'the challenges, at once, on top of what they serve of it ([certificates.md](certificates.md))': ALL_NEW,
  current: ALL_OLD,
  'as made again under the same name': ALL_OLD,
  'its content, at once': ALL_NEW,
  'nothing, at once': NOTHING,
  'the last good content': ALL_OLD,
  nothing: NOTHING,
  'its content, as before, until it names another class itself or the class comes back with another controller':
    ALL_OLD,
  'what was served before': ALL_OLD,
  'what they served, also if the same write changes the content': ALL_OLD,
  'what they served: current above the index, the earlier update below it': ALL_OLD,
  'U on pods below k, current on the others': FIRST_NEW,
  'U on more / fewer pods; index 0 takes the change back everywhere': ALL_OLD,
  'U on all pods': ALL_NEW,
  'U; U is current from then on, lowering the index does nothing': ALL_NEW,
  'U below the index; above it nothing, as if the object did not exist': ['new', 'nothing', 'nothing'],
  'current on all pods; the revision stays refused until retry or promote, also after other content in between':
    ALL_OLD,
  'what its ordinal says: current above the index': FIRST_NEW,
  'what the record says; the annotations are written again': FIRST_NEW,
  "what the record says; they are written again, also a copied manifest's": FIRST_NEW,
  'what the record says': FIRST_NEW,
  'what they served; no rollout starts': ALL_OLD,
  'as governed, unless the policy has `allowOptOut: true`': ALL_OLD,
  'nothing, at once, without a rollout': NOTHING,
  'the last released revision, until the content changes or someone promotes it': ALL_OLD,
  'the new content, at once': ALL_NEW,
  'the last released revision': ALL_OLD,
  'as before until the new revision is stamped; then it starts at index 0 from the same current': FIRST_NEW,
  'current while it is in use; then rolled out like a change, as revision `absent`: pods below the index drop it, the others serve current. A deleted object is gone from the API server all the while':
    ['nothing', 'old', 'old'],
  'current; the new object goes on from there': ALL_OLD,
  'current, until someone promotes the rollout or there is an object of that name': ALL_OLD,
  'nothing, at once: a deletion has no other end': NOTHING,
  'its content, at once, unless it was taken back': ALL_NEW,
  'its last good certificate': ALL_OLD,
  'the last good certificate, until the new one is released (governed) or at once (not governed)': ALL_OLD,
  'the last good certificate': ALL_OLD,
  'the last good certificate; the new one when its time comes (governed: its rollout begins then)': ALL_OLD,
  'the new one, at once, unless the policy says `creation: Gradual` ([certificates.md](certificates.md))': ALL_NEW,
  'the new one, on the first batch and then on all, within seconds, unless the policy says `creation: Gradual` ([certificates.md](certificates.md#renewals))':
    ALL_NEW,
  'what the record says; write a new name': FIRST_NEW,
  'as governed; the flag is written again': FIRST_NEW,
  'the new one, as soon as it would have to wait for evidence, approval or others': ALL_NEW,
  'it goes on being served: no certificate is no better': ALL_OLD,
  'what the record says; nothing is written': ALL_OLD,
}

interface Scenario {
  /** First column. */
  readonly of: string
  readonly play: () => Promise<Scene>
  /** Said in an event, not kept as a reason. */
  readonly event?: true
  /** Said by the Ingresses that name the Secret. */
  readonly ofIngress?: true
}

const scenarios: readonly Scenario[] = [
  {
    of: 'created or changed',
    play: async () => {
      const scene = await Scene.served()
      await scene.put(NEW)
      return scene
    },
  },
  {
    of: 'deleted, or its class is not ours any more',
    play: async () => {
      const scene = await Scene.served()
      await scene.put({ ...OLD, className: 'other' })
      expect(scene.serves()).toEqual(NOTHING)
      await scene.put(OLD)
      expect(scene.serves()).toEqual(ALL_OLD)
      scene.api.remove('ingresses', 'shop/web')
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'changed to content that cannot be served (bad host, bad certificate)',
    play: async () => {
      const scene = await Scene.served()
      await scene.put(BAD)
      return scene
    },
  },
  {
    of: 'created with such content',
    play: async () => {
      const scene = await Scene.empty()
      await scene.put(BAD)
      return scene
    },
  },
  {
    of: 'the IngressClass object that it names is gone, or no class is the default any more',
    play: async () => {
      const scene = await Scene.served()
      scene.api.remove('ingressclasses', ingressClass().metadata.name)
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'flag neither true nor false (`yes`)',
    play: async () => {
      const scene = await Scene.served()
      await scene.put({ ...NEW, annotations: { [STEM]: 'yes' } })
      return scene
    },
  },
  {
    of: 'first selected by a policy, or flagged, while it is served',
    play: async () => Scene.governed(),
  },
  {
    of: 'changed, not stamped yet (also: every operator is down)',
    play: async () => {
      const scene = await Scene.governed()
      scene.unled()
      scene.write(NEW)
      scene.leader.deliver()
      return scene
    },
  },
  { of: 'stamped: update U, index k', play: async () => Scene.rolling() },
  {
    of: 'index `-1`',
    play: async () => {
      const scene = await Scene.rolling()
      await scene.command({ promote: true })
      return scene
    },
  },
  {
    of: 'index raised / lowered',
    play: async () => {
      const scene = await Scene.rolling({ allowManualIndex: true })
      await scene.annotate('-index-id', '2')
      expect(scene.serves()).toEqual(['new', 'new', 'old'])
      await scene.annotate('-index-id', '1')
      expect(scene.serves()).toEqual(FIRST_NEW)
      await scene.annotate('-index-id', '0')
      return scene
    },
  },
  {
    of: 'current = U and index `-1`',
    play: async () => {
      const scene = await Scene.rolling({ allowManualIndex: true })
      await scene.command({ promote: true })
      await scene.annotate('-index-id', '0')
      return scene
    },
  },
  {
    of: 'created under a policy, and takes no request from anything that is served (or the policy says `creation: Immediate`)',
    play: async () => {
      const scene = await Scene.empty()
      await scene.govern()
      await scene.put(NEW)
      return scene
    },
  },
  {
    of: 'created otherwise: there is no current',
    play: async () => {
      const scene = await Scene.empty()
      await scene.govern({ creation: 'Gradual' })
      await scene.put(NEW)
      await scene.leader.seconds(3)
      return scene
    },
  },
  {
    of: 'taken back (a gate failed, or abort)',
    play: async () => {
      const scene = await Scene.rolling()
      await scene.command({ abort: true })
      return scene
    },
  },
  {
    of: 'a pod restarts',
    play: async () => {
      const scene = await Scene.rolling()
      scene.leader.pods = 2
      await scene.leader.settle()
      scene.leader.pods = 3
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'annotations removed (`kubectl replace`, Terraform)',
    event: true,
    play: async () => {
      const scene = await Scene.rolling()
      scene.api.put('ingresses', ingress(NEW))
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'annotations changed by anybody but the operator, under a policy without `allowManualIndex`',
    play: async () => {
      const scene = await Scene.rolling()
      await scene.annotate('-index-id', '-1')
      expect(scene.api.object('ingresses', 'shop/web')?.metadata.annotations?.[`${STEM}-index-id`]).toBe('1')
      return scene
    },
  },
  {
    of: 'flag neither true nor false',
    play: async () => {
      const scene = await Scene.rolling({ allowManualIndex: true })
      await scene.annotate('', 'yes')
      return scene
    },
  },
  {
    of: 'index not a whole number, or below -1 (`abc`)',
    play: async () => {
      const scene = await Scene.rolling({ allowManualIndex: true })
      await scene.annotate('-index-id', '-2')
      expect(scene.reason()).toBe('InvalidIndex')
      await scene.annotate('-index-id', 'abc')
      return scene
    },
  },
  {
    of: 'update names a revision whose content nobody has, or is no name',
    play: async () => {
      const scene = await Scene.rolling({ allowManualIndex: true })
      await scene.annotate('-update-revision', '0123456789')
      return scene
    },
  },
  {
    of: 'changed to content that cannot be served',
    play: async () => {
      const scene = await Scene.governed()
      await scene.put(BAD)
      return scene
    },
  },
  {
    of: 'flag false although a policy selects it',
    play: async () => {
      const scene = await Scene.governed()
      scene.unled()
      scene.write({ ...OLD, annotations: { [STEM]: 'false' } })
      scene.leader.deliver()
      return scene
    },
  },
  {
    of: 'its namespace is being deleted',
    play: async () => {
      const scene = await Scene.governed()
      scene.api.put('namespaces', namespace({}, true))
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'the policy, or the label that it selects by, is gone',
    play: async () => {
      const scene = await Scene.rolling()
      scene.api.remove('ingressrolloutpolicies', 'default')
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'then its content changes',
    play: async () => {
      const scene = await Scene.rolling()
      scene.api.remove('ingressrolloutpolicies', 'default')
      await scene.leader.settle()
      await scene.put({ ...NEW, host: 'third.example' })
      return scene
    },
  },
  {
    of: '… to a revision that was taken back',
    play: async () => {
      const scene = await Scene.rolling()
      await scene.command({ abort: true })
      await scene.put(OLD)
      scene.api.remove('ingressrolloutpolicies', 'default')
      await scene.leader.settle()
      await scene.put(NEW)
      return scene
    },
  },
  {
    of: 'its namespace is not known yet, and a policy asks for labels of namespaces',
    play: async () => {
      const scene = await Scene.served()
      await scene.remove('namespaces', 'shop')
      await scene.govern({ selector: { namespaceSelector: { matchLabels: { team: 'shop' } } } })
      await scene.put(NEW)
      return scene
    },
  },
  {
    of: 'changed again in mid-rollout',
    play: async () => {
      const scene = await Scene.rolling()
      scene.unled()
      scene.write({ ...NEW, host: 'third.example' })
      scene.leader.deliver()
      return scene
    },
  },
  {
    of: 'deleted, or its class changed',
    play: async () => {
      const scene = await Scene.governed()
      scene.leader.use = 1_000
      await scene.remove('ingresses', 'shop/web')
      await scene.leader.seconds(3)
      expect(scene.serves()).toEqual(ALL_OLD)
      scene.leader.use = 0
      await scene.leader.seconds(3)
      return scene
    },
  },
  {
    of: 'deleted, and made again under its name',
    play: async () => {
      const scene = await Scene.governed()
      scene.leader.use = 1_000
      await scene.remove('ingresses', 'shop/web')
      await scene.leader.seconds(3)
      scene.api.put('ingresses', ingress({ ...OLD, uid: 'again' }))
      await scene.leader.seconds(3)
      return scene
    },
  },
  {
    of: 'deletion aborted by `spec.abort`',
    play: async () => {
      const scene = await Scene.governed()
      await scene.remove('ingresses', 'shop/web')
      await scene.leader.seconds(3)
      await scene.command({ abort: true })
      return scene
    },
  },
  {
    of: 'it is being deleted, not refused',
    play: async () => {
      const scene = await Scene.governed()
      scene.leader.use = 1_000
      await scene.remove('ingresses', 'shop/web')
      await scene.leader.seconds(3)
      expect(scene.serves()).toEqual(ALL_OLD)
      await scene.remove('ingressrolloutpolicies', 'default')
      return scene
    },
  },
  {
    of: 'flag set to false by whoever drove it by hand',
    play: async () => {
      const scene = await Scene.served()
      await scene.annotate('', 'true')
      await scene.put(NEW)
      expect(scene.serves()).toEqual(ALL_OLD)
      await scene.annotate('', 'false')
      return scene
    },
  },
  {
    of: 'the Secret was deleted while a served Ingress needs it',
    play: async () => {
      const scene = await Scene.secured()
      await scene.remove('secrets', 'shop/tls')
      return scene
    },
  },
  {
    of: 'it was made again under the same name',
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE })
      await scene.remove('secrets', 'shop/tls')
      // No pod is ready: its rollout began, and no batch of it.
      scene.leader.pods = 0
      await scene.renew(await scene.issue(60), 'again')
      return scene
    },
  },
  {
    of: 'renewed with a key that does not fit, a broken chain, an expired date, or without a host that the last one names',
    play: async () => {
      const scene = await Scene.secured()
      const now = scene.leader.clock.wall().getTime()
      const span = { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + 60 * DAY_MS) }
      const bad = [
        mismatched(await scene.issue(60), await scene.issue(60)),
        { ...(await scene.issue(60)), chain: 'x' },
        await scene.issue(-1),
        await authority.issue({ hosts: ['other.example'], ...span }),
      ]
      for (const leaf of bad) {
        await scene.renew(leaf)
        expect([scene.serves(), scene.reason()]).toEqual([ALL_OLD, 'InvalidContent'])
      }
      return scene
    },
  },
  {
    of: 'renewed before its notBefore',
    play: async () => {
      const scene = await Scene.secured()
      await scene.renew(await scene.issue(60, 1))
      return scene
    },
  },
  {
    of: 'new, or in the place of one that no client can use (expired, for none of its hosts, temporary)',
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE }, 1)
      scene.leader.clock.jump(2 * DAY_MS)
      await scene.renew(await scene.issue(60))
      await scene.leader.seconds(3)
      return scene
    },
  },
  {
    of: 'update names other content than the object has',
    play: async () => {
      const scene = await Scene.served()
      const named = (name: string): Readonly<Record<string, string>> => ({
        [`${STEM}-update-revision`]: name,
        [`${STEM}-index-id`]: '1',
      })
      await scene.annotate('', 'true')
      await scene.put({ ...NEW, annotations: named('v2') })
      await scene.put({ ...NEW, host: 'third.example', annotations: named('v3') })
      expect([scene.serves(), scene.reason()]).toEqual([FIRST_NEW, '–'])
      await scene.annotate('-update-revision', 'v2')
      return scene
    },
  },
  {
    of: 'flag removed where somebody drove it by hand',
    event: true,
    play: async () => {
      const scene = await Scene.served()
      await scene.annotate('', 'true')
      await scene.put({ ...NEW, annotations: { [`${STEM}-update-revision`]: 'v2', [`${STEM}-index-id`]: '1' } })
      await scene.annotate('', null)
      expect(scene.api.object('ingresses', 'shop/web')?.metadata.annotations?.[STEM]).toBe('true')
      return scene
    },
  },
  {
    of: 'renewed by the authority of the served one',
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE }, 30)
      await scene.renew(await scene.issue(60))
      expect(scene.serves()).toEqual(FIRST_NEW)
      await scene.leader.seconds(5)
      return scene
    },
  },
  {
    of: 'renewed while the served one ends soon (7 days, or a sixth of its life)',
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE }, 3)
      await scene.renew(await scene.issue(60, -60, another))
      await scene.leader.seconds(3)
      expect(scene.serves()).toEqual(FIRST_NEW)
      await scene.leader.seconds(15)
      return scene
    },
  },
  {
    of: 'the served certificate expires',
    ofIngress: true,
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE }, 1)
      // What it holds is not released: no pod is ready for it.
      scene.leader.pods = 0
      await scene.renew(await scene.issue(60))
      scene.leader.clock.jump(2 * DAY_MS)
      scene.leader.pipeline.touchAll()
      scene.leader.deliver()
      return scene
    },
  },
  {
    of: 'annotations of a Secret, under any policy; and afterwards, as long as they stay as they are',
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE, allowManualIndex: true })
      // No pod is ready: the rollout began, and its index is 0.
      scene.leader.pods = 0
      await scene.renew(await scene.issue(60))
      const stamp = { 'nginx.ingress.kubernetes.io/secret-rollout-index-id': '-1' }
      scene.api.edit('secrets', 'shop/tls', { metadata: { annotations: stamp } })
      await scene.leader.settle()
      return scene
    },
  },
  {
    of: 'ACME challenges in any Ingress, whatever policies say of it',
    play: async () => {
      const scene = await Scene.governed()
      const { spec, ...rest } = ingress(OLD)
      const backend = { service: { name: 'other', port: { number: 80 } } }
      const paths = [{ path: '/.well-known/acme-challenge/token', pathType: 'Exact', backend }]
      const { rules = [] } = spec as { readonly rules?: readonly object[] }
      const annotations = scene.api.object('ingresses', 'shop/web')?.metadata.annotations ?? {}
      const host = OLD.host
      scene.api.put('ingresses', {
        ...rest,
        metadata: { ...rest.metadata, annotations },
        spec: { ...(spec as object), rules: [...rules, { host, http: { paths } }] },
      })
      await scene.leader.settle()
      expect([scene.serves(), scene.reason(), scene.api.all('ingressrollouts')]).toEqual([ALL_OLD, '–', []])
      scene.key = challengesKey(WEB)
      return scene
    },
  },
  {
    of: 'the update itself cannot be served any more (its certificate expired on the way)',
    play: async () => {
      const batches = [{ pods: 1, pause: {} }, { pods: '100%' }]
      const scene = await Scene.secured({ analysis: TLS_GATE, batches })
      await scene.renew(await scene.issue(1))
      await scene.leader.seconds(3)
      expect(scene.serves()).toEqual(FIRST_NEW)
      scene.leader.clock.jump(2 * DAY_MS)
      scene.leader.pipeline.touchAll()
      scene.leader.deliver()
      return scene
    },
  },
  {
    of: 'its type changes (deleted and made again)',
    play: async () => {
      const scene = await Scene.secured({ analysis: TLS_GATE })
      scene.api.remove('secrets', 'shop/tls')
      // No pod is ready: its rollout began, and no batch of it.
      scene.leader.pods = 0
      scene.api.put('secrets', secret(await scene.issue(60), { uid: 'again', type: 'Opaque' }))
      await scene.leader.settle()
      expect(scene.api.all('ingressrollouts')).toHaveLength(1)
      return scene
    },
  },
]

describe(PAGE, () => {
  it('has a scenario for every row, and a row for every scenario', () => {
    const rows = ROWS.map(row => row.case)
    const played = scenarios.map(one => one.of)
    const editThisFile = 'operator/which-revision.test.ts'
    expect({ editThisFile, rows: rows.sort() }).toEqual({ editThisFile, rows: played.sort() })
    const phrases = new Set(ROWS.map(row => row.serves))
    expect(Object.keys(PHRASES).filter(phrase => !phrases.has(phrase))).toEqual([])
  })

  it.each(scenarios.map(one => [one.of, one] as const))('%s', async (of, { play, event, ofIngress }) => {
    const row = ROWS.find(one => one.case === of)
    const scene = await play()
    const wanted = /`([^`]+)`/.exec(row?.reason ?? '')?.[1] ?? row?.reason
    // Undefined: the second column is other words than before; PHRASES in this file says what they mean.
    expect(scene.serves()).toEqual(PHRASES[row?.serves ?? ''])
    if (event === true) {
      expect(row?.reason).toContain('an event')
      expect(scene.leader.said.at(-1)).toBe(`Released=False ${wanted}`)
    }
    if (ofIngress === true) {
      expect(row?.reason).toContain('condition of the Ingresses')
      expect(scene.leader.view(WEB).problems.map(({ reason }) => reason)).toContain(wanted)
    } else expect(scene.reason()).toBe(event === true ? '–' : wanted)
  })
})
