/** kstatus and Argo CD: what they say of rollouts, policies and Ingresses in each phase, against the tables of docs/gitops.md. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kubectl as Watcher } from '../demo/kubectl.ts'
import type { Manifest } from '../echo/manifests.ts'
import { ROLLOUT_GROUP } from '../node/harness/group.ts'
import { ROOT } from '../node/harness/cluster.ts'
import { NodeLoad } from '../node/harness/load.ts'
import { ingress, policy, pointAt } from '../node/harness/manifests.ts'
import { Rollouts } from '../node/harness/rollouts.ts'
import type { Phase } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import type { Health } from './health-program.ts'
import { expectedOf, rulesOf } from './health.ts'
import type { RolloutObject } from './health.ts'
import { check } from './scenario.ts'
import type { Check, Played, World } from './scenario.ts'
import { LABEL, namespace as namespaceManifest, backends, namespaceOf } from './setup.ts'

const NAMESPACE = namespaceOf('phases')
const ALL: readonly Phase[] = [
  ...(['Pending', 'Progressing', 'Paused', 'Complete', 'RollingBack', 'RolledBack', 'Superseded', 'Held'] as const),
]
const OPEN_LIBS = 'useOpenLibs'

interface Answered {
  readonly object: RolloutObject
  readonly health: Health
}

/** Brings rollouts into every phase, and asks of each state that is seen. */
export async function phases(name: string, world: World): Promise<Played> {
  const { cluster, programs } = world
  const document = await readFile(join(ROOT, 'docs/gitops.md'), 'utf8')
  const rules = rulesOf(document)
  const { health } = programs
  const answers: Promise<Answered>[] = []
  const ingresses: Promise<{ readonly object: Manifest; readonly health: Health }>[] = []
  const rolloutRule = rules[`${ROLLOUT_GROUP}_IngressRollout`] ?? ''
  const ingressRule = rules['networking.k8s.io_Ingress'] ?? ''
  const watcher = new Watcher(cluster.env)
  const openLibs = document.includes(`${OPEN_LIBS}.networking.k8s.io_Ingress`)
  const objectOf = (event: unknown): unknown => {
    const { type, object } = event as { readonly type: string; readonly object: unknown }
    return type === 'DELETED' ? null : object
  }
  await cluster.kubectl.apply(namespaceManifest(NAMESPACE), ...backends(NAMESPACE, cluster.echoImage))
  await cluster.kubectl.ok([
    ...['wait', '--for=condition=Available', 'deployment', '--all', '-n', NAMESPACE, '--timeout=120s'],
  ])
  watcher.watch(['ingressrollouts', '-n', NAMESPACE], event => {
    const object = objectOf(event)
    if (object === null) return
    answers.push(
      health.ask({ object, lua: rolloutRule }).then(one => ({ object: object as RolloutObject, health: one })),
    )
  })
  watcher.watch(['ingresses', '-n', NAMESPACE], event => {
    const object = objectOf(event)
    if (object === null) return
    ingresses.push(
      health.ask({ object, lua: ingressRule, openLibs }).then(one => ({ object: object as Manifest, health: one })),
    )
  })
  const rollouts = new Rollouts(cluster, NAMESPACE)
  const started = performance.now()
  try {
    await happen(name, world, rollouts)
    await sleep(1_000)
    const seen = await Promise.all(answers)
    const policies = await policyChecks(world, rules[`${ROLLOUT_GROUP}_IngressRolloutPolicy`] ?? '')
    const found = new Set(seen.map(({ object }) => object.status?.phase))
    const wrong = seen.flatMap(one => wrongOf(one))
    return {
      seconds: (performance.now() - started) / 1_000,
      checks: [
        check(
          `each of the ${ALL.length} phases is seen`,
          ALL.every(phase => found.has(phase)),
          [...found].join(', '),
        ),
        check('kstatus and the rule say what the table says', wrong.length === 0, [...new Set(wrong)].join('; ')),
        ...ingressChecks(await Promise.all(ingresses)),
        ...policies,
      ],
    }
  } finally {
    watcher.close()
    rollouts.close()
    await cluster.kubectl.ok(['delete', 'irp', NAMESPACE, `${NAMESPACE}-bad`, '--ignore-not-found', '--timeout=30s'])
    await cluster.kubectl.ok(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=120s'])
  }
}

function wrongOf({ object, health }: Answered): readonly string[] {
  const expected = expectedOf(object)
  const phase = `${object.status?.phase ?? 'no phase'} (${object.status?.conditions?.find(one => one.type === 'Reconciling')?.reason ?? ''})`
  if (health.error !== undefined) return [`${phase}: ${health.error}`]
  // Before the first status there is nothing that kstatus could read: for it that is Current, whatever the kind.
  if (expected === null)
    return health.rule === 'Progressing' && (object.status === undefined || health.kstatus === 'InProgress')
      ? []
      : [`not looked at yet: kstatus ${health.kstatus}, rule ${health.rule}`]
  return [
    ...(health.kstatus === expected.kstatus ? [] : [`${phase}: kstatus ${health.kstatus}, not ${expected.kstatus}`]),
    ...(health.rule === expected.rule ? [] : [`${phase}: rule ${health.rule}, not ${expected.rule}`]),
  ]
}

/** The rule for Ingresses: Progressing while one is rolled out, Degraded when it was taken back, else Healthy. */
function ingressChecks(seen: readonly { readonly object: Manifest; readonly health: Health }[]): readonly Check[] {
  const words = new Set(seen.map(({ health }) => health.rule))
  const errors = seen.flatMap(({ health }) => (health.error === undefined ? [] : [health.error]))
  return [
    check(
      "Argo CD's rule for Ingress says Progressing, Degraded and Healthy",
      ['Progressing', 'Degraded', 'Healthy'].every(word => words.has(word)) && errors.length === 0,
      `${[...words].join(', ')} ${[...new Set(errors)].join('; ')}`,
    ),
  ]
}

/** Five Ingresses; what happens to each is in its name. */
async function happen(name: string, { cluster }: World, rollouts: Rollouts): Promise<void> {
  const at = (one: string): string => `${one}.${name}.test`
  const names = ['complete', 'aborted', 'failing', 'superseded', 'held'] as const
  await cluster.kubectl.apply(
    ...names.map(one => ingress({ namespace: NAMESPACE, name: one, host: at(one) })),
    // The same host: its change waits for its turn.
    ingress({ namespace: NAMESPACE, name: 'waiting', host: at('complete'), paths: [{ path: '/w', to: 'v1' }] }),
  )
  const base = policy({
    ...{ name: NAMESPACE, namespace: NAMESPACE, batches: [{ pods: 1, pause: {} }, { pods: '100%' }], bakeTime: '3s' },
    analysis: { deadline: '10s', onInconclusive: 'Promote', minRequests: 20 },
  })
  await sleep(3_000)
  await cluster.kubectl.apply({ ...base, metadata: { name: NAMESPACE, labels: { [LABEL]: 'true' } } })
  await cluster.kubectl.ok(['wait', '--for=condition=Accepted', `irp/${NAMESPACE}`, '--timeout=30s'])
  await sleep(4_000)
  const load = NodeLoad.http(cluster, { host: at('failing'), perSecond: 40 })
  const change = async (one: string, to: string): Promise<string> => {
    const known = rollouts.names(one)
    await cluster.api.patch('ingresses', one, NAMESPACE, pointAt(at(one), to))
    return rollouts.next(one, known)
  }
  const command = (rollout: string, spec: object): Promise<void> =>
    cluster.kubectl.patch(NAMESPACE, `ingressrollout/${rollout}`, { spec })
  try {
    await sleep(5_000)
    const complete = await change('complete', 'v2')
    const paths = [
      { path: '/w', pathType: 'Prefix', backend: { service: { name: 'echo-v2', port: { name: 'http' } } } },
    ]
    await cluster.api.patch('ingresses', 'waiting', NAMESPACE, {
      spec: { rules: [{ host: at('complete'), http: { paths } }] },
    })
    const aborted = await change('aborted', 'v2')
    const failing = await change('failing', 'fails')
    const superseded = await change('superseded', 'v2')
    await change('superseded', 'fails')
    await rollouts.reaches(superseded, ['Superseded'])
    await cluster.kubectl.delete(NAMESPACE, 'ingress/held')
    const held = await rollouts.next('held')
    await command(held, { abort: true })
    await rollouts.reaches(held, ['Held'])
    await rollouts.reaches(failing, ['RolledBack'])
    await rollouts.reaches(aborted, ['Paused'])
    await command(aborted, { abort: true })
    await rollouts.reaches(aborted, ['RolledBack'])
    await rollouts.reaches(complete, ['Paused'])
    await command(complete, { approvedBatches: 1 })
    await rollouts.reaches(complete, ['Complete'], 90_000)
  } finally {
    await load.stop()
  }
}

async function policyChecks({ cluster, programs }: World, lua: string): Promise<readonly Check[]> {
  const get = async (of: string): Promise<unknown> => cluster.api.get('ingressrolloutpolicies', of)
  const good = await programs.health.ask({ object: await get(NAMESPACE), lua })
  // What its schema lets through and the operator cannot read.
  const bad = `${NAMESPACE}-bad`
  const base = policy({ name: bad, namespace: NAMESPACE, bakeTime: '50s', analysis: { deadline: '10s' } })
  const { code } = await cluster.kubectl.tryApply({ ...base, metadata: { name: bad, labels: { [LABEL]: 'true' } } })
  const checks = [
    check(
      'a policy that is followed is Current and Healthy',
      good.kstatus === 'Current' && good.rule === 'Healthy',
      JSON.stringify(good),
    ),
  ]
  if (code !== 0) return checks
  const asked = async (): Promise<Health> => programs.health.ask({ object: await get(bad), lua })
  const last = await waitFor('the bad policy is looked at', asked, one => one.kstatus === 'Failed', {
    timeoutMs: 15_000,
  }).catch(asked)
  return [
    ...checks,
    check(
      'one that cannot be read is Failed and Degraded',
      last.kstatus === 'Failed' && last.rule === 'Degraded',
      JSON.stringify(last),
    ),
  ]
}
