/** One run: a proxy under load and changes, watched for as long as it is said. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomOf } from '../../protocol/testing/random.ts'
import type { Ends } from '../bench/ends.ts'
import type { Cores } from '../bench/proc.ts'
import { startSluice } from '../bench/sluice.ts'
import { Authority } from '../pki/pki.ts'
import { Cleanup, Operator, SERVICE, prepare } from '../stream/rig.ts'
import { TestWorld } from '../stream/world.ts'
import { KINDS } from './clients.ts'
import type { Faults } from './clients.ts'
import { CHANGE_KINDS, Population } from './population.ts'
import type { Change, ChangeKind } from './population.ts'
import { Traffic } from './traffic.ts'
import type { TrafficFigures } from './traffic.ts'
import { Watched, cpuBetween, defectsIn } from './watch.ts'
import type { Sample } from './watch.ts'

export interface SoakOptions extends Cores {
  readonly hosts: number
  /** A second. */
  readonly changes: number
  /** Requests a second; or what part of a core the worker is to use, for which the pace is found. */
  readonly load: { readonly perSecond: number } | { readonly share: number }
  readonly runMs: number
  readonly sampleMs: number
  readonly seed: number
  /** The program of the proxy; else the bundle. */
  readonly main?: string
  /** A host of which the backend answers wrongly: for who has to see that this is noticed. */
  readonly lie?: string
  /** Is removed with the run. */
  readonly folder: string
  readonly ends: Ends
  readonly say: (line: string) => void
}

export interface Outcome {
  readonly version: string
  /** Requests a second, wanted. */
  readonly pace: number
  /** Milliseconds. */
  readonly ranMs: number
  /** Of the whole run. */
  readonly traffic: Pick<TrafficFigures, 'requests' | 'posts' | 'notFound' | 'skipped' | 'faults' | 'examples' | 'kept'>
  /** Milliseconds, of each sample's time. */
  readonly times: readonly { readonly p50: number; readonly p99: number }[]
  /** Parts of a core: of the worker, and of the whole process. */
  readonly workerShare: number
  readonly processShare: number
  readonly changes: Readonly<Record<ChangeKind, number>>
  /** Those that the proxy did not serve in time, in words. */
  readonly unserved: readonly string[]
  /** Milliseconds from the publication of each change until the proxy says that it serves it. */
  readonly servedMs: readonly number[]
  /** The proxy says the same state as the operator, when all changes are made. */
  readonly isSameState: boolean
  /** Of the proxy's own metrics, at the end. */
  readonly defects: readonly string[]
  readonly samples: readonly Sample[]
}

/** A change that is not served by then is an error. */
const LIVE_MS = 30_000
const ASK_AGAIN_MS = 10
/** Changes on their way at once: more are not begun. */
const MOST_ON_THEIR_WAY = 64
/** Until the last answers are in. */
const LAST_MS = 35_000
const POD_ORDINAL = 0

/** What finds the pace. */
const FIRST_PACE = 1_000
const PACE_ROUNDS = 4
const PACE_MS = 5_000
const MOST_PER_SECOND = 50_000

/** The pace at which a thread uses this part of a core, if it used so many microseconds for so many requests. */
export function paceFor(share: number, busyUs: number, requests: number): number {
  const wanted = requests === 0 || busyUs === 0 ? FIRST_PACE : (share * 1_000_000 * requests) / busyUs
  return Math.round(Math.min(MOST_PER_SECOND, Math.max(100, wanted)))
}

const sumOf = (requests: TrafficFigures['requests']): number => KINDS.reduce((sum, kind) => sum + requests[kind], 0)

/** Adds up what came in pieces. */
class Tally {
  readonly requests = { plain: 0, TLS: 0, 'new plain': 0, 'new TLS': 0 }
  readonly faults: Record<keyof Faults, number> = { wrong: 0, cut: 0, closed: 0 }
  readonly examples: string[] = []
  readonly times: { readonly p50: number; readonly p99: number }[] = []
  posts = 0
  notFound = 0
  skipped = 0
  kept = 0

  static withFaultsOf({ faults, examples }: Tally): Tally {
    const tally = new Tally()
    Object.assign(tally.faults, faults)
    tally.examples.push(...examples)
    return tally
  }

  add({ requests, faults, examples, posts, notFound, skipped, kept, p50, p99 }: TrafficFigures): void {
    for (const kind of KINDS) this.requests[kind] += requests[kind]
    for (const kind of ['wrong', 'cut', 'closed'] as const) this.faults[kind] += faults[kind]
    if (this.examples.length < 10) this.examples.push(...examples)
    this.posts += posts
    this.notFound += notFound
    this.skipped += skipped
    this.kept = kept
    if (sumOf(requests) > 0) this.times.push({ p50, p99 })
  }
}

