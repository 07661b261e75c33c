/** Good and bad changes beside each other, while whoever leads is killed or stands still again and again. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpLoad } from '../load/http-load.ts'
import type { LoadRecord } from '../load/record.ts'
import { ROOT, SYSTEM } from '../node/harness/cluster.ts'
import type { Cluster } from '../node/harness/cluster.ts'
import { messageOf } from '../node/harness/errors.ts'
import { Operators } from '../node/harness/operators.ts'
import type { Space } from '../node/harness/space.ts'
import { waitFor } from '../node/harness/wait.ts'
import { writesIn } from './audit.ts'
import type { Write } from './audit.ts'
import { BAD } from './outcome.ts'
import type { Change, Outcome } from './outcome.ts'

export interface ChaosOptions {
  /** At least. */
  readonly changes: number
  /** Changes go on until leaders were killed or stopped so often: where these end sooner, nothing would be proved. */
  readonly disturbances: number
  readonly hosts: number
  /** From one disturbance to the next, in milliseconds; a leader that stands still does so until then. */
  readonly everyMs: number
  /** Who has led for less than this, in milliseconds, is left alone until the next time: each leader gets so far. */
  readonly leastMs: number
  /** From 0 to below 1, the same every time for one seed. */
  readonly random: () => number
  readonly say: (line: string) => void
}

const PER_SECOND = 40
const GOOD = ['v1', 'v2'] as const
const ENDS = new Set(['Complete', 'RolledBack', 'Superseded', 'Held'])
/** With a leader for some seconds of every forty at worst, and a bake that begins anew with each. */
const WITHIN_MS = 6 * 60_000
const WARM_UP_MS = 5_000
const MAX_LOAD_MS = 3_600_000

const nameOf = (host: number): string => `web-${host}`

export async function chaos(space: Space, options: ChaosOptions): Promise<Outcome> {
  const { hosts, changes, disturbances, random, say } = options
  const everyHost = Array.from({ length: hosts }, (_, host) => host)
  const content = (host: number, n: number, to: string): Promise<void> =>
    // A second path that is never the same: every content is a new one.
    space.ingress({
      ...{ name: nameOf(host), host: space.host(nameOf(host)) },
      paths: [
        { path: '/', to },
        { path: `/change-${n}`, to: 'v1' },
      ],
    })
  await space.backends(...GOOD.map(version => ({ version, replicas: 2 })), { version: BAD, status: 500 })
  for (const host of everyHost) await content(host, 0, GOOD[0])
  for (const host of everyHost) await space.serves(space.host(nameOf(host)), GOOD[0], 60_000)
  await space.policy(hosts, { batches: [{ pods: 1 }, { pods: '50%' }, { pods: '100%' }], bakeTime: '5s' })
  const before = await writes()
  const records: LoadRecord[] = []
  const loads = everyHost.map(host => {
    const limits = { timeoutMs: 10_000, maxMs: MAX_LOAD_MS, maxRequests: 10_000_000 }
    const { http: targets } = space.cluster
    const asked = { host: space.host(nameOf(host)), path: '/', perSecond: PER_SECOND, connectionsPerTarget: 2 }
    return new HttpLoad({ ...limits, ...asked, targets, onRecord: record => void records.push(record) })
  })
  await sleep(WARM_UP_MS)
  const ending = new AbortController()
  const counts = { killed: 0, stopped: 0 }
  const disturbed = disturb(space.cluster, options, counts, ending.signal)
  // Told where it is waited for; until then it ends nobody's process.
  disturbed.catch(() => undefined)
  const results: Change[] = []
  const serves = new Map<number, string>(everyHost.map(host => [host, GOOD[0]]))
  let begun = 0
  const drive = async (host: number): Promise<void> => {
    for (let n = 1; begun < changes || counts.killed + counts.stopped < disturbances; n++) {
      begun++
      const bad = random() < 0.4
      const to = bad ? BAD : (GOOD.find(version => version !== serves.get(host)) ?? GOOD[0])
      const result = await change(space, host, n, bad, () => content(host, n, to))
      if (result.phase === 'Complete') serves.set(host, to)
      results.push(result)
      say(
        `[${results.length}/${changes}] host ${host}, ${bad ? 'bad' : 'good'}: ${result.phase} after ${(result.ms / 1_000).toFixed(0)} s`,
      )
    }
  }
  try {
    await Promise.all(everyHost.map(drive))
  } finally {
    ending.abort()
    for (const load of loads) await load.stop()
    await disturbed
  }
  const wrong: string[] = []
  for (const host of everyHost) {
    await space
      .serves(space.host(nameOf(host)), serves.get(host) ?? GOOD[0], 30_000)
      .catch((error: unknown) => wrong.push(`host ${host}: ${messageOf(error)}`))
  }
  return {
    ...counts,
    changes: results,
    records,
    wrong,
    writes: [...lastLease(before), ...(await writes()).slice(before.length)],
  }
}

