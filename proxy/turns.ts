/**
 * Long work in small steps: a generator that yields wherever it may be interrupted. Between two portions of it the loop
 * turns, and probes, messages and workers are heard.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Whatever it yields says nothing: only that now would be a moment to do something else. */
export type Steps<T> = Generator<void, T, void>

/** Used in one go, in milliseconds. */
const PORTION_MS = 10

/** Resolves with the result; lets the loop turn whenever this much time was used, in milliseconds. */
export async function inPortions<T>(work: Steps<T>, milliseconds = PORTION_MS): Promise<T> {
  let until = performance.now() + milliseconds
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    if (performance.now() < until) continue
    await nextTurn()
    until = performance.now() + milliseconds
  }
}

/** The same in one go. */
export function atOnce<T>(work: Steps<T>): T {
  let step = work.next()
  while (step.done !== true) step = work.next()
  return step.value
}

/** Takes from the iterator only when the next one is asked for: what changes meanwhile is seen. */
export function* chunks<T>(items: Iterable<T>, size: number): Generator<readonly T[], void, void> {
  let chunk: T[] = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length < size) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
