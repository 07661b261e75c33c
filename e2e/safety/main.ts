/**
 * `make safety`: a catalogue of bad changes on ten real proxies, each of which has to be taken back while it harms the first batch
 * alone, and good changes on noisy backends, none of which may be. docs/safety.md
 * ONLY=name,… plays some kinds; GOOD=200 good changes (0: none); SEED; PARALLEL=2; KEEP=1; WRITE=1 updates docs/safety.md.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Cluster as Node } from '../demo/cluster.ts'
import { randomOf } from '../../protocol/testing/random.ts'
import type { Manifest } from '../echo/manifests.ts'
import { Cluster, SYSTEM } from '../node/harness/cluster.ts'
import { Proxies } from '../node/harness/proxies.ts'
import { Rollouts } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import { CATALOGUE } from './catalogue.ts'
import { GOOD_NAMESPACE as NAMESPACE, goodBefore, goodChanges, goodHosts, goodText } from './good.ts'
import { beforeOf, partsOf } from './places.ts'
import type { Part } from './places.ts'
import { play } from './play.ts'
import type { World } from './play.ts'
import { LABEL, mainPolicy, shop } from './shop.ts'
import type { Addresses } from './shop.ts'
import { lineOf, markdownOf, sectionOf, summaryOf, withSection } from './table.ts'
import type { Row } from './table.ts'
import { judge } from './verdict.ts'

/** The section of docs/safety.md, and its order. */
const BAD = 'bad changes'
const NAMES = CATALOGUE.map(kind => kind.name)
const FLEET = 10
const OPERATORS = 2
const root = fileURLToPath(new URL('../../', import.meta.url))
const document = join(root, 'docs/safety.md')
const { env } = process
const only = (env['ONLY'] ?? '').split(',').filter(word => word !== '')
const good = Number(env['GOOD'] ?? (only.length > 0 ? 0 : 200))
const seed = Number(env['SEED'] ?? 1)
const parallel = Number(env['PARALLEL'] ?? 2)
const say = (...lines: readonly string[]): void => lines.forEach(line => console.log(line))

/** Ctrl-C: nothing more begins, what is under way ends in order, and what was seen counts; twice: at once. */
function interruptible(): AbortSignal {
  const ending = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (ending.signal.aborted) process.exit(130)
      say('', 'interrupted: ending what runs (once more to leave everything as it is)')
      ending.abort()
    })
  }
  return ending.signal
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  return items
    .map(item => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

const ending = interruptible()

async function clear(cluster: Cluster): Promise<void> {
  for (const kind of ['ingressrolloutpolicy', 'ingressclass']) {
    await cluster.kubectl.ok(['delete', kind, '-l', `${LABEL}=${NAMESPACE}`, '--ignore-not-found', '--timeout=60s'])
  }
  await cluster.kubectl.ok(['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--timeout=120s'])
}

async function addresses(cluster: Cluster): Promise<Addresses> {
  const pods = await cluster.api.list('pods', SYSTEM)
  const operator = pods.find(pod => pod.metadata.name.startsWith('sluice-operator-'))
  const address = (operator?.['status'] as { readonly podIP?: string } | undefined)?.podIP ?? ''
  const slices = await cluster.kubectl.ok([
    ...[
      '-n',
      'default',
      'get',
      'endpointslices',
      'kubernetes',
      '-o',
      'jsonpath={.endpoints[0].addresses[0]} {.ports[0].port}',
    ],
  ])
  const [host = '', port = ''] = slices.split(' ')
  return { tlsGo: { address: host, port: Number(port) }, tlsNode: { address, port: 8_443 } }
}

/** What is there before anything is changed, and what of it has to be served. */
interface Stage {
  readonly what: string
  readonly manifests: readonly Manifest[]
  readonly served: readonly { readonly host: string; readonly path: string }[]
}

async function badStage(cluster: Cluster, parts: readonly Part[]): Promise<Stage> {
  const backends = shop(NAMESPACE, cluster.echoImage, await addresses(cluster))
  return {
    what: `${parts.length} kinds`,
    manifests: [...backends, ...(await beforeOf(parts))],
    served: parts.map(({ kind, place }) => ({ host: place.host, path: kind.path ?? '/' })),
  }
}

function goodStage({ echoImage }: Cluster): Stage {
  const served = goodHosts.map(host => ({ host, path: '/' }))
  return { what: `${served.length} hosts`, manifests: goodBefore(echoImage), served }
}

async function setUp(cluster: Cluster, { what, manifests, served }: Stage): Promise<World> {
  say('', `== setting up: backends, ${what}, their Ingresses and certificates, a policy`)
  await clear(cluster)
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await cluster.kubectl.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } })
  await cluster.kubectl.apply(...manifests)
  await cluster.kubectl.ok([
    'wait',
    '--for=condition=Available',
    'deployment',
    '--all',
    '-n',
    NAMESPACE,
    '--timeout=180s',
  ])
  const proxies = new Proxies(cluster)
  for (const { host, path } of served) {
    // A backend with errors may answer one, and be asked again.
    const all = (words: readonly string[]): boolean => words.every(word => !/^[0-9E]/.test(word))
    await waitFor(`every proxy serves ${host}${path}`, () => proxies.served(host, path), all, { timeoutMs: 60_000 })
  }
  await cluster.kubectl.apply(mainPolicy(NAMESPACE))
  await cluster.kubectl.ok(['wait', '--for=condition=Accepted', 'irp/safety', '--timeout=30s'])
  // Every object is recorded as it is; a change before that would be its first content under the policy.
  await sleep(4_000)
  return { cluster, rollouts: new Rollouts(cluster, NAMESPACE), fleet: FLEET }
}

