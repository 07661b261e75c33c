/**
 * JSON Schemas of everything that crosses the stream, compiled once, checked on both sides.
 * Unknown fields are let through: a newer peer of the same PROTOCOL_VERSION may add some. Digests cover them.
 */
import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'
import { ProtocolError } from './errors.ts'
import { LATENCY_BUCKETS_MS } from './messages.ts'
import type { Report, StreamMessage } from './messages.ts'
import { COOKIE_DOMAIN, COOKIE_NAME, COOKIE_PATH } from './cookies.ts'
import { RETRY_CAUSES } from './objects.ts'
import { FIELD_NAME, FIELD_VALUE, QUERY } from './marks.ts'
import { normaliseRoutePath } from './normalise-path.ts'
import { compilePattern } from './patterns.ts'

type Schema = Readonly<Record<string, unknown>>

const text = { type: 'string' } as const
const textOrNull = { type: ['string', 'null'] } as const
const count = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const
const hex = (digits: number): Schema => ({ type: 'string', pattern: `^[0-9a-f]{${digits}}$` })
const nullable = (schema: Schema): Schema => ({ anyOf: [{ type: 'null' }, schema] })
const list = (items: Schema): Schema => ({ type: 'array', items })
const record = (values: Schema): Schema => ({ type: 'object', additionalProperties: values })
const object = (
  properties: Readonly<Record<string, Schema>>,
  optional: Readonly<Record<string, Schema>> = {},
): Schema => ({
  type: 'object',
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
})

const objectKey: Schema = { type: 'string', pattern: '^(Ingress|Secret)/[^/]+/[^/]+$' }
const revision: Schema = { type: 'string', minLength: 1 }
const checksums = object({ ingress: nullable(hex(32)), secret: nullable(hex(32)) })
const endpoints = record(list(text))

const assignment = object({
  key: objectKey,
  id: text,
  announced: revision,
  current: nullable(revision),
  assigned: nullable(revision),
  digest: nullable(hex(64)),
})
const path = object({
  type: { enum: ['Exact', 'Prefix', 'ImplementationSpecific', 'Default'] },
  path: { type: 'string', format: 'normalised-path' },
  backend: {
    anyOf: [
      object({ service: text }),
      object({ status: { const: 503 }, reason: text }, { protects: { type: 'boolean' } }),
    ],
  },
})
const names: Schema = { ...list(text), minItems: 1 }
const pair = (first: Schema, second: Schema): Schema => ({
  ...{ type: 'array', items: [first, second], minItems: 2, maxItems: 2, additionalItems: false },
})
const canaryKey = object(
  { name: { type: 'string', minLength: 1 } },
  {
    values: names,
    pattern: { type: 'string', format: 'pattern' },
    modulo: object({
      divisor: { type: 'integer', minimum: 2, maximum: 100 },
      operator: { enum: ['==', '!=', '>', '>=', '<', '<='] },
      remainder: { type: 'integer', minimum: 0, maximum: 99 },
    }),
  },
)
// What breaks a line, or is a token of none, would be another request or another answer.
const fields = list(
  pair({ type: 'string', pattern: FIELD_NAME.source }, { type: 'string', pattern: FIELD_VALUE.source }),
)
const canary = object({
  hosts: list(object({ host: text, paths: list(path) })),
  rule: object(
    { weight: count, total: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER } },
    {
      ...{ header: canaryKey, cookie: canaryKey, query: canaryKey },
      affinity: { const: 'legacy' },
      marks: object(
        {},
        {
          ...{ requestAdd: fields, requestAppend: fields, responseAdd: fields, responseAppend: fields },
          query: { type: 'string', pattern: QUERY.source },
        },
      ),
    },
  ),
})
// What the proxy gives to timers: setTimeout takes no more.
const duration: Schema = { type: 'integer', minimum: 1, maximum: 2 ** 31 - 1 }
// A date can say it.
const seconds: Schema = { type: 'integer', minimum: -9_999_999_999, maximum: 9_999_999_999 }
const hashPart: Schema = {
  anyOf: [
    object({ text: { type: 'string', minLength: 1 } }),
    object({ of: { enum: ['request_uri', 'uri', 'host', 'client'] } }),
    object({ of: { enum: ['query', 'header', 'cookie'] }, name: { type: 'string', minLength: 1 } }),
  ],
}
const settings = object(
  {},
  {
    affinity: object(
      { mode: { enum: ['balanced', 'persistent'] }, name: { type: 'string', pattern: COOKIE_NAME.source } },
      {
        path: { type: 'string', pattern: COOKIE_PATH.source },
        domain: { type: 'string', pattern: COOKIE_DOMAIN.source },
        ...{ expires: seconds, maxAge: seconds, sameSite: { enum: ['None', 'Lax', 'Strict'] } },
        ...{ conditionalNone: { type: 'boolean' }, secure: { type: 'boolean' }, changeOnFailure: { type: 'boolean' } },
      },
    ),
    balance: object(
      { by: { enum: ['round_robin', 'ewma', 'hash'] } },
      { parts: { ...list(hashPart), minItems: 1 }, subset: { type: 'integer', minimum: 1, maximum: 1_000 } },
    ),
    timeouts: object({}, { connect: duration, read: duration, send: duration }),
    body: object({}, { max: count, buffer: count, streamed: { const: true } }),
    retry: object({}, { on: { ...list({ enum: RETRY_CAUSES }), minItems: 1 }, tries: count, time: count }),
  },
)
const fragment = object(
  {
    key: { type: 'string', pattern: '^Ingress/[^/]+/[^/]+$' },
    revision,
    createdAt: { type: 'integer', minimum: 0 },
    governed: { type: 'boolean' },
    hosts: list(object({ host: text, paths: list(path) })),
    tls: list(object({ hosts: names, secret: { type: 'string', pattern: '^Secret/[^/]+/[^/]+$' } })),
  },
  { defaultTls: names, challenges: { const: true }, canary, settings },
)
const certificate = object(
  {
    key: { type: 'string', pattern: '^Secret/[^/]+/[^/]+$' },
    revision,
    governed: { type: 'boolean' },
    chain: text,
    privateKey: text,
    keyType: { enum: ['ECDSA', 'RSA'] },
  },
  { isDefault: { const: true } },
)
const mismatch = object({ expected: text, actual: text, missing: list(text), unexpected: list(text), message: text })

