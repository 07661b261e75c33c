/** A bad change is under way, and somebody meddles with what judges it. */
import { failed } from '../../load/record.ts'
import type { Caught, Kind } from '../kind.ts'
import { LENIENT, ownPolicy, ownPolicyName, web } from '../shop.ts'
import { stamp } from '../../node/harness/stamps.ts'
import type { Scene } from '../scene.ts'

const judged: Caught = { by: 'gate', gates: ['successRate'] }

/** One answer of five fails: it takes the gates some seconds, in which there is time to meddle. */
export const SLOWLY_BAD = {
  change: at => [web(at, { to: 'errors-20' })],
  harmed: record => record.version === 'errors-20' && failed(record),
} satisfies Partial<Kind>

function meddled(
  name: string,
  what: string,
  meanwhile: (scene: Scene) => Promise<unknown>,
  more: Partial<Kind> = {},
): Kind {
  return {
    ...{ name, family: 'policy', what, caught: judged },
    ...SLOWLY_BAD,
    meanwhile: async scene => {
      await meanwhile(scene)
    },
    ...more,
  }
}

const annotate = (scene: Scene, values: Parameters<typeof stamp>[0]): Promise<void> =>
  scene.cluster.kubectl.annotate(scene.place.namespace, `ingress/${scene.place.name}`, stamp(values))

const own: Partial<Kind> = {
  before: at => [ownPolicy(at), web(at, { ownPolicy: true })],
  change: at => [web(at, { ownPolicy: true, to: 'errors-20' })],
}

export const POLICIES: readonly Kind[] = [
  meddled(
    'policy-edited',
    'its policy is edited so that nothing can fail',
    scene => scene.apply(ownPolicy(scene.place, LENIENT)),
    own,
  ),
  meddled('policy-second', 'a second policy selects it, closer, in which nothing can fail', scene =>
    scene.apply(ownPolicy(scene.place, LENIENT)),
  ),
  meddled(
    'policy-deleted',
    'its policy is deleted',
    scene => scene.kubectl('delete', `irp/${ownPolicyName(scene.place)}`),
    {
      ...own,
      caught: { by: 'withdrawn' },
    },
  ),
  meddled('index-by-hand', 'somebody sets the index to all pods', scene => annotate(scene, { index: -1 })),
  meddled('annotations-lost', 'somebody removes the rollout annotations', scene =>
    annotate(scene, { flag: null, current: null, update: null, index: null }),
  ),
  meddled('current-by-hand', 'somebody writes that the update is what is released', async scene => {
    const update = (await scene.cluster.api.get('ingressrollouts', scene.rollout, scene.place.namespace))?.['spec'] as
      { readonly revision: string } | undefined
    await annotate(scene, { current: update?.revision ?? '', index: -1 })
  }),
  meddled('opted-out', 'it comes with the annotation that takes it out of the policy', () => Promise.resolve(), {
    change: at => [
      web(at, { to: 'errors-20', annotations: { 'nginx.ingress.kubernetes.io/ingress-rollout': 'false' } }),
    ],
  }),
  meddled('rollout-deleted', 'somebody deletes its IngressRollout', scene =>
    scene.kubectl('delete', `ingressrollout/${scene.rollout}`, '--wait=false'),
  ),
  meddled(
    'edited-again',
    'it is edited again, into another bad one',
    scene => scene.apply(web(scene.place, { to: 'fails' })),
    { harmed: failed },
  ),
  meddled('twice', 'after it was taken back another one comes, as bad', async scene => {
    await scene.rollouts.reaches(scene.rollout, ['RolledBack'], 60_000)
    await scene.apply(
      web(scene.place, {
        paths: [
          { path: '/', to: 'errors-20' },
          { path: '/more', to: 'v1' },
        ],
      }),
    )
    await scene.rollouts.next(scene.object, [scene.rollout])
  }),
]
