/** What a backup (Velero and others) does: objects without the store, the store without objects, objects in another place. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../node/harness/api.ts'
import type { Cluster } from '../node/harness/cluster.ts'
import { SYSTEM } from '../node/harness/cluster.ts'
import { ingress, pointAt, policy } from '../node/harness/manifests.ts'
import { Proxies } from '../node/harness/proxies.ts'
import { Rollouts } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import { check } from './scenario.ts'
import type { Played, World } from './scenario.ts'
import { LABEL, backends, namespace as namespaceManifest, namespaceOf } from './setup.ts'

const NAMESPACE = namespaceOf('restore')
const COPY = namespaceOf('copy')
const STORE = 'sluice-releases'
const BATCHES = [{ pods: 1, pause: {} }, { pods: '100%' }]

/** An object as a restore writes it: nothing that the API server gave it, and everything else, annotations included. Pure. */
export function restored({ metadata, ...object }: KubeObject, namespace: string): object {
  const { annotations = {}, name, ...more } = metadata
  const labels = (more as { readonly labels?: object }).labels ?? {}
  const rest = Object.fromEntries(Object.entries(object).filter(([field]) => field !== 'status'))
  return { ...rest, metadata: { name, namespace, labels, annotations } }
}

interface Stage {
  readonly world: World
  readonly cluster: Cluster
  readonly served: (host: string) => Promise<readonly string[]>
  readonly host: (name: string) => string
}

/** Two Ingresses under a policy: `done` was rolled out, `half` is on one pod, waiting for approval. */
async function stage(name: string, world: World): Promise<Stage> {
  const { cluster } = world
  const host = (one: string): string => `${one}.${name}.test`
  const proxies = new Proxies(cluster)
  await clear(cluster)
  await cluster.kubectl.apply(namespaceManifest(NAMESPACE), ...backends(NAMESPACE, cluster.echoImage))
  await cluster.kubectl.ok([
    ...['wait', '--for=condition=Available', 'deployment', '--all', '-n', NAMESPACE, '--timeout=120s'],
  ])
  await cluster.kubectl.apply(
    ...['done', 'half'].map(one => ingress({ namespace: NAMESPACE, name: one, host: host(one) })),
    policyOf(NAMESPACE),
  )
  await sleep(5_000)
  const rollouts = new Rollouts(cluster, NAMESPACE)
  try {
    for (const one of ['done', 'half']) {
      await cluster.api.patch('ingresses', one, NAMESPACE, pointAt(host(one), 'v2'))
      const rollout = await rollouts.next(one)
      await rollouts.reaches(rollout, ['Paused'])
      if (one === 'half') continue
      await cluster.kubectl.patch(NAMESPACE, `ingressrollout/${rollout}`, { spec: { promote: true } })
      await rollouts.reaches(rollout, ['Complete'])
    }
  } finally {
    rollouts.close()
  }
  return { world, cluster, host, served: one => proxies.served(host(one)) }
}

function policyOf(namespace: string): ReturnType<typeof policy> {
  const analysis = { deadline: '10s', onInconclusive: 'Promote', minRequests: 20 }
  const base = policy({ name: namespace, namespace, batches: BATCHES, bakeTime: '3s', analysis })
  return { ...base, metadata: { name: namespace, labels: { [LABEL]: 'true' } } }
}

async function clear(cluster: Cluster): Promise<void> {
  await cluster.kubectl.ok(['delete', 'irp', NAMESPACE, COPY, '--ignore-not-found', '--timeout=30s'])
  await cluster.kubectl.ok(['delete', 'namespace', NAMESPACE, COPY, '--ignore-not-found', '--timeout=120s'])
}

