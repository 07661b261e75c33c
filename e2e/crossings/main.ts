/**
 * `make crossings`: cert-manager with Pebble, external-dns, helm, kstatus, Argo CD's rules and a restore meet Sluice on the real
 * node, as their users run them. Nobody helps: what does not end by itself has failed. docs/crossings.md
 * ONLY=name,… plays some; PARALLEL=4; KEEP=1; WRITE=1 updates docs/crossings.md.
 */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Cluster as Node } from '../demo/cluster.ts'
import { Cluster, ROOT } from '../node/harness/cluster.ts'
import { messageOf } from '../node/harness/errors.ts'
import { CATALOGUE, chosen } from './catalogue.ts'
import { Programs } from './programs.ts'
import type { Scenario, Seen, World } from './scenario.ts'
import { LABEL, POLICIES, backends, namespace, namespaceOf, policyOf } from './setup.ts'
import { lineOf, markdownOf, sectionOf, withSection } from './table.ts'
import type { Row } from './table.ts'
import { Tables } from './tables.ts'
import { judge } from './verdict.ts'

const execute = promisify(execFile)
const PROXIES = 5
const OPERATORS = 1
const document = join(ROOT, 'docs/crossings.md')
const { env } = process
const only = (env['ONLY'] ?? '').split(',').filter(word => word !== '')
const parallel = Number(env['PARALLEL'] ?? 4)
const say = (...lines: readonly string[]): void => lines.forEach(line => console.log(line))

async function build(): Promise<string> {
  const { stdout } = await execute(join(ROOT, 'e2e/crossings/build.sh'), { maxBuffer: 1 << 26 }).catch(
    (error: unknown) => {
      throw new Error(
        `the programs were not built: ${(error as { readonly stderr?: string }).stderr ?? messageOf(error)}`,
      )
    },
  )
  return stdout.trim()
}

async function clear(cluster: Cluster): Promise<void> {
  for (const kind of ['ingressrolloutpolicy', 'namespace'])
    await cluster.kubectl.ok(['delete', kind, '-l', LABEL, '--ignore-not-found', '--timeout=180s'])
}

async function setUp(cluster: Cluster, programs: Programs): Promise<void> {
  say('', '== setting up: programs, namespaces, policies, an issuer')
  const { kubectl } = cluster
  await clear(cluster)
  for (const file of await readdir(join(programs.folder, 'crds')))
    await kubectl.ok(['apply', '--server-side', '--force-conflicts', '-f', join(programs.folder, 'crds', file)])
  await kubectl.ok(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s'])
  await kubectl.apply(namespace('cert-manager'), ...POLICIES.map(name => namespace(namespaceOf(name))))
  await kubectl.apply(...POLICIES.flatMap(name => backends(namespaceOf(name), cluster.echoImage)))
  await kubectl.apply(...POLICIES.flatMap(name => (name === 'none' ? [] : [policyOf(name)])))
  await programs.startAcme()
  programs.startCertManager()
  await kubectl.ok(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: programs.issuers() }))
  await kubectl.ok(['wait', '--for=condition=Ready', 'clusterissuer', '--all', '--timeout=60s'])
  for (const name of POLICIES)
    await kubectl.ok([
      'wait',
      '--for=condition=Available',
      'deployment',
      '--all',
      '-n',
      namespaceOf(name),
      '--timeout=180s',
    ])
}

async function playOne(scenario: Scenario, world: World, rows: Row[], took: Map<string, number | null>): Promise<void> {
  const seen: Seen = await scenario.play(world).then(
    played => ({ ...played, broke: null }),
    (error: unknown) => ({ seconds: null, checks: [], broke: messageOf(error) }),
  )
  took.set(scenario.name, seen.seconds)
  const row = { scenario, verdict: judge(scenario, seen, took) }
  rows.push(row)
  say(lineOf(row), ...row.verdict.problems.map(text => `        ${text}`))
  // After each: a run that is ended early has its figures.
  if (env['WRITE'] === '1') write(row)
}

function write(row: Row): void {
  const text = readFileSync(document, 'utf8')
  const names = CATALOGUE.map(one => one.name)
  writeFileSync(document, withSection(text, markdownOf([row], names, sectionOf(text))))
}

/** What others are measured by first; what disturbs others alone, at the end. */
async function playAll(scenarios: readonly Scenario[], world: World): Promise<readonly Row[]> {
  const rows: Row[] = []
  const took = new Map<string, number | null>()
  const lanes = async (queue: Scenario[]): Promise<void> => {
    const lane = async (): Promise<void> => {
      for (let one = queue.shift(); one !== undefined; one = queue.shift()) await playOne(one, world, rows, took)
    }
    await Promise.all(Array.from({ length: parallel }, lane))
  }
  const together = scenarios.filter(one => one.alone !== true)
  say('', `== ${scenarios.length} crossings, ${parallel} at a time: how long, and how long they may`)
  await lanes(together.filter(one => one.within.by === 'seconds' && one.program === 'cert-manager'))
  await lanes(together.filter(one => one.within.by !== 'seconds' || one.program !== 'cert-manager'))
  for (const one of scenarios.filter(({ alone }) => alone === true)) await playOne(one, world, rows, took)
  return rows
}

async function run(cluster: Cluster, programs: Programs): Promise<boolean> {
  const scenarios = chosen(only)
  if (scenarios.length === 0) throw new Error(`no crossing is called ${only.join(', ')}`)
  await setUp(cluster, programs)
  const world: World = { cluster, programs, tables: new Tables(cluster), say: line => say(`        ${line}`) }
  const rows = await playAll(scenarios, world)
  programs.alive()
  const wrong = rows.filter(row => !row.verdict.fine).length
  say('', `${rows.length - wrong} of ${rows.length} go as they should`)
  return wrong === 0
}

async function main(): Promise<number> {
  const folder = await build()
  const read = async (file: string): Promise<string> => (await readFile(join(folder, file), 'utf8')).trim()
  const node = new Node(ROOT)
  // A cluster that was up already is not ours to end.
  const wasUp = await node.isUp()
  if (!wasUp) await node.up(PROXIES, OPERATORS)
  const cluster = await Cluster.connect()
  const logs = join(ROOT, '.sluice/crossings')
  await mkdir(logs, { recursive: true })
  const images = {
    CROSSINGS_SOLVER_IMAGE: await read('solver-image'),
    CROSSINGS_KUBECTL_IMAGE: await read('kubectl-image'),
  }
  for (const file of ['acmesolver.tar', 'kubectl.tar']) await cluster.script(['load', join(folder, file)])
  const programs = new Programs(folder, logs, { ...cluster.env, ...images })
  process.once('SIGINT', () => void programs.close().finally(() => process.exit(130)))
  try {
    return (await run(cluster, programs)) ? 0 : 1
  } finally {
    if (env['KEEP'] !== '1') await clear(cluster).catch((error: unknown) => say(`not cleared: ${messageOf(error)}`))
    await programs.close()
    cluster.close()
    if (!wasUp && env['KEEP'] !== '1') await node.down()
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`crossings: ${messageOf(error)}`)
  return 1
})
