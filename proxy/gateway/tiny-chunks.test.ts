/**
 * Many clients that send bodies in chunks of a byte each, and one that does nothing wrong beside them. `make hostile` sets
 * SLUICE_CONNECTIONS, and then it is also compared what they do to the event loop of a real worker.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, it } from '@jest/globals'
import { dataPlaneConfig } from '../config.ts'
import { createDefaultCertificate } from '../frontdoor/default-certificate.ts'
import { ownSecrets } from '../frontdoor/ticket-keys.ts'
import { Notes, startHostileBackend } from '../testing/hostile/backends.ts'
import { Bystander } from '../testing/hostile/bystander.ts'
import { HOSTILE_ENVIRONMENT, resources, whatIsLeft } from '../testing/hostile/run.ts'
import { sendChunks, type ChunkPlan } from '../testing/hostile/tiny-chunks.ts'
import { WorkerFleet } from '../workers/fleet.ts'
import { resourceLimits } from '../workers/heap.ts'
import { describeOnAll } from '../workers/testing/ways.ts'
import { Ends, TEST_ENVIRONMENT, ask, site, startPlane } from '../workers/testing/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

const HOST = 'a.example'
const CALM = 'calm.example'
/** No number of any hostile client. */
const BYSTANDER = 1_000_000_000
/** One is read as a whole before a backend is chosen, the other goes on while it comes. */
const BODIES = [5_000, 70_000]
/** A stall of a busy machine is nobody's fault here. */
const PATIENT = {
  ...HOSTILE_ENVIRONMENT,
  HEADERS_TIMEOUT: '20s',
  BODY_IDLE_TIMEOUT: '20s',
  UPSTREAM_BODY_TIMEOUT: '20s',
}

describeOnAll('clients that send chunks of a byte each', () => {
  it('are answered, are not felt by others, and leave nothing behind', async () => {
    const notes = new Notes()
    const calmNotes = new Notes()
    const rig = await startPlane(ends, { ...PATIENT, UPSTREAM_HEADERS_TIMEOUT: '20s' })
    for (const update of site(HOST, [await startHostileBackend(ends, notes)])) rig.apply(update)
    for (const update of site(CALM, [await startHostileBackend(ends, calmNotes)])) rig.apply(update)
    // What is made at the first use is there before anything is counted.
    await ask(rig.http, { host: 'none.example' })
    const before = resources()
    const bystander = await Bystander.start('http', rig.http, CALM, BYSTANDER)
    const plan: ChunkPlan = { clients: 40, first: 0, requests: 2, bodies: BODIES, chunk: 1 }
    const faults = await sendChunks(rig.http, HOST, plan)
    await bystander.stop(5_000)
    expect([faults, notes.faults, calmNotes.faults, bystander.faults]).toEqual([[], [], [], []])
    expect(bystander.answered).toBeGreaterThan(2)
    expect(await whatIsLeft(rig, notes, calmNotes, before)).toEqual({ clients: 0, backendSockets: [], resources: {} })
    expect(rig.plane.upstream).toMatchObject({ open: 0, idle: 0, untaken: 0, suspects: 0 })
  }, 60_000)

  if (process.env['SLUICE_CONNECTIONS'] !== undefined) {
    it('do not hold a worker up much longer than the same bytes in large chunks do', async () => {
      const worst = { hostile: [] as number[], polite: [] as number[] }
      const notes = new Notes()
      const backend = await startHostileBackend(ends, notes)
      const fleet = await startFleet()
      for (const update of [...site(HOST, [backend]), ...site(CALM, [backend])]) await fleet.apply(update)
      const { httpPort } = fleet.ports
      let first = 0
      // Side by side, in turns: what the machine does else is felt by both.
      for (let round = 0; round <= ROUNDS; round++) {
        for (const kind of ['polite', 'hostile'] as const) {
          const bystander = await Bystander.start(
            'http',
            httpPort,
            CALM,
            BYSTANDER + 2 * round + Number(kind === 'polite'),
          )
          fleet.states()
          const chunk = kind === 'hostile' ? 1 : null
          const faults = await sendChunks(httpPort, HOST, { clients: 100, first, requests: 5, bodies: BODIES, chunk })
          await bystander.stop(10_000)
          expect([faults, notes.faults, bystander.faults]).toEqual([[], [], []])
          first += 100
          expect(bystander.answered).toBeGreaterThan(2)
          // A beat later at the latest the worker has said how late its loop was.
          await new Promise(resolve => setTimeout(resolve, 500))
          // The first round is for the compiler.
          if (round > 0) worst[kind].push(fleet.states()[0]?.lagSeconds ?? Number.NaN)
        }
      }
      const [hostile, polite] = [median(worst.hostile), median(worst.polite)]
      process.stderr.write(`tiny chunks: lag ${hostile} s, in large chunks ${polite} s\n`)
      expect([fleet.stalls, fleet.crashes]).toEqual([0, 0])
      expect(hostile / polite).toBeLessThan(MOST_LAG)
    }, 600_000)
  }
})

const ROUNDS = 5
/** How many times longer than by large chunks. */
const MOST_LAG = 20

async function startFleet(): Promise<WorkerFleet> {
  const fleet = new WorkerFleet({
    setup: {
      config: dataPlaneConfig({ ...TEST_ENVIRONMENT, ...PATIENT, UPSTREAM_HEADERS_TIMEOUT: '20s', WORKERS: '1' }),
      defaultCertificate: await createDefaultCertificate(),
      ticketSecrets: ownSecrets(randomBytes(32)),
    },
    spawn: setup =>
      new Worker(join(__dirname, '../worker.ts'), {
        ...{ workerData: setup, execArgv: [], env: {}, resourceLimits: resourceLimits(setup.config) },
      }),
    ...{ onCounts: () => undefined, onUpstream: () => undefined, onGone: () => undefined, onLines: () => undefined },
    log: { warn: () => undefined, error: () => undefined },
  })
  await fleet.start()
  ends.add(() => fleet.stop())
  return fleet
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
