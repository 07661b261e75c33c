/** Row D: what a scrape of /metrics costs a proxy with many hosts that all have traffic. */
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, expectBody } from './http-answer.ts'
import { BODY, startUpstream } from './peers.ts'
import { progress } from './row.ts'
import type { Bench, Section } from './row.ts'
import { SETTLE_MS, hostNames } from './row-b.ts'
import { sluiceVersion, startSluice, writeTable } from './sluice.ts'
import { numberText, spreadText } from './stats.ts'
import { table } from './table.ts'

const AT_ONCE = 32
/** Milliseconds from one answer of the probe to its next request. */
const PROBE_MS = 5
const MIB = 1024 * 1024

interface Scrape {
  readonly bytes: number
  /** Milliseconds, all of them. */
  readonly took: number
  readonly mainStall: number
  readonly workerStall: number
  /** Longest wait for /healthz. */
  readonly wait: number
}

export async function rowD(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore: core, loadCore } = bench
  const names = hostNames(settings.hosts)
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const options = { folder: `${folder}/traffic`, hosts: names, upstream: `127.0.0.1:${upstream.port}` }
  const copy = await writeTable(options)
  const scrapes: Scrape[] = []
  await ends.during(async inner => {
    const proxy = await startSluice({ ends: inner, folder, core, table: copy, probe: true })
    await visit(names, proxy.port)
    for (let round = 0; round < settings.rounds; round++) {
      await sleep(SETTLE_MS)
      // Forgets the stalls so far.
      await proxy.memory()
      const waits = new Waits(proxy.admin)
      const { bytes, ms: took } = await fetchAll(proxy.admin, '/metrics')
      const wait = await waits.end()
      const { mainStall, workerStall } = await proxy.memory()
      scrapes.push({ bytes, took, mainStall, workerStall, wait })
      progress(`round ${round + 1}: ${(bytes / MIB).toFixed(1)} MiB, longest stall ${mainStall.toFixed(0)} ms`)
    }
  })
  const line = (name: string, of: (scrape: Scrape) => number, digits: number): readonly string[] => [
    name,
    spreadText(scrapes.map(of), digits),
  ]
  return {
    title: `one scrape of /metrics, ${numberText(settings.hosts, 0)} hosts with traffic`,
    versions: [`Sluice ${await sluiceVersion()}`, `upstream nginx ${upstream.version}`],
    text: [
      table(
        ['Sluice, one worker', 'per scrape'],
        [
          line('answer, MiB', ({ bytes }) => bytes / MIB, 1),
          line('answer, bytes per host', ({ bytes }) => bytes / settings.hosts, 0),
          line('from request to the end of the answer, ms', ({ took }) => took, 0),
          line('longest stall of the main thread, ms', ({ mainStall }) => mainStall, 0),
          line('longest stall of a worker, ms', ({ workerStall }) => workerStall, 0),
          line(`longest wait for /healthz, asked every ${PROBE_MS} ms, ms`, ({ wait }) => wait, 0),
        ],
      ),
      '',
      'Target: no stall of a serving event loop above 20 ms.',
    ].join('\n'),
    failed: false,
  }
}

/** One request to each host. */
async function visit(names: readonly string[], port: number): Promise<void> {
  const rest = names.values()
  const lane = async (): Promise<void> => {
    const connection = await Connection.open(port)
    try {
      // One iterator for all lanes: each takes the next name.
      for (const name of rest) expectBody(await connection.ask(name), BODY)
    } finally {
      connection.end()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

/** Asks /healthz again and again, on one connection. */
class Waits {
  readonly #agent = new Agent({ keepAlive: true })
  readonly #asking: Promise<void>
  #longest = 0
  #ended = false

  constructor(port: number) {
    this.#asking = this.#ask(port)
    // Looked at in end().
    this.#asking.catch(() => undefined)
  }

  /** Milliseconds that the slowest answer took; the one under way counts. */
  async end(): Promise<number> {
    this.#ended = true
    await this.#asking.finally(() => this.#agent.destroy())
    return this.#longest
  }

  async #ask(port: number): Promise<void> {
    while (!this.#ended) {
      const { ms } = await fetchAll(port, '/healthz', this.#agent)
      this.#longest = Math.max(this.#longest, ms)
      await sleep(PROBE_MS)
    }
  }
}

/** Reads all of it, keeps nothing. @throws unless it is 200 */
function fetchAll(port: number, path: string, agent?: Agent): Promise<{ readonly bytes: number; readonly ms: number }> {
  const begun = performance.now()
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: agent ?? false }, response => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => (bytes += chunk.length))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200) resolve({ bytes, ms: performance.now() - begun })
        else reject(new Error(`${path} answered ${response.statusCode ?? 0}`))
      })
    }).on('error', reject)
  })
}
