/**
 * Sluice under test: the one file of the bench that knows how it is built, configured and given a table. The bundle runs,
 * as in the image; its table comes from the copy on disk, as after a restart with the operator away.
 */
import { mkdir, readFile, stat } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import { StateHash, idsChecksum } from '../../protocol/hash.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Certificate, Fragment, ObjectKind } from '../../protocol/objects.ts'
import type { TableContents } from '../../proxy/disk/contents.ts'
import { LastTable } from '../../proxy/disk/last-table.ts'
import { contentsOf } from '../../proxy/disk/testing/contents.ts'
import type { RequestPath } from '../../proxy/gateway/transport.ts'
import type { SocketIoName } from '../../proxy/io/contract.ts'
import { entry } from '../../proxy/stream/testing/messages.ts'
import type { Entry } from '../../proxy/table/entry.ts'
import { certificate, fragment, host, path, tls } from '../../proxy/table/testing/fixtures.ts'
import type { KeyType, Leaf } from '../pki/pki.ts'
import type { Place } from './peers.ts'
import type { ProbeLine, ThreadFigures } from './probe.ts'
import { output, start, untilTrue } from './programs.ts'
import type { Program } from './programs.ts'
import { cpuOfTree, rssOf } from './proc.ts'

const ROOT = join(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'dist/proxy/main.js')
export const SERVICE = 'bench/web:80'
/** Nobody listens there: the proxy asks again every few seconds, as it does while an operator is away. */
const NO_OPERATOR = '127.0.0.1:1'

export interface SluicePlace extends Place {
  /** Folder of a copy on disk: its table, with the operator away. */
  readonly table?: string
  /** An operator's stream server, and the folder with token and CA file for it. */
  readonly stream?: { readonly address: string; readonly folder: string }
  /** Load probe.ts with it. */
  readonly probe: boolean
  /** The program; else the bundle. */
  readonly main?: string
  /** REQUEST_PATH; else the default. */
  readonly path?: RequestPath
  /** SOCKET_IO; else the default. What does not work here is not measured. */
  readonly io?: SocketIoName
}

export interface Memory {
  /** Bytes, of the process. */
  readonly rss: number
  /** Bytes, of all threads: JavaScript heap and what its objects hold outside of it. */
  readonly heap: number
  /** Of these: what buffers hold, such as lists of IDs. */
  readonly buffers: number
  /** Milliseconds since the last time: of the main thread, and of the worst worker. */
  readonly mainStall: number
  readonly workerStall: number
  /** Milliseconds of their own processor time in one turn. */
  readonly mainTurn: number
  readonly workerTurn: number
}

export interface Sluice {
  readonly name: string
  readonly version: string
  readonly pid: number
  /** Plain HTTP. */
  readonly port: number
  readonly https: number
  readonly admin: number
  /** Until it was ready: milliseconds of the clock, and of CPU time. */
  readonly startMs: number
  readonly startCpuMs: number
  /** Needs the probe. */
  readonly memory: () => Promise<Memory>
  /** Bytes of memory that its threads share and its table uses, as its metrics say. Reading them is work of its main thread. */
  readonly tableBytes: () => Promise<number>
}

export async function bundleSluice(): Promise<void> {
  await output(process.execPath, [join(ROOT, 'scripts/bundle.ts'), 'proxy'])
}

/** What the bundle is made of: other changes, such as the bench's own document, are no other proxy. */
const SOURCES = ['proxy', 'protocol', 'package.json', 'package-lock.json', 'scripts/bundle.ts']

/** Version, and the last commit that changed the sources, with `-dirty` where they are not those of it. */
export async function sluiceVersion(): Promise<string> {
  const git = (...args: readonly string[]): Promise<string> => output('git', ['-C', ROOT, ...args])
  try {
    const commit = (await git('log', '-1', '--format=%h', '--', ...SOURCES)).trim()
    const changed = await git('status', '--porcelain', '--', ...SOURCES)
    return `${packageJson.version} ${commit}${changed === '' ? '' : '-dirty'}`
  } catch {
    // Not a checkout.
    return packageJson.version
  }
}

