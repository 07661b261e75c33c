/** Row H: for how long threads stand still while thousands of hosts change at once, and what clients of another host feel of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ObjectKey } from '../../protocol/objects.ts'
import { TestWorld } from '../stream/world.ts'
import { endpointsOf, hostName, plainHost } from './hosts.ts'
import { Connection, expectBody } from './http-answer.ts'
import { BODY, HOST, startUpstream } from './peers.ts'
import { progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { SETTLE_MS } from './row-b.ts'
import { startStreamServer } from './sluice-changes.ts'
import { sluiceVersion, startSluice } from './sluice.ts'
import type { Memory, Sluice } from './sluice.ts'
import { numberText, spreadOf, spreadText } from './stats.ts'
import { SteadyLoad } from './steady-load.ts'
import type { SteadyFigures } from './steady-load.ts'
import { table } from './table.ts'
import { judged } from './targets.ts'

/** In one update: as many come as go, so that rounds are alike. */
const COME = 1_700
const GO = COME
const OTHER = 1_600
const CHANGED = COME + GO + OTHER
/** Room for all of them among the hosts that are there. */
const LEAST_HOSTS = 2 * CHANGED
const CONNECTIONS = 16
const REQUESTS_PER_SECOND = 800
/** Milliseconds of each phase. A change is served long before, and the copy on disk that follows it begins within a second. */
const PHASE_MS = 6_000
/** Until the change is served, at most. */
const LIVE_MS = 60_000
/** From one look to the next whether it is. */
const LOOK_MS = 10
/** One of so many changed hosts is asked afterwards. */
const ASK_EVERY = 50
/** A Service without addresses. */
const NOBODY = 'nobody'
/** Answers of a host: of the upstream, of a Service without addresses, of none. */
const SERVED = 200
const UNAVAILABLE = 503
const UNKNOWN = 404

export interface Phase {
  readonly load: SteadyFigures
  readonly threads: Pick<Memory, 'mainStall' | 'workerStall' | 'mainTurn' | 'workerTurn'>
}

export interface HeldUp {
  readonly calm: Phase
  readonly changing: Phase
  /** From the update until it is served, in milliseconds. */
  readonly liveMs: number
}

/** What a host has to answer. */
interface Expected {
  readonly host: string
  readonly status: number
}

export async function rowH({ settings, ends, folder, proxyCore: core, loadCore }: Bench): Promise<Section> {
  const hosts = Math.max(settings.hosts, LEAST_HOSTS)
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const turns = new Turns(hosts, `127.0.0.1:${upstream.port}`)
  const { stream, publish } = await startStreamServer(ends, turns.world)
  const proxy = await startSluice({ ends, folder, core, stream, table: `${folder}/own`, probe: true })
  const load = new SteadyLoad({
    ...{ port: proxy.port, host: HOST, body: BODY, connections: CONNECTIONS, perSecond: REQUESTS_PER_SECOND },
  })
  ends.add(() => load.end())
  const rounds: HeldUp[] = []
  // Compilers and pools are as they will be then, and the first copy is on disk.
  await sleep(PHASE_MS)
  for (let round = 1; round <= settings.rounds; round++) {
    const expected = turns.next()
    const calm = await phase(proxy, load, () => sleep(PHASE_MS))
    let liveMs = 0
    const changing = await phase(proxy, load, async () => {
      const [begun, rest] = [performance.now(), sleep(PHASE_MS)]
      publish()
      await untilServed(proxy.port, expected)
      liveMs = performance.now() - begun
      await rest
    })
    await expectAll(proxy.port, expected)
    rounds.push({ calm, changing, liveMs })
    const { workerStall, mainStall } = changing.threads
    const stalls = `worker ${workerStall.toFixed(0)} ms, main thread ${mainStall.toFixed(0)} ms`
    progress(`round ${round}: stalls: ${stalls}; slowest request ${changing.load.most.toFixed(0)} ms`)
  }
  return {
    title:
      `${numberText(CHANGED, 0)} of ${numberText(hosts, 0)} hosts change in one update, beside ` +
      `${numberText(REQUESTS_PER_SECOND, 0)} requests a second on ${CONNECTIONS} connections to another host`,
    versions: [`Sluice ${await sluiceVersion()}`, `upstream nginx ${upstream.version}`],
    text: renderRowH(rounds),
    failed: rounds.some(({ calm, changing }) => [calm, changing].some(({ load: seen }) => seen.cut + seen.closed > 0)),
  }
}

/** The world, and its changes. Those that come go in the next turn, and the other way round. */
class Turns {
  readonly world = new TestWorld()
  readonly #hosts: number
  #turn = 0

  constructor(hosts: number, upstream: string) {
    this.#hosts = hosts
    const { world } = this
    world.release(plainHost(0, { name: HOST }))
    for (let i = 1; i < hosts; i++) world.release(plainHost(i))
    for (const [service, addresses] of endpointsOf(upstream)) world.setEndpoints(service, addresses)
  }

