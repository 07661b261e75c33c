/**
 * `make speed`: how long a rollout takes where nothing is wrong with it, beside a change that nobody governs; how long a bad change
 * harms; and what both ask of the API server. On five proxies, with the README's policy. docs/safety.md
 * CHANGES=20 and BAD=10 say how many; ONLY=arrivals|harm|writes|rest leaves the others out; KEEP=1 leaves the node up.
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
import { medianBetween, quantile } from '../load/summary.ts'
import { ROOT, SYSTEM } from '../node/harness/cluster.ts'
import { pointAt } from '../node/harness/manifests.ts'
import { Operators } from '../node/harness/operators.ts'
import { HostPoller } from '../node/harness/poller.ts'
import { Space } from '../node/harness/space.ts'
import { spanOf } from '../node/harness/load.ts'

const FLEET = 5
const BAD_PER_SECOND = 400
const GOOD_PER_SECOND = 100
/** Asking five proxies more often would take the machine from what is measured. */
const POLL_MS = 10
/** What a change is followed by (events, status) is over then, and is not measured with the next one. */
const BETWEEN_MS = 1_000
const REST_INGRESSES = 28
const REST_ROLLOUTS = 10
const REST_AFTER_MS = 30_000
const REST_MS = 60_000
const root = fileURLToPath(new URL('../../', import.meta.url))
const { env } = process
const CHANGES = Number(env['CHANGES'] ?? 20)
const BAD_CHANGES = Number(env['BAD'] ?? 10)
const ONLY = env['ONLY'] ?? ''
const isWanted = (part: 'arrivals' | 'harm' | 'writes' | 'rest'): boolean => ONLY === '' || ONLY === part
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
  const [low, high] = medianBetween(sorted).map(Math.round)
  return `p50 ${p50} ms (95 %: ${low} to ${high}), p90 ${p90}, max ${most} (${times.length} changes)`
}

async function writes(): Promise<readonly Write[]> {
  return writesIn(await readFile(join(ROOT, '.sluice/log/audit.log'), 'utf8'))
}

interface Arrivals {
  readonly free: readonly number[]
  readonly ruled: readonly number[]
}

/**
 * From the API server's answer until an ungoverned change is on the last of all proxies, and a governed one on the first batch: in turns, so
 * that both meet the same machine and the same operator, each of them first as often as second.
 */
async function arrivals(free: Space, ruled: Space): Promise<Arrivals> {
  const { ordinals } = ruled.cluster
  const first = ordinals.slice(0, 1)
  const times: { readonly free: number[]; readonly ruled: number[] } = { free: [], ruled: [] }
  for (let n = 0; n < CHANGES; n++) {
    const nobody = async (): Promise<unknown> => times.free.push(await arrival(free, `change-${n}`, ordinals))
    const policy = async (): Promise<unknown> => times.ruled.push(await arrival(ruled, `change-${n}`, first))
    for (const one of n % 2 === 0 ? [nobody, policy] : [policy, nobody]) {
      await one()
      await sleep(BETWEEN_MS)
    }
    await goBack(ruled, `change-${n}`)
    await sleep(BETWEEN_MS)
  }
  return times
}

/** One change at a time: nothing else is under way when the next one comes. */
async function goBack(space: Space, name: string): Promise<void> {
  await space.cluster.api.patch('ingresses', name, space.name, pointAt(space.host(name), 'v1'))
  await space.rollouts.reaches(await space.rollouts.next(name), ['Superseded', 'RolledBack'])
}

