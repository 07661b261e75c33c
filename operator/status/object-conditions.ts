/**
 * What a person should know of an Ingress or Secret, as conditions in an annotation: the status of both kinds has no
 * place for them (docs/adr/0009-control.md). Pure. Present only while there is something to say.
 */
import type { Hold } from '../assign/types.ts'
import type { Condition } from '../model/generated/crds.ts'
import type { Problem } from '../model/types.ts'
import { condition } from './condition.ts'

/** JSON list of meta/v1 Conditions: `Accepted` (can it be served as it stands?), `Released` (is it?). */
export const CONDITIONS_ANNOTATION = 'tengine.taobao.org/conditions'

/** A part of the flow, not worth a word: it goes away by itself, or others say it. */
const QUIET: ReadonlySet<Hold['reason']> = new Set(['NamespaceTerminating', 'StampMissing'])
/** About annotations that nobody mends any more in an object that is being deleted; the operator's own may lag behind. */
const OF_THE_LIVING: ReadonlySet<Hold['reason']> = new Set([
  ...(['InvalidFlag', 'InvalidIndex', 'UnknownRevision', 'RevisionConflict', 'NotStamped'] as const),
])
const MAX_MESSAGE = 1000
const MAX_NAMED = 5

export interface ConditionsInput {
  readonly problems: readonly Problem[]
  readonly hold: Hold | null
  /** A rollout of the content is on its way or about to begin: that it is not released yet is no news. */
  readonly expected: boolean
  /** The object is being deleted. */
  readonly deleting: boolean
  /** Value of the annotation as it is. */
  readonly previous: string | undefined
  /** RFC 3339. */
  readonly now: string
}

export interface ObjectConditions {
  /** What the annotation is to be; null: gone. */
  readonly value: string | null
  /** Conditions that say something else than before: an event each. */
  readonly news: readonly Condition[]
}

export function objectConditions(input: ConditionsInput): ObjectConditions {
  const before = parse(input.previous)
  const conditions = [accepted(input), released(input)]
    .filter(one => one !== null)
    .map(one => condition(before, { ...one, lastTransitionTime: input.now }))
  const news = conditions.filter(
    one => !before.some(b => b.type === one.type && b.reason === one.reason && b.message === one.message),
  )
  // Same text as before, times apart: nothing to write.
  if (news.length === 0 && before.length === conditions.length) return { value: input.previous ?? null, news: [] }
  return { value: conditions.length === 0 ? null : JSON.stringify(conditions), news }
}

type Bare = Omit<Condition, 'lastTransitionTime'>

function accepted({ problems }: ConditionsInput): Bare | null {
  const rank = { reject: 0, close: 1, warn: 2 } as const
  const sorted = [...problems].sort((a, b) => rank[a.effect] - rank[b.effect])
  const [worst] = sorted
  if (worst === undefined) return null
  const named = sorted.slice(0, MAX_NAMED).map(textOf)
  const more = sorted.length > MAX_NAMED ? ` (and ${sorted.length - MAX_NAMED} more)` : ''
  return {
    type: 'Accepted',
    status: worst.effect === 'warn' ? 'True' : 'False',
    reason: worst.reason,
    message: cut(`${named.join('; ')}${more}`),
  }
}

function released({ hold, expected, deleting }: ConditionsInput): Bare | null {
  if (hold !== null && deleting && OF_THE_LIVING.has(hold.reason)) return null
  if (hold === null || QUIET.has(hold.reason) || (expected && hold.reason === 'NotStamped')) return null
  return { type: 'Released', status: 'False', reason: hold.reason, message: cut(hold.message) }
}

function textOf({ field, message }: Problem): string {
  return `${field}: ${message}`
}

/** Whether the annotation, as it is, names the problem. */
export function isSaid(previous: string | undefined, problem: Problem): boolean {
  return parse(previous).some(({ message }) => message.includes(textOf(problem)))
}

function cut(text: string): string {
  return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE - 1)}…` : text
}

/** What somebody else wrote there counts as nothing. */
function parse(text: string | undefined): readonly Condition[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(value) ? value.filter(isCondition) : []
  } catch {
    return []
  }
}

function isCondition(value: unknown): value is Condition {
  return typeof value === 'object' && value !== null && 'type' in value && 'reason' in value && 'message' in value
}
