/** Small makers of results, shared by the parts of the machine. */
import type { Command, Observation, State, StepResult } from './types.ts'

export function event(level: 'Normal' | 'Warning', reason: string, message: string): Command {
  return { type: 'event', level, reason, message }
}

export function result(state: State, ...commands: readonly Command[]): StepResult {
  return { state, commands }
}

/** Prefixes commands that were decided before. */
export function after(commands: readonly Command[], next: StepResult): StepResult {
  return { state: next.state, commands: [...commands, ...next.commands] }
}

/** The whole words for one pod or several. */
export function pods(count: number): string {
  return count === 1 ? '1 pod' : `${count} pods`
}

export function isLast(state: State, batches: readonly unknown[]): boolean {
  return state.batch >= batches.length - 1
}

/** Shorthand for messages: which revision, of what. */
export function revisionOf(observation: Observation): string {
  return observation.deletion ? 'the deletion' : `revision ${observation.revision}`
}