/** Asks all proxies, and waits for these. */
async function arrival(space: Space, name: string, ordinals: readonly number[]): Promise<number> {
  const pollers = space.cluster.http.map(target => ({ target, poller: new HostPoller([target], POLL_MS) }))
  try {
    const all = pollers.map(({ target, poller }) => ({ target, arrived: poller.until(space.host(name), 'v2', 30_000) }))
    for (const { arrived } of all) arrived.catch(() => undefined)
    await sleep(50)
    await space.cluster.api.patch('ingresses', name, space.name, pointAt(space.host(name), 'v2'))
    const answered = performance.now()
    const counted = all.filter(({ target }) => ordinals.includes(target.ordinal)).map(({ arrived }) => arrived)
    return Math.max(0, Math.max(...(await Promise.all(counted))) - answered)
  } finally {
    for (const { poller } of pollers) poller.close()
  }
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

/** CPU time of the operator since its start, in seconds. */
async function operatorCpu({ cluster }: Space): Promise<number> {
  const [pod = ''] = await new Operators(cluster).pods()
  const text = await cluster.kubectl.ok([
    ...['get', '--raw', `/api/v1/namespaces/${SYSTEM}/pods/${pod}:9090/proxy/metrics`],
  ])
  return Number(/^process_cpu_seconds_total ([0-9.e+-]+)$/m.exec(text)?.[1] ?? NaN)
}

/** What the operator costs where nothing happens: changes wait for requests, and nobody asks. */
async function rest(): Promise<string> {
  const space = await Space.open('speed-rest')
  try {
    await space.backends({ version: 'v1' }, { version: 'v2' })
    const names = Array.from({ length: REST_INGRESSES }, (_, n) => `rest-${n}`)
    for (const name of names) await space.ingress({ name, host: space.host(name) })
    for (const name of names) await space.serves(space.host(name), 'v1', 60_000)
    await space.policy(REST_INGRESSES, POLICY)
    for (const name of names.slice(0, REST_ROLLOUTS)) {
      await space.cluster.api.patch('ingresses', name, space.name, pointAt(space.host(name), 'v2'))
      await space.rollouts.reaches(await space.rollouts.next(name), ['Progressing'], 60_000)
    }
    // Those that asked for them are forgotten as a measure by then.
    await sleep(REST_AFTER_MS)
    const [known, cpu] = [(await writes()).length, await operatorCpu(space)]
    await sleep(REST_MS)
    const used = (await operatorCpu(space)) - cpu
    const counts = countsOf((await writes()).slice(known))
    const written = counts.length === 0 ? 'no write' : counts.map(one => `${one.count} × ${one.resource}`).join(', ')
    return `${((used * 100_000) / REST_MS).toFixed(1)} % of a core, ${written} in ${REST_MS / 1_000} s`
  } finally {
    await space.close()
  }
}

async function run(): Promise<void> {
  if (isWanted('rest'))
    say(`at rest, ${REST_INGRESSES} Ingresses, ${REST_ROLLOUTS} rollouts that wait for requests: ${await rest()}`)
  if (env['ONLY'] === 'rest') return
  const free = await Space.open('speed-free')
  const ruled = await Space.open('speed')
  try {
    const changed = Array.from({ length: CHANGES }, (_, n) => `change-${n}`)
    const bad = Array.from({ length: BAD_CHANGES }, (_, n) => `bad-${n}`)
    const names = { free: changed, ruled: [...changed, ...bad, 'whole'] }
    for (const [space, ofIt] of [
      [free, names.free],
      [ruled, names.ruled],
    ] as const) {
      await space.backends({ version: 'v1' }, { version: 'v2' }, { version: 'bad', status: 500 })
      for (const name of ofIt) await space.ingress({ name, host: space.host(name) })
      for (const name of ofIt) await space.serves(space.host(name), 'v1', 60_000)
    }
    await ruled.policy(names.ruled.length, POLICY)
    // First, while no other rollout writes; those of the last measurement go on for minutes.
    if (isWanted('writes')) say(`a whole rollout of README's policy: ${await rolloutWrites(ruled)}`)
    if (isWanted('harm'))
      say(`a bad change, ${BAD_PER_SECOND} requests/s: first bad answer to last: ${inMs(await harm(ruled))}`)
    if (!isWanted('arrivals')) return
    const times = await arrivals(free, ruled)
    say(`nobody governs: to the last of ${FLEET} proxies: ${inMs(times.free)}`)
    say(`README's policy: to the first batch: ${inMs(times.ruled)}`)
    const later = times.ruled.map((ms, n) => ms - (times.free[n] ?? ms))
    say(`of each pair, the governed one later by: ${inMs(later)}`)
  } finally {
    await ruled.close()
    await free.close()
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