const status0to999: Schema = { type: 'integer', minimum: 0, maximum: 999 }
const probe = object(
  {
    object: objectKey,
    id: { type: 'string', minLength: 1 },
    method: { enum: ['GET', 'HEAD'] },
    scheme: { enum: ['http', 'https'] },
    // What breaks a line would be another request.
    host: { type: 'string', pattern: '^[!-~]+$' },
    path: { type: 'string', pattern: '^/[!-~]*$' },
    headers: list(pair({ type: 'string', pattern: '^[A-Za-z0-9-]+$' }, { type: 'string', pattern: '^[ -~]*$' })),
    expect: list(pair(status0to999, status0to999)),
    timeoutMs: { type: 'number', minimum: 1 },
    intervalMs: { type: 'number', minimum: 100 },
  },
  { body: { type: 'string', minLength: 1 } },
)

const messages: Readonly<Record<StreamMessage['type'], Schema>> = {
  hello: object({
    protocol: count,
    operator: text,
    leader: textOrNull,
    pod: text,
    ordinal: { type: 'integer', minimum: -1 },
  }),
  'snapshot-begin': object({ sequence: count }),
  'snapshot-items': object({
    assignments: list(assignment),
    fragments: list(fragment),
    certificates: list(certificate),
    endpoints,
  }),
  'snapshot-end': object({ sequence: count, checksums, stateHash: hex(64) }),
  delta: object({
    sequence: count,
    base: hex(64),
    assignments: list(assignment),
    fragments: list(fragment),
    certificates: list(certificate),
    removed: list(objectKey),
    checksums,
    stateHash: hex(64),
  }),
  endpoints: object({ upsert: endpoints, remove: list(text) }),
  observe: object(
    { objects: list(objectKey), hosts: list(text), intervalMs: { type: 'number', minimum: 1 } },
    { probes: list(probe) },
  ),
  held: object({ kind: { enum: ['Ingress', 'Secret'] }, mismatch: nullable(mismatch) }),
  tickets: object({
    secrets: {
      ...list(object({ day: count, secret: { type: 'string', pattern: '^[A-Za-z0-9+/]{43}=$' } })),
      ...{ minItems: 1, maxItems: 8 },
    },
  }),
  ping: object({ leader: textOrNull }),
}