async function playAll(parts: readonly Part[], world: World): Promise<readonly Row[]> {
  const rows: Row[] = []
  const one = async ({ kind, place }: Part): Promise<void> => {
    const seen = await play(kind, place, world)
    const row = { kind, verdict: judge(seen) }
    rows.push(row)
    say(
      `[${String(rows.length).padStart(2)}/${parts.length}] ${lineOf(row)}`,
      ...row.verdict.problems.map(text => `        ${text}`),
    )
    if (row.verdict.outcome === 'failed') {
      const steps = seen.history.map(
        ({ at, phase, index, message }) =>
          `+${((at - seen.changedAt) / 1_000).toFixed(1)} s ${phase} ${index ?? ''} ${message}`,
      )
      say(...steps.slice(-12).map(text => `          ${text}`))
    }
  }
  say('', `== bad changes, ${parallel} at a time: what caught it, detected and last harm after, requests harmed`)
  const together = parts.filter(({ kind }) => kind.alone !== true)
  const queue = [...together]
  const lane = async (): Promise<void> => {
    for (let part = queue.shift(); part !== undefined && !ending.aborted; part = queue.shift()) await one(part)
  }
  await Promise.all(Array.from({ length: parallel }, lane))
  const alone = parts.filter(({ kind }) => kind.alone === true)
  if (alone.length > 0) say('', '== bad changes while something else fails, one after the other')
  for (const part of alone) if (!ending.aborted) await one(part)
  return rows
}

async function run(cluster: Cluster): Promise<boolean> {
  if (cluster.ordinals.length !== FLEET)
    throw new Error(
      `${FLEET} proxies are needed, there are ${cluster.ordinals.length}: make down, or PROXIES=${FLEET} make up`,
    )
  const random = randomOf(seed)
  const wanted = CATALOGUE.filter(kind => only.length === 0 || only.some(word => kind.name.includes(word)))
  if (wanted.length === 0 && good === 0) throw new Error(`no kind is called ${only.join(', ')}`)
  const parts = await partsOf(shuffled(wanted, random), NAMESPACE)
  // Each with the machine for itself: the backends of the one are no noise of the other.
  const bad =
    parts.length === 0 || (await onStage(cluster, await badStage(cluster, parts), world => playBad(parts, world)))
  if (good === 0 || ending.aborted) return bad
  return (await onStage(cluster, goodStage(cluster), world => playGood(world, random))) && bad
}

async function onStage(cluster: Cluster, stage: Stage, act: (world: World) => Promise<boolean>): Promise<boolean> {
  const world = await setUp(cluster, stage)
  try {
    return await act(world)
  } finally {
    world.rollouts.close()
    if (env['KEEP'] !== '1') await clear(cluster)
  }
}

async function playBad(parts: readonly Part[], world: World): Promise<boolean> {
  const rows = await playAll(parts, world)
  say('', summaryOf(rows))
  await write(BAD, text => markdownOf(rows, NAMES, sectionOf(text, BAD)))
  return rows.every(row => row.verdict.outcome !== 'failed')
}

async function playGood({ cluster, rollouts }: World, random: () => number): Promise<boolean> {
  say('', `== ${good} good changes on noisy backends`)
  const outcome = await goodChanges({
    ...{ cluster, rollouts, changes: good, random, ending },
    onChange: (change, done) => {
      if (change.phase !== 'Complete') say(`  good-${change.host}: ${change.phase}: ${change.message}`)
      say(...change.story.map(line => `      ${line}`))
      if (done % 10 === 0) say(`  ${done} of ${good}`)
    },
  })
  say('', goodText(outcome))
  await write('good changes', () => `${goodText(outcome)}.`)
  return outcome.changes.every(change => change.phase === 'Complete' || change.phase === 'Paused')
}

/** A section of docs/safety.md, where WRITE=1 asks for it. */
async function write(section: string, contentOf: (text: string) => string): Promise<void> {
  if (env['WRITE'] !== '1') return
  const text = await readFile(document, 'utf8')
  await writeFile(document, withSection(text, section, contentOf(text)))
}

async function main(): Promise<number> {
  const node = new Node(root)
  // A cluster that was up already is not ours to end.
  const wasUp = await node.isUp()
  if (!wasUp) await node.up(FLEET, OPERATORS)
  const cluster = await Cluster.connect()
  try {
    return (await run(cluster)) && !ending.aborted ? 0 : 1
  } finally {
    cluster.close()
    if (!wasUp && env['KEEP'] !== '1') await node.down()
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`safety: ${error instanceof Error ? error.message : String(error)}`)
  return 1
})
