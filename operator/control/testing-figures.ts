/** What pods counted, for the tests of what is decided by it. */
import { EMPTY_AGGREGATE } from '../rollout/machine/figures.ts'
import type { FigureSource } from './observe.ts'

/** Where nothing is said nobody counted anything, and all that pods counted they counted in the same time. */
export function figureSource(of: Partial<FigureSource> = {}): FigureSource {
  const { serving = () => EMPTY_AGGREGATE } = of
  return {
    serving,
    sideBySide: ({ key, update, stable, hosts, sinceMs }) => ({
      update: serving(key, update, hosts, sinceMs),
      stable: serving(key, stable, hosts, sinceMs),
    }),
    ...{ probed: () => [], baseline: () => null, before: () => null, use: () => null, bunched: () => 1 },
    ...of,
  }
}
