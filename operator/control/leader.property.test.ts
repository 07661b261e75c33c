/**
 * Random people, random failures, leaders that die. When it is quiet again everything has come to its end, record and
 * annotations agree, every pod serves what is released; and bad content never became that unless a person said so.
 */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { Failure, FakeApi } from '../kube/testing/fake-api.ts'
import { FakeClock } from '../kube/testing/fake-clock.ts'
import type { IngressRolloutSpec, IngressRolloutStatus } from '../model/generated/crds.ts'
import { parseIngress } from '../model/ingress.ts'
import { ingress, ingressClass, policy, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster, outcomeOf } from './testing.ts'

type Action =
  | { readonly do: 'edit'; readonly host: string }
  | { readonly do: 'command'; readonly what: 'abort' | 'promote' | 'retry' | 'approve' | 'pause' | 'delete it' }
  | {
      readonly do: 'object'
      readonly what: 'delete' | 'delete in foreground' | 'leave' | 'strip' | 'label' | 'drive'
    }
  | { readonly do: 'policy'; readonly on: boolean }
  | { readonly do: 'use'; readonly requests: number | null }
  | { readonly do: 'time'; readonly seconds: number }
  | { readonly do: 'lag'; readonly plurals: readonly string[] }
  | { readonly do: 'fail'; readonly writes: readonly number[]; readonly how: Failure; readonly crash: boolean }

const INDEX = 'nginx.ingress.kubernetes.io/ingress-rollout-index-id'
const BAD = 'bad.example'
const HOSTS = ['a.example', 'b.example', 'c.example', BAD] as const
const HEALTHY = { requests: 1000 }
const BROKEN = { requests: 1000, failures: 500 }

const edit = fc.record({ do: fc.constant('edit' as const), host: fc.constantFrom(...HOSTS) })
const time = fc.record({ do: fc.constant('time' as const), seconds: fc.integer({ min: 1, max: 8 }) })
const fail = fc.record({
  do: fc.constant('fail' as const),
  writes: fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 3 }),
  how: fc.constantFrom<Failure>('lost', 'unanswered'),
  crash: fc.boolean(),
})
const lag = fc.record({
  do: fc.constant('lag' as const),
  plurals: fc.subarray(['ingresses', 'secrets', 'ingressrollouts']),
})
const object = fc.record({
  do: fc.constant('object' as const),
  what: fc.constantFrom('delete', 'delete in foreground', 'leave', 'strip', 'strip', 'label', 'label', 'drive'),
})
const use = fc.record({ do: fc.constant('use' as const), requests: fc.constantFrom(0, 5, 1_000, null) })
const command = (...what: Extract<Action, { do: 'command' }>['what'][]): fc.Arbitrary<Action> =>
  fc.record({ do: fc.constant('command' as const), what: fc.constantFrom(...what) })
const machine: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: edit },
  { weight: 6, arbitrary: time },
  { weight: 5, arbitrary: fail },
  { weight: 3, arbitrary: lag },
  { weight: 3, arbitrary: object },
  { weight: 2, arbitrary: use },
  { weight: 3, arbitrary: command('abort', 'retry', 'approve', 'delete it') },
)
const anything: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: machine },
  { weight: 1, arbitrary: command('promote', 'pause') },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('policy' as const), on: fc.boolean() }) },
)

class World {
  readonly api: FakeApi
  readonly #clock = new FakeClock()
  #leader: LeaderProcess
  readonly #bad: Revision
  #use: number | null = 0
  /** Every revision that was released, as the record says it after each action. */
  readonly released = new Set<Revision>()

  private constructor(api: FakeApi) {
    this.api = api
    this.#bad = parseIngress(ingress({ host: BAD }), { classes: [ingressClass()] }).revision
    this.#leader = this.#newLeader()
  }

  static async begin(): Promise<World> {
    const world = new World(
      cluster(
        ['ingresses', ingress({ host: 'a.example' })],
        ['services', service('web')],
        ['endpointslices', slice('web', '198.18.0.1')],
      ),
    )
    await world.#leader.start()
    world.api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
    await world.#settle()
    return world
  }

  get bad(): Revision {
    return this.#bad
  }

  get errors(): readonly string[] {
    return this.#leader.errors.filter(error => !error.includes('KubeError'))
  }

