/** metadata of a watched object, checked: a schema's part and what we read of it. */
import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'
import { ModelError } from './errors.ts'

export interface Metadata {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly finalizers?: readonly string[]
}

const texts = { type: 'object', additionalProperties: { type: 'string' } } as const

/** JSON Schema of the part of metadata that is read. */
export const metadataSchema = {
  type: 'object',
  required: ['name', 'namespace', 'uid', 'resourceVersion', 'creationTimestamp'],
  properties: {
    name: { type: 'string', minLength: 1, pattern: '^[^/]+$' },
    namespace: { type: 'string', minLength: 1, pattern: '^[^/]+$' },
    uid: { type: 'string', minLength: 1 },
    resourceVersion: { type: 'string' },
    creationTimestamp: { type: 'string' },
    deletionTimestamp: { type: 'string' },
    labels: texts,
    annotations: texts,
    finalizers: { type: 'array', items: { type: 'string' } },
  },
} as const

export function compileSchema<T>(schema: object): ValidateFunction<T> {
  return new Ajv({ allErrors: false, strict: false }).compile<T>(schema)
}

/** Returns the object as T, or throws a ModelError that names object and field. */
export function checked<T>(kind: string, raw: unknown, validate: ValidateFunction<T>): T {
  if (validate(raw)) return raw
  const error = validate.errors?.[0]
  const missing: unknown = error?.params['missingProperty']
  const path = `${error?.instancePath ?? ''}${typeof missing === 'string' ? `/${missing}` : ''}`
  throw new ModelError(
    `${kind} ${nameIn(raw)}`,
    fieldOf(path),
    typeof missing === 'string' ? 'is missing' : (error?.message ?? 'is malformed'),
  )
}

/** Milliseconds since the epoch; throws a ModelError for a text that is no time. */
export function millisecondsOf(kind: string, raw: unknown, field: string, text: string): number {
  const value = Date.parse(text)
  if (Number.isNaN(value)) throw new ModelError(`${kind} ${nameIn(raw)}`, field, 'is not a time')
  return value
}

/** `/spec/rules/0/host` → `spec.rules[0].host`. */
function fieldOf(pointer: string): string {
  const parts = pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
  const path = parts.map(part =>
    /^[0-9]+$/.test(part) ? `[${part}]` : /^[A-Za-z]+$/.test(part) ? `.${part}` : `[${part}]`,
  )
  return path.join('').replace(/^\./, '') || 'the object'
}

function nameIn(raw: unknown): string {
  const metadata = property(raw, 'metadata')
  const namespace = property(metadata, 'namespace')
  const name = property(metadata, 'name')
  return `${typeof namespace === 'string' ? namespace : '?'}/${typeof name === 'string' ? name : '?'}`
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined
}