export interface TableOptions {
  readonly folder: string
  /** Each in an Ingress of its own, with the path / to one Service. */
  readonly hosts: readonly string[]
  /** `127.0.0.1:port`. */
  readonly upstream: string
  /** For all hosts; none given: no TLS. */
  readonly tls?: { readonly leaf: Leaf; readonly keyType: KeyType }
}

/** Writes a copy of a table as the proxy itself does. @returns its folder */
export async function writeTable({ folder, hosts, upstream, tls: served }: TableOptions): Promise<string> {
  const payloads: (Fragment | Certificate)[] = hosts.map((name, i) =>
    fragment(`web-${i}`, [host(name, path('Prefix /', SERVICE))], {
      ...{ governed: false, tls: served === undefined ? [] : [tls('web', name)] },
    }),
  )
  if (served !== undefined) payloads.push(certificate('web', served.keyType, served.leaf))
  return writePayloads({ folder, payloads, endpoints: [[SERVICE, [upstream]]] })
}

/** Any objects, released to everybody. @returns the folder of the copy */
export async function writePayloads({
  folder,
  payloads,
  endpoints,
}: {
  readonly folder: string
  /** Read twice, and not kept: there may be more of them than this process should hold. */
  readonly payloads: Iterable<Fragment | Certificate>
  readonly endpoints: TableContents['endpoints']
}): Promise<string> {
  await mkdir(folder)
  const hash = new StateHash()
  const ids: Record<ObjectKind, string[]> = { Ingress: [], Secret: [] }
  for (const { assignment } of entriesOf(payloads)) {
    hash.toggle(assignment)
    ids[parseObjectKey(assignment.key).kind].push(assignment.id)
  }
  const checksums = { ingress: idsChecksum(ids.Ingress), secret: idsChecksum(ids.Secret) }
  await new LastTable(folder).write(contentsOf(entriesOf(payloads), { endpoints, checksums, stateHash: hash.hex }))
  return folder
}

function* entriesOf(payloads: Iterable<Fragment | Certificate>): Generator<Entry, void> {
  for (const payload of payloads) yield entry(payload)
}

/** Bytes of the copy in this folder; 0: there is none. */
export async function copyBytes(folder: string): Promise<number> {
  return (await stat(new LastTable(folder).path).catch(() => null))?.size ?? 0
}

interface Ports {
  readonly http: number
  readonly https: number
  readonly admin: number
}

interface Line {
  readonly ports?: Ports
  readonly probe?: ProbeLine['probe']
  readonly level?: number
  readonly message?: string
}

/** Milliseconds: hundreds of thousands of hosts on a busy machine. It is waited for until it ends, too. */
const READY_MS = 300_000

/** What the proxy says when it has proven its copy on disk, which it serves before. */
const PROVEN = 'the table from disk proved right'

/** pino's number of `error`. */
const ERROR_LEVEL = 50

/** What the image sets for Node. @throws if the file does not say it as expected */
async function imageOptions(): Promise<string> {
  const text = await readFile(join(ROOT, 'deploy/images/Dockerfile'), 'utf8')
  const options = /^FROM runtime AS proxy\n(?:(?!FROM )[^\n]*\n)*?ENV NODE_OPTIONS=(\S+)$/m.exec(text)?.[1]
  if (options === undefined) throw new Error('no NODE_OPTIONS of the proxy in deploy/images/Dockerfile')
  return options
}

