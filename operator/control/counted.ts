/** From when on pods count the requests of an object: of what was before nobody may conclude that it was idle. */
import { isCountedOnMore } from '../pipeline/live.ts'
import type { PipelineChange } from '../pipeline/pipeline.ts'
import type { Figures } from '../rollout/analysis/window.ts'

/**
 * Takes what one flush of the pipeline changed. Pods get it a moment later, or when its checksum is published.
 *
 * @param nowMs Monotonic.
 */
export function noteCounted(
  { live }: Pick<PipelineChange, 'live'>,
  figures: Pick<Figures, 'began'>,
  nowMs: number,
): void {
  for (const { key, before, after } of live) if (isCountedOnMore(before, after)) figures.began(key, nowMs)
}
