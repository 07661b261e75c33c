/**
 * Good changes on backends as they are: 0.5 % errors, a moment in every ten seconds in which all are slow, a client that is stuck to one
 * pod and gets nothing but errors, backends and proxies that restart. None of the changes may be taken back.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Manifest } from '../echo/manifests.ts'
import { backend } from '../echo/manifests.ts'
import { HttpLoad } from '../load/http-load.ts'
import type { LoadRecord } from '../load/record.ts'
import type { Cluster } from '../node/harness/cluster.ts'
import { SYSTEM } from '../node/harness/cluster.ts'
import { messageOf } from '../node/harness/errors.ts'
import { ingress } from '../node/harness/manifests.ts'
import type { Rollouts } from '../node/harness/rollouts.ts'
import { waitFor } from '../node/harness/wait.ts'
import { KIND } from './shop.ts'
import { Witness, failuresText } from './witness.ts'
import type { Disturbance } from './witness.ts'

export const GOOD_NAMESPACE = 'safety'

const HOSTS = 6
const PER_SECOND = 60
/** Beside six requests a second of others on the same pod and host: 4 % of them. */
const STUCK_PER_SECOND = 0.25
const RESTART_BACKEND_MS = 45_000
const RESTART_PROXY_MS = 75_000
const ENDS = new Set(['Complete', 'RolledBack', 'Superseded', 'Held'])
/** Longer than the deadline of a batch: what is Paused by then waits for a person. */
const WITHIN_MS = 150_000
/** Every batch has its deadline (three of two minutes), and its bake. */
const AT_MOST_MS = 400_000
const VERSIONS = ['good-a', 'good-b'] as const

export interface GoodChange {
  readonly host: number
  /** How it ended; `Paused` was promoted by hand. */
  readonly phase: string
  readonly message: string
  readonly ms: number
  /** What clients of the host saw, and what was done meanwhile; of a complete one nothing. */
  readonly story: readonly string[]
}

export interface GoodOutcome {
  readonly changes: readonly GoodChange[]
  readonly requests: number
  readonly failed: number
  /** By what: `2 503, 1 ECONNREFUSED`. */
  readonly failures: string
  readonly backendRestarts: number
  readonly proxyRestarts: number
}

export interface GoodOptions {
  readonly cluster: Cluster
  readonly rollouts: Rollouts
  readonly changes: number
  /** From 0 to below 1, the same every time for one SEED. */
  readonly random: () => number
  /** Nothing more begins from then on. */
  readonly ending: AbortSignal
  readonly onChange: (change: GoodChange, done: number) => void
}

const name = (host: number): string => `good-${host}`
const hostOf = (host: number): string => `${name(host)}.${GOOD_NAMESPACE}.test`
const labels = (host: number): Readonly<Record<string, string>> => ({ [KIND]: name(host) })

/** The n-th content of a host: never one that it had before. */
function content(host: number, n: number): Manifest {
  const paths = [
    { path: '/', to: VERSIONS[n % VERSIONS.length] ?? VERSIONS[0] },
    { path: `/change-${n}`, to: 'v1' },
  ]
  return ingress({ namespace: GOOD_NAMESPACE, name: name(host), host: hostOf(host), paths, labels: labels(host) })
}

export function goodBefore(image: string): readonly Manifest[] {
  const env = { ECHO_ERRORS_PER_MILLE: '5', ECHO_BURST_MS: '200' }
  return [
    ...backend({ namespace: GOOD_NAMESPACE, image, version: 'v1', replicas: 2 }),
    ...VERSIONS.flatMap(version => backend({ namespace: GOOD_NAMESPACE, image, version, replicas: 2, env })),
    ...Array.from({ length: HOSTS }, (_, host) => content(host, 0)),
  ]
}

export const goodHosts: readonly string[] = Array.from({ length: HOSTS }, (_, host) => hostOf(host))

export async function goodChanges(options: GoodOptions): Promise<GoodOutcome> {
  const { cluster, changes } = options
  const counts = { requests: 0, failed: 0 }
  const witnesses = goodHosts.map(() => new Witness())
  const loads = startLoad(cluster, (record, host) => {
    counts.requests++
    if (record.error !== null || (record.status ?? 500) >= 500) counts.failed++
    witnesses[host]?.saw(record)
  })
  const ending = new AbortController()
  const disturbances: Disturbance[] = []
  const trouble = disturb(options, ending.signal, what => disturbances.push({ at: performance.now(), what }))
  const results: GoodChange[] = []
  let begun = 0
  try {
    // What pods showed before is known for a while: a client that is stuck does not come with the change. The gates look back for a quarter of
    // an hour; in a minute it is about 15 failures of 375 requests on its pod, beside 0.5 % on the others, which is no chance.
    await sleep(60_000)
    const drive = async (host: number): Promise<void> => {
      for (let n = 1; begun < changes && !options.ending.aborted; n++) {
        begun++
        const started = performance.now()
        const ended = await change(options, host, n)
        const tell = ended.phase === 'Complete' ? undefined : witnesses[host]
        const story = tell?.story(started, performance.now(), disturbances) ?? []
        const result = { ...ended, story }
        results.push(result)
        options.onChange(result, results.length)
      }
    }
    await Promise.all(Array.from({ length: HOSTS }, (_, host) => drive(host)))
  } finally {
    ending.abort()
    for (const load of loads) await load.stop()
  }
  return { changes: results, ...counts, failures: failuresText(witnesses), ...(await trouble) }
}

