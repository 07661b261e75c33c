/** The table of scenarios against what the operator compiles and a proxy's table finds: without cluster and network. */
import { describe, expect, it } from '@jest/globals'
import { compileIngress } from '../../operator/compile/compile.ts'
import { parseIngress } from '../../operator/model/ingress.ts'
import { ingressClass } from '../../operator/pipeline/testing.ts'
import { upsert } from '../../proxy/table/testing/fixtures.ts'
import { sharedTable } from '../../proxy/table/testing/one-thread.ts'
import { normalisePath } from '../../proxy/table/path-readings.ts'
import { FakeClusters } from '../../proxy/table/testing/clusters.ts'
import { FEATURES, INGRESS_CLASS, backendsOf, ingressOf } from './scenarios.ts'
import type { Feature } from './scenarios.ts'

const hostOf = (label: string): string => `${label}.conformance.test`

/** As the API server would hand it over. */
function parsed(feature: Feature): ReturnType<typeof parseIngress> {
  const { metadata, ...rest } = ingressOf(feature, { namespace: 'shop', name: 'web', hostOf, secret: 'tls' })
  const stored = { uid: 'u1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }
  return parseIngress({ ...rest, metadata: { ...metadata, ...stored } }, { classes: [ingressClass()] })
}

/** The backend that a request would reach; null: 404. */
function reach(feature: Feature, host: string, path: string): string | null {
  const { content, key, createdAt } = parsed(feature)
  if (content.kind !== 'Ingress') throw new Error('not an Ingress')
  const { fragment, problems } = compileIngress({ key, createdAt }, 'r1', content, false)
  expect(problems).toEqual([])
  const table = sharedTable(new FakeClusters())
  table.apply(upsert(...(fragment === null ? [] : [fragment])))
  const normal = normalisePath(path)
  const service = normal.ok ? table.route(hostOf(host), normal.path)?.cluster?.service : undefined
  return service === undefined ? null : (/^shop\/echo-(.*):http$/.exec(service)?.[1] ?? service)
}

const compiled = FEATURES.filter(feature => feature !== INGRESS_CLASS).flatMap(feature =>
  feature.scenarios.map(scenario => ({ name: `${feature.name}: ${scenario.what}`, feature, scenario })),
)

it.each(compiled)('$name', ({ feature, scenario }) => {
  expect(reach(feature, scenario.host, scenario.path)).toBe(scenario.served)
})

it('an Ingress of another class is none of ours', () => {
  expect(parsed(INGRESS_CLASS)).toMatchObject({ ours: false, className: 'some-invalid-class-name' })
})

describe('the table', () => {
  it('tells its scenarios apart', () => {
    const names = compiled.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('names every backend that it expects an answer of', () => {
    const expected = FEATURES.flatMap(({ scenarios }) => scenarios.map(({ served }) => served))
    expect(backendsOf(FEATURES)).toEqual(expect.arrayContaining(expected.filter(served => served !== null)))
  })
})
