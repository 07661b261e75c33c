/**
 * `make demo`: the whole loop on a real Kubernetes node. A good change passes from batch to batch, bad ones are taken
 * back, all under load. Ends by itself; exit status 0 only if all of it went as it should.
 * KEEP=1 leaves the cluster running. DEMO_REPORT=file gets the verdict as JSON. DEMO_GATES=off: a policy that nothing can fail, so that the demo must fail.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { HttpLoad } from '../load/http-load.ts'
import type { LoadRecord } from '../load/record.ts'
import { TargetError, parseTargets } from '../load/targets.ts'
import { TlsLoad } from '../load/tls-load.ts'
import { Cluster } from './cluster.ts'
import { CAST } from './events.ts'
import { DemoError, Journal } from './journal.ts'
import { Kubectl } from './kubectl.ts'
import { writeManifests } from './manifests.ts'
import { PodCounts } from './pods.ts'
import { badCertificate, badChange, goodChange, wrongHost } from './scenes.ts'
import { Screen } from './screen.ts'
import { clear, setUp } from './setup.ts'
import { Stage } from './stage.ts'
import { renderSummary } from './summary.ts'
import { renderTable } from './table.ts'
import { judge } from './verdict.ts'

const PODS = 5
const HTTP_PER_SECOND = 350
const TLS_PER_SECOND = 50
/** Nothing here takes so long; a demo that hangs must still end. */
const MAX_LOAD_MS = 10 * 60_000
const WARM_UP_MS = 4_000

const root = fileURLToPath(new URL('../../', import.meta.url))
const gates = process.env['DEMO_GATES'] !== 'off'
const keep = process.env['KEEP'] === '1'

const screen = new Screen(process.stdout, process.env)
const cluster = new Cluster(root)

async function show(): Promise<boolean> {
  const env = await cluster.environment()
  const http = parseTargets(env['SLUICE_HTTP'] ?? '')
  const https = parseTargets(env['SLUICE_HTTPS'] ?? '')
  if (http.length < PODS || https.length < PODS)
    throw new DemoError(`${PODS} proxies are needed, there are ${http.length}`)
  const { folder, ca } = await writeManifests(join(root, '.sluice/demo'), await cluster.echoImage(), gates)
  const kubectl = new Kubectl(env)
  const journal = new Journal()
  const stage = new Stage({ journal, screen, kubectl, folder })
  const ends: (() => Promise<void>)[] = []
  try {
    await clear(kubectl)
    await setUp(stage, http, https, ca)
    observe(stage)

    const onRecord = (record: LoadRecord): void => journal.add({ type: 'request', at: performance.now(), record })
    const common = {
      host: CAST.host,
      path: '/',
      timeoutMs: 10_000,
      maxMs: MAX_LOAD_MS,
      maxRequests: 1_000_000,
      onRecord,
    }
    screen.title(`Load: ${HTTP_PER_SECOND} requests/s and ${TLS_PER_SECOND} TLS connections/s over ${PODS} proxies`)
    stage.begin('rest', null)
    const plain = new HttpLoad({ ...common, targets: http, perSecond: HTTP_PER_SECOND, connectionsPerTarget: 4 })
    const secure = new TlsLoad({ ...common, targets: https, perSecond: TLS_PER_SECOND, ca })
    ends.push(
      () => plain.stop(),
      () => secure.stop(),
    )
    await sleep(WARM_UP_MS)

    let broken: Error | null = null
    try {
      await goodChange(stage)
      await badChange(stage)
      await badCertificate(stage)
      await wrongHost(stage)
    } catch (error) {
      broken = error instanceof Error ? error : new DemoError(String(error))
    }
    await Promise.all([plain.stop(), secure.stop()])
    screen.hideTable()
    const perSecond = HTTP_PER_SECOND + TLS_PER_SECOND
    const expected = { pods: PODS, batches: [1, 2, PODS], maxRollBackMs: 10_000, perSecond }
    const verdict = judge(journal.events, expected, performance.now())
    const report = process.env['DEMO_REPORT']
    if (report) await writeFile(report, JSON.stringify(verdict, null, 2))
    screen.title('Summary')
    screen.say('', ...renderSummary(verdict, screen.paint))
    if (broken !== null) throw broken
    return verdict.ok
  } finally {
    screen.hideTable()
    for (const end of ends) await end()
    kubectl.close()
  }
}

/** Live table, and everything that the operator says, from here on. */
function observe(stage: Stage): void {
  const counts = new PodCounts(PODS)
  stage.journal.on(event => counts.add(event))
  screen.showTable(() => renderTable(counts.rows, screen.paint))
  stage.watch()
}

async function finish(wasUp: boolean): Promise<void> {
  if (keep) {
    screen.say('', 'KEEP=1: the cluster goes on running. `. .sluice/env` and use kubectl; `make down` ends it.')
  } else if (wasUp) {
    const env = await cluster.environment()
    await clear(new Kubectl(env))
    screen.say('', 'The cluster was up before: it goes on running. `make down` ends it.')
  } else {
    await cluster.down()
  }
}

async function main(): Promise<number> {
  // A cluster that somebody named, or that was up already, is not the demo's to end.
  const wasUp = process.env['SLUICE_CLUSTER'] ? true : await cluster.isUp()
  onInterrupt(() => (keep || wasUp ? Promise.resolve() : cluster.down()))
  let ok = false
  try {
    await cluster.up(PODS)
    ok = await show()
  } catch (error) {
    screen.say('', screen.paint('bad', `demo: ${error instanceof Error ? error.message : String(error)}`))
    if (!(error instanceof DemoError || error instanceof TargetError)) console.error(error)
  }
  await finish(wasUp)
  return ok ? 0 : 1
}

/** Ctrl-C: once to end in order, twice to end at once. */
function onInterrupt(cleanUp: () => Promise<void>): void {
  let interrupted = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (interrupted) process.exit(130)
      interrupted = true
      screen.hideTable()
      screen.say('', 'interrupted: cleaning up (once more to leave everything as it is)')
      const exit = (): void => process.exit(130)
      cleanUp().then(exit, exit)
    })
  }
}

process.exitCode = await main()
