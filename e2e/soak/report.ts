/** What a run comes to: errors, lines, verdicts, and a table of it. Pure. */
import { numberText, spreadOf } from '../bench/stats.ts'
import { table } from '../bench/table.ts'
import { KINDS } from './clients.ts'
import { CHANGE_KINDS } from './population.ts'
import { fitLine, verdictOf, windowMinima } from './slope.ts'
import type { Line, Verdict } from './slope.ts'
import type { Outcome } from './soak.ts'
import type { Sample } from './watch.ts'

const HOUR_MS = 3_600_000
const KIB = 1_024
const MIB = 1_024 * KIB
/** A line is fitted to so many windows at most, each of so many samples at least. */
const WINDOWS = 25
const LEAST_SAMPLES = 4
/** Part of the pace that has to be answered: with less it was another load than the one that was said. */
const KEPT = 0.9

interface Judged {
  readonly name: string
  readonly of: (sample: Sample) => number
  /** Units of the sample in what is printed, and their name. */
  readonly unit: number
  readonly unitName: string
}

const JUDGED: readonly Judged[] = [
  { name: 'rss of the process', of: ({ rss }) => rss, unit: KIB, unitName: 'KiB' },
  { name: 'rss without files', of: ({ anonymous }) => anonymous, unit: KIB, unitName: 'KiB' },
  { name: 'JavaScript heaps, used', of: ({ heap }) => heap, unit: KIB, unitName: 'KiB' },
  { name: 'outside of the main heap', of: ({ external }) => external, unit: KIB, unitName: 'KiB' },
  { name: 'shared table', of: ({ table }) => table, unit: KIB, unitName: 'KiB' },
  { name: 'open files and sockets', of: ({ descriptors }) => descriptors, unit: 1, unitName: '' },
]

export interface Trend extends Judged {
  readonly first: number
  readonly last: number
  readonly line: Line | null
  readonly verdict: Verdict
}

function windowMs(samples: readonly Sample[]): number {
  const ms = (samples.at(-1)?.at ?? 0) - (samples[0]?.at ?? 0)
  return Math.max(1, ms / WINDOWS, (LEAST_SAMPLES * ms) / Math.max(1, samples.length - 1))
}

/** @param warmUpMs of the run that no line is fitted to */
export function trendsOf(samples: readonly Sample[], warmUpMs: number): readonly Trend[] {
  const counted = samples.filter(({ at }) => at >= warmUpMs)
  // A part of the memory that doubles matters as much as the whole grows by it.
  const rss = counted.reduce((sum, sample) => sum + sample.rss, 0) / Math.max(1, counted.length)
  return JUDGED.map(judged => {
    const points = counted.map(sample => ({ x: sample.at / HOUR_MS, y: judged.of(sample) }))
    const minima = windowMinima(points, windowMs(counted) / HOUR_MS)
    const line = fitLine(minima)
    const [first, last] = [minima[0]?.y ?? 0, minima.at(-1)?.y ?? 0]
    return { ...judged, first, last, line, verdict: verdictOf(line, judged.unit === KIB ? rss : undefined) }
  })
}

/** What went wrong, in words; none: nothing did. */
export function errorsOf(outcome: Outcome): readonly string[] {
  const { traffic, unserved, isSameState, defects } = outcome
  const { wrong, cut, closed } = traffic.faults
  const { kept } = traffic
  return [
    ...(wrong === 0 ? [] : [`${wrong} answers were wrong`]),
    ...(cut === 0 ? [] : [`${cut} requests were cut`]),
    ...(closed === 0 ? [] : [`${closed} connections were closed by the proxy`]),
    ...(kept === 0 ? [] : [`${kept} connections were kept to backends that had gone`]),
    ...traffic.examples,
    ...unserved.map(text => `${text} was not served`),
    ...(isSameState ? [] : ['the proxy is not in the state of the operator']),
    ...defects,
  ]
}

