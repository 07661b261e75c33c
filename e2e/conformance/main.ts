/**
 * `make conformance`: the official suite (kubernetes-sigs/ingress-controller-conformance) against the cluster of
 * `.sluice/env`. Prints every scenario with its outcome as its feature ends; exits with 1 if one failed. README.md
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, readFile, readdir, rm } from 'node:fs/promises'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { lineOf, scenariosOf, summaryOf } from './report.ts'
import type { Scenario } from './report.ts'

const root = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '')
const cluster = join(root, 'e2e/cluster/cluster')
const reports = join(root, '.sluice/conformance')
const execute = promisify(execFile)

/** The suite's features; a run that reports fewer has not run to its end. */
const FEATURES = ['default_backend', 'host_rules', 'ingress_class', 'load_balancing', 'path_rules'] as const
/** For a named cluster, which must be able to pull it; the local node gets the one that is built. */
const IMAGE = process.env['SLUICE_IMAGE_CONFORMANCE_ECHO']
/**
 * The suite waits five minutes for an address by default, and the one scenario about a foreign class waits it out.
 * Ours is there within a second.
 */
const STATUS_WAIT = '1m'

async function kubeconfig(): Promise<string> {
  const command = ['-c', '. "$1" && printf %s "$KUBECONFIG"', 'bash', join(root, '.sluice/env')]
  const { stdout } = await execute('bash', command).catch((error: unknown) => {
    throw new Error('no cluster is up: make up', { cause: error })
  })
  return stdout
}

/** Builds what is not built yet; progress goes to standard error. */
async function build(): Promise<string> {
  const child = spawn(join(root, 'e2e/conformance/build.sh'), IMAGE === undefined ? [] : [IMAGE], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0) throw new Error('the suite could not be built; what is said above tells why')
  return said.trim()
}

async function main(): Promise<number> {
  const named = (process.env['SLUICE_CLUSTER'] ?? '') !== ''
  if (named && IMAGE === undefined)
    throw new Error(
      'with SLUICE_CLUSTER set SLUICE_IMAGE_CONFORMANCE_ECHO to an image of the echo server that it can pull',
    )
  const config = await kubeconfig()
  const folder = await build()
  if (!named) await execute(cluster, ['load', join(folder, 'echoserver.tar')])
  await rm(reports, { recursive: true, force: true })
  await mkdir(reports, { recursive: true })
  console.log('the suite takes about 12 minutes: it makes a namespace with backends of its own for every scenario')
  const log = createWriteStream(join(reports, 'suite.log'))
  const suite = spawn(
    join(folder, 'suite.test'),
    [
      ...['-ingress-class=sluice', `-wait-time-for-ingress-status=${STATUS_WAIT}`],
      ...['-format=cucumber', `-output-directory=${reports}`],
    ],
    // Its features are files beside it.
    { cwd: join(folder, 'suite'), env: { ...process.env, KUBECONFIG: config }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  suite.stdout.pipe(log, { end: false })
  suite.stderr.pipe(log, { end: false })
  // It takes its namespaces away when it is interrupted.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => suite.kill(signal))
  let ended = false
  const end = new Promise<number | null>((resolve, reject) =>
    suite.once('error', reject).once('close', resolve),
  ).finally(() => (ended = true))
  const printed = new Map<string, readonly Scenario[]>()
  do {
    await Promise.race([sleep(1_000), end])
    await printNew(printed)
  } while (!ended)
  const code = await end
  const all = [...printed.values()].flat()
  const missing = FEATURES.filter(feature => !printed.has(`${feature}.feature-report.json`))
  if (missing.length > 0) console.log(`\nno report of ${missing.join(', ')}: ${join(reports, 'suite.log')}`)
  console.log(`\n${summaryOf(all)}`)
  return code === 0 && missing.length === 0 && all.every(({ failure }) => failure === null) ? 0 : 1
}

/** Prints the features whose reports are complete by now. */
async function printNew(printed: Map<string, readonly Scenario[]>): Promise<void> {
  for (const file of await readdir(reports)) {
    if (!file.endsWith('-report.json') || printed.has(file)) continue
    const scenarios = scenariosOf(await readFile(join(reports, file), 'utf8'))
    if (scenarios === null) continue
    printed.set(file, scenarios)
    console.log([`\n${scenarios[0]?.feature ?? file}`, ...scenarios.map(lineOf)].join('\n'))
  }
}

main().then(
  code => (process.exitCode = code),
  (error: unknown) => {
    console.error(`conformance: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = 1
  },
)
