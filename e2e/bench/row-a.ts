/** Row A: plain HTTP/1.1, kept alive, one proxy after the other in every round. */
import { Connection, expectBody } from './http-answer.ts'
import { BODY, HOST, startHaproxy, startNginxProxy, startTraefik, startUpstream } from './peers.ts'
import type { Place, Server } from './peers.ts'
import { debian, output } from './programs.ts'
import { cpuOfTree } from './proc.ts'
import { messageOf, progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { startSluice, writeTable } from './sluice.ts'
import { spreadOf, spreadText } from './stats.ts'
import { table } from './table.ts'
import { faultOf, runWrk } from './wrk.ts'

const CONNECTIONS = 64
/** Before the first round, in seconds: compilers and pools are as they will be then. */
const WARM_UP = 2

/** Ways of a request through Sluice (docs/proxy.md), and what must be reached of nginx. */
const WAYS = [
  { what: 'relay past the streams', path: 'relay', io: 'direct', target: 0.8 },
  { what: 'relay path', path: 'relay', io: 'streams', target: 0.8 },
  { what: 'full path', path: 'full', io: 'streams', target: 0.25 },
] as const

const nameOf = ({ what }: (typeof WAYS)[number]): string => `Sluice, ${what}`

export interface Round {
  /** Microseconds of CPU time per request. */
  readonly cpu: number
  /** Per second. */
  readonly rate: number
}

/** A proxy and its rounds, or why there are none. */
export interface Contender {
  readonly name: string
  readonly version: string
  readonly rounds: readonly Round[]
  readonly fault: string | null
}

interface Running {
  readonly name: string
  server: Server | null
  readonly rounds: Round[]
  fault: string | null
}

export async function rowA(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore, loadCore } = bench
  const wrk = await debian('wrk', 'wrk')
  // It ends with 1 after its version.
  const wrkVersion = await output(wrk, ['-v']).catch((error: unknown) => (error as { stdout?: string }).stdout ?? '')
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const place: Place = { ends, folder, core: proxyCore }
  const starts: readonly (readonly [string, () => Promise<Server>])[] = [
    ['nginx', () => startNginxProxy(place, upstream.port)],
    ['HAProxy', () => startHaproxy(place, upstream.port)],
    ['Traefik', () => startTraefik(place, upstream.port)],
    ...WAYS.map((way, i): readonly [string, () => Promise<Server>] => [
      nameOf(way),
      async () => {
        const options = { folder: `${folder}/table-${i}`, hosts: [HOST], upstream: `127.0.0.1:${upstream.port}` }
        const { path, io } = way
        return startSluice({ ...place, table: await writeTable(options), probe: false, path, io })
      },
    ]),
  ]
  const measure = async (server: Server, seconds: number): Promise<Round> => {
    const load = { wrk, core: loadCore, folder, port: server.port, host: HOST, connections: CONNECTIONS, seconds }
    const answerBytes = await sample(server.port)
    const before = cpuOfTree(server.pid)
    const result = await runWrk(load)
    const cpu = cpuOfTree(server.pid) - before
    const fault = faultOf(result, answerBytes, CONNECTIONS)
    if (fault !== null) throw new Error(fault)
    return { cpu: cpu / result.requests, rate: (result.requests * 1e6) / result.durationUs }
  }
  const running: Running[] = []
  for (const [name, begin] of starts) {
    const one: Running = { name, server: null, rounds: [], fault: null }
    running.push(one)
    await attempt(one, async () => {
      one.server = await begin()
      await measure(one.server, WARM_UP)
    })
  }
  for (let round = 0; round < settings.rounds; round++) {
    // Each is first once: whoever disturbs the machine does not always meet the same one.
    for (let i = 0; i < running.length; i++) {
      const one = running[(round + i) % running.length]
      if (one === undefined || one.server === null || one.fault !== null) continue
      const { server } = one
      await attempt(one, async () => {
        const figures = await measure(server, settings.duration)
        one.rounds.push(figures)
        const [cpu, rate] = [figures.cpu.toFixed(1), figures.rate.toFixed(0)]
        progress(`round ${round + 1} of ${settings.rounds}, ${one.name}: ${cpu} µs, ${rate} requests/s`)
      })
    }
  }
  const contenders = running.map(({ name, server, rounds, fault }) => {
    return { name, version: server?.version ?? '', rounds, fault }
  })
  return {
    title: `plain HTTP/1.1 keep-alive, ${CONNECTIONS} connections, 1 KiB body`,
    versions: [
      ...contenders.flatMap(({ name, version }) => (version === '' ? [] : [`${name} ${version}`])),
      `upstream nginx ${upstream.version}`,
      `wrk ${/wrk (?:debian\/)?(\S+)/.exec(wrkVersion)?.[1] ?? 'unknown'}`,
    ],
    text: renderRowA(contenders),
    failed: contenders.some(({ name, fault }) => fault !== null && WAYS.some(way => name === nameOf(way))),
  }
}

async function attempt(one: Running, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    one.fault = messageOf(error)
    progress(`${one.name}: ${error instanceof Error ? error.message : one.fault}`)
  }
}

/** One answer, read to the last byte. @returns its bytes */
async function sample(port: number): Promise<number> {
  const connection = await Connection.open(port)
  try {
    const answer = await connection.ask(HOST)
    expectBody(answer, BODY)
    return answer.bytes
  } finally {
    connection.end()
  }
}

/** Ratios are those of one round each: figures of different rounds drift apart with the machine. */
export function renderRowA(contenders: readonly Contender[]): string {
  const roundsOf = (name: string): readonly Round[] =>
    contenders.find(one => one.name === name && one.fault === null)?.rounds ?? []
  const ratio = (peer: string, rounds: readonly Round[]): string => {
    const theirs = roundsOf(peer)
    const ratios = rounds.flatMap(({ cpu }, i) => (theirs[i] === undefined ? [] : theirs[i].cpu / cpu))
    return ratios.length === 0 ? 'not measured' : spreadText(ratios, 2)
  }
  const head = ['proxy', 'CPU µs/request', 'requests/s on one core', 'ratio to nginx', 'ratio to Traefik']
  const rows = contenders.map(({ name, version, rounds, fault }) => {
    if (fault !== null) return [name, `not measured: ${fault}`, '', '', '']
    return [
      `${name} ${version}`,
      spreadText(rounds.map(({ cpu }) => cpu)),
      spreadText(
        rounds.map(({ rate }) => rate),
        0,
      ),
      ratio('nginx', rounds),
      ratio('Traefik', rounds),
    ]
  })
  const reached = WAYS.map(way => {
    const ours = roundsOf(nameOf(way)).flatMap(({ cpu }, i) => (roundsOf('nginx')[i]?.cpu ?? Number.NaN) / cpu)
    const known = ours.filter(Number.isFinite)
    const figure = known.length === 0 ? 'not measured' : spreadOf(known).median.toFixed(2)
    return `${way.what} ${way.target.toFixed(2)} of nginx or more; this build: ${figure}`
  })
  return [
    table(head, rows),
    '',
    `Ratio: the peer's CPU time per request divided by that of this proxy; more is better.`,
    `Targets: ${reached.join('. ')}.`,
  ].join('\n')
}
