/** What writer and readers of different threads both know: which number a name has in which generation. */
export const NAMES = Array.from({ length: 3_000 }, (_, i) => `host-${i}.${'x'.repeat(i % 40)}.example`)
/** Every name changes once in so many generations. */
const PERIOD = 7

export function changes(index: number, generation: number): boolean {
  return (index * 31 + generation) % PERIOD === 0
}

/** What it is from this generation on, if it changes in it; null: it is not there. */
export function changedTo(index: number, generation: number): number | null {
  return (index + generation) % 3 === 0 ? null : (index * 1_000 + generation) | 0
}

export function scheduled(index: number, generation: number): number | null {
  for (let at = generation; at > 0 && at > generation - PERIOD; at--)
    if (changes(index, at)) return changedTo(index, at)
  return null
}
