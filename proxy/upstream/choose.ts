/** Which endpoint of a Service takes a request. */

export interface Candidate {
  /** Requests that it has now, those that wait for a connection included. */
  readonly open: number
}

/** Who may be chosen at all. An object rather than a function: it is used for one choice after the other, without garbage. */
export interface Admission<C> {
  admits(candidate: C): boolean
}

/**
 * One way of choosing. Must look at a bounded number of candidates, however many there are, and change none of them.
 * @param random from 0 to 1, 1 excluded
 * @returns null: none that is admitted was found
 */
export type Choose = <C extends Candidate>(
  candidates: readonly C[],
  admission: Admission<C>,
  random: () => number,
) => C | null

/** Draws beyond the first two, where one of those is not admitted. */
const MORE_DRAWS = 6
/**
 * When no draw helped, most are not admitted (or there are two or three in all): look at so many in a row. Of more
 * candidates than that some may be missed, but only where hardly any is admitted.
 */
const SCAN = 64
/** What a single choice looks at, at most. */
export const MOST_LOOKS = 2 + MORE_DRAWS + SCAN

/**
 * The less loaded of two random ones (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001): a slow
 * endpoint gets fewer requests as soon as they pile up, and workers that do not know of each other do not all run to the
 * same one, as they would to the least loaded of all.
 */
export const powerOfTwoChoices: Choose = (candidates, admission, random) =>
  betterOfTwo(candidates, admission, random, lessBusy)

/** Below 0: the first one is better; 0: chance decides. */
type Compare<C> = (a: C, b: C) => number

const lessBusy: Compare<Candidate> = (a, b) => a.open - b.open

export interface Timed extends Candidate {
  /** Milliseconds that its answers take; null: nobody knows. */
  latency(now: number): number | null
}

/** Of two random ones the one whose answers took less time lately; the less busy, where that is not known of both. */
export function quickerOfTwo<C extends Timed>(
  candidates: readonly C[],
  admission: Admission<C>,
  random: () => number,
  now: number,
): C | null {
  return betterOfTwo(candidates, admission, random, (a, b) => {
    const [one, two] = [a.latency(now), b.latency(now)]
    return one === null || two === null ? lessBusy(a, b) : one - two
  })
}

/**
 * The next one behind `last` that is admitted.
 * @returns its place; -1: none of those that were looked at is
 */
export function nextInTurn<C>(candidates: readonly C[], admission: Admission<C>, last: number): number {
  const count = candidates.length
  for (let i = 1; i <= count && i <= SCAN; i++) {
    const at = (last + i) % count
    if (admitted(candidates, at, admission) !== null) return at
  }
  return -1
}

function betterOfTwo<C extends Candidate>(
  candidates: readonly C[],
  admission: Admission<C>,
  random: () => number,
  compare: Compare<C>,
): C | null {
  const count = candidates.length
  if (count === 0) return null
  const start = Math.floor(random() * count)
  let first = admitted(candidates, start, admission)
  if (count === 1) return first
  let second = admitted(candidates, (start + 1 + Math.floor(random() * (count - 1))) % count, admission)
  for (let draws = 0; draws < MORE_DRAWS && (first === null || second === null) && count > 2; draws++) {
    const third = admitted(candidates, Math.floor(random() * count), admission)
    if (third === first || third === second) continue
    if (first === null) first = third
    else second = third
  }
  if (first !== null && second !== null) {
    const better = compare(first, second)
    if (better === 0) return random() < 0.5 ? first : second
    return better < 0 ? first : second
  }
  if (first !== null || second !== null) return first ?? second
  for (let i = 1; i <= SCAN && i < count; i++) {
    const found = admitted(candidates, (start + i) % count, admission)
    if (found !== null) return found
  }
  return null
}

function admitted<C>(candidates: readonly C[], index: number, admission: Admission<C>): C | null {
  const candidate = candidates[index]
  return candidate !== undefined && admission.admits(candidate) ? candidate : null
}