/** One worker, access log off. Ready when this resolves. */
export async function startSluice({ ends, core, table, stream, probe, main, path, io }: SluicePlace): Promise<Sluice> {
  let ports: Ports | null = null
  let figures: readonly ThreadFigures[] | null = null
  // With an operator's stream a folder is empty at first.
  let proven = table === undefined || stream !== undefined
  const onLine = (text: string): void => {
    const line = JSON.parse(text) as Line
    ports ??= line.ports ?? null
    figures = line.probe ?? figures
    proven ||= line.message === PROVEN
    if ((line.level ?? 0) >= ERROR_LEVEL) console.error(text)
  }
  const options = probe ? ['--expose-gc', '--import', new URL('probe.ts', import.meta.url).href] : []
  const begun = performance.now()
  const program: Program = start({
    ...{ ends, core, onLine, command: [process.execPath, ...options, main ?? MAIN] },
    env: {
      ...{
        POD_NAME: 'sluice-proxy-0',
        SLUICE_OPERATOR: stream?.address ?? NO_OPERATOR,
        STATE_DIR: table ?? '',
        ...(stream === undefined
          ? {}
          : { TOKEN_FILE: join(stream.folder, 'token'), CA_FILE: join(stream.folder, 'ca.crt') }),
        NODE_OPTIONS: await imageOptions(),
        WORKERS: '1',
        // As the others: a connection is used as long as its client likes.
        KEEP_ALIVE_REQUESTS: '0',
        KEEP_ALIVE_AGE: '0',
        ACCESS_LOG: 'off',
        ...(path === undefined ? {} : { REQUEST_PATH: path }),
        ...(io === undefined ? {} : { SOCKET_IO: io }),
      },
      ...{ LISTEN_ADDRESS: '127.0.0.1', HTTP_PORT: '0', HTTPS_PORT: '0', ADMIN_PORT: '0' },
      ...{ DRAIN_DELAY: '0', DRAIN_TIMEOUT: '1s' },
    },
  })
  const isReady = async (): Promise<boolean> => ports !== null && (await statusOf(ports.admin, '/readyz')) === 200
  await untilTrue(program, 'ready', isReady, READY_MS)
  const startMs = performance.now() - begun
  const startCpuMs = cpuOfTree(program.pid) / 1000
  // What goes on behind its start is no part of what is measured after it.
  await untilTrue(program, 'proven', () => proven, READY_MS)
  const { http, https, admin } = ports as unknown as Ports
  if (io !== undefined) await expectIo(admin, io)
  const memory = async (): Promise<Memory> => {
    figures = null
    program.child.kill('SIGUSR2')
    await untilTrue(program, 'measured', () => figures !== null)
    const [main, ...workers] = figures as unknown as readonly ThreadFigures[]
    const all = main === undefined ? [] : [main, ...workers]
    return {
      rss: rssOf(program.pid),
      heap: all.reduce((sum, { heapUsed, external }) => sum + heapUsed + external, 0),
      buffers: all.reduce((sum, { arrayBuffers }) => sum + arrayBuffers, 0),
      mainStall: main?.longestStall ?? 0,
      workerStall: Math.max(0, ...workers.map(({ longestStall }) => longestStall)),
      mainTurn: main?.longestTurn ?? 0,
      workerTurn: Math.max(0, ...workers.map(({ longestTurn }) => longestTurn)),
    }
  }
  const tableBytes = async (): Promise<number> => {
    const bytes = /^sluice_table_memory_bytes ([0-9.e+]+)$/m.exec(await metricsOf(admin))?.[1]
    if (bytes === undefined) throw new Error('no sluice_table_memory_bytes in /metrics')
    return Number(bytes)
  }
  const version = await sluiceVersion()
  const { pid } = program
  return { name: 'Sluice', version, pid, port: http, https, admin, startMs, startCpuMs, memory, tableBytes }
}

async function metricsOf(admin: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${admin}/metrics`)).text()
}

/** @throws Error where it does not work here, and the streams are used */
async function expectIo(admin: number, io: SocketIoName): Promise<void> {
  const text = await metricsOf(admin)
  if (!text.includes(`sluice_socket_io_info{socket_io="${io}"} 1`))
    throw new Error(`SOCKET_IO=${io} does not work here`)
}

/** 0: no answer. */
export function statusOf(port: number, target: string): Promise<number> {
  return new Promise(resolve => {
    get({ host: '127.0.0.1', port, path: target, agent: false }, response => {
      response.resume()
      response.on('close', () => resolve(response.complete ? (response.statusCode ?? 0) : 0))
    }).on('error', () => resolve(0))
  })
}