/** The operator's side, and how the world is changed. */
class Driver {
  readonly counts = Object.fromEntries(CHANGE_KINDS.map(kind => [kind, 0])) as Record<ChangeKind, number>
  readonly unserved: string[] = []
  readonly servedMs: number[] = []
  readonly #world: TestWorld
  readonly #operator: Operator
  readonly #traffic: Traffic
  readonly #watched: Watched

  constructor(world: TestWorld, operator: Operator, traffic: Traffic, watched: Watched) {
    this.#world = world
    this.#operator = operator
    this.#traffic = traffic
    this.#watched = watched
  }

  /** Resolves when the proxy serves it, or does not in time. */
  async make(change: Change): Promise<void> {
    await this.#traffic.allow(change.allowed)
    const begun = performance.now()
    this.#publish(change.apply)
    const isServed = async (): Promise<boolean> => {
      const what = await this.#watched.route(change.host)
      return what !== null && change.isServed(what)
    }
    while (!(await isServed())) {
      if (performance.now() - begun > LIVE_MS) {
        this.unserved.push(`${change.kind} of ${change.host}`)
        return
      }
      await sleep(ASK_AGAIN_MS)
    }
    this.servedMs.push(performance.now() - begun)
    this.counts[change.kind]++
    await this.#traffic.forbid(change.forbidden)
    await this.#traffic.retire(change.retired)
    this.#publish(change.applyLast)
    change.done()
  }

  /** Changes at an even pace until then; resolves when the last one is served. */
  async run(next: () => Promise<Change>, perSecond: number, until: number): Promise<void> {
    const onTheirWay = new Set<Promise<void>>()
    for (let due = performance.now(); due < until; due += 1_000 / perSecond) {
      await sleep(Math.max(0, due - performance.now()))
      while (onTheirWay.size >= MOST_ON_THEIR_WAY) await Promise.race(onTheirWay)
      const change = await next()
      const made = this.make(change)
        .catch((error: unknown) => {
          this.unserved.push(
            `${change.kind} of ${change.host}: ${error instanceof Error ? error.message : String(error)}`,
          )
        })
        .finally(() => {
          onTheirWay.delete(made)
        })
      onTheirWay.add(made)
    }
    await Promise.all(onTheirWay)
  }

