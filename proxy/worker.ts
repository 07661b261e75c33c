/** Entry of a worker thread: traffic. Everything it knows comes from the main thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { DataPlaneError } from './errors.ts'
import { BatchedLines, LogCredit } from './log/lines.ts'
import { DataPlane } from './workers/data-plane.ts'
import { HandOver } from './workers/hand-over.ts'
import type { FromWorker, ToWorker, WorkerSetup } from './workers/messages.ts'
import { startBeating, Vitals, type Open } from './workers/heartbeat.ts'

/** Counts reach the main thread at least this often: what a worker that is killed outright may lose. */
const FLUSH_MS = 250

/** Lines of the access log that a worker may have on their way whatever the settings leave it, in bytes: a line is some 500. */
const LEAST_LOG_BYTES = 16_384

async function main(): Promise<void> {
  const port = parentPort
  if (!port) throw new DataPlaneError('SLUICE_WORKER_PROTOCOL', 'worker.ts runs as a worker thread only')
  const setup = workerData as WorkerSetup
  const say = (message: FromWorker): void => port.postMessage(message)
  const onDefect = (error: unknown): void => {
    const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
    say({ type: 'log', level: 'error', message: `a request or connection was ended by a defect: ${message}`, stack })
  }
  const onWarning = (message: string): void => say({ type: 'log', level: 'warn', message, stack: '' })
  let open: () => Open | null = () => null
  const stopBeating = startBeating(new Vitals(setup.vitals), () => open())
  const { accessLogBuffer, workers } = setup.config
  const lines = new BatchedLines({
    credit: new LogCredit(setup.logCredit),
    limit: Math.max(accessLogBuffer / workers, LEAST_LOG_BYTES),
    post: (data, count) => port.postMessage({ type: 'lines', data, lines: count } satisfies FromWorker, [data.buffer]),
  })
  const plane = await DataPlane.create({ ...setup, lines, onDefect, onWarning })
  open = () => plane.open
  const counts = new HandOver({
    flushCounts: () => plane.flushCounts(),
    flushUpstream: () => plane.flushUpstream(),
    post: (message, figures) => port.postMessage(message, [figures]),
  })

  // A defect ends this worker, not the pod: hand over what it counted, then let the main thread replace it.
  const crash = (error: unknown): void => {
    const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
    say({ type: 'log', level: 'error', message, stack })
    counts.atOnce()
    plane.flushLog()
    process.exit(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)

  const timer = setInterval(() => void counts.inTurns(), FLUSH_MS)
  let listening: Promise<unknown> = Promise.resolve()
  const handle = async (message: ToWorker): Promise<void> => {
    switch (message.type) {
      case 'update':
        plane.apply(message.update)
        say({ type: 'applied', sequence: message.sequence, generation: plane.generation })
        return
      case 'ticket-secrets':
        plane.setTicketSecrets(message.secrets)
        return
      case 'listen': {
        const open = plane.listen(message.httpPort, message.httpsPort)
        listening = open
        say({ type: 'listening', ...(await open) })
        return
      }
      case 'flush':
        await counts.inTurns()
        say({ type: 'flushed', sequence: message.sequence })
        return
      case 'explain':
        say({ type: 'explained', sequence: message.sequence, explained: plane.explain(message.question) })
        return
      case 'describe-host':
        say({ type: 'host-described', sequence: message.sequence, host: plane.describeHost(message.name) })
        return
      case 'probe':
        say({ type: 'probed', sequence: message.sequence, answer: await plane.probe(message.probe) })
        return
      case 'announce-drain':
        plane.announceDrain()
        return
      case 'drain':
        await listening
        await plane.drain()
        await counts.inTurns()
        say({ type: 'drained' })
        return
      case 'stop':
        clearInterval(timer)
        await listening
        await plane.close()
        counts.atOnce()
        stopBeating()
        port.close()
        return
      default:
        throw new DataPlaneError('SLUICE_WORKER_PROTOCOL', 'a message that this worker does not know')
    }
  }
  port.on('message', (message: ToWorker) => void handle(message))
  say({ type: 'started' })
}

await main()
