/** What pods counted, for the tests of what is decided by it. */
import { EMPTY_AGGREGATE } from '../rollout/machine/figures.ts'
import type { FigureSource } from './observe.ts'

/** Where nothing is said nobody counted anything. */
export function figureSource(of: Partial<FigureSource> = {}): FigureSource {
  return {
    ...{ serving: () => EMPTY_AGGREGATE, probed: () => [], baseline: () => null, before: () => null, use: () => null },
    ...of,
  }
}
