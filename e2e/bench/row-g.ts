/** Row G: what a thousand changes cost the clients of others, each proxy told of them as it likes best. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, expectBody } from './http-answer.ts'
import { startCaddyChanges, startHaproxyChanges, startNginxChanges, startTraefikChanges } from './changes.ts'
import type { Changing } from './changes.ts'
import { BODY, HOST, startUpstream } from './peers.ts'
import type { Place } from './peers.ts'
import { messageOf, progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { startSluiceChanges } from './sluice-changes.ts'
import { SteadyLoad } from './steady-load.ts'
import type { SteadyFigures } from './steady-load.ts'
import { numberText } from './stats.ts'
import { table } from './table.ts'

const HOSTS = 1_000
const CHANGES = 1_000
/** Told one by one, or all of a second together where that is the better way. */
const PER_SECOND = 100
const CONNECTIONS = 32
const REQUESTS_PER_SECOND = 1_600
const CALM_MS = 8_000
/** Until the last change is served, at most. */
const LIVE_MS = 30_000

export interface Seen {
  readonly name: string
  readonly way: string
  readonly version: string
  readonly calm: SteadyFigures
  readonly changed: SteadyFigures
  /** From the last change until the last one is served, milliseconds. */
  readonly liveMs: number
}

export async function rowG({ ends, folder, proxyCore, loadCore }: Bench): Promise<Section> {
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const place: Place = { ends, folder, core: proxyCore }
  const before = [HOST, ...Array.from({ length: HOSTS - 1 }, (_, n) => `host-${n}.example`)]
  const starts: readonly (readonly [string, (place: Place) => Promise<Changing>])[] = [
    ['nginx', inner => startNginxChanges(inner, upstream.port, before)],
    ['HAProxy', inner => startHaproxyChanges(inner, upstream.port, before)],
    ['Caddy', inner => startCaddyChanges(inner, upstream.port, before)],
    ['Traefik', inner => startTraefikChanges(inner, upstream.port, before)],
    ['Sluice', inner => startSluiceChanges(inner, upstream.port, before)],
  ]
  const seen: Seen[] = []
  const faults: (readonly [string, string])[] = []
  for (const [name, start] of starts) {
    try {
      const one = await ends.during(async inner => played(await start({ ...place, ends: inner }), inner))
      seen.push(one)
      progress(`${name}: ${one.changed.cut} cut, ${one.changed.closed} closed, p99 ${one.changed.p99.toFixed(1)} ms`)
    } catch (error) {
      faults.push([name, messageOf(error)])
      progress(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return {
    title: `${numberText(CHANGES, 0)} hosts added to ${numberText(HOSTS, 0)}, ${PER_SECOND} a second, beside ${numberText(REQUESTS_PER_SECOND, 0)} requests a second on ${CONNECTIONS} connections to another host`,
    versions: [...seen.map(({ name, version }) => `${name} ${version}`), `upstream nginx ${upstream.version}`],
    text: renderRowG(seen, faults),
    failed: faults.some(([name]) => name === 'Sluice'),
  }
}

async function played(proxy: Changing, ends: Place['ends']): Promise<Seen> {
  const { name, version, port } = proxy.server
  const load = new SteadyLoad({
    port,
    host: HOST,
    body: BODY,
    connections: CONNECTIONS,
    perSecond: REQUESTS_PER_SECOND,
  })
  ends.add(() => load.end())
  // Compilers and pools are as they will be then.
  await sleep(CALM_MS / 2)
  await load.figures()
  await sleep(CALM_MS)
  const calm = await load.figures()
  const added: string[] = []
  const begun = performance.now()
  while (added.length < CHANGES) {
    const batch = proxy.batched ? PER_SECOND : 1
    const names = Array.from({ length: batch }, (_, i) => `added-${added.length + i}.example`)
    await proxy.add(names)
    added.push(...names)
    const wait = begun + (added.length * 1_000) / PER_SECOND - performance.now()
    if (wait > 0) await sleep(wait)
  }
  const told = performance.now()
  const last = added.at(-1) ?? ''
  while (!(await isServed(port, last))) {
    if (performance.now() - told > LIVE_MS) throw new Error(`${last} is not served after ${LIVE_MS / 1_000} s`)
    await sleep(5)
  }
  const liveMs = performance.now() - told
  const changed = await load.figures()
  for (const host of added.filter((_, n) => n % 50 === 0))
    if (!(await isServed(port, host))) throw new Error(`${host} is not served`)
  return { name, version, way: proxy.way, calm, changed, liveMs }
}

async function isServed(port: number, host: string): Promise<boolean> {
  const connection = await Connection.open(port)
  try {
    expectBody(await connection.ask(host), BODY)
    return true
  } catch {
    return false
  } finally {
    connection.end()
  }
}

export function renderRowG(seen: readonly Seen[], faults: readonly (readonly [string, string])[]): string {
  const head = [
    'proxy',
    'told by',
    'requests cut',
    'connections closed',
    'p50, p99 before, ms',
    'p50, p99 meanwhile, ms',
    'last one served after, ms',
  ]
  const pair = ({ p50, p99 }: SteadyFigures): string => `${p50.toFixed(1)}, ${p99.toFixed(1)}`
  const rows = seen.map(({ name, version, way, calm, changed, liveMs }) => [
    ...[`${name} ${version}`, way, `${changed.cut} of ${numberText(changed.requests, 0)}`, String(changed.closed)],
    ...[pair(calm), pair(changed), numberText(liveMs, 0)],
  ])
  return [
    table(head, [...rows, ...faults.map(([name, fault]) => [name, `not measured: ${fault}`, '', '', '', '', ''])]),
    '',
    'Target: no request cut, no connection closed, p99 as before.',
  ].join('\n')
}
