/**
 * Every write of a rollout may fail: before it took effect, after it did and nobody heard of it, or with the process.
 * Whatever happens, the same story ends in the same records, annotations and phases.
 */
import { describe, expect, it } from '@jest/globals'
import type { FakeApi, Failure } from '../kube/testing/fake-api.ts'
import { FakeClock } from '../kube/testing/fake-clock.ts'
import { ingress, policy, service, slice } from '../pipeline/testing.ts'
import { LeaderProcess, cluster, outcomeOf } from './testing.ts'
import type { Outcome } from './testing.ts'

const ROLLOUTS = 'ingressrollouts'
const BAD = { requests: 1000, failures: 500 }

/** What people do, and who leads meanwhile. */
class Story {
  readonly api: FakeApi
  readonly clock = new FakeClock()
  leader: LeaderProcess
  /** What every leader of this story said. */
  readonly events: string[] = []
  readonly errors: string[] = []
  #figures: LeaderProcess['onUpdate'] = { requests: 1000 }

  private constructor(api: FakeApi) {
    this.api = api
    this.leader = new LeaderProcess(api, { clock: this.clock })
  }

  /** An object that is served, and a policy that came afterwards. */
  static async begin(): Promise<Story> {
    const objects = [
      ['ingresses', ingress()],
      ['services', service('web')],
      ['endpointslices', slice('web', '198.18.0.1')],
    ] as const
    const story = new Story(cluster(...objects))
    await story.leader.start()
    story.api.put('ingressrolloutpolicies', policy())
    await story.leader.settle()
    return story
  }

  async step(act: () => void, seconds = 0): Promise<void> {
    act()
    await this.leader.settle()
    await this.leader.seconds(seconds)
    if (this.leader.leading) return
    this.#leave()
    this.leader = new LeaderProcess(this.api, { clock: this.clock })
    this.leader.onUpdate = this.#figures
    await this.leader.start()
    await this.leader.seconds(seconds)
  }

  host(host: string): void {
    this.api.edit('ingresses', 'shop/web', { spec: ingress({ host }).spec })
  }

  command(spec: Readonly<Record<string, unknown>>, nth = 0): void {
    const names = this.api.all(ROLLOUTS).map(rollout => rollout.metadata.name)
    this.api.edit(ROLLOUTS, `shop/${names[nth] ?? ''}`, { spec })
  }

  figures(of: LeaderProcess['onUpdate']): void {
    this.#figures = of
    this.leader.onUpdate = of
  }

  async end(): Promise<Outcome> {
    this.#leave()
    return outcomeOf(this.api)
  }

  #leave(): void {
    this.events.push(...this.leader.events.filter(event => event.startsWith('IngressRollout ')))
    this.errors.push(...this.leader.errors)
  }
}