  /** Whether the proxy comes to the operator's state within some seconds. */
  async isSameState(): Promise<boolean> {
    const wanted = `sluice_table_info{state_hash="${this.#world.stateHash(POD_ORDINAL)}"`
    const end = performance.now() + LIVE_MS
    while (performance.now() < end) {
      if ([...(await this.#watched.metrics()).keys()].some(name => name.startsWith(wanted))) return true
      await sleep(100)
    }
    return false
  }

  #publish(change: Change['apply']): void {
    change(this.#world)
    this.#world.version++
    this.#operator.server.publish(this.#world.change())
  }
}

export async function soak(options: SoakOptions): Promise<Outcome> {
  const { ends, folder, proxyCore, hosts, seed, say } = options
  const cleanup = new Cleanup()
  ends.add(() => cleanup.run())
  const site = await prepare(cleanup)
  const authority = await Authority.root('soak')
  const traffic = new Traffic({ authority: authority.pem, seed })
  ends.add(() => traffic.end())
  let address = 0
  const population = new Population(hosts, randomOf(seed), {
    leaf: host => authority.issue({ hosts: [host] }),
    // A new one each time, as pods have it. All of 127.0.0.0/8 is the loopback.
    address: () => traffic.open(`127.${1 + (++address >> 16)}.${(address >> 8) & 255}.${address & 255}`),
  })
  say(`${hosts} hosts…`)
  const founded = await population.found()
  const world = new TestWorld()
  for (const { apply, allowed } of founded) {
    apply(world)
    await traffic.allow(allowed)
  }
  const operator = await Operator.start(cleanup, site.leaf)
  operator.server.publish(world.change())
  say('starting the proxy…')
  const proxy = await startSluice({
    ...{ ends, folder, core: proxyCore, probe: false, table: join(folder, 'state') },
    stream: { address: `${SERVICE}:${operator.port}`, folder: site.folder },
    ...(options.main === undefined ? {} : { main: options.main }),
  })
  for (const { forbidden } of founded) await traffic.forbid(forbidden)
  if (options.lie !== undefined) await traffic.lie(options.lie)
  await traffic.begin({ http: proxy.port, https: proxy.https })
  const watched = new Watched(proxy.pid, proxy.admin)
  // What went wrong then counts; how much it was does not: the run begins after it.
  const before = new Tally()
  const pace = await findPace(options, traffic, watched, before)
  const tally = Tally.withFaultsOf(before)
  const driver = new Driver(world, operator, traffic, watched)

  await traffic.pace(pace)
  const [begun, cpuBefore] = [performance.now(), watched.cpu()]
  const until = begun + options.runMs
  const samples: Sample[] = []
  const changing = driver.run(() => population.next(), options.changes, until)
  const sampling = sampled(options, begun, traffic, watched, tally, samples, () => driver.servedMs.length)
  await Promise.all([changing, sampling])
  const ranMs = performance.now() - begun
  const used = cpuBetween(cpuBefore, watched.cpu())

  await traffic.pace(0)
  const end = performance.now() + LAST_MS
  let isLast = false
  while (!isLast) {
    const figures = await traffic.figures()
    tally.add(figures)
    isLast = figures.inFlight === 0 || performance.now() > end
    if (!isLast) await sleep(50)
  }
  const { requests, posts, notFound, skipped, faults, examples, times, kept } = tally
  return {
    ...{ version: proxy.version, pace, ranMs, times, samples },
    traffic: { requests, posts, notFound, skipped, faults, examples, kept },
    ...{ workerShare: used.busiest / 1_000 / ranMs, processShare: used.all / 1_000 / ranMs },
    ...{ changes: driver.counts, unserved: driver.unserved, servedMs: driver.servedMs },
    ...{ isSameState: await driver.isSameState(), defects: defectsIn(await watched.metrics()) },
  }
}

/** Round by round, each at the pace that the one before came to: a request costs less the more there are. */
async function findPace(options: SoakOptions, traffic: Traffic, watched: Watched, tally: Tally): Promise<number> {
  const { load, say } = options
  if ('perSecond' in load) return load.perSecond
  let pace = FIRST_PACE
  for (let round = 0; round < PACE_ROUNDS; round++) {
    await traffic.pace(pace)
    await sleep(PACE_MS / 2)
    tally.add(await traffic.figures())
    const before = watched.cpu()
    await sleep(PACE_MS)
    const figures = await traffic.figures()
    tally.add(figures)
    const [{ busiest }, requests] = [cpuBetween(before, watched.cpu()), sumOf(figures.requests)]
    const cost = (busiest / Math.max(1, requests)).toFixed(1)
    say(`at ${(requests / (PACE_MS / 1_000)).toFixed(0)} requests a second the worker needs ${cost} µs for each`)
    pace = paceFor(load.share, busiest, requests)
  }
  return pace
}

async function sampled(
  { sampleMs, runMs, changes, say }: SoakOptions,
  begun: number,
  traffic: Traffic,
  watched: Watched,
  tally: Tally,
  samples: Sample[],
  served: () => number,
): Promise<void> {
  let [before, beforeAt, saidAt] = [watched.cpu(), begun, 0]
  for (let due = begun + sampleMs; due <= begun + runMs; due += sampleMs) {
    await sleep(Math.max(0, due - performance.now()))
    const sample = await watched.sample(performance.now() - begun)
    samples.push(sample)
    const [figures, now, cpu] = [await traffic.figures(), performance.now(), watched.cpu()]
    const known = tally.examples.length
    tally.add(figures)
    for (const example of tally.examples.slice(known)) say(example)
    const seconds = (now - beforeAt) / 1_000
    const share = cpuBetween(before, cpu).busiest / 1_000_000 / seconds
    ;[before, beforeAt] = [cpu, now]
    if (now - saidAt < 9_000) continue
    saidAt = now
    const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
    const { wrong, cut, closed } = tally.faults
    say(
      [
        `${(sample.at / 1_000).toFixed(0)} of ${(runMs / 1_000).toFixed(0)} s: rss ${mebibytes(sample.rss)} MiB`,
        `heaps ${mebibytes(sample.heap)}, table ${mebibytes(sample.table)}, ${sample.hosts} hosts`,
        `${(sumOf(figures.requests) / seconds).toFixed(0)} requests/s, p99 ${figures.p99.toFixed(1)} ms`,
        `worker ${(share * 100).toFixed(0)} %, lag ${sample.lagMs.toFixed(0)} ms`,
        `${served()} changes of ${Math.floor((sample.at * changes) / 1_000)}`,
        `${wrong + cut + closed} errors`,
      ].join(', '),
    )
  }
}