async function operators(cluster: Cluster, count: number): Promise<void> {
  await cluster.kubectl.ok(['-n', SYSTEM, 'scale', 'deployment', 'sluice-operator', `--replicas=${count}`])
  const pods = async (): Promise<number> =>
    (await cluster.api.list('pods', SYSTEM)).filter(pod => pod.metadata.name.startsWith('sluice-operator-')).length
  await waitFor('so many operators', pods, found => found === count, { timeoutMs: 90_000 })
  if (count > 0)
    await cluster.kubectl.ok(['-n', SYSTEM, 'rollout', 'status', 'deployment/sluice-operator', '--timeout=90s'])
}

async function storeOf(cluster: Cluster): Promise<readonly KubeObject[]> {
  return (await cluster.api.list('secrets', SYSTEM)).filter(({ metadata }) => metadata.name.startsWith(STORE))
}

async function dropStore(cluster: Cluster): Promise<void> {
  const names = (await storeOf(cluster)).map(({ metadata }) => metadata.name)
  if (names.length > 0) await cluster.kubectl.ok(['-n', SYSTEM, 'delete', 'secret', ...names])
}

const all = (words: readonly string[], word: string): boolean => words.every(one => one === word)
const tell = (words: readonly string[]): string => words.join(' ')

async function ingressesOf(cluster: Cluster): Promise<readonly object[]> {
  const found = await cluster.api.list('ingresses', NAMESPACE)
  // Items of a list have no kind of their own.
  return found.map(one => ({ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', ...one }))
}

/** A new cluster: the namespace comes back from a backup, the store of Sluice does not, nor do the proxies' tables. */
export async function withoutStore(name: string, world: World): Promise<Played> {
  const { cluster, served, host } = await stage(name, world)
  try {
    const objects = (await ingressesOf(cluster)).map(one => restored(one as KubeObject, NAMESPACE))
    await operators(cluster, 0)
    await dropStore(cluster)
    await clear(cluster)
    await cluster.kubectl.apply(namespaceManifest(NAMESPACE), ...backends(NAMESPACE, cluster.echoImage))
    await cluster.kubectl.apply(...(objects as ReturnType<typeof ingress>[]), policyOf(NAMESPACE))
    const started = performance.now()
    await operators(cluster, 1)
    const done = await reaches(
      () => served('done'),
      words => all(words, 'v2'),
      60_000,
    )
    const half = await reaches(
      () => served('half'),
      words => all(words, 'v2'),
      20_000,
    )
    // It is governed: a change of it is rolled out.
    await sleep(3_000)
    await cluster.api.patch('ingresses', 'done', NAMESPACE, pointAt(host('done'), 'v1'))
    const first = await reaches(
      () => served('done'),
      words => tell(words.slice(0, 2)) === 'v1 v2',
      60_000,
    )
    return {
      seconds: done.at === null ? null : (done.at - started) / 1_000,
      checks: [
        check('what was released is served by every pod', done.at !== null, tell(done.last)),
        check('so is what was under way: what was stable is not known any more', half.at !== null, tell(half.last)),
        check('the next change is rolled out', first.at !== null, tell(first.last)),
      ],
    }
  } finally {
    await clear(cluster)
    await operators(cluster, 1)
  }
}

/** The store comes back with records of Ingresses that do not exist; their namespace does. */
export async function withoutObjects(name: string, world: World): Promise<Played> {
  const { cluster, served } = await stage(name, world)
  try {
    await operators(cluster, 0)
    const store = await storeOf(cluster)
    await cluster.kubectl.ok(['-n', NAMESPACE, 'delete', 'ingress', 'done', 'half'])
    await dropStore(cluster)
    await cluster.kubectl.apply(
      ...store.map(one => ({
        ...(restored(one, SYSTEM) as ReturnType<typeof ingress>),
        ...{ apiVersion: 'v1', kind: 'Secret' },
      })),
    )
    const started = performance.now()
    await operators(cluster, 1)
    const kept = await served('done')
    const approve = async (): Promise<void> => {
      // Its batches want approval here; a policy without pauses needs nobody.
      const open = await cluster.api.list('ingressrollouts', NAMESPACE)
      for (const { metadata } of open.filter(one => one.metadata.name.endsWith('-absent')))
        await cluster.kubectl.patch(NAMESPACE, `ingressrollout/${metadata.name}`, { spec: { approvedBatches: 1 } })
    }
    const gone = await reaches(
      async () => {
        await approve()
        return cluster.api.list('ingressrollouts', NAMESPACE).then(list => list.map(phaseOf))
      },
      found => found.filter(one => one.endsWith('-absent Complete')).length === 2,
      240_000,
    )
    const end = await served('done')
    return {
      seconds: gone.at === null ? null : (gone.at - started) / 1_000,
      checks: [
        check('pods serve what the store has', all(kept, 'v2'), tell(kept)),
        check('and give it up when nobody asks', gone.at !== null, tell(gone.last)),
        check('then it is gone', all(end, '404'), tell(end)),
      ],
    }
  } finally {
    await clear(cluster)
    await operators(cluster, 1)
  }
}

const phaseOf = ({ metadata, status }: KubeObject): string =>
  `${metadata.name} ${(status as { readonly phase?: string } | undefined)?.phase ?? ''}`

/** Copies of both, with all their annotations, under another host in another namespace that has a policy, too. */
export async function copied(name: string, world: World): Promise<Played> {
  const { cluster, host } = await stage(name, world)
  const proxies = new Proxies(cluster)
  const copyHost = (one: string): string => `copy-${host(one)}`
  try {
    const objects = (await ingressesOf(cluster)).map(one => {
      const copy = restored(one as KubeObject, COPY) as ReturnType<typeof ingress>
      const { name: of } = copy.metadata
      return JSON.parse(JSON.stringify(copy).replaceAll(host(of), copyHost(of))) as typeof copy
    })
    await cluster.kubectl.apply(namespaceManifest(COPY), ...backends(COPY, cluster.echoImage), policyOf(COPY))
    await cluster.kubectl.ok(['wait', '--for=condition=Accepted', `irp/${COPY}`, '--timeout=30s'])
    await cluster.kubectl.ok([
      ...['wait', '--for=condition=Available', 'deployment', '--all', '-n', COPY, '--timeout=120s'],
    ])
    const started = performance.now()
    await cluster.kubectl.apply(...objects)
    const done = await reaches(
      () => proxies.served(copyHost('done')),
      words => all(words, 'v2'),
      30_000,
    )
    const half = await reaches(
      () => proxies.served(copyHost('half')),
      words => all(words, 'v2'),
      15_000,
    )
    const original = await proxies.served(host('half'))
    const [annotations = {}] = (await cluster.api.list('ingresses', COPY)).map(({ metadata }) => metadata.annotations)
    const ends = [done.at, half.at]
    return {
      seconds: ends.includes(null) ? null : (Math.max(...ends.map(Number)) - started) / 1_000,
      checks: [
        check(
          'every pod serves the copy of what was released',
          done.at !== null,
          `${tell(done.last)} ${JSON.stringify(annotations)}`,
        ),
        check('and of what was under way', half.at !== null, tell(half.last)),
        check(
          'the original is where it was',
          tell(original) === tell(['v2', ...original.slice(1).map(() => 'v1')]),
          tell(original),
        ),
      ],
    }
  } finally {
    await clear(cluster)
  }
}

interface Reached {
  readonly at: number | null
  readonly last: readonly string[]
}

/** Null as time: never; with what was seen last. */
async function reaches(
  probe: () => Promise<readonly string[]>,
  accept: (words: readonly string[]) => boolean,
  timeoutMs: number,
): Promise<Reached> {
  let last: readonly string[] = []
  const look = async (): Promise<readonly string[]> => (last = await probe())
  const at = await waitFor('it', look, accept, { timeoutMs, everyMs: 300 }).then(
    () => performance.now(),
    () => null,
  )
  return { at, last }
}
