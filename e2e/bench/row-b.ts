/** Row B: what hosts cost a pod in memory, a start with them from disk, and the snapshot that brings them. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { TestWorld } from '../stream/world.ts'
import type { Certificate, Fragment } from '../../protocol/objects.ts'
import { copier } from '../pki/copies.ts'
import { Authority } from '../pki/pki.ts'
import { endpointsOf, hostName, plainHost, tlsHost, tlsHostName } from './hosts.ts'
import { Connection } from './http-answer.ts'
import { progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { counted, startStreamServer } from './sluice-changes.ts'
import { copyBytes, sluiceVersion, startSluice, writePayloads } from './sluice.ts'
import type { Memory, Sluice, SluicePlace } from './sluice.ts'
import { numberText, spreadText } from './stats.ts'
import { table } from './table.ts'
import { judged } from './targets.ts'

/** Milliseconds that a process is left alone before it is measured. */
export const SETTLE_MS = 1_000
/** V8 gives pages back some ten to fifteen seconds after they became free. */
const REST_MS = 20_000
/** A snapshot of more hosts is not made: the operator of the bench has them all as objects. */
const MOST_IN_SNAPSHOT = 100_000
/** Until the pod has written its own copy of a snapshot, in milliseconds. */
const COPY_MS = 120_000
/** RSA keys that certificates take turns with: far more than a compressor sees at once. */
const KEYS = 16
/** Nobody asks for more than one of the hosts, and no upstream is needed for a 502. */
const UPSTREAM = '127.0.0.1:1'
/** Certificates made in one turn of the event loop. */
const TURN = 256
const MIB = 1024 * 1024
const MB = 1e6

/** What one pod was seen with. */
export interface Pod extends Memory {
  /** Bytes of the memory that its threads share and its table uses. */
  readonly table: number
  /** Until it was ready: milliseconds, and those of CPU time. */
  readonly ms: number
  readonly cpuMs: number
}

const KINDS = ['none', 'plain', 'tls', 'streamed'] as const
type Kind = (typeof KINDS)[number]

/** In rounds; a round has one of each. */
export interface RowB extends Readonly<Record<Kind, readonly Pod[]>> {
  readonly hosts: number
  readonly tlsHosts: number
  readonly streamedHosts: number
  /** Of a TLS host: chain and key. */
  readonly pemBytes: number
  /** The snapshot as it was sent, and the copy that the pod made of it. */
  readonly sentBytes: readonly number[]
  readonly copyBytes: readonly number[]
}

export function hostNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => hostName(i))
}

export async function rowB(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore: core } = bench
  const { hosts, tlsHosts } = settings
  const endpoints = endpointsOf(UPSTREAM)
  const served = await certificatesFor(tlsHosts)
  const copies = {
    none: await writePayloads({ folder: `${folder}/none`, payloads: [], endpoints: [] }),
    plain: await writePayloads({ folder: `${folder}/plain`, payloads: plainHosts(hosts), endpoints }),
    tls: await writePayloads({ folder: `${folder}/tls`, payloads: served.payloads, endpoints }),
  }
  const streamedHosts = Math.min(hosts, MOST_IN_SNAPSHOT)
  const world = new TestWorld()
  for (const payload of plainHosts(streamedHosts)) world.release(payload)
  for (const [service, addresses] of endpoints) world.setEndpoints(service, addresses)
  const { stream } = await startStreamServer(ends, world)

  const pods: Record<Kind, Pod[]> = { none: [], plain: [], tls: [], streamed: [] }
  const bytes: Record<'sent' | 'copy', number[]> = { sent: [], copy: [] }
  const last = { plain: hostName(hosts - 1), tls: tlsHostName(tlsHosts - 1), streamed: hostName(streamedHosts - 1) }
  for (let round = 1; round <= settings.rounds; round++) {
    await ends.during(async inner => {
      const started = async (name: string, more: Partial<SluicePlace>): Promise<Sluice> => {
        const proxy = await startSluice({ ends: inner, folder, core, probe: true, ...more })
        progress(`round ${round}, ${name}: ready after ${proxy.startMs.toFixed(0)} ms`)
        // Garbage is collected; what that freed is not given back yet.
        await proxy.memory()
        return proxy
      }
      const none = await started('no host', { table: copies.none })
      await expectStatus(await Connection.open(none.port), last.plain, 404)
      const plain = await started(`${hosts} plain hosts`, { table: copies.plain })
      await expectStatus(await Connection.open(plain.port), last.plain, 502)
      const tls = await started(`${tlsHosts} TLS hosts`, { table: copies.tls })
      await expectStatus(await Connection.openTls(tls.https, last.tls, served.authority), last.tls, 502)
      const wire = await counted(inner, stream)
      const own = `${folder}/own-${round}`
      const streamed = await started(`${streamedHosts} from the stream`, { table: own, stream: wire.stream })
      bytes.sent.push(wire.bytes())
      await expectStatus(await Connection.open(streamed.port), last.streamed, 502)
      bytes.copy.push(await copyWritten(own))
      // Together: none of them has anything to do.
      await sleep(REST_MS)
      const proxies: Readonly<Record<Kind, Sluice>> = { none, plain, tls, streamed }
      for (const kind of KINDS) pods[kind].push(await seen(proxies[kind]))
    })
  }
  return {
    title: 'memory of hosts, restart from disk, snapshot',
    versions: [`Sluice ${await sluiceVersion()}`],
    text: renderRowB({
      ...{ ...pods, hosts, tlsHosts, streamedHosts, pemBytes: served.pemBytes },
      ...{ sentBytes: bytes.sent, copyBytes: bytes.copy },
    }),
    failed: false,
  }
}

