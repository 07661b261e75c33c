/** Rows E and F: the same proxies over TLS 1.3, connections kept alive, or one for each request. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Authority } from '../pki/pki.ts'
import type { KeyType } from '../pki/pki.ts'
import { h2loadProgram, h2loadVersion, runH2load, tlsFaultOf } from './h2load.ts'
import type { TlsLoad } from './h2load.ts'
import { Connection, expectBody } from './http-answer.ts'
import { BODY, HOST, peersOf, startUpstream, writeTlsFiles } from './peers.ts'
import type { Place, Server } from './peers.ts'
import { cpuOfTree } from './proc.ts'
import { inRounds, oursFailed, renderRounds, versionsOf } from './rounds.ts'
import type { Contender, Entrant, Round, Target } from './rounds.ts'
import { progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { startSluice, writeTable } from './sluice.ts'

const CONNECTIONS = 64
/** Below what the slowest of them can do on a core, and enough that what a proxy does without any is little beside it. */
const HANDSHAKES_PER_SECOND = 400
/** Seconds of load before the first round: some thousand requests, and as many handshakes. */
const WARM_UP = 2
const WARM_UP_OF_HANDSHAKES = 15

/** Ways of a request through Sluice (docs/proxy.md). */
const WAYS = [
  { name: 'Sluice, relay past the streams', path: 'relay', io: 'direct' },
  { name: 'Sluice, relay path', path: 'relay', io: 'streams' },
  { name: 'Sluice, full path', path: 'full', io: 'streams' },
] as const

/** For all that is only routed. */
const RELAYS = WAYS.filter(({ path }) => path === 'relay').map(({ name }) => name)

interface OverTls {
  readonly keyType: KeyType
  readonly warmUp: number
  readonly connections: TlsLoad['connections']
  readonly unit: string
}

/** What the relays have to reach of nginx. */
function targetsOf(ratio: number): readonly Target[] {
  return RELAYS.map(name => ({ name, ratio }))
}

export async function rowE(bench: Bench): Promise<Section> {
  const connections = { keptAlive: CONNECTIONS }
  const { versions, contenders } = await contestOf(bench, {
    ...{ keyType: 'ECDSA', connections, unit: 'request', warmUp: WARM_UP },
  })
  const targets = targetsOf(0.7)
  return {
    title: `HTTPS keep-alive, TLS 1.3, ${CONNECTIONS} connections, 1 KiB body`,
    versions,
    text: renderRounds(contenders, { unit: 'request', showsRate: true, targets }),
    failed: oursFailed(contenders),
  }
}

export async function rowF(bench: Bench): Promise<Section> {
  const kinds: readonly (readonly [KeyType, number])[] = [
    ['ECDSA', 0.7],
    ['RSA', 0.75],
  ]
  const sections: { readonly versions: readonly string[]; readonly text: string; readonly failed: boolean }[] = []
  for (const [keyType, ratio] of kinds) {
    progress(`${keyType}:`)
    const connections = { perRequest: HANDSHAKES_PER_SECOND }
    const contest = { keyType, connections, unit: 'connection', warmUp: WARM_UP_OF_HANDSHAKES }
    const { versions, contenders } = await bench.ends.during(ends => contestOf({ ...bench, ends }, contest))
    const targets = targetsOf(ratio)
    const text = renderRounds(contenders, { unit: contest.unit, showsRate: false, targets })
    sections.push({ versions, text: `${keyType}:\n\n${text}`, failed: oursFailed(contenders) })
  }
  return {
    title: `HTTPS, TLS 1.3, a handshake and one request per connection, ${HANDSHAKES_PER_SECOND} a second, no resumption`,
    versions: sections[0]?.versions ?? [],
    text: sections.map(({ text }) => text).join('\n\n'),
    failed: sections.some(({ failed }) => failed),
  }
}

async function contestOf(
  { settings, ends, folder: parent, proxyCore, loadCore }: Bench,
  { keyType, connections, unit, warmUp }: OverTls,
): Promise<{ readonly versions: readonly string[]; readonly contenders: readonly Contender[] }> {
  const h2load = await h2loadProgram()
  const authority = await Authority.root('bench')
  const leaf = await authority.issue({ hosts: [HOST], keyType })
  const folder = join(parent, keyType)
  await mkdir(folder)
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const place: Place = { ends, folder, core: proxyCore }
  const files = await writeTlsFiles(folder, leaf, authority.pem)
  const ours = WAYS.map(({ name, path, io }, i): Entrant => {
    const options = { folder: `${folder}/table-${i}`, hosts: [HOST], upstream: `127.0.0.1:${upstream.port}` }
    return {
      name,
      start: async () => {
        const table = await writeTable({ ...options, tls: { leaf, keyType } })
        const sluice = await startSluice({ ...place, table, probe: false, path, io })
        return { ...sluice, port: sluice.https }
      },
    }
  })
  const measure = async (server: Server, seconds: number): Promise<Round> => {
    await sample(server.port, authority.pem)
    const before = cpuOfTree(server.pid)
    const result = await runH2load({ h2load, core: loadCore, port: server.port, host: HOST, connections, seconds })
    const cpu = cpuOfTree(server.pid) - before
    const fault = tlsFaultOf(result, BODY.length)
    if (fault !== null) throw new Error(fault)
    return { cpu: cpu / result.requests, rate: result.requests / result.seconds }
  }
  const contenders = await inRounds({
    ...{ entrants: [...peersOf(place, upstream.port, files), ...ours], measure },
    ...{ unit, rounds: settings.rounds, warmUp, duration: settings.duration },
  })
  const others = [`upstream nginx ${upstream.version}`, `h2load ${await h2loadVersion(h2load)}`]
  return { versions: [...versionsOf(contenders), ...others], contenders }
}

/** One answer, read to the last byte, by a client that looks at the certificate. */
async function sample(port: number, ca: string): Promise<void> {
  const connection = await Connection.openTls(port, HOST, ca)
  try {
    expectBody(await connection.ask(HOST), BODY)
  } finally {
    connection.end()
  }
}
