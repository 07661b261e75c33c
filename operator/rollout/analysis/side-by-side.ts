/**
 * What the pods with the update and the stable ones counted in the same time. Pods report one after the other, so what they counted comes
 * in pieces that begin and end at different times, and what hits all pods for a moment is known of some first, and of some longer
 * (docs/adr/0041-heard-of-the-same-time.md). Pure.
 */
import { EMPTY_AGGREGATE, addAggregates, scaleAggregate } from '../machine/figures.ts'
import type { Aggregate, EventClass } from '../machine/figures.ts'

/** What one pod counted between two of its reports, or more of them. Monotonic milliseconds. */
export interface Piece {
  readonly begin: number
  readonly end: number
  readonly counted: Aggregate
}

type Span = Pick<Piece, 'begin' | 'end'>

/** A pod that came, or was last heard of, so much later, or earlier, than the others is looked at by itself. Milliseconds. */
const APART_MS = 5_000

/**
 * A longer piece of a stable pod says nothing of a moment: samples are made coarser with time, and what failed in hours would stand for
 * the seconds that lie within. Milliseconds.
 */
const FINE_MS = 10_000

/**
 * What stable pods counted while the update's were seen, each of these by what it counted, and at its worst: of a piece that reaches beyond
 * that time nobody knows when in it something failed, so all that failed stands for the part that lies within.
 * @param update the pieces of each pod with the update, in order of time
 * @param stable pieces of the stable pods
 * @param events what is a failure here
 */
export function stableMeanwhile(
  update: readonly (readonly Piece[])[],
  stable: readonly Piece[],
  events: EventClass,
): Aggregate {
  const pods = update.flatMap(pieces => {
    const [first, last] = [pieces[0], pieces.at(-1)]
    if (first === undefined || last === undefined) return []
    return [{ begin: first.begin, end: last.end, weight: sumOf(pieces.map(({ counted }) => sizeOf(counted))) }]
  })
  const inner = innerOf(pods)
  // Most of what stands beside one of them stands beside all: added up once.
  const [wholly, partly] = [stable.filter(piece => isWithin(piece, inner)), stable.filter(one => !isWithin(one, inner))]
  const beside = sum(wholly)
  const seen = pods.flatMap(({ weight, ...span }) => {
    const isUsual = isWithin(inner, span)
    const all = isUsual ? addAggregates(beside, atEdges(span, partly, events)) : atEdges(span, stable, events)
    const size = sizeOf(all)
    return size === 0 ? [] : [{ all, size, weight }]
  })
  const weights = sumOf(seen.map(({ weight }) => weight))
  const parts = seen.map(({ weight, ...of }) => ({ ...of, part: weights === 0 ? 1 / seen.length : weight / weights }))
  // As much as stands beside one of them on average: shares, and how sure they are, stay what they are.
  const size = sumOf(parts.map(of => of.part * of.size))
  return sum(parts.map(of => ({ counted: scaleAggregate(of.all, (of.part * size) / of.size) })))
}

/** When all of these were seen, but for one that came or went by itself. */
function innerOf(spans: readonly Span[]): Span {
  const [first, last] = [least(spans.map(({ begin }) => begin)), -least(spans.map(({ end }) => -end))]
  return {
    begin: -least(spans.filter(({ begin }) => begin <= first + APART_MS).map(({ begin }) => -begin)),
    end: least(spans.filter(({ end }) => end >= last - APART_MS).map(({ end }) => end)),
  }
}

function atEdges(span: Span, pieces: readonly Piece[], events: EventClass): Aggregate {
  const meanwhile = pieces.filter(piece => piece.end > span.begin && piece.begin < span.end)
  const told = meanwhile.filter(piece => isWithin(piece, span) || piece.end - piece.begin <= FINE_MS)
  return sum(told.map(piece => ({ counted: atWorst(piece.counted, shareOf(piece, span), events) })))
}

function isWithin(one: Span, other: Span): boolean {
  return one.begin >= other.begin && one.end <= other.end
}

/** How much of a piece lies within a span, 0 to 1. */
function shareOf({ begin, end }: Span, within: Span): number {
  return (Math.min(end, within.end) - Math.max(begin, within.begin)) / (end - begin)
}

/** Which answers are left out, the first ones first: what is an event is not. */
const LEFT_OUT: Readonly<Record<EventClass, readonly number[]>> = { 2: [0, 1, 3, 4], 3: [0, 1, 2, 4], 4: [0, 1, 2, 3] }

/**
 * So many of the requests, or more where more of them were events: others are left out. Of the handshakes those that were finished, of
 * the latencies the shortest.
 */
function atWorst(of: Aggregate, share: number, events: EventClass): Aggregate {
  if (share >= 1) return of
  const order = LEFT_OUT[events]
  const left = leftOf(
    order.map(i => of.status[i] ?? 0),
    of.requests * (1 - share),
  )
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = of.status.map((count, i) => left[order.indexOf(i)] ?? count)
  return {
    requests: a + b + c + d + e,
    status: [a, b, c, d, e],
    notFound: Math.min(of.notFound, d),
    upstreamErrors: Math.min(of.upstreamErrors, e),
    tlsHandshakes: Math.max(of.tlsFailures, of.tlsHandshakes * share),
    tlsFailures: of.tlsFailures,
    latency: leftOf(of.latency, sumOf(of.latency) * (1 - share)),
    closed: of.closed === null ? null : of.closed * share,
  }
}

/** What is left when so much is taken away, from the first ones first. */
function leftOf(counts: readonly number[], less: number): readonly number[] {
  let owed = less
  return counts.map(count => {
    const taken = Math.min(count, owed)
    owed -= taken
    return count - taken
  })
}

function sizeOf({ requests, tlsHandshakes }: Aggregate): number {
  return requests + tlsHandshakes
}

function sum(pieces: readonly Pick<Piece, 'counted'>[]): Aggregate {
  return pieces.reduce((all, { counted }) => addAggregates(all, counted), EMPTY_AGGREGATE)
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0)
}

/** Infinity: there are none. Not by Math.min(...): there may be more of them than a function takes arguments. */
function least(numbers: readonly number[]): number {
  return numbers.reduce((low, one) => Math.min(low, one), Infinity)
}
