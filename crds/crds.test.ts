import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import * as schemas from '../operator/model/generated/schemas.ts'
import type { Case, CheckedKind } from './crds.cases.ts'
import { cases } from './crds.cases.ts'

interface Schema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly 'x-kubernetes-int-or-string'?: boolean
  readonly 'x-kubernetes-validations'?: readonly { readonly message: string; readonly messageExpression?: string }[]
}
interface Crd {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly names: { readonly kind: string }
    readonly versions: readonly [
      { readonly schema: { readonly openAPIV3Schema: Schema }; readonly subresources: object },
    ]
  }
}

const text = (file: string): string => readFileSync(join(__dirname, file), 'utf8')
const files = readdirSync(__dirname).filter(file => file.endsWith('.yaml') && file !== 'kustomization.yaml')
const crds = files.map(file => parse(text(file)) as Crd)
const rootOf = (crd: Crd): Schema => crd.spec.versions[0].schema.openAPIV3Schema

function* walk(schema: Schema, path: string): Generator<readonly [string, Schema]> {
  yield [path, schema]
  for (const [name, child] of Object.entries(schema.properties ?? {})) yield* walk(child, `${path}.${name}`)
  if (schema.items !== undefined) yield* walk(schema.items, `${path}[]`)
}

describe.each(crds.map(crd => [crd.spec.names.kind, crd] as const))('%s', (_, crd) => {
  const nodes = [...walk(rootOf(crd), '')]

  it('describes every field', () => {
    // metadata belongs to Kubernetes, which allows no word about it; a list's field speaks for its plain items.
    const plain = nodes.filter(
      ([path, schema]) => path !== '.metadata' && !(path.endsWith('[]') && schema.type !== 'object'),
    )
    expect(plain.filter(([, schema]) => (schema.description ?? '') === '').map(([path]) => path)).toEqual([])
  })

  it('keeps its status apart from its spec', () => {
    expect(crd.spec.versions[0].subresources).toEqual({ status: {} })
  })

  it('has a case for every rule', () => {
    const rules = nodes.flatMap(([, schema]) => schema['x-kubernetes-validations'] ?? [])
    const told = cases.filter(test => test.kind === crd.spec.names.kind).flatMap(test => test.refused ?? [])
    const untold = rules.filter(rule => !told.some(cause => speaksOf(cause.message, rule)))
    expect(untold.map(rule => rule.message)).toEqual([])
  })
})

/** A message made by an expression is known by its fixed words. */
function speaksOf(message: string, rule: { readonly message: string; readonly messageExpression?: string }): boolean {
  const words = [...(rule.messageExpression ?? '').matchAll(/'([^']{4,})'/g)].map(match => match[1] ?? '')
  return (
    rule.message.includes(message) || (words.length > 0 && words.slice(0, -1).every(part => message.includes(part)))
  )
}

it('the two checksums differ in nothing but their names', () => {
  const neutral = (file: string): string =>
    text(file)
      .replaceAll(/ingress|secret/gi, 'thing')
      .replaceAll(/thinges|things/gi, 'things')
      .replaceAll(/\b(ics|scs)\b/g, 'tcs')
      .replace(/`<number at the end.*$/m, '')
  expect(neutral('secretchecksums.yaml')).toBe(neutral('ingresschecksums.yaml'))
})

describe('the schemas for ajv', () => {
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, useDefaults: true, allErrors: true })
  const validators: Readonly<Record<CheckedKind, ReturnType<typeof ajv.compile>>> = {
    IngressCheckSum: ajv.compile(schemas.ingressCheckSumSpecSchema),
    SecretCheckSum: ajv.compile(schemas.secretCheckSumSpecSchema),
    IngressRolloutPolicy: ajv.compile(schemas.ingressRolloutPolicySpecSchema),
    IngressRollout: ajv.compile(schemas.ingressRolloutSpecSchema),
  }
  const rules = crds
    .flatMap(crd => [...walk(rootOf(crd), '')])
    .flatMap(([, schema]) => schema['x-kubernetes-validations'] ?? [])
  /** Refused for what a JSON schema can say, not by a rule in CEL or the status. */
  const bySchema = (test: Case): boolean =>
    test.status === undefined && (test.refused ?? []).some(cause => !rules.some(rule => speaksOf(cause.message, rule)))

  it.each(cases.map(test => [test.kind, test.name, bySchema(test) ? 'refuse' : 'accept', test] as const))(
    '%s: %s: %s',
    (kind, _name, verdict, test) => {
      const spec = structuredClone(test.spec)
      expect(validators[kind](spec)).toBe(verdict === 'accept')
      if (verdict === 'accept' && test.stored !== undefined) expect(spec).toMatchObject(test.stored)
    },
  )
})