  /** Changes the world, but publishes nothing: what this costs is no part of the update. @returns what to see once that is served */
  next(): readonly Expected[] {
    const { world } = this
    const even = this.#turn++ % 2 === 0
    const [first, behind] = [this.#hosts - GO, this.#hosts]
    const [goes, comes] = even ? [first, behind] : [behind, first]
    const expected: Expected[] = []
    const expect = (i: number, status: number): void => void expected.push({ host: hostName(i), status })
    for (let i = 1; i <= OTHER; i++) {
      const service = even ? { service: NOBODY } : {}
      world.release(plainHost(i, { ...service, edition: this.#turn + 1 }))
      expect(i, even ? UNAVAILABLE : SERVED)
    }
    for (let i = 0; i < GO; i++) {
      const gone = goes + i
      world.remove(keyOf(gone))
      expect(gone, UNKNOWN)
    }
    for (let i = 0; i < COME; i++) {
      const come = comes + i
      world.release(plainHost(come))
      expect(come, SERVED)
    }
    world.version++
    // Made here, and kept.
    if (world.checksums.ingress === null) throw new Error('a world without a checksum')
    return expected
  }
}

function keyOf(i: number): ObjectKey {
  return plainHost(i).key
}

/** What threads and clients saw of some work. */
async function phase(proxy: Sluice, load: SteadyLoad, work: () => Promise<void>): Promise<Phase> {
  // Forgets the stalls so far; garbage collection is one.
  await proxy.memory()
  await sleep(SETTLE_MS)
  await proxy.memory()
  await load.figures()
  await work()
  return { load: await load.figures(), threads: await proxy.memory() }
}

/** Asks for the last one: an update is served whole. @throws if it is not, in time */
async function untilServed(port: number, expected: readonly Expected[]): Promise<void> {
  const { host = '', status = SERVED } = expected.at(-1) ?? {}
  const connection = await Connection.open(port)
  try {
    const end = performance.now() + LIVE_MS
    while ((await connection.ask(host)).status !== status) {
      if (performance.now() > end) throw new Error(`${host} is not served after ${LIVE_MS / 1_000} s`)
      await sleep(LOOK_MS)
    }
  } finally {
    connection.end()
  }
}

/** @throws if one of those that are asked answers anything else */
async function expectAll(port: number, expected: readonly Expected[]): Promise<void> {
  for (const { host, status } of expected.filter((_, i) => i % ASK_EVERY === 0)) {
    const connection = await Connection.open(port)
    const answer = await connection.ask(host).finally(() => connection.end())
    if (answer.status !== status) throw new Error(`${host} answers ${answer.status}, not ${status}`)
    if (status === SERVED) expectBody(answer, BODY)
  }
}

export function renderRowH(rounds: readonly HeldUp[]): string {
  const line = (name: string, of: (phase: Phase) => number, digits: number): readonly string[] => [
    name,
    spreadText(
      rounds.map(({ calm }) => of(calm)),
      digits,
    ),
    spreadText(
      rounds.map(({ changing }) => of(changing)),
      digits,
    ),
  ]
  const stalls = rounds.map(({ changing }) => changing.threads.workerStall)
  const median = (of: (round: HeldUp) => number): string => numberText(spreadOf(rounds.map(of)).median, 1)
  const calm = median(one => one.calm.threads.workerStall)
  const turn = median(one => one.changing.threads.workerTurn)
  return [
    table(
      ['Sluice, one worker', 'nothing changes', 'while they change'],
      [
        line('longest stall of a worker, ms', ({ threads }) => threads.workerStall, 1),
        line('longest turn of a worker, CPU ms', ({ threads }) => threads.workerTurn, 1),
        line('longest stall of the main thread, ms', ({ threads }) => threads.mainStall, 1),
        line('longest turn of the main thread, CPU ms', ({ threads }) => threads.mainTurn, 1),
        line('slowest request, ms', ({ load }) => load.most, 1),
        line('p99 of requests, ms', ({ load }) => load.p99, 1),
        line('requests cut', ({ load }) => load.cut, 0),
        line('connections closed', ({ load }) => load.closed, 0),
        [
          'served after, ms',
          '',
          spreadText(
            rounds.map(({ liveMs }) => liveMs),
            0,
          ),
        ],
      ],
    ),
    '',
    'A stall is by the clock, and holds what others had of the core meanwhile; a turn is by the processor time of the thread itself.',
    '',
    judged({ what: 'Longest stall of a worker', most: 20, unit: 'ms', hosts: null, digits: 1 }, stalls, CHANGED) +
      ` Where nothing changed: ${calm}. Longest turn of a worker while they change: ${turn} ms of processor time.`,
  ].join('\n')
}