async function change(
  { rollouts }: Space,
  host: number,
  n: number,
  bad: boolean,
  apply: () => Promise<void>,
): Promise<Change> {
  const started = performance.now()
  const known = rollouts.names(nameOf(host))
  const ended = (phase: string, message: string): Change => ({
    ...{ host, n, bad, phase, message },
    ms: performance.now() - started,
  })
  try {
    await apply()
    const fresh = (): string | undefined => rollouts.names(nameOf(host)).find(name => !known.includes(name))
    // Nobody may lead just now.
    const name = (await waitFor('its rollout', fresh, found => found !== undefined, { timeoutMs: 60_000 })) ?? ''
    const last = (): ReturnType<typeof rollouts.last> => rollouts.last(name)
    const isOver = (event: ReturnType<typeof last>): boolean => ENDS.has(event?.phase ?? '')
    await waitFor('its end', last, isOver, { timeoutMs: WITHIN_MS }).catch(() => undefined)
    return ended(last()?.phase ?? 'nothing', last()?.message ?? '')
  } catch (error) {
    return ended('broken', messageOf(error))
  }
}

/** Kills the leader, then stops the next one until the time after that, and so on. */
async function disturb(
  cluster: Cluster,
  { everyMs, leastMs, say }: ChaosOptions,
  counts: { killed: number; stopped: number },
  signal: AbortSignal,
): Promise<void> {
  const operators = new Operators(cluster)
  let still: string | null = null
  const resume = async (): Promise<void> => {
    if (still !== null) await cluster.script(['in-node', 'kill', '-CONT', still]).catch(() => undefined)
    still = null
  }
  const waited = (): Promise<boolean> =>
    sleep(everyMs, undefined, { signal }).then(
      () => true,
      () => false,
    )
  try {
    while (await waited()) {
      await resume()
      const leader = await leaderOf(cluster, await operators.pods(), leastMs)
      const pid = leader === null ? null : await cluster.pidOf(leader, 'operator')
      if (pid === null) continue
      if (counts.killed <= counts.stopped) {
        await cluster.script(['in-node', 'kill', '-9', pid])
        counts.killed++
        say(`${leader} was killed`)
      } else {
        await cluster.script(['in-node', 'kill', '-STOP', pid])
        still = pid
        counts.stopped++
        say(`${leader} stands still`)
      }
    }
  } finally {
    await resume()
  }
}

/** Null: nobody leads, or not for so long yet. */
async function leaderOf({ kubectl }: Cluster, pods: readonly string[], leastMs: number): Promise<string | null> {
  const lease = [
    '-n',
    SYSTEM,
    'get',
    'lease',
    'sluice-operator',
    '-o',
    'jsonpath={.spec.holderIdentity} {.spec.acquireTime}',
  ]
  const [holder = '', acquired = ''] = (await kubectl.ok(lease)).split(' ')
  const hasLed = Date.now() - Date.parse(acquired) >= leastMs
  return pods.find(name => hasLed && holder === name) ?? null
}

/** Who led when it began. */
function lastLease(before: readonly Write[]): readonly Write[] {
  return before.filter(({ holder }) => holder !== null).slice(-1)
}

async function writes(): Promise<readonly Write[]> {
  return writesIn(await readFile(join(ROOT, '.sluice/log/audit.log'), 'utf8'))
}
