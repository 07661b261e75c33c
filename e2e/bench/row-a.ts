/** Row A: plain HTTP/1.1, kept alive, one proxy after the other in every round. */
import { Connection, expectBody } from './http-answer.ts'
import { BODY, HOST, peersOf, startUpstream } from './peers.ts'
import type { Place, Server } from './peers.ts'
import { debian, output } from './programs.ts'
import { cpuOfTree } from './proc.ts'
import { inRounds, oursFailed, renderRounds, versionsOf } from './rounds.ts'
import type { Entrant, Round } from './rounds.ts'
import type { Bench, Section } from './row.ts'
import { startSluice, writeTable } from './sluice.ts'
import { faultOf, runWrk } from './wrk.ts'

const CONNECTIONS = 64
const WARM_UP = 2

/** Ways of a request through Sluice (docs/proxy.md), and what must be reached of nginx. */
const WAYS = [
  { name: 'Sluice, relay past the streams', path: 'relay', io: 'direct', ratio: 0.8 },
  { name: 'Sluice, relay path', path: 'relay', io: 'streams', ratio: 0.8 },
  { name: 'Sluice, full path', path: 'full', io: 'streams', ratio: 0.25 },
] as const

export async function rowA(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore, loadCore } = bench
  const wrk = await debian('wrk', 'wrk')
  // It ends with 1 after its version.
  const wrkVersion = await output(wrk, ['-v']).catch((error: unknown) => (error as { stdout?: string }).stdout ?? '')
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const place: Place = { ends, folder, core: proxyCore }
  const ours = WAYS.map(({ name, path, io }, i): Entrant => {
    const options = { folder: `${folder}/table-${i}`, hosts: [HOST], upstream: `127.0.0.1:${upstream.port}` }
    return {
      name,
      start: async () => startSluice({ ...place, table: await writeTable(options), probe: false, path, io }),
    }
  })
  const measure = (server: Server, seconds: number): Promise<Round> =>
    measureRequests({ wrk, core: loadCore, folder, seconds, server })
  const contenders = await inRounds({
    ...{ entrants: [...peersOf(place, upstream.port, null), ...ours], measure },
    ...{ unit: 'request', rounds: settings.rounds, warmUp: WARM_UP, duration: settings.duration },
  })
  return {
    title: `plain HTTP/1.1 keep-alive, ${CONNECTIONS} connections, 1 KiB body`,
    versions: [
      ...versionsOf(contenders),
      `upstream nginx ${upstream.version}`,
      `wrk ${/wrk (?:debian\/)?(\S+)/.exec(wrkVersion)?.[1] ?? 'unknown'}`,
    ],
    text: renderRounds(contenders, { unit: 'request', showsRate: true, targets: WAYS }),
    failed: oursFailed(contenders),
  }
}

export interface RequestLoad {
  readonly wrk: string
  /** Core of the load. */
  readonly core: number
  readonly folder: string
  readonly seconds: number
  readonly server: Server
  readonly headers?: readonly string[]
}

/** Every answer is checked, by wrk's counts. @throws Error why what it measured does not count */
export async function measureRequests({ server, headers = [], ...of }: RequestLoad): Promise<Round> {
  const answerBytes = await sample(server.port)
  const before = cpuOfTree(server.pid)
  const result = await runWrk({ ...of, port: server.port, host: HOST, connections: CONNECTIONS, headers })
  const cpu = cpuOfTree(server.pid) - before
  const fault = faultOf(result, answerBytes, CONNECTIONS)
  if (fault !== null) throw new Error(fault)
  return { cpu: cpu / result.requests, rate: (result.requests * 1e6) / result.durationUs }
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
