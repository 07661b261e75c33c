/** Row B: what plain hosts cost in memory, and a start with them from disk. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection } from './http-answer.ts'
import { progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { sluiceVersion, startSluice, writeTable } from './sluice.ts'
import type { Memory, Sluice } from './sluice.ts'
import { numberText, spreadText } from './stats.ts'
import { table } from './table.ts'

/** Milliseconds that a process is left alone before it is measured. */
export const SETTLE_MS = 1_000
const MIB = 1024 * 1024

interface Start extends Memory {
  readonly ms: number
  readonly cpuMs: number
}

export function hostNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `host-${i}.bench.example`)
}

export async function rowB(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore: core } = bench
  const names = hostNames(settings.hosts)
  // Nobody asks for more than one of the hosts, and no upstream is needed for a 502.
  const upstream = '127.0.0.1:1'
  const tables = [
    await writeTable({ folder: `${folder}/none`, hosts: [], upstream }),
    await writeTable({ folder: `${folder}/many`, hosts: names, upstream }),
  ]
  const figures: readonly [Start[], Start[]] = [[], []]
  for (let round = 0; round < settings.rounds; round++) {
    for (const [i, copy] of tables.entries()) {
      await ends.during(async inner => {
        const proxy = await startSluice({ ends: inner, folder, core, table: copy, probe: true })
        await expectStatus(proxy, names.at(-1) ?? '', i === 0 ? 404 : 502)
        await sleep(SETTLE_MS)
        const start = { ...(await proxy.memory()), ms: proxy.startMs, cpuMs: proxy.startCpuMs }
        figures[i === 0 ? 0 : 1].push(start)
        const [rss, ms] = [(start.rss / MIB).toFixed(0), start.ms.toFixed(0)]
        progress(`round ${round + 1}, ${i === 0 ? 0 : settings.hosts} hosts: rss ${rss} MiB, ready after ${ms} ms`)
      })
    }
  }
  return {
    title: 'memory of a plain host, start from disk',
    versions: [`Sluice ${await sluiceVersion()}`],
    text: renderRowB(figures[0], figures[1], settings.hosts),
    failed: false,
  }
}

/** @throws if the table is not the one that was written */
async function expectStatus({ port }: Sluice, host: string, status: number): Promise<void> {
  const connection = await Connection.open(port)
  const answer = await connection.ask(host).finally(() => connection.end())
  if (answer.status !== status) throw new Error(`${host} answers ${answer.status}, not ${status}`)
}

function renderRowB(none: readonly Start[], many: readonly Start[], hosts: number): string {
  const line = (name: string, of: (start: Start) => number, digits: number): readonly string[] => [
    name,
    spreadText(none.map(of), digits),
    spreadText(many.map(of), digits),
  ]
  const perHost = (of: (start: Start) => number): string =>
    spreadText(
      many.map((start, i) => (of(start) - of(none[i] ?? start)) / hosts),
      0,
    )
  return [
    table(
      ['Sluice, one worker', 'no host', `${numberText(hosts, 0)} hosts`],
      [
        line('rss after garbage collection, MiB', ({ rss }) => rss / MIB, 1),
        line('heap of all threads, MiB', ({ heap }) => heap / MIB, 1),
        line('process to ready, ms', ({ ms }) => ms, 0),
        line('process to ready, CPU ms', ({ cpuMs }) => cpuMs, 0),
      ],
    ),
    '',
    `Per host: ${perHost(({ rss }) => rss)} bytes of rss, ${perHost(({ heap }) => heap)} bytes of heap. Target: 250 bytes.`,
  ].join('\n')
}
