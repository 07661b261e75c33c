/** How canaries of one path divide the requests that nothing else decides: the proxy draws by it, the operator says what it refuses. */
import type { CanaryRule } from './objects.ts'

/** Of one path; younger ones take nothing. Tengine's documents have it so. */
export const MOST_CANARIES = 200

/**
 * For each canary, oldest first: the part of all requests that it and those before it take, 0 to 1, in steps of 2 to the power of -53;
 * null: it takes none by its weight. A weight that goes beyond what those before it leave is refused, as a whole.
 */
export function sharesOf(rules: readonly Pick<CanaryRule, 'weight' | 'total'>[]): readonly (number | null)[] {
  // As a fraction, exactly: ten canaries of a tenth each leave nothing.
  let [taken, of] = [0n, 1n]
  return rules.map(({ weight, total }) => {
    if (weight === 0) return null
    const [sum, whole] = [taken * BigInt(total) + BigInt(weight) * of, of * BigInt(total)]
    if (sum > whole) return null
    ;[taken, of] = reduced(sum, whole)
    return Number((sum << 53n) / whole) / 2 ** 53
  })
}

function reduced(a: bigint, b: bigint): readonly [bigint, bigint] {
  let [x, y] = [a, b]
  while (y !== 0n) [x, y] = [y, x % y]
  return [a / x, b / x]
}