const stories: Readonly<Record<string, (story: Story) => Promise<void>>> = {
  'a good change is released': async story => {
    await story.step(() => story.host('new.example'), 8)
  },
  'a bad change is taken back': async story => {
    story.figures(BAD)
    await story.step(() => story.host('new.example'), 8)
  },
  'a bad change is tried again and is good': async story => {
    story.figures(BAD)
    await story.step(() => story.host('new.example'), 8)
    story.figures({ requests: 1000 })
    await story.step(() => story.command({ retry: 1 }), 8)
  },
  'a change is aborted, and then promoted': async story => {
    await story.step(() => story.host('new.example'), 1)
    await story.step(() => story.command({ abort: true }), 4)
    await story.step(() => story.command({ abort: false, promote: true }), 4)
  },
  'the old content comes back in mid-rollout': async story => {
    await story.step(() => story.host('new.example'))
    await story.step(() => story.host('shop.example'), 4)
  },
  'newer content comes in mid-rollout': async story => {
    await story.step(() => story.host('new.example'))
    await story.step(() => story.host('newer.example'), 8)
  },
  'content that was superseded comes again': async story => {
    await story.step(() => story.host('new.example'))
    await story.step(() => story.host('newer.example'), 8)
    await story.step(() => story.host('new.example'), 8)
  },
  'the object is deleted': async story => {
    await story.step(() => story.api.remove('ingresses', 'shop/web'), 8)
  },
  'the deletion is refused, and then promoted': async story => {
    await story.step(() => story.api.remove('ingresses', 'shop/web'))
    await story.step(() => story.command({ abort: true }), 4)
    await story.step(() => story.command({ abort: false, promote: true }), 4)
  },
  'the object leaves our class and comes back': async story => {
    await story.step(() => story.api.edit('ingresses', 'shop/web', { spec: { ingressClassName: 'other' } }), 8)
    await story.step(() => story.api.edit('ingresses', 'shop/web', { spec: { ingressClassName: 'sluice' } }), 8)
  },
  'an object is created': async story => {
    await story.step(() => story.api.remove('ingresses', 'shop/web'), 8)
    await story.step(() => story.api.put('ingresses', ingress({ uid: 'second', host: 'new.example' })), 8)
  },
  'an object is created, and deleted before it is everywhere': async story => {
    await story.step(() => story.api.remove('ingresses', 'shop/web'), 8)
    await story.step(() => story.api.put('ingresses', ingress({ uid: 'second', host: 'new.example' })))
    await story.step(() => story.api.remove('ingresses', 'shop/web'), 8)
  },
  'the policy goes in mid-rollout': async story => {
    await story.step(() => story.host('new.example'))
    await story.step(() => story.api.remove('ingressrolloutpolicies', 'default'), 4)
  },
  'the policy goes in mid-rollout, and the change is promoted': async story => {
    await story.step(() => story.host('new.example'))
    await story.step(() => story.api.remove('ingressrolloutpolicies', 'default'), 4)
    await story.step(() => story.command({ promote: true }), 4)
  },
  'annotations are lost in mid-rollout': async story => {
    await story.step(() => story.host('new.example'))
    const { spec } = ingress({ host: 'new.example' })
    await story.step(() => story.api.put('ingresses', { ...ingress({ uid: 'uid-Ingress-web' }), spec }), 8)
  },
}

/** The phase with which some story's rollout ends; of all others one is complete. */
const ENDS: Readonly<Record<string, string>> = {
  'a bad change is taken back': 'RolledBack',
  'the policy goes in mid-rollout': 'Superseded',
  'the old content comes back in mid-rollout': 'Superseded',
}

/** All but what a new attempt says of itself: its first write may be its announcement. */
const said = ({ events }: Story): readonly string[] => events.filter(event => !event.endsWith(' Retried'))

const MODES: readonly (readonly [string, Failure, boolean])[] = [
  ['is lost', 'lost', false],
  ['takes effect unheard', 'unanswered', false],
  ['is lost with the process', 'lost', true],
  ['is the last of the process', 'unanswered', true],
]

/** A story is told once for each of its writes, up to 28 times: beside 24 busy processes that took 17 s, and a second alone. */
const LIMIT_MS = 60_000

describe.each(Object.entries(stories))('%s', (name, tell) => {
  it.each(MODES)(
    'whichever write %s',
    async (_mode, failure, crash) => {
      const undisturbed = await Story.begin()
      undisturbed.api.fail(new Map())
      await tell(undisturbed)
      const expected = await undisturbed.end()
      const writes = undisturbed.api.writes
      expect(undisturbed.errors).toEqual([])
      // The story is the one that its name says.
      expect(Object.values(expected.rollouts).join()).toContain(ENDS[name] ?? 'Complete')
      for (let k = 1; k <= writes; k++) {
        const story = await Story.begin()
        let failed = ''
        story.api.fail(new Map([[k, failure]]), () => {
          failed = `write ${k}, after ${story.api.log.at(-1) ?? 'none'}`
          if (crash) story.leader.crash()
        })
        await tell(story)
        const end = await story.end()
        expect({ failed, ...end }).toEqual({ failed, ...expected })
        expect(story.errors.filter(error => !error.includes('KubeError'))).toEqual([])
        if (!crash) expect({ failed, events: said(story) }).toEqual({ failed, events: said(undisturbed) })
      }
    },
    LIMIT_MS,
  )
})
