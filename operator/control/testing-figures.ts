/** What pods counted, for the tests of what is decided by it. */
import { EMPTY_AGGREGATE, slowerThan } from '../rollout/machine/figures.ts'
import type { FigureSource } from './observe.ts'

/** Where nothing is said nobody counted anything, all that pods counted they counted in the same time, and no moment stands out. */
export function figureSource(of: Partial<FigureSource> = {}): FigureSource {
  const { serving = () => EMPTY_AGGREGATE } = of
  return {
    serving,
    sideBySide: ({ key, update, stable, hosts, sinceMs }) => ({
      update: serving(key, update, hosts, sinceMs),
      stable: serving(key, stable, hosts, sinceMs),
    }),
    calm: (key, revision, hosts, sinceMs, slowerThanMs) => {
      const { latency, requests } = serving(key, revision, hosts, sinceMs)
      return { count: slowerThan(latency, slowerThanMs), total: requests }
    },
    ...{ probed: () => [], baseline: () => null, before: () => null, use: () => null, bunched: () => 1 },
    ...of,
  }
}
