/**
 * `make speed`: how long a rollout takes where nothing is wrong with it, beside a change that nobody governs; how long a bad change
 * harms; and what both ask of the API server. On five proxies, with the README's policy. docs/safety.md
 * CHANGES=20; KEEP=1 leaves the node up.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { countsOf, writesIn } from '../chaos/audit.ts'
import type { Write } from '../chaos/audit.ts'
import { Cluster as Node } from '../demo/cluster.ts'
import { HttpLoad } from '../load/http-load.ts'
import type { LoadRecord } from '../load/record.ts'
import { quantile } from '../load/summary.ts'
import { ROOT } from '../node/harness/cluster.ts'
import { pointAt } from '../node/harness/manifests.ts'
import { HostPoller } from '../node/harness/poller.ts'
import { Space } from '../node/harness/space.ts'
import { spanOf } from '../node/harness/load.ts'

const FLEET = 5
const BAD_CHANGES = 5
const BAD_PER_SECOND = 400
const GOOD_PER_SECOND = 100
const root = fileURLToPath(new URL('../../', import.meta.url))
const { env } = process
const CHANGES = Number(env['CHANGES'] ?? 20)
const say = (line: string): void => console.log(line)

/** The README's. */
const POLICY = {
  batches: [{ pods: 1 }, { pods: '25%', pause: { for: '2m' } }, { pods: '100%' }],
  bakeTime: '30s',
  spec: {
    // Those without requests are under way for long.
    maxConcurrent: 100,
    analysis: {
      successRate: { min: 99, maxDrop: 0.5 },
      notFoundRate: { maxRise: 0.5 },
      tlsFailureRate: { maxRise: 1 },
    },
  },
}

const inMs = (times: readonly number[]): string => {
  const sorted = Float64Array.from(times).sort()
  const [p50 = 0, p90 = 0, most = 0] = [0.5, 0.9, 1].map(q => Math.round(quantile(sorted, q)))
  return `p50 ${p50} ms, p90 ${p90}, max ${most} (${times.length} changes)`
}

async function writes(): Promise<readonly Write[]> {
  return writesIn(await readFile(join(ROOT, '.sluice/log/audit.log'), 'utf8'))
}

/** From the API server's answer until these proxies serve it. */
async function arrivals(space: Space, label: string, ordinals: readonly number[]): Promise<readonly number[]> {
  const poller = new HostPoller(space.cluster.http.filter(({ ordinal }) => ordinals.includes(ordinal)))
  const times: number[] = []
  try {
    for (let n = 0; n < CHANGES; n++) {
      const name = `${label}-${n}`
      const arrived = poller.until(space.host(name), 'v2', 30_000)
      await space.cluster.api.patch('ingresses', name, space.name, pointAt(space.host(name), 'v2'))
      const answered = performance.now()
      times.push(Math.max(0, (await arrived) - answered))
      await sleep(300)
    }
  } finally {
    poller.close()
  }
  return times
}

function load(space: Space, name: string, perSecond: number, records: LoadRecord[]): HttpLoad {
  const limits = { timeoutMs: 10_000, maxMs: 3_600_000, maxRequests: 10_000_000 }
  const { http: targets } = space.cluster
  const asked = { host: space.host(name), path: '/', perSecond, connectionsPerTarget: 4 }
  return new HttpLoad({ ...limits, ...asked, targets, onRecord: record => void records.push(record) })
}

/** Clients ask while something happens. */
async function under<T>(
  { space, name, perSecond }: { readonly space: Space; readonly name: string; readonly perSecond: number },
  act: () => Promise<T>,
): Promise<{ readonly outcome: T; readonly records: readonly LoadRecord[] }> {
  const records: LoadRecord[] = []
  const clients = load(space, name, perSecond, records)
  try {
    // The gates know what is usual.
    await sleep(5_000)
    const outcome = await act()
    await sleep(1_000)
    return { outcome, records }
  } finally {
    await clients.stop()
  }
}

/** From the first bad answer to the last. */
async function harm(space: Space): Promise<readonly number[]> {
  const spans: number[] = []
  for (let n = 0; n < BAD_CHANGES; n++) {
    const name = `bad-${n}`
    const { records } = await under({ space, name, perSecond: BAD_PER_SECOND }, async () => {
      await space.cluster.api.patch('ingresses', name, space.name, pointAt(space.host(name), 'bad'))
      await space.rollouts.reaches(await space.rollouts.next(name), ['RolledBack'], 60_000)
    })
    spans.push(spanOf(records, 'bad'))
  }
  return spans
}

/** What one rollout of the README's policy writes, from its beginning to its end, under load. */
async function rolloutWrites(space: Space): Promise<string> {
  const { outcome: before } = await under({ space, name: 'whole', perSecond: GOOD_PER_SECOND }, async () => {
    const known = (await writes()).length
    await space.cluster.api.patch('ingresses', 'whole', space.name, pointAt(space.host('whole'), 'v2'))
    await space.rollouts.reaches(await space.rollouts.next('whole'), ['Complete'], 600_000)
    return known
  })
  const counts = countsOf((await writes()).slice(before))
  const total = counts.reduce((sum, { count }) => sum + count, 0)
  return `${total} writes (${counts.map(one => `${one.count} × ${one.resource}`).join(', ')})`
}

async function run(): Promise<void> {
  const space = await Space.open('speed')
  try {
    await space.backends({ version: 'v1' }, { version: 'v2' }, { version: 'bad', status: 500 })
    const labels = (label: string, count: number): readonly string[] =>
      Array.from({ length: count }, (_, n) => `${label}-${n}`)
    const names = [...labels('free', CHANGES), ...labels('ruled', CHANGES), ...labels('bad', BAD_CHANGES), 'whole']
    for (const name of names) await space.ingress({ name, host: space.host(name) })
    for (const name of names) await space.serves(space.host(name), 'v1', 60_000)
    const all = space.cluster.ordinals
    say(`nobody governs: to the last of ${all.length} proxies: ${inMs(await arrivals(space, 'free', all))}`)
    await space.policy(names.length, POLICY)
    // First, while no other rollout writes; those of the last measurement go on for minutes.
    say(`a whole rollout of README's policy: ${await rolloutWrites(space)}`)
    say(`a bad change, ${BAD_PER_SECOND} requests/s: first bad answer to last: ${inMs(await harm(space))}`)
    say(`README's policy: to the first batch: ${inMs(await arrivals(space, 'ruled', [0]))}`)
  } finally {
    await space.close()
  }
}

async function main(): Promise<number> {
  const node = new Node(root)
  // A cluster that was up already is not ours to end.
  const wasUp = await node.isUp()
  if (!wasUp) await node.up(FLEET)
  try {
    await run()
    return 0
  } finally {
    if (!wasUp && env['KEEP'] !== '1') await node.down()
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`speed: ${error instanceof Error ? error.message : String(error)}`)
  return 1
})