/** Made anew each time that they are read. */
function plainHosts(count: number): Iterable<Fragment> {
  return {
    *[Symbol.iterator]() {
      for (let i = 0; i < count; i++) yield plainHost(i)
    },
  }
}

/** An RSA key of 2048 bits, a leaf of its own and two intermediates for each. */
async function certificatesFor(count: number): Promise<{
  readonly payloads: readonly (Fragment | Certificate)[]
  /** PEM: who signed them all. */
  readonly authority: string
  /** Of each. */
  readonly pemBytes: number
}> {
  progress(`making ${count} certificates…`)
  const root = await Authority.root('bench root', 'RSA')
  const middle = await root.intermediate('bench intermediate', 'RSA')
  const issuing = await middle.intermediate('bench issuing')
  const copy = await copier(issuing, tlsHostName(0), { keyType: 'RSA', keys: KEYS })
  let pemBytes = 0
  const payloads: (Fragment | Certificate)[] = []
  for (let i = 0; i < count; i++) {
    const leaf = copy(tlsHostName(i))
    pemBytes += leaf.chain.length + leaf.privateKey.length
    payloads.push(...tlsHost(i, leaf, 'RSA'))
    // Ctrl-C is heard in between.
    if (i % TURN === 0) await nextTurn()
  }
  return { payloads, authority: root.pem, pemBytes: pemBytes / count }
}

/** @throws if the table is not the one that was written */
async function expectStatus(connection: Connection, host: string, status: number): Promise<void> {
  const answer = await connection.ask(host).finally(() => connection.end())
  if (answer.status !== status) throw new Error(`${host} answers ${answer.status}, not ${status}`)
}

async function seen(proxy: Sluice): Promise<Pod> {
  const memory = await proxy.memory()
  return { ...memory, table: await proxy.tableBytes(), ms: proxy.startMs, cpuMs: proxy.startCpuMs }
}

/** @returns bytes of the copy that a pod wrote. @throws if it writes none */
async function copyWritten(folder: string): Promise<number> {
  const end = performance.now() + COPY_MS
  for (;;) {
    const bytes = await copyBytes(folder)
    if (bytes > 0) return bytes
    if (performance.now() > end) throw new Error(`no copy on disk after ${COPY_MS / 1_000} s`)
    await sleep(100)
  }
}

/** What targets are about: what the pod holds. Pages that V8 keeps for itself are resident besides. */
export function heldBytes({ heap, table: shared }: Pick<Pod, 'heap' | 'table'>): number {
  return heap + shared
}