function startLoad(cluster: Cluster, saw: (record: LoadRecord, host: number) => void): readonly HttpLoad[] {
  const common = { timeoutMs: 10_000, maxMs: 3_600_000, maxRequests: 10_000_000 }
  return goodHosts.flatMap((host, i) => {
    const onRecord = (record: LoadRecord): void => saw(record, i)
    const all = { ...common, host, targets: cluster.http, path: '/', connectionsPerTarget: 2, onRecord }
    const targets = cluster.http.filter(target => target.ordinal === i % 2)
    const stuck = { ...all, targets, path: '/status/500', onRecord: () => undefined }
    return [
      new HttpLoad({ ...all, perSecond: PER_SECOND }),
      // On every third host, to pod 0 or 1.
      ...(i % 3 === 0 ? [new HttpLoad({ ...stuck, perSecond: STUCK_PER_SECOND, connectionsPerTarget: 1 })] : []),
    ]
  })
}

async function change({ cluster, rollouts }: GoodOptions, host: number, n: number): Promise<Omit<GoodChange, 'story'>> {
  const started = performance.now()
  const known = rollouts.names(name(host))
  const ended = (phase: string, message: string): Omit<GoodChange, 'story'> => ({
    host,
    phase,
    message,
    ms: performance.now() - started,
  })
  try {
    await cluster.kubectl.apply(content(host, n))
    const rollout = await rollouts.next(name(host), known)
    const last = (): ReturnType<Rollouts['last']> => rollouts.last(rollout)
    const hasEnded = (event: ReturnType<typeof last>): boolean =>
      ENDS.has(event?.phase ?? '') || (event?.phase === 'Paused' && performance.now() - started > WITHIN_MS)
    const within = { timeoutMs: AT_MOST_MS, everyMs: 100 }
    const seen = await waitFor('its end', last, hasEnded, within).catch(() => null)
    if (seen?.phase !== undefined && seen.phase !== 'Paused') return ended(seen.phase, seen.message)
    const stuck = last()
    await cluster.kubectl.patch(GOOD_NAMESPACE, `ingressrollout/${rollout}`, { spec: { promote: true } })
    await waitFor('promoted', last, event => ENDS.has(event?.phase ?? ''))
    return ended(stuck?.phase ?? 'nothing', stuck?.message ?? '')
  } catch (error) {
    return ended('broken', messageOf(error))
  }
}

/** Restarts backends and proxies, one at a time, until it is told to end. */
async function disturb(
  { cluster, random }: GoodOptions,
  signal: AbortSignal,
  did: (what: string) => void,
): Promise<{ readonly backendRestarts: number; readonly proxyRestarts: number }> {
  const counts = { backendRestarts: 0, proxyRestarts: 0 }
  const every = async (ms: number, act: () => Promise<unknown>): Promise<void> => {
    const waited = (): Promise<boolean> =>
      sleep(ms, undefined, { signal }).then(
        () => true,
        () => false,
      )
    while (await waited()) await act()
  }
  const pick = (below: number): number => Math.floor(random() * below)
  await Promise.all([
    every(RESTART_BACKEND_MS, async () => {
      counts.backendRestarts++
      did('a backend restarts')
      const deployment = `deployment/echo-${VERSIONS[pick(VERSIONS.length)] ?? VERSIONS[0]}`
      await cluster.kubectl.run(['-n', GOOD_NAMESPACE, 'rollout', 'restart', deployment])
    }),
    every(RESTART_PROXY_MS, async () => {
      counts.proxyRestarts++
      const pod = `pod/sluice-proxy-${pick(cluster.ordinals.length)}`
      did(`${pod} is deleted`)
      await cluster.kubectl.run(['-n', SYSTEM, 'delete', pod, '--wait=false'])
    }),
  ])
  return counts
}

export function goodText(outcome: GoodOutcome): string {
  const { changes, requests, failed, failures, backendRestarts, proxyRestarts } = outcome
  const count = (phase: string): number => changes.filter(one => one.phase === phase).length
  const others = changes.filter(one => !['Complete', 'RolledBack', 'Paused'].includes(one.phase)).length
  const sorted = changes.map(one => one.ms).sort((a, b) => a - b)
  const median = ((sorted[Math.floor(sorted.length / 2)] ?? 0) / 1_000).toFixed(0)
  return (
    `${changes.length} good changes: ${count('RolledBack')} taken back, ${count('Complete')} complete (half of all within ${median} s), ` +
    `${count('Paused')} waited for a person${others === 0 ? '' : `, ${others} ended otherwise`}; ${requests} requests, ${failed} failed` +
    `${failures === '' ? '' : ` (${failures})`}, ${backendRestarts} restarts of backends, ${proxyRestarts} of proxies`
  )
}