  async act(action: Action): Promise<void> {
    const { api } = this
    const there = api.object('ingresses', 'shop/web')
    switch (action.do) {
      case 'edit':
        if (there === null) api.put('ingresses', ingress({ host: action.host, uid: `u${api.writes}` }))
        else api.edit('ingresses', 'shop/web', { spec: ingress({ host: action.host }).spec })
        break
      case 'object':
        if (there !== null) this.#handle(action.what)
        break
      case 'command':
        this.#command(action.what)
        break
      case 'policy':
        if (action.on) api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
        else if (api.object('ingressrolloutpolicies', 'default') !== null)
          api.remove('ingressrolloutpolicies', 'default')
        break
      case 'time':
        await this.#leader.seconds(action.seconds)
        break
      case 'use':
        this.#use = action.requests
        this.#leader.use = action.requests
        break
      case 'lag':
        this.#leader.lag(...action.plurals)
        break
      case 'fail':
        api.fail(new Map(action.writes.map(nth => [nth, action.how])), () => {
          if (action.crash) this.#leader.crash()
        })
    }
    await this.#settle()
    // The garbage collector comes late.
    this.api.collectGarbage()
    await this.#settle()
  }

  /** Nothing fails any more, nobody does anything, whoever was asked says yes. */
  async quiet(): Promise<void> {
    this.api.fail(new Map())
    this.#leader.lag()
    this.#leader.use = 0
    this.api.put('ingressrolloutpolicies', policy({ spec: { creation: 'Gradual' } }))
    await this.#settle()
    for (const { metadata, spec } of this.api.all('ingressrollouts')) {
      const { approvedBatches, paused } = spec as IngressRolloutSpec
      const change = { approvedBatches: Math.max(approvedBatches, 20), paused: false }
      if (paused) this.api.edit('ingressrollouts', `shop/${metadata.name}`, { spec: change })
    }
    await this.#leader.seconds(60)
    await this.#settle()
  }

  /** What is wrong now that it is quiet. */
  async faults(): Promise<readonly string[]> {
    const { record, stamp } = await outcomeOf(this.api)
    const faults: string[] = []
    for (const { metadata, status } of this.api.all('ingressrollouts')) {
      const { phase = 'none', message = '', observedGeneration } = status as IngressRolloutStatus
      if (observedGeneration !== metadata.generation)
        faults.push(`${metadata.name} is observed at ${observedGeneration}, and is at ${metadata.generation}`)
      if (!['Complete', 'RolledBack', 'Superseded', 'Held'].includes(phase))
        faults.push(`${metadata.name} is ${phase}: ${message}`)
    }
    if (record === null) return faults
    const written = this.api.object('ingresses', 'shop/web') === null ? [] : (['current', 'update', 'index'] as const)
    for (const part of written) {
      const recorded = record[part] === null ? null : String(record[part])
      const written = stamp[part]
      if (written !== recorded && (written !== null || record.update !== null))
        faults.push(`${part} is ${String(recorded)}, the annotation says ${String(written)}`)
    }
    const current = record.current === ABSENT_REVISION ? null : record.current
    for (const ordinal of [0, 1, 2]) {
      const given = this.#leader.given('Ingress/shop/web', ordinal)
      if (given !== current) faults.push(`pod ${ordinal} has ${String(given)}, released is ${String(current)}`)
    }
    return faults
  }

