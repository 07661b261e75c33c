/** From what a watch prints to what the demo writes down. Pure; what has another shape is null. */
import type { RolloutEvent, WarningEvent } from './events.ts'

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const inside = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), value)
const text = (value: unknown, ...path: readonly string[]): string => {
  const found = inside(value, ...path)
  return typeof found === 'string' ? found : ''
}

/** `document` is a watch event `{type, object}`; those of deleted objects are of no interest. */
function objectOf(document: unknown): unknown {
  return text(document, 'type') === 'DELETED' ? undefined : inside(document, 'object')
}

export function rolloutOf(document: unknown, at: number): RolloutEvent | null {
  const object = objectOf(document)
  const kind = text(object, 'spec', 'objectRef', 'kind')
  if (kind !== 'Ingress' && kind !== 'Secret') return null
  const index = inside(object, 'status', 'index')
  const gates = inside(object, 'status', 'gates')
  return {
    type: 'rollout',
    at,
    name: text(object, 'metadata', 'name'),
    kind,
    object: text(object, 'spec', 'objectRef', 'name'),
    revision: text(object, 'spec', 'revision'),
    stableRevision: text(object, 'status', 'stableRevision') || null,
    phase: text(object, 'status', 'phase'),
    message: text(object, 'status', 'message'),
    index: typeof index === 'number' ? index : null,
    gates: (Array.isArray(gates) ? gates : []).map((gate: unknown) => ({
      name: text(gate, 'name'),
      verdict: text(gate, 'verdict'),
      message: text(gate, 'message'),
    })),
  }
}

export function warningOf(document: unknown, at: number): WarningEvent | null {
  const object = objectOf(document)
  if (text(object, 'type') !== 'Warning') return null
  return {
    type: 'warning',
    at,
    object: `${text(object, 'involvedObject', 'kind')}/${text(object, 'involvedObject', 'name')}`,
    reason: text(object, 'reason'),
    message: text(object, 'message'),
  }
}
