/** After the move: the phase that follows from where the machine stands, its sentence, and when to look again. */
import { CLOSED_NAME } from './gates/closed.ts'
import { SOONEST_MS, event, result } from './outcome.ts'
import { pausedReason } from './state.ts'
import type { Command, Observation, Phase, Settings, State, StepResult } from './types.ts'

export function settle(before: State, made: StepResult, observation: Observation, settings: Settings): StepResult {
  const { state, commands } = made
  if (state.phase !== 'Progressing' && state.phase !== 'Paused') return made
  // After the release nothing holds it any more; ending.ts said what there is to say.
  if (state.step.name === 'confirming') return made
  const phase: Phase =
    state.blocked !== null || state.step.name === 'waiting' || observation.commands.paused ? 'Paused' : 'Progressing'
  const next = { ...state, phase }
  const settled = { ...next, message: messageOf(next) }
  const [was, is] = [pausedReason(before), pausedReason(settled)]
  const said: Command[] = []
  if (is !== null && is !== was) said.push(event(settled.blocked === null ? 'Normal' : 'Warning', is, settled.message))
  if (is === null && was !== null) said.push(event('Normal', 'Resumed', settled.message))
  return result(settled, ...commands, ...said, { type: 'requeue', afterMs: nextLook(settled, observation, settings) })
}

function messageOf(state: State): string {
  const closed = state.verdicts.find(({ name }) => name === CLOSED_NAME)
  const too = closed === undefined ? '' : `; ${closed.message}`
  switch (pausedReason(state)) {
    case 'WaitingForApproval':
      return `batch ${state.batch + 1} passed; waits for spec.approvedBatches: ${state.batch + 1}${too}`
    case 'WaitingForTime':
      return `batch ${state.batch + 1} passed; waits until ${untilOf(state)} or for spec.approvedBatches: ${state.batch + 1}${too}`
    case 'Command':
      return `paused by spec.paused; ${state.message.replace(/^paused by spec\.paused(; )?/, '')}`.replace(/; $/, '')
    case null:
      return state.message
    default:
      return state.blocked?.message ?? state.message
  }
}

function untilOf({ step }: State): string {
  return step.name === 'waiting' && step.until !== null ? new Date(step.until.wall).toISOString() : ''
}

function nextLook(state: State, { now }: Observation, settings: Settings): number {
  const due = dueOf(state, settings).map(at => at - now)
  return Math.max(SOONEST_MS, Math.min(settings.intervalMs, ...due.filter(ms => ms > 0)))
}

/** Moments at which the machine will decide something by itself. */
function dueOf(state: State, settings: Settings): readonly number[] {
  const owing = Object.values(state.owing).map(since => since + settings.ackDeadlineMs)
  const deadline = state.batchSince + settings.deadlineMs
  switch (state.step.name) {
    case 'raising':
      return [...owing, deadline]
    case 'acknowledging':
      return [...owing, deadline]
    case 'baking':
      return [...owing, state.step.since + settings.bakeMs, deadline]
    case 'waiting':
      return state.step.until === null ? owing : [...owing, state.step.until.mono]
    case 'confirming':
      return []
  }
}