const status: Schema = { ...list(count), minItems: 5, maxItems: 5 }
const buckets = LATENCY_BUCKETS_MS.length + 1
const probed = object({
  revision: nullable(revision),
  probes: record(
    object({ ok: count, failed: count, own: count, failedInRow: count, status: nullable(count), error: textOrNull }),
  ),
})
const reportFields: Readonly<Record<string, Schema>> = {
  protocol: count,
  pod: { type: 'string', minLength: 1 },
  instance: { type: 'string', minLength: 1 },
  sequence: count,
  stateHash: { type: 'string', pattern: '^([0-9a-f]{64})?$' },
  source: { enum: ['none', 'disk', 'stream'] },
  checksums,
  refused: list(
    object({
      reason: {
        enum: [
          'ChecksumMismatch',
          'DigestMismatch',
          'AssignmentInvalid',
          'StateHashMismatch',
          'SchemaViolation',
          'Held',
        ],
      },
      object: textOrNull,
      message: text,
    }),
  ),
  revisions: record(nullable(revision)),
  hosts: record(
    object(
      {
        requests: count,
        status,
        notFound: count,
        upstreamErrors: count,
        tlsHandshakes: count,
        tlsFailures: count,
        latency: { ...list(count), minItems: buckets, maxItems: buckets },
      },
      { closed: count },
    ),
  ),
  objects: record(object({ revision, requests: count, status }, { closed: count })),
}
const report = object(reportFields, { probes: record(probed) })

const ajv = new Ajv({ strict: true, allowUnionTypes: true })
// Requests are compared with it as it is: one of another form would never match, or match what it should not.
ajv.addFormat('normalised-path', path => normaliseRoutePath(path) === path)
ajv.addFormat('pattern', pattern => compilePattern(pattern).ok)
const streamValidators: ReadonlyMap<string, ValidateFunction> = new Map(
  Object.entries(messages).map(([type, schema]) => [type, ajv.compile(schema)]),
)
const validateReport = ajv.compile(report)

/** @throws ProtocolError SLUICE_SCHEMA or SLUICE_MESSAGE_UNKNOWN */
export function parseStreamMessage(line: string): StreamMessage {
  const { type, value } = parseTyped(line, 'message')
  const validate = streamValidators.get(type)
  if (validate === undefined) {
    throw new ProtocolError('SLUICE_MESSAGE_UNKNOWN', `message of a type that this version does not know`, { type })
  }
  check(validate, type, value)
  return value as StreamMessage
}

/** @throws ProtocolError SLUICE_SCHEMA */
export function parseReport(json: string): Report {
  const { type, value } = parseTyped(json, 'report')
  if (type !== 'report') throw new ProtocolError('SLUICE_SCHEMA', 'report: /type must be "report"', { path: '/type' })
  check(validateReport, type, value)
  return value as Report
}

function parseTyped(json: string, what: string): { readonly type: string; readonly value: unknown } {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // Without cause: the parser's own message quotes the text.
    throw new ProtocolError('SLUICE_SCHEMA', `${what} of ${json.length} characters is not JSON`)
  }
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  if (typeof type !== 'string') {
    throw new ProtocolError('SLUICE_SCHEMA', `${what}: /type must be a string`, { path: '/type' })
  }
  return { type, value }
}

function check(validate: ValidateFunction, type: string, value: unknown): void {
  if (validate(value)) return
  const error = validate.errors?.[0]
  const missing: unknown = error?.params['missingProperty']
  const path = `${error?.instancePath ?? ''}${typeof missing === 'string' ? `/${missing}` : ''}`
  const reason = typeof missing === 'string' ? 'is missing' : (error?.message ?? 'is not valid')
  throw new ProtocolError('SLUICE_SCHEMA', `${type}: ${path} ${reason}`, { type, path })
}
