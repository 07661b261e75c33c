/** A bad change is under way, and pods, operators or the API server fail. These play alone. */
import { failed } from '../../load/record.ts'
import type { Caught, Family, Kind } from '../kind.ts'
import type { Scene } from '../scene.ts'
import { web } from '../shop.ts'
import { SLOWLY_BAD } from './policies.ts'

const judged: Caught = { by: 'gate', gates: ['successRate'] }
/** How long what is taken away stays away. */
const AWAY_MS = 15_000

function disturbed(
  name: string,
  family: Family,
  what: string,
  meanwhile: (scene: Scene) => Promise<unknown>,
  more: Partial<Kind> = {},
): Kind {
  return {
    ...{ name, family, what, caught: judged, alone: true, withinMs: 110_000 },
    ...SLOWLY_BAD,
    meanwhile: async scene => {
      await meanwhile(scene)
    },
    ...more,
  }
}

/** Writes of some resources are denied to the operator as soon as the first batch is out. */
function denied(name: string, what: string, role: 'role' | 'clusterrole', ...resources: readonly string[]): Kind {
  return disturbed(
    `denied-${name}`,
    'outage',
    `the operator may not write ${what} for 15 s`,
    scene => scene.deny(role, ...resources),
    {
      restore: scene => scene.allowAgain(),
      restoreAfterMs: AWAY_MS,
    },
  )
}

export const DISTURBED: readonly Kind[] = [
  disturbed('fleet-scaled-in', 'fleet', 'the fleet goes from ten pods to four', scene => scene.fleet(4, false), {
    restore: scene => scene.fleet(10),
  }),
  disturbed('pod-returns', 'fleet', 'the pod of the first batch dies and comes back', scene => scene.killProxies(0), {
    restore: scene => scene.fleetReady(10),
  }),
  disturbed(
    'zone-lost',
    'fleet',
    'half of the pods die at once, the first batch among them',
    scene => scene.killProxies(0, 2, 4, 6, 8),
    {
      restore: scene => scene.fleetReady(10),
    },
  ),
  disturbed('leader-paused', 'outage', 'the leading operator stands still', scene => scene.pauseLeader(), {
    restore: scene => scene.resumeLeader(),
  }),
  disturbed('leader-killed', 'outage', 'the leading operator dies', scene => scene.killLeader()),
  disturbed('operators-away', 'outage', 'there is no operator for 15 s', scene => scene.operators.stop(), {
    restore: async scene => {
      await scene.operators.start(2)
      await scene.operators.ready()
    },
    restoreAfterMs: AWAY_MS,
  }),
  disturbed(
    'api-server-away',
    'outage',
    'there is no API server for 15 s',
    scene => scene.cluster.hold('kube-apiserver'),
    {
      restore: scene => scene.cluster.release('kube-apiserver'),
      restoreAfterMs: AWAY_MS,
    },
  ),
  denied('ingresses', 'Ingresses', 'clusterrole', 'ingresses'),
  denied('rollouts', 'IngressRollouts', 'clusterrole', 'ingressrollouts', 'ingressrollouts/status'),
  disturbed(
    'denied-store',
    'outage',
    'the operator may not write its store for 15 s',
    async scene => {
      await scene.deny('role', 'secrets', 'configmaps')
      // There it may write certificates' annotations, and so its own Secrets as well.
      await scene.deny('clusterrole', 'secrets')
    },
    { restore: scene => scene.allowAgain(), restoreAfterMs: AWAY_MS },
  ),
  denied('events', 'events', 'clusterrole', 'events'),
  denied('lease', 'its lease', 'role', 'leases'),
  {
    ...{ name: 'backend-outage', family: 'outage', alone: true },
    what: 'a good change, and its backend fails everywhere for 15 s',
    caught: { by: 'spared' },
    before: at => [web(at, { to: 'outage' }), over(at.namespace, 'echo-v1')],
    change: at => [
      web(at, {
        paths: [
          { path: '/', to: 'outage' },
          { path: '/more', to: 'v1' },
        ],
      }),
    ],
    meanwhile: scene => scene.apply(over(scene.place.namespace, 'echo-fails')),
    restore: scene => scene.apply(over(scene.place.namespace, 'echo-v1')),
    restoreAfterMs: AWAY_MS,
    withinMs: 70_000,
    // Every pod fails alike: what clients suffer is not the change's doing.
    harmed: record => failed(record) && record.version === 'nobody',
  },
]

function over(namespace: string, app: string): ReturnType<typeof web> {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'echo-outage', namespace },
    spec: { selector: { app }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  }
}
