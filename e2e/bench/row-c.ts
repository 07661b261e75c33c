/** Row C: what an idle TLS connection costs in memory. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Authority } from '../pki/pki.ts'
import { Connection, expectBody } from './http-answer.ts'
import { BODY, HOST, startUpstream } from './peers.ts'
import { progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { SETTLE_MS } from './row-b.ts'
import { sluiceVersion, startSluice, writeTable } from './sluice.ts'
import type { Memory } from './sluice.ts'
import { numberText, spreadText } from './stats.ts'
import { table } from './table.ts'

/** Opened and closed before: what is made once is not a connection's. */
const WARM_UP = 100
const AT_ONCE = 50
const KIB = 1024

/** Bytes per connection. */
interface Idle {
  readonly rss: number
  /** Of the second half alone: what grows once, such as the heap's young generation, has grown by then. */
  readonly laterRss: number
  readonly heap: number
}

export async function rowC(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore: core, loadCore } = bench
  const authority = await Authority.root('bench')
  const leaf = await authority.issue({ hosts: [HOST] })
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const options = {
    ...{ folder: `${folder}/tls`, hosts: [HOST], upstream: `127.0.0.1:${upstream.port}` },
    tls: { leaf, keyType: 'ECDSA' as const },
  }
  const copy = await writeTable(options)
  const rounds: Idle[] = []
  for (let round = 0; round < settings.rounds; round++) {
    await ends.during(async inner => {
      const proxy = await startSluice({ ends: inner, folder, core, table: copy, probe: true })
      for (const connection of await open(WARM_UP, proxy.https, authority.pem)) connection.end()
      await sleep(SETTLE_MS)
      const before = await proxy.memory()
      const half = Math.floor(settings.idle / 2)
      const connections: Connection[] = []
      inner.add(() => connections.forEach(connection => connection.end()))
      const grow = async (count: number): Promise<Memory> => {
        connections.push(...(await open(count, proxy.https, authority.pem)))
        await sleep(SETTLE_MS)
        return proxy.memory()
      }
      const middle = await grow(half)
      const after = await grow(settings.idle - half)
      const closed = connections.filter(connection => connection.closed).length
      if (closed > 0) throw new Error(`${closed} of ${settings.idle} idle connections were closed`)
      const idle: Idle = {
        rss: (after.rss - before.rss) / settings.idle,
        laterRss: (after.rss - middle.rss) / (settings.idle - half),
        heap: (after.heap - before.heap) / settings.idle,
      }
      rounds.push(idle)
      progress(`round ${round + 1}: ${(idle.rss / KIB).toFixed(1)} KiB of rss per connection`)
    })
  }
  return {
    title: `${numberText(settings.idle, 0)} idle TLS 1.3 connections, one request each before`,
    versions: [`Sluice ${await sluiceVersion()}`, `upstream nginx ${upstream.version}`],
    text: [
      table(
        ['Sluice, one worker', 'KiB per connection'],
        [
          ['rss after garbage collection', spreadText(rounds.map(({ rss }) => rss / KIB))],
          ['the same, of the second half of them', spreadText(rounds.map(({ laterRss }) => laterRss / KIB))],
          ['heap of all threads', spreadText(rounds.map(({ heap }) => heap / KIB))],
        ],
      ),
      '',
      'Target: at most 40 KiB of rss.',
    ].join('\n'),
    failed: false,
  }
}

/** Each has had its answer, checked, when this resolves. */
async function open(count: number, port: number, ca: string): Promise<readonly Connection[]> {
  const connections: Connection[] = []
  const lane = async (size: number): Promise<void> => {
    for (let i = 0; i < size; i++) {
      const connection = await Connection.openTls(port, HOST, ca)
      connections.push(connection)
      expectBody(await connection.ask(HOST), BODY)
    }
  }
  const lanes = Array.from({ length: AT_ONCE }, (_, i) => Math.floor((count + i) / AT_ONCE))
  await Promise.all(lanes.map(lane))
  return connections
}
