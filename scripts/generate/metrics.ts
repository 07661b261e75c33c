/**
 * docs/metrics.md: every metric of proxy and operator as the code itself writes it. One of each thing is counted, and the
 * text that a scrape would get is read: a metric that is not in it is missing from the document, and found by its test.
 */
import { createMetrics as operatorMetrics } from '../../operator/admin/metrics.ts'
import { createMetrics as proxyMetrics } from '../../proxy/report/metrics.ts'
import { Recorder } from '../../proxy/report/recorder.ts'
import { TotalCounts } from '../../proxy/report/totals.ts'
import { UpstreamTotals } from '../../proxy/report/upstream-totals.ts'
import type { Route } from '../../proxy/table/contract.ts'
import { OPEN } from '../../proxy/table/policy.ts'
import { TALLY_WIDTH } from '../../proxy/upstream/endpoint-counters.ts'

export interface Metric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

/** What each part of a histogram or summary is called besides. */
const PARTS = /_(?:bucket|sum|count)$/

/**
 * The metrics of ours in a scrape, in its order.
 * @throws TypeError if one has no sample: nobody would know its labels
 */
export function metricsIn(text: string): readonly Metric[] {
  const helps = new Map(
    [...text.matchAll(/^# HELP (sluice_\w+) (.*)$/gm)].map(([, name = '', help = '']) => [name, help]),
  )
  const labels = new Map<string, readonly string[]>()
  for (const [, sample = '', own = ''] of text.matchAll(/^(sluice_\w+)(?:\{(.*)\})? \S+$/gm)) {
    const name = helps.has(sample) ? sample : sample.replace(PARTS, '')
    const names = [...own.matchAll(/(?:^|,)(\w+)="/g)].map(([, label = '']) => label)
    labels.set(
      name,
      names.filter(label => label !== 'le'),
    )
  }
  return [...text.matchAll(/^# TYPE (sluice_\w+) (\w+)$/gm)].map(([, name = '', type = '']) => {
    const own = labels.get(name)
    if (own === undefined) throw new TypeError(`${name} has no sample: count one in scripts/generate/metrics.ts`)
    return { name, type, labels: own, help: helps.get(name) ?? '' }
  })
}

/** The text of a scrape of a proxy where everything happened once. */
export async function proxyScrape(): Promise<string> {
  const totals = new TotalCounts(() => true)
  const recorder = new Recorder()
  const route: Route = {
    ...{ host: 'a.example', type: 'Prefix', path: '/', cluster: null, policy: OPEN, split: null, id: 0 },
    ...{ object: 'Ingress/ns/web', revision: 'r1', governed: true },
  }
  const finished = {
    ...{ host: 'a.example', route, notFound: true, upstreamError: true, internal: true, closed: true },
    ...{ connectMs: 1, firstByteMs: 1, attempts: 2, milliseconds: 1, requestBytes: 1, responseBytes: 1 },
  }
  recorder.request({ ...finished, status: 503 })
  recorder.request({ ...finished, status: 200, internal: false, closed: false })
  const session = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', resumed: false }
  recorder.tlsHandshake('a.example', session)
  recorder.tlsFailure('a.example', session)
  recorder.refusedRequest('late')
  recorder.refusedConnection('handshakes')
  recorder.shedConnections('memory', 1)
  recorder.shedRequest('memory')
  recorder.failure('body-too-big')
  recorder.endedHttp2('resets')
  recorder.tlsContext('made')
  const delta = recorder.flush()
  if (delta !== null) totals.add(delta)
  const upstream = new UpstreamTotals(() => true)
  const names = [null, '10.0.0.1:80'].map(endpoint => ({ service: 'ns/web:80', endpoint }))
  upstream.add(0, { names, figures: new Float64Array(2 * TALLY_WIDTH).fill(1) })
  const metrics = proxyMetrics({
    ...{ totals, upstream, version: '1', socketIo: 'streams', appliedAt: () => 0, tableBroken: () => null },
    workers: () => ({ serving: 1, crashes: 0, stalls: 0, outOfMemory: 0, heapLimitBytes: 0 }),
    workerStates: () => [
      { number: 0, lagSeconds: 0, heapBytes: 0, open: { http: 0, https: 0, requests: 0, tunnels: 0 } },
    ],
    logDropped: () => ({ access: 0, own: 0 }),
    table: () => ({ ingresses: 0, hosts: 0, certificates: 0, services: 0, memoryBytes: 0 }),
    ticketsOfFleet: () => true,
    probes: () => ({ ok: 0, failed: 0 }),
    stream: () => ({ stateHash: '', source: 'none', connected: true, refusals: 0, diskError: null, diskRefused: 0 }),
  })
  let text = ''
  for await (const portion of metrics.portions()) text += portion
  return text
}

/** The same of an operator. */
export async function operatorScrape(): Promise<string> {
  const one = (): number => 1
  const yes = (): boolean => true
  const metrics = operatorMetrics({
    ...{ leading: yes, synced: yes, problems: one, governed: one, gone: one, supersededAgain: one },
    ...{ unreadable: one, locked: one, stale: one, streams: one },
    objects: () => ({ Ingress: 1, Secret: 1 }),
    gates: () => ({ Ingress: true, Secret: true }),
    unknownFields: () => ({ field: 1 }),
    open: () => ({ Progressing: 1 }),
    certificateEnds: () => [{ secret: 'Secret/ns/web', notAfter: 0 }],
    queues: () => ({ status: { queued: 0, active: 0, delayed: 0, failing: 0, errors: 0 } }),
    events: () => ({ sent: 0, dropped: 0 }),
  })
  metrics.watchFailed('Ingress', 'list')
  metrics.reportReceived()
  return await metrics.registry.metrics()
}

/** By its name, as Prometheus has it. */
function unitOf({ name, type }: Metric): string {
  const [unit] = /(?:seconds|bytes)$/.exec(name.replace(/_total$/, '')) ?? []
  return unit ?? (type === 'counter' ? 'times' : '')
}

/** The text of docs/metrics.md. */
export async function metricsDocument(): Promise<string> {
  const tables = (text: string): string =>
    metricsIn(text)
      .map(metric => {
        const labels = metric.labels.map(label => `\`${label}\``).join(', ')
        const help = metric.help.replaceAll('|', '\\|')
        return `| \`${metric.name}\` | ${metric.type} | ${unitOf(metric)} | ${labels} | ${help} |\n`
      })
      .join('')
  const head = '| metric | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n'
  return `<!-- Generated by scripts/generate.ts from the code. Do not edit: run \`make generate\`. -->

# Metrics

All that \`/metrics\` tells on the admin ports, beside what prom-client tells of the process (\`process_…\`, \`nodejs_…\`). More on some of them, on hosts and on how many have series: [proxy.md](proxy.md#metrics)
and [operations.md](operations.md#metrics-of-the-operator). A histogram has \`_bucket\`, \`_sum\` and \`_count\`, a summary the last two. Of what is 0 a host, Service or endpoint has no line.

## Proxy

${head}${tables(await proxyScrape())}
## Operator

${head}${tables(await operatorScrape())}`
}
