/** When a worker that gives no sign of life is taken for hung. Pure: the fleet looks, and ends it. */
import { BEAT_MS } from './heartbeat.ts'

/** How often beats are looked for, in milliseconds. */
export const WATCH_MS = BEAT_MS

/** A worker that was silent for so long (milliseconds) is not counted on any more: see `/readyz`. */
export const SILENT_MS = 3_000

/** How many times longer a worker may be silent before its first table: it loads code. */
const PATIENCE_AT_START = 6

/** What is known of one worker. */
export interface Watched {
  /** When it was last looked at. */
  beats: number
  /** Time without a beat, in milliseconds. */
  silent: number
  /** Newest update that it confirmed; 0: none yet. */
  readonly applied: number
}

/**
 * One round. It adds the time between two rounds and no more, however long ago the last one was: when the whole process
 * was stopped, or its machine suspended, the workers could not beat either.
 * @param beats that were counted by now
 */
export function listen(worker: Watched, beats: number): void {
  if (beats === worker.beats) worker.silent += WATCH_MS
  else {
    worker.beats = beats
    worker.silent = 0
  }
}

/** @param stallTimeout milliseconds; 0: none is ever taken for hung */
export function hangs(worker: Readonly<Watched>, stallTimeout: number): boolean {
  return stallTimeout > 0 && worker.silent >= patience(worker, stallTimeout)
}

/** For how long it may be silent, in milliseconds. */
export function patience({ applied }: Pick<Watched, 'applied'>, stallTimeout: number): number {
  return applied > 0 ? stallTimeout : stallTimeout * PATIENCE_AT_START
}