export function renderRowB(row: RowB): string {
  const { none, hosts, tlsHosts, streamedHosts, pemBytes } = row
  const [plainText, tlsText, streamedText] = [hosts, tlsHosts, streamedHosts].map(count => numberText(count, 0))
  const columns = [row.plain, row.tls, row.streamed]
  const counts = [hosts, tlsHosts, streamedHosts]
  const line = (name: string, of: (pod: Pod) => number, digits: number): readonly string[] => [
    name,
    ...[none, ...columns].map(pods => spreadText(pods.map(of), digits)),
  ]
  const perHost = (of: (pod: Pod) => number): readonly (readonly number[])[] =>
    columns.map((pods, column) => pods.map((pod, i) => (of(pod) - of(none[i] ?? pod)) / (counts[column] ?? 1)))
  const perHostLine = (name: string, of: (pod: Pod) => number): readonly string[] => [
    name,
    ...perHost(of).map(figures => spreadText(figures, 0)),
  ]
  const [plainHeld = [], tlsHeld = []] = perHost(heldBytes)
  const inMb = (bytes: readonly number[]): readonly number[] => bytes.map(count => count / MB)
  const perStreamed = (bytes: readonly number[]): string =>
    spreadText(
      bytes.map(count => count / streamedHosts),
      0,
    )
  const seconds = (pods: readonly Pod[]): readonly number[] => pods.map(({ ms }) => ms / 1_000)
  const restart = { most: 3, unit: 's', hosts: 100_000, digits: 1 }
  const names = [`${plainText} plain hosts`, `${tlsText} TLS hosts`, `${streamedText} plain hosts, from the stream`]
  return [
    table(
      ['Sluice, one worker', 'no host', ...names],
      [
        line('rss after garbage collection, MiB', ({ rss }) => rss / MIB, 1),
        line('heaps of all threads, MiB', ({ heap, buffers }) => (heap - buffers) / MIB, 1),
        line('buffers of all threads (lists of IDs), MiB', ({ buffers }) => buffers / MIB, 1),
        line('shared memory (the table), MiB', ({ table: shared }) => shared / MIB, 1),
        line('process to ready, ms', ({ ms }) => ms, 0),
        line('process to ready, CPU ms', ({ cpuMs }) => cpuMs, 0),
      ],
    ),
    '',
    table(
      ['bytes of each host over the empty pod', ...names],
      [
        perHostLine('heaps of all threads', ({ heap, buffers }) => heap - buffers),
        perHostLine('buffers of all threads', ({ buffers }) => buffers),
        perHostLine('shared memory', ({ table: shared }) => shared),
        perHostLine('**held**: these three', heldBytes),
        perHostLine('rss', ({ rss }) => rss),
        ['snapshot on the wire', '', '', perStreamed(row.sentBytes)],
        ['copy on disk, as the pod wrote it', '', '', perStreamed(row.copyBytes)],
      ],
    ),
    '',
    `The snapshot of ${streamedText ?? ''} hosts had ${spreadText(inMb(row.sentBytes), 1)} MB on the wire, with TLS and HTTP; the copy that the pod made of it on disk ` +
      `has ${spreadText(inMb(row.copyBytes), 1)} MB. A TLS host has ${numberText(pemBytes, 0)} bytes of PEM: an RSA key of 2048 bits (${KEYS} of them take turns), a leaf of its own, two intermediates.`,
    '',
    'Memory is judged by what is held; rss is what the kernel counts, with pages that V8 and the allocator keep for themselves.',
    '',
    ...[
      judged({ what: 'Held of a plain host', most: 250, unit: 'bytes', hosts: 500_000 }, plainHeld, hosts),
      judged({ what: 'Held of a TLS host', most: 6 * 1024, unit: 'bytes', hosts: 100_000 }, tlsHeld, tlsHosts),
      judged({ what: 'Restart from disk, plain hosts', ...restart }, seconds(row.plain), hosts),
      judged({ what: 'Restart from disk, TLS hosts', ...restart }, seconds(row.tls), tlsHosts),
      judged(
        { what: 'Snapshot, plain hosts', most: 20, unit: 'MB', hosts: 100_000, digits: 1 },
        inMb(row.sentBytes),
        streamedHosts,
      ),
    ].map(text => `- ${text}`),
  ].join('\n')
}
