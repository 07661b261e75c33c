/**
 * `make scale`: the operator with a hundred thousand Ingresses on a real API server. docs/scale.md
 * INGRESSES=100000 PODS=50 CHANGES=50 HISTORY=2000; PROFILE=folder keeps CPU profiles of the operator; WRITE=1 updates the document.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connect, loadKubeConfig } from '../../operator/kube/connect.ts'
import { startApiServer } from '../apiserver/apiserver.ts'
import { freePorts } from '../apiserver/ports.ts'
import { withSection, table } from '../bench/table.ts'
import { numberText, spreadOf } from '../bench/stats.ts'
import { Ends } from '../bench/ends.ts'
import { installBase } from '../deploy/install.ts'
import { Population } from './objects.ts'
import { OperatorProcess } from './operator.ts'
import type { OperatorPlace } from './operator.ts'
import { StreamingPod, createFleet } from './pods.ts'

const ROOT = join(import.meta.dirname, '../..')
const DOCUMENT = join(ROOT, 'docs/scale.md')
const { env } = process
const numberFrom = (name: string, fallback: number): number => Number(env[name] ?? fallback)
const INGRESSES = numberFrom('INGRESSES', 100_000)
const PODS = numberFrom('PODS', 50)
const CHANGES = numberFrom('CHANGES', 50)
const HISTORY = numberFrom('HISTORY', 2_000)
const FEW = 100
/** Pods that a change is followed to. */
const FOLLOWED = 5
/** What a change is followed by is over then: the store writes once a second. */
const BETWEEN_MS = 300
const REST_MS = 20_000
const say = (line: string): void => console.error(`  ${line}`)
const seconds = (ms: number): string => `${numberText(ms / 1_000, 1)} s`
const mebibytes = (bytes: number): string => `${numberText(bytes / 2 ** 20, 0)} MiB`

interface Row {
  readonly what: string
  readonly measured: string
  readonly target: string
}

/** From the API server's answer until the last of the pods has it, milliseconds each. */
async function changes(
  population: Population,
  pods: readonly StreamingPod[],
  round: string,
): Promise<readonly number[]> {
  const times: number[] = []
  for (let i = 0; i < CHANGES; i++) {
    const n = Math.floor(((i + 0.5) * population.count) / CHANGES)
    const path = `/${round}-${i}`
    const seen = Promise.all(pods.map(pod => pod.sees(`"${path}"`)))
    await population.change(n, path)
    const answered = performance.now()
    await seen
    times.push(performance.now() - answered)
    await sleep(BETWEEN_MS)
  }
  return times
}