  #handle(what: Extract<Action, { do: 'object' }>['what']): void {
    const { api } = this
    const { annotations = {}, labels = {} } = api.object('ingresses', 'shop/web')?.metadata ?? {}
    if (what === 'delete') api.remove('ingresses', 'shop/web')
    else if (what === 'delete in foreground') api.removeInForeground('ingresses', 'shop/web')
    else if (what === 'leave') api.edit('ingresses', 'shop/web', { spec: { ingressClassName: 'other' } })
    else if (what === 'drive') api.edit('ingresses', 'shop/web', { metadata: { annotations: { [INDEX]: '-1' } } })
    else if (what === 'label')
      api.edit('ingresses', 'shop/web', { metadata: { labels: { n: `${labels['n'] ?? ''}x` } } })
    else {
      const nothing = Object.fromEntries(Object.keys(annotations).map(name => [name, null]))
      api.edit('ingresses', 'shop/web', { metadata: { annotations: nothing } })
    }
  }

  #command(what: Extract<Action, { do: 'command' }>['what']): void {
    const newest = this.api.all('ingressrollouts').at(-1)
    if (newest === undefined) return
    const name = `shop/${newest.metadata.name}`
    const { retry, approvedBatches } = newest.spec as IngressRolloutSpec
    const spec = {
      abort: { abort: true, promote: false },
      promote: { promote: true, abort: false },
      retry: { retry: retry + 1 },
      approve: { approvedBatches: approvedBatches + 1 },
      pause: { paused: true },
    }
    if (what === 'delete it') this.api.remove('ingressrollouts', name)
    else this.api.edit('ingressrollouts', name, { spec: spec[what] })
  }

  #newLeader(): LeaderProcess {
    const leader = new LeaderProcess(this.api, { clock: this.#clock })
    leader.use = this.#use
    leader.figuresOf = revision => (revision === this.#bad ? BROKEN : HEALTHY)
    return leader
  }

  async #settle(): Promise<void> {
    for (let deaths = 0; ; deaths++) {
      await this.#leader.settle()
      if (this.#leader.leading) break
      if (deaths > 20) throw new Error('leaders die without end')
      this.#leader = this.#newLeader()
      await this.#leader.start()
    }
    const { record } = await outcomeOf(this.api)
    if (record?.governed === true && record.current !== null) this.released.add(record.current)
  }
}

async function play(actions: readonly Action[]): Promise<World> {
  const world = await World.begin()
  for (const action of actions) {
    await world.act(action)
    expect(world.errors).toEqual([])
  }
  await world.quiet()
  expect(world.errors).toEqual([])
  return world
}

/** Two leaders die, each after it stored an index and before it wrote the annotation: neither was a person's hand. */
const INDEX_MOVED_TWICE: readonly Action[] = [
  { do: 'edit', host: 'c.example' },
  { do: 'fail', writes: [1, 3], how: 'unanswered', crash: true },
  { do: 'time', seconds: 1 },
]

/** What has ended was to go on, and its object went back before it did: it stands in nobody's way. */
const PROMOTED_IN_VAIN: readonly Action[] = [
  { do: 'edit', host: 'bad.example' },
  { do: 'fail', writes: [1], how: 'unanswered', crash: false },
  { do: 'command', what: 'promote' },
  { do: 'edit', host: 'a.example' },
]

/** What was taken back is made anew while the deletion of its predecessor is on a pod: nobody judges that any more. */
const MADE_ANEW: readonly Action[] = [
  { do: 'edit', host: 'bad.example' },
  { do: 'object', what: 'delete' },
  { do: 'edit', host: 'bad.example' },
]

/** The first record of a shard is stored, nobody hears of it, and no event tells the leader: it reads it for itself. */
const STORED_UNHEARD: readonly Action[] = [
  { do: 'lag', plurals: ['secrets'] },
  { do: 'fail', writes: [5, 1], how: 'unanswered', crash: false },
  { do: 'object', what: 'delete in foreground' },
  { do: 'edit', host: 'a.example' },
]

/** Nobody hears of the write that takes a bad one back, and its event comes when what was stored after it is known. */
const HEARD_TOO_LATE: readonly Action[] = [
  { do: 'lag', plurals: ['secrets'] },
  { do: 'fail', writes: [7, 5], how: 'unanswered', crash: false },
  { do: 'edit', host: 'bad.example' },
  { do: 'policy', on: false },
]

describe('whatever happens', () => {
  it('it all comes to an end, record and annotations agree, and pods serve what is released', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { maxLength: 20 }), async actions => {
        const world = await play(actions)
        expect(await world.faults()).toEqual([])
      }),
      {
        numRuns: 150,
        endOnFailure: false,
        examples: [[INDEX_MOVED_TWICE], [PROMOTED_IN_VAIN], [MADE_ANEW], [STORED_UNHEARD], [HEARD_TOO_LATE]],
      },
    )
  }, 120_000)

  it('bad content is never released while a policy governs and nobody promotes it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(machine, { maxLength: 20 }), async actions => {
        const world = await play(actions)
        expect([...world.released]).not.toContain(world.bad)
      }),
      { numRuns: 100 },
    )
  }, 120_000)
})
