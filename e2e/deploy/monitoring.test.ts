/** What deploy/components/monitoring asks Prometheus for is there: rules that name what nobody counts are silent for ever. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { parse, parseAllDocuments } from 'yaml'
import { metricsIn, operatorScrape, proxyScrape } from '../../scripts/generate/metrics.ts'

const deploy = join(__dirname, '../../deploy')
const folder = join(deploy, 'components/monitoring')
const read = (file: string): unknown => parse(readFileSync(join(folder, file), 'utf8'))

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly annotations?: Readonly<Record<string, string>>
}

const { spec } = read('rules.yaml') as {
  readonly spec: { readonly groups: readonly { readonly rules: readonly Rule[] }[] }
}
const rules = spec.groups.flatMap(group => group.rules)
const nameOf = ({ record, alert }: Rule): string => record ?? alert ?? ''

/** What Prometheus gives each series of a pod that it scrapes. */
const OF_TARGET = ['pod', 'namespace', 'instance', 'job', 'container']

/** Labels by the name of a series: those of scrapes, and what rules record of them. */
async function series(): Promise<ReadonlyMap<string, readonly string[]>> {
  const known = new Map<string, readonly string[]>()
  for (const { name, type, labels } of [...metricsIn(await proxyScrape()), ...metricsIn(await operatorScrape())]) {
    const own = [...labels, ...OF_TARGET]
    if (type === 'histogram') known.set(`${name}_bucket`, [...own, 'le'])
    if (type === 'histogram' || type === 'summary')
      for (const part of ['sum', 'count']) known.set(`${name}_${part}`, own)
    else known.set(name, own)
  }
  for (const { record } of rules) if (record !== undefined) known.set(record, ['host', 'ingress', 'quantile'])
  return known
}

/** Names of series in an expression, each with the labels that it selects by. */
function selectorsOf(expr: string): readonly (readonly [name: string, labels: readonly string[]])[] {
  return [...expr.matchAll(/\b((?:sluice|host_ingress:)[\w:]*)(?:\{([^}]*)\})?/g)].map(([, name = '', labels = '']) => [
    name,
    [...labels.matchAll(/(\w+)\s*[=!]~?"/g)].map(([, label = '']) => label),
  ])
}

describe('the rules for Prometheus', () => {
  it.each(rules.map(rule => [nameOf(rule), rule] as const))('%s asks for what is counted', async (_, rule) => {
    const known = await series()
    const selectors = selectorsOf(rule.expr)
    expect(selectors).not.toEqual([])
    for (const [name, labels] of selectors) {
      expect([...known.keys()]).toContain(name)
      expect(known.get(name)).toEqual(expect.arrayContaining([...labels]))
    }
    const all = selectors.flatMap(([name]) => known.get(name) ?? [])
    const grouped = [...rule.expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, by = '']) => by.split(/, */))
    const told = Object.values(rule.annotations ?? {}).flatMap(text => [...text.matchAll(/\$labels\.(\w+)/g)])
    expect(all).toEqual(expect.arrayContaining([...grouped, ...told.map(([, label]) => label)]))
  })

  it.each(['sluice_requests:rate', 'success_ratio', 'request_duration_seconds:quantile', 'response_size_bytes:mean'])(
    'a figure of each host and Ingress: %s',
    figure => {
      expect(
        rules.filter(({ record }) => record?.startsWith('host_ingress:') === true && record.includes(figure)),
      ).not.toEqual([])
    },
  )
})

describe('the component', () => {
  it('holds every file of its folder', () => {
    const { resources } = read('kustomization.yaml') as { readonly resources: readonly string[] }
    expect([...resources, 'kustomization.yaml'].sort()).toEqual(readdirSync(folder).sort())
  })

  it('scrapes the port of the pods that answers', () => {
    const monitor = read('podmonitors.yaml') as {
      readonly spec: {
        readonly selector: { readonly matchLabels: object }
        readonly podMetricsEndpoints: readonly { readonly port: string }[]
      }
    }
    interface Workload {
      readonly kind: string
      readonly spec: {
        readonly template: {
          readonly metadata: { readonly labels: object }
          readonly spec: {
            readonly containers: readonly {
              readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
            }[]
          }
        }
      }
    }
    const workloads = ['operator.yaml', 'proxy.yaml']
      .flatMap(file => parseAllDocuments(readFileSync(join(deploy, 'base', file), 'utf8')))
      .map(document => document.toJS() as Workload)
      .filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet')
    expect(workloads).toHaveLength(2)
    for (const {
      spec: { template },
    } of workloads) {
      expect(template.metadata.labels).toMatchObject(monitor.spec.selector.matchLabels)
      const { port } = monitor.spec.podMetricsEndpoints[0]!
      expect(template.spec.containers[0]?.ports.find(({ name }) => name === port)?.containerPort).toBe(9090)
    }
  })
})