/** Why a run shows nothing, although nothing went wrong in it. */
export function doubtsOf(outcome: Outcome, trends: readonly Trend[]): readonly string[] {
  const perSecond = (requestsOf(outcome) * 1_000) / outcome.ranMs
  return [
    ...(perSecond >= KEPT * outcome.pace
      ? []
      : [`the pace was not kept: ${numberText(perSecond, 0)} of ${numberText(outcome.pace, 0)} requests a second`]),
    ...trends.flatMap(({ name, verdict }) => (verdict === 'flat' ? [] : [`${name}: ${verdict}`])),
  ]
}

function requestsOf({ traffic }: Outcome): number {
  return KINDS.reduce((sum, kind) => sum + traffic.requests[kind], 0)
}

export function renderSoak(outcome: Outcome, trends: readonly Trend[], warmUpMs: number): string {
  const { traffic, changes, ranMs, samples } = outcome
  const requests = requestsOf(outcome)
  const made = CHANGE_KINDS.reduce((sum, kind) => sum + changes[kind], 0)
  const errors = errorsOf(outcome)
  const perSecond = (count: number): string => numberText((count * 1_000) / ranMs, 0)
  const median = (values: readonly number[]): number => (values.length === 0 ? 0 : spreadOf(values).median)
  const served = outcome.servedMs.toSorted((a, b) => a - b)
  const servedAt = (share: number): string => numberText(served[Math.floor(share * served.length)] ?? 0, 0)
  const hosts = samples.map(sample => sample.hosts)
  const lags = samples.map(({ lagMs }) => lagMs)
  const ways = KINDS.map(kind => `${kind} ${numberText(traffic.requests[kind], 0)}`).join(', ')
  const kinds = CHANGE_KINDS.map(kind => `${kind} ${numberText(changes[kind], 0)}`).join(', ')
  const rows: readonly (readonly [string, string])[] = [
    ['pace', `${numberText(outcome.pace, 0)} requests a second wanted, ${perSecond(requests)} answered`],
    ['load', `worker ${percent(outcome.workerShare)} of a core, whole process ${percent(outcome.processShare)}`],
    ['requests', `${numberText(requests, 0)}: ${ways}; ${numberText(traffic.posts, 0)} with a body`],
    ['errors', errors.length === 0 ? '0' : errors.slice(0, 3).join('; ')],
    [
      'p50, p99, ms',
      ['p50', 'p99'].map(key => median(outcome.times.map(one => one[key as 'p50'])).toFixed(1)).join(', '),
    ],
    ['changes served', `${numberText(made, 0)}: ${kinds}`],
    ['until served, ms', `p50 ${servedAt(0.5)}, p99 ${servedAt(0.99)}, most ${servedAt(0.999_999)}`],
    ['hosts', `${numberText(Math.min(...hosts), 0)} to ${numberText(Math.max(...hosts), 0)}`],
    ['event loop late, ms', `median ${median(lags).toFixed(0)}, most ${Math.max(0, ...lags).toFixed(0)}`],
  ]
  return [
    table(
      ['of the run', ''],
      rows.map(row => [...row]),
    ),
    '',
    table(
      ['least of each window', 'first', 'last', 'a 1 000 changes', 'an hour (95 % interval)', 'verdict'],
      trends.map(trend => trendRow(trend, (made * HOUR_MS) / ranMs)),
    ),
    '',
    `Windows of ${numberText(windowMs(samples.filter(({ at }) => at >= warmUpMs)) / 1_000, 0)} s, after a warm-up of ${numberText(warmUpMs / 1_000, 0)} s.`,
  ].join('\n')
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`

function trendRow(
  { name, first, last, line, unit, unitName, verdict }: Trend,
  changesAnHour: number,
): readonly string[] {
  const [divisor, level] = unit === KIB ? [MIB, 'MiB'] : [unit, unitName]
  const size = (value: number): string => `${numberText(value / divisor, unit === KIB ? 1 : 0)} ${level}`.trim()
  if (line === null) return [name, size(first), size(last), '', 'too few samples', verdict]
  const text = (value: number): string => numberText(value / unit, 0)
  const perThousand = changesAnHour === 0 ? 0 : (line.slope * 1_000) / changesAnHour
  return [
    ...[name, size(first), size(last), `${numberText(perThousand / unit, 1)} ${unitName}`.trim()],
    `${text(line.slope)} (${text(line.low)} to ${text(line.high)}) ${unitName}`.trim(),
    verdict,
  ]
}
