/** Small makers of results, shared by the parts of the machine. */
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import { idlePerMinute } from '../../model/settings.ts'
import { closedWords } from './gates/closed.ts'
import type { Command, Observation, Settings, State, StepResult } from './types.ts'

/** Never busier than this, in milliseconds. */
export const SOONEST_MS = 50

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

/** Of two indexes the one that reaches more pods; -1 is all. */
export function widest(a: number, b: number): number {
  return a === -1 || b === -1 ? -1 : Math.max(a, b)
}

export function isLast(state: State, batches: readonly unknown[]): boolean {
  return state.batch >= batches.length - 1
}

/** The object is deleted, or left its class: what is rolled out is that it is not there. */
export function isLeaving({ revision }: Pick<Observation, 'revision'>): boolean {
  return revision === ABSENT_REVISION
}

/** Hardly anybody asks for it any more. */
export function isIdle({ use }: Pick<Observation, 'use'>, settings: Settings): boolean {
  return use !== null && use <= idlePerMinute(settings)
}

/** What a message ends with while every path of the revision answers 503; else nothing. */
export function closedToo({ closed }: Pick<Observation, 'closed'>): string {
  return closed === null ? '' : `; ${closedWords(closed)}`
}

/** Shorthand for messages: which revision, of what. */
export function revisionOf(observation: Observation): string {
  return observation.deletion ? 'the deletion' : `revision ${observation.revision}`
}
