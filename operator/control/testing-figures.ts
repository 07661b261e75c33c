/** What pods counted, for the tests of what is decided by it. */
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import { EMPTY_AGGREGATE } from '../rollout/machine/figures.ts'
import type { Aggregate } from '../rollout/machine/figures.ts'
import { windowOf } from '../rollout/machine/testing.ts'
import type { FigureSource } from './observe.ts'

export interface FakeFigures extends Partial<Omit<FigureSource, 'window'>> {
  /** What pods counted on this revision. */
  readonly serving?: (key: ObjectKey, revision: Revision | null, hosts: readonly string[], sinceMs: number) => Aggregate
}

/** Where nothing is said nobody counted anything. */
export function figureSource({ serving = () => EMPTY_AGGREGATE, ...others }: FakeFigures = {}): FigureSource {
  return {
    window: (key, { update, stable }, hosts, since) =>
      windowOf(serving(key, update, hosts, since), serving(key, stable, hosts, since)),
    ...{ probed: () => [], baseline: () => null, before: () => null, use: () => null },
    ...others,
  }
}