async function measured(ends: Ends): Promise<readonly Row[]> {
  say('starting the API server…')
  const folder = await mkdtemp(join(tmpdir(), 'sluice-scale-'))
  ends.add(() => rm(folder, { recursive: true }))
  const server = await startApiServer()
  ends.add(() => server.stop())
  const kubeconfig = await installBase(server, folder)
  const client = connect(loadKubeConfig(server.kubeconfig))
  ends.add(() => client.close())
  const [streamPort = 0, adminPort = 0] = await freePorts(2)
  const profile = env['PROFILE'] ?? ''
  const nodeOptions = profile === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
  const place: OperatorPlace = { folder, kubeconfig, streamPort, adminPort, nodeOptions }
  let operator = OperatorProcess.start(place)
  ends.add(() => operator.end('SIGKILL'))
  const again = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    await operator.end(signal)
    operator = OperatorProcess.start(place)
  }
  await operator.atRest()
  const credentials = await createFleet(server, client, PODS)
  const population = new Population(client, say)
  await population.found()
  await population.grow(FEW)
  const followed = credentials.slice(0, FOLLOWED).map(one => new StreamingPod(one, streamPort))
  ends.add(() => followed.forEach(pod => pod.end()))
  await Promise.all(followed.map(pod => pod.connect(false)))
  await operator.atRest()
  const rows: Row[] = []
  const row = (what: string, text: string, target = ''): void => {
    rows.push({ what, measured: text, target })
    say(`${what}: ${text}`)
  }

  const few = spreadOf(await changes(population, followed, 'few'))
  row(
    `a change with ${FEW} Ingresses, to the last of ${FOLLOWED} pods`,
    `${few.median.toFixed(0)} ms (to ${few.max.toFixed(0)})`,
  )
  await operator.takeLongest()
  const [grewAt, cpuBefore] = [performance.now(), operator.cpuMs]
  await population.grow(INGRESSES)
  await operator.atRest()
  row(
    `${numberText(INGRESSES - FEW, 0)} Ingresses created beside it, until nothing is left to do`,
    `${seconds(performance.now() - grewAt)}, ${seconds(operator.cpuMs - cpuBefore)} of CPU, ${mebibytes(operator.memory.most)}`,
  )
  row('longest stall of its event loop meanwhile', `${(await operator.takeLongest()).toFixed(0)} ms`)
  const many = spreadOf(await changes(population, followed, 'many'))
  const ratio = many.median / few.median
  row(
    `a change with ${numberText(INGRESSES, 0)} Ingresses`,
    `${many.median.toFixed(0)} ms (to ${many.max.toFixed(0)}): ${ratio.toFixed(1)} times`,
    'at most 3 times',
  )
  row('longest stall of its event loop meanwhile', `${(await operator.takeLongest()).toFixed(0)} ms`)
  await operator.atRest()
  // What the changes left behind is collected by then.
  await sleep(REST_MS)
  row('at rest', `${(await operator.cpuAtRest(REST_MS)).toFixed(1)} % of a core`)
  for (const pod of followed) pod.end()

  say('starting it anew…')
  await again('SIGTERM')
  const first = new StreamingPod(credentials[0] ?? { name: '', token: '', authority: '' }, streamPort)
  ends.add(() => first.end())
  const snapshot = first.connect(false).then(({ bytes }) => ({ bytes, ms: operator.age, most: operator.memory.most }))
  await operator.ready()
  const [readyMs, readyCpu] = [operator.age, operator.cpuMs]
  const { bytes, ms, most } = await snapshot
  row('start until ready', `${seconds(readyMs)}, ${seconds(readyCpu)} of CPU`)
  row('start to the end of the first snapshot', `${seconds(ms)}, ${mebibytes(most)}`, 'at most 20 s, 1 024 MiB')
  row('the snapshot', `${(bytes / 1e6).toFixed(1)} MB`, 'at most 20 MB')
  row('longest stall of its event loop until then', `${(await operator.takeLongest()).toFixed(0)} ms`)
  await operator.leads()
  await operator.atRest()
  row('start until it leads and has nothing left to do', `${seconds(operator.age)}, ${mebibytes(operator.memory.most)}`)
  first.end()

  say(`${PODS} pods…`)
  const all = credentials.map(one => new StreamingPod(one, streamPort))
  ends.add(() => all.forEach(pod => pod.end()))
  const [snapshotsAt, snapshotsCpu] = [performance.now(), operator.cpuMs]
  for (const pod of all) await pod.connect(false)
  row(
    `${PODS} pods that have nothing, one after the other`,
    `${seconds(performance.now() - snapshotsAt)}, ${seconds(operator.cpuMs - snapshotsCpu)} of CPU, ${mebibytes(operator.memory.most)}`,
  )
  await operator.takeLongest()
  await again('SIGKILL')
  const resumed = Promise.all(all.map(pod => pod.connect(true)))
  await operator.ready()
  const readyAt = performance.now()
  const came = await resumed
  const whole = came.filter(one => one.whole).length
  row(
    `${PODS} pods that come back at once, all current`,
    `${seconds(performance.now() - readyAt)} after it is ready, ${whole} of them with a whole snapshot`,
    'at most 30 s',
  )
  row('longest stall of its event loop until then', `${(await operator.takeLongest()).toFixed(0)} ms`)
  for (const pod of all) pod.end()
  await operator.atRest()

  if (HISTORY > 0) {
    await population.history(HISTORY)
    await operator.atRest()
    await again('SIGTERM')
    await operator.ready()
    const historyReady = operator.age
    await operator.atRest()
    row(
      `start with ${numberText(HISTORY, 0)} rollouts in history`,
      `ready after ${seconds(historyReady)}, nothing left to do after ${seconds(operator.age)}`,
      'at most 25 s',
    )
  }
  await operator.end('SIGTERM')
  return rows
}

async function version(): Promise<string> {
  const git = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)('git', ['-C', ROOT, ...args])).stdout.trim()
  const changed = await git('status', '--porcelain', '--', 'operator', 'protocol')
  return `${await git('log', '-1', '--format=%h', '--', 'operator', 'protocol')}${changed === '' ? '' : '-dirty'}`
}

async function main(): Promise<number> {
  const load = loadavg()[0] ?? 0
  const ends = new Ends()
  const interrupted = (): void => void ends.all().finally(() => process.exit(130))
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  say('bundling the operator…')
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/bundle.ts'), 'operator'])
  const rows = await ends.during(measured)
  const text = [
    table(
      ['what', 'measured', 'target'],
      rows.map(one => [one.what, one.measured, one.target]),
    ),
    '',
    `\`INGRESSES=${INGRESSES} PODS=${PODS} make scale\` on ${new Date().toISOString().slice(0, 10)}, operator ${await version()}. ` +
      `${cpus().length} cores, ${cpus()[0]?.model.trim() ?? ''}, shared with API server, etcd, and the pods' side of the streams; ` +
      `Linux ${release().split('-')[0] ?? ''}, Node ${process.versions.node}; load average before: ${load.toFixed(1)}.`,
  ].join('\n')
  console.log(`\n${text}\n`)
  if (env['WRITE'] === '1') await writeFile(DOCUMENT, withSection(await readFile(DOCUMENT, 'utf8'), 'scale', text))
  return 0
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error)
  return 1
})
