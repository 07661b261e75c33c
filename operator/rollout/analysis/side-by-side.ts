/**
 * What the pods with the update and the stable ones counted in the same time. Pods report one after the other, so what they counted comes
 * in pieces that begin and end at different times, and what hits all pods for a moment is known of some first, and of some longer
 * (docs/adr/0041-heard-of-the-same-time.md). Pure.
 */
import { EMPTY_AGGREGATE, addAggregates, scaleAggregate } from '../machine/figures.ts'
import type { Aggregate } from '../machine/figures.ts'

/** What one pod counted between two of its reports, or more of them. Monotonic milliseconds. */
export interface Piece {
  readonly begin: number
  readonly end: number
  readonly counted: Aggregate
}

/**
 * What stable pods counted while the update's were seen, each of these by what it counted, and at its worst: of a piece that reaches beyond
 * that time nobody knows when in it something failed, so all that failed stands for the part that lies within.
 * @param update the pieces of each pod with the update, in order of time
 * @param stable pieces of the stable pods
 */
export function stableMeanwhile(update: readonly (readonly Piece[])[], stable: readonly Piece[]): Aggregate {
  const pods = update.flatMap(pieces => {
    const [first, last] = [pieces[0], pieces.at(-1)]
    if (first === undefined || last === undefined) return []
    const beside = within({ begin: first.begin, end: last.end }, stable)
    const size = sizeOf(beside)
    return size === 0 ? [] : [{ beside, size, weight: sumOf(pieces.map(({ counted }) => sizeOf(counted))) }]
  })
  const all = sumOf(pods.map(({ weight }) => weight))
  const parts = pods.map(({ weight, ...of }) => ({ ...of, part: all === 0 ? 1 / pods.length : weight / all }))
  // As much as stands beside one of them on average: shares, and how sure they are, stay what they are.
  const size = sumOf(parts.map(of => of.part * of.size))
  return parts.map(of => scaleAggregate(of.beside, (of.part * size) / of.size)).reduce(addAggregates, EMPTY_AGGREGATE)
}

function sizeOf({ requests, tlsHandshakes }: Aggregate): number {
  return requests + tlsHandshakes
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0)
}

type Span = Pick<Piece, 'begin' | 'end'>

function within(span: Span, pieces: readonly Piece[]): Aggregate {
  return pieces
    .filter(({ begin, end }) => end > span.begin && begin < span.end)
    .map(piece => atWorst(piece.counted, shareOf(piece, span)))
    .reduce(addAggregates, EMPTY_AGGREGATE)
}

/** How much of a piece lies within a span, 0 to 1. */
function shareOf({ begin, end }: Span, within: Span): number {
  return (Math.min(end, within.end) - Math.max(begin, within.begin)) / (end - begin)
}

/**
 * So many of the requests, or more where more of them failed: what went well is left out first, then redirects. Of the handshakes
 * those that were finished, of the latencies the shortest.
 */
function atWorst(of: Aggregate, share: number): Aggregate {
  if (share >= 1) return of
  const [informational, successful, redirected, refused, failed] = of.status
  const [a = 0, b = 0, c = 0] = leftOf([informational, successful, redirected], of.requests * (1 - share))
  return {
    requests: a + b + c + refused + failed,
    status: [a, b, c, refused, failed],
    notFound: of.notFound,
    upstreamErrors: of.upstreamErrors,
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
