/** Random numbers that are the same on every machine for the same seed. */
import { randomOf } from '../../../protocol/testing/random.ts'

export interface Random {
  /** 0 up to, but not, 1. */
  readonly next: () => number
  /** How many independent events come where `mean` are expected. */
  readonly poisson: (mean: number) => number
}

export function seeded(seed: number): Random {
  const next = randomOf(seed)
  const poisson = (mean: number): number => {
    if (mean > 40) {
      // The normal curve is near enough in the middle; the events that are judged are rare ones, and come below.
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
      return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal))
    }
    const least = Math.exp(-mean)
    let [count, product] = [0, next()]
    while (product > least) {
      count++
      product *= next()
    }
    return count
  }
  return { next, poisson }
}
