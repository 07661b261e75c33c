/** A whole run: many hostile clients, some at once, two bystanders, and what is left when they are gone. */
import { once } from 'node:events'
import { connect as netConnect } from 'node:net'
import { endpoints, fragment, host, path, upsert } from '../../table/testing/fixtures.ts'
import {
  deadAddress,
  site,
  startPlane,
  summed,
  type Ends,
  type Environment,
  type Rig,
} from '../../workers/testing/harness.ts'
import { Notes, startHostileBackend } from './backends.ts'
import { Bystander } from './bystander.ts'
import { play } from './client.ts'
import { judge } from './judge.ts'
import { HOSTS, scriptOf } from './scripts.ts'

/**
 * Short, so that a limit is reached by those who provoke it, and yet longer than a stall of a busy machine: in a stall the
 * clocks of the proxy run on while its peers, in the same process, cannot speak.
 */
export const HOSTILE_ENVIRONMENT: Environment = {
  ...{ HEADERS_TIMEOUT: '1s', BODY_IDLE_TIMEOUT: '800ms', KEEP_ALIVE_TIMEOUT: '3s', TLS_HANDSHAKE_TIMEOUT: '1s' },
  ...{ UPSTREAM_CONNECT_TIMEOUT: '1s', UPSTREAM_HEADERS_TIMEOUT: '1500ms', UPSTREAM_BODY_TIMEOUT: '1500ms' },
  // Not all builds know these; the environment of a pod has much that nobody reads.
  ...{ UPSTREAM_IDLE_TIMEOUT: '300ms', TUNNEL_IDLE_TIMEOUT: '800ms' },
  ...{ LINGER_TIMEOUT: '1s', LINGER_IDLE_TIMEOUT: '300ms' },
  // A long run is more than 1 000 requests for a bystander, whose connection is not to be closed.
  ...{ KEEP_ALIVE_REQUESTS: '0' },
}

const CALM = 'calm.example'

export interface Plan {
  readonly seed: number
  readonly connections: number
  readonly atOnce: number
  /** This connection alone. */
  readonly only: number | null
}

export interface Left {
  /** Open client connections of the plane. */
  readonly clients: number
  /** Open sockets at the backends: what was asked last on each. */
  readonly backendSockets: readonly string[]
  /** More sockets and timers in the process than before the run, by kind. */
  readonly resources: Readonly<Record<string, number>>
}

export interface Outcome {
  /** Of the hostile clients' connections. */
  readonly faults: readonly string[]
  readonly backendFaults: readonly string[]
  readonly bystanderFaults: readonly string[]
  readonly bystanderAnswers: number
  /** Final answers heard, and requests of which at least a byte was sent. */
  readonly answers: number
  readonly begun: number
  /** What the plane counted, without the bystanders' requests. */
  readonly counted: number
  /** Some time after the last client went. */
  readonly left: Left
  readonly summary: string
}

/** How long what is left may take to go: all limits of the environment are over then. */
const SETTLE_MS = 3_500

export async function runHostile(ends: Ends, plan: Plan): Promise<Outcome> {
  const notes = new Notes()
  const calmNotes = new Notes()
  const rig = await startPlane(ends, HOSTILE_ENVIRONMENT)
  await sites(rig, ends, notes, calmNotes)
  const before = resources()
  const bystanders = [
    await Bystander.start('http', rig.http, CALM, 1_000_000_000),
    await Bystander.start('https', rig.https, CALM, 1_000_000_001),
  ]
  const started = performance.now()
  const faults: string[] = []
  let answers = 0
  let begun = 0
  let next = 0
  const one = async (id: number): Promise<void> => {
    const script = scriptOf(plan.seed, id)
    const heard = await play(script, rig)
    faults.push(...judge(script, heard, notes))
    // A connection that never spoke is no request, whatever it is told.
    if (script.requests.length > 0) answers += heard.reading.answers.length + (heard.reading.tunnel === null ? 0 : 1)
    if (heard.spoke) begun += script.requests.length
  }
  const worker = async (): Promise<void> => {
    while (next < plan.connections) await one(next++)
  }
  if (plan.only === null) await Promise.all(Array.from({ length: plan.atOnce }, worker))
  else await one(plan.only)
  const seconds = (performance.now() - started) / 1_000
  await Promise.all(bystanders.map(bystander => bystander.stop(5_000)))
  const left = await whatIsLeft(rig, notes, calmNotes, before)
  const bystanderAnswers = bystanders.reduce((sum, { answered }) => sum + answered, 0)
  const counted = summed(rig.totals()).requests - bystanderAnswers
  const slowest = Math.max(...bystanders.map(bystander => bystander.slowest))
  return {
    ...{ faults, answers, begun, counted, left, bystanderAnswers },
    backendFaults: [...notes.faults, ...calmNotes.faults],
    bystanderFaults: bystanders.flatMap((bystander, i) =>
      bystander.faults.map(f => `${i === 0 ? 'plain' : 'TLS'}: ${f}`),
    ),
    summary:
      `${plan.connections} connections in ${seconds.toFixed(1)} s: ${begun} requests begun, ${answers} answers, ` +
      `${notes.opened} backend connections, at most ${notes.most} requests at once at a backend; ` +
      `bystanders: ${bystanderAnswers} answers, slowest ${slowest.toFixed(0)} ms`,
  }
}

async function sites(rig: Rig, ends: Ends, notes: Notes, calmNotes: Notes): Promise<void> {
  const told = await startHostileBackend(ends, notes)
  const calm = await startHostileBackend(ends, calmNotes)
  const dead = await deadAddress()
  const updates = [
    ...site(HOSTS.told, [told]),
    ...site(HOSTS.mixed, [dead, told]),
    ...site(HOSTS.dead, [dead]),
    ...site(CALM, [calm]),
    upsert(fragment('empty', [host(HOSTS.empty, path('Prefix /', 'ns/empty:80'))])),
    endpoints({ 'ns/empty:80': [] }),
  ]
  for (const update of updates) rig.apply(update)
  // Whatever is made at the first use of a door is there before anything is counted.
  for (const port of [rig.http, rig.https]) {
    const socket = netConnect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
  }
}

/** Waits until everything is gone, and no longer than all limits take. */
export async function whatIsLeft(rig: Rig, notes: Notes, calmNotes: Notes, before: Resources): Promise<Left> {
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const clients = rig.plane.connections.size
    const backendSockets = [...notes.sockets.values(), ...calmNotes.sockets.values()]
    const more = increase(before, resources())
    const clean = clients === 0 && backendSockets.length === 0 && Object.keys(more).length === 0
    if (clean || performance.now() > until) return { clients, backendSockets, resources: more }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

export type Resources = ReadonlyMap<string, number>

/** What a proxy holds; pipes and files are the test run's own. */
const OF_A_PROXY = /^(?:TCP|TLS|Timeout|Immediate|Connect|Shutdown|Write|JSStream)/

/** Sockets, timers and requests under way that keep the process alive, by kind. */
export function resources(): Resources {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) {
    if (OF_A_PROXY.test(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

/** A few timers come and go with the test run itself. */
const TOLERANCE: Readonly<Record<string, number>> = { Timeout: 3, Immediate: 3 }

function increase(before: Resources, after: Resources): Readonly<Record<string, number>> {
  const more = [...after].map(([kind, count]) => [kind, count - (before.get(kind) ?? 0)] as const)
  return Object.fromEntries(more.filter(([kind, count]) => count > (TOLERANCE[kind] ?? 0)))
}
