/**
 * How much events come in bunches. Intervals take requests to be independent; a client that repeats itself, a slow second, a
 * backend that restarts make many events of one cause.
 */
import { EMPTY_AGGREGATE, SHARES, addAggregates, percentile, slowerThan } from '../machine/figures.ts'
import type { Aggregate, Dispersion } from '../machine/figures.ts'
import { shareOf } from '../machine/statistics.ts'
import type { Sample } from '../machine/statistics.ts'

/** How often pods report while no rollout is on its way: nothing finer is known. Milliseconds. */
export const BLOCK_MS = 10_000
/** So many blocks are as long as the default bake. What is bunched in a second fills one block, what lasts for half a minute all of these. */
const COARSE = 3

/** Weighs like so many blocks without bunches: two events in one block by chance are not yet a bunch. */
const PRIOR_BLOCKS = 30

/** The same within a window of a few seconds, where one that stands out is all that there is to see. */
const PRIOR_SECONDS = 2

const NOTHING: Sample = { count: 0, total: 0 }

/** What a pod counted, by number of the block. */
export type Blocks = ReadonlyMap<number, Aggregate>

export function dispersionOf(pods: readonly Blocks[]): Dispersion {
  const all = pods.flatMap(blocks => [...blocks.values()]).reduce(addAggregates, EMPTY_AGGREGATE)
  const p99 = percentile(all.latency, 0.99) ?? 0
  const scales = [pods, pods.map(coarser)].map(each => each.map(blocks => [...blocks.values()]))
  const of = (share: (of: Aggregate) => Sample): number =>
    Math.max(...scales.map(each => dispersion(each.map(blocks => blocks.map(share)))))
  return {
    failures: of(SHARES.failures),
    notFound: of(SHARES.notFound),
    clientErrors: of(SHARES.clientErrors),
    redirects: of(SHARES.redirects),
    connectFailures: of(SHARES.connectFailures),
    tlsFailures: of(SHARES.tlsFailures),
    slow: of(({ latency, requests }) => ({ count: slowerThan(latency, p99), total: requests })),
  }
}

/** Fewer than that in a block say nothing of its 99th percentile. */
const ENOUGH = 100

/** The 99th percentile of the slowest block, all pods together: a machine that is busy with something else slows all of them. */
export function slowestOf(pods: readonly Blocks[]): number | null {
  const together = new Map<number, Aggregate>()
  for (const blocks of pods) {
    for (const [number, counted] of blocks) {
      together.set(number, addAggregates(together.get(number) ?? EMPTY_AGGREGATE, counted))
    }
  }
  const slowest = [...together.values()]
    .filter(({ requests }) => requests >= ENOUGH)
    .reduce((most, { latency }) => Math.max(most, percentile(latency, 0.99) ?? 0), 0)
  return slowest === 0 ? null : slowest
}

/** What one window shows of itself. @param seconds what all pods together counted in each */
export function bunchesIn(seconds: readonly Sample[]): number {
  return dispersion([seconds], PRIOR_SECONDS)
}

/** So long a moment may be, in seconds: what happened in one of them is in reports of the next two. */
const MOMENT = 3
/** In a long window a longer one. */
const PART_OF_WINDOW = 1 / 5

/**
 * All of it but for the moment in which most happened: a moment is one event, however much falls into it.
 * @param seconds what was counted in each, by number
 */
export function withoutWorst(seconds: ReadonlyMap<number, Sample>): Sample {
  const numbers = [...seconds.keys()].sort((a, b) => a - b)
  const [first, last] = [numbers[0], numbers.at(-1)]
  if (first === undefined || last === undefined) return NOTHING
  const length = Math.max(MOMENT, Math.ceil((last - first + 1) * PART_OF_WINDOW))
  const within = (from: number): Sample =>
    sumOf(numbers.filter(n => n >= from && n < from + length).map(n => seconds.get(n)))
  const worst = numbers.map(within).reduce((a, b) => (b.count > a.count ? b : a), NOTHING)
  const whole = sumOf([...seconds.values()])
  // Nothing happened: no moment is the worst, and any would do.
  const moment = worst.count > 0 ? worst : within(first)
  return { count: whole.count - moment.count, total: whole.total - moment.total }
}

function sumOf(samples: readonly (Sample | undefined)[]): Sample {
  return samples.reduce<Sample>(
    (a, b) => ({ count: a.count + (b?.count ?? 0), total: a.total + (b?.total ?? 0) }),
    NOTHING,
  )
}

function coarser(blocks: Blocks): Blocks {
  const merged = new Map<number, Aggregate>()
  for (const [number, counted] of blocks) {
    const block = Math.floor(number / COARSE)
    merged.set(block, addAggregates(merged.get(block) ?? EMPTY_AGGREGATE, counted))
  }
  return merged
}

/**
 * The spread of the blocks by what it would be if events were independent, at least 1 (quasi-likelihood, McCullagh and Nelder
 * 1989, but weighted by events: nearly all of them may be of one pod). Each pod against its own mean: what is always
 * different on a pod is no bunch.
 */
export function dispersion(pods: readonly (readonly Sample[])[], priorBlocks = PRIOR_BLOCKS): number {
  let [spread, expected, freedom] = [0, 0, 0]
  for (const pod of pods) {
    const blocks = pod.filter(({ total }) => total > 0)
    const whole = sumOf(blocks)
    const share = shareOf(whole)
    // All or none: nothing varies, and nothing is known of how it would.
    if (share <= 0 || share >= 1 || blocks.length < 2) continue
    for (const { count, total } of blocks) spread += (count - total * share) ** 2
    expected += whole.total * share * (1 - share) * (1 - 1 / blocks.length)
    freedom += blocks.length - 1
  }
  if (freedom === 0) return 1
  const prior = (priorBlocks * expected) / freedom
  return Math.min(MOST, Math.max(1, (spread + prior) / (expected + prior)))
}

/**
 * One outage, or one scanner, in the quarter of an hour before makes this boundless, and then not even a change that fails always
 * would be seen. A client that sends what it has every 20 s makes it some 20.
 */
const MOST = 30
