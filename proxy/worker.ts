/** Entry of a worker thread: traffic. Everything it knows comes from the main thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { DataPlaneError } from './errors.ts'
import { DataPlane } from './workers/data-plane.ts'
import type { FromWorker, ToWorker, WorkerSetup } from './workers/messages.ts'

/** Counts reach the main thread at least this often: what a worker that is killed outright may lose. */
const FLUSH_MS = 250

async function main(): Promise<void> {
  const port = parentPort
  if (!port) throw new DataPlaneError('SLUICE_WORKER_PROTOCOL', 'worker.ts runs as a worker thread only')
  const setup = workerData as WorkerSetup
  const say = (message: FromWorker): void => port.postMessage(message)
  const onDefect = (error: unknown): void => {
    const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
    say({ type: 'log', level: 'error', message: `a request or connection was ended by a defect: ${message}`, stack })
  }
  const plane = await DataPlane.create({ ...setup, onDefect })
  const flush = (): void => {
    const delta = plane.recorder.flush()
    if (delta) say({ type: 'counts', delta })
  }

  // A defect ends this worker, not the pod: hand over what it counted, then let the main thread replace it.
  const crash = (error: unknown): void => {
    const { message, stack = '' } = error instanceof Error ? error : new Error(String(error))
    say({ type: 'log', level: 'error', message, stack })
    flush()
    plane.flushLog()
    process.exit(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)

  const timer = setInterval(flush, FLUSH_MS)
  let listening = false
  const handle = async (message: ToWorker): Promise<void> => {
    switch (message.type) {
      case 'update':
        plane.apply(message.update)
        say({ type: 'applied', sequence: message.sequence })
        if (!listening) {
          listening = true
          say({ type: 'listening', ...(await plane.listen(setup.httpPort, setup.httpsPort)) })
        }
        return
      case 'flush':
        flush()
        say({ type: 'flushed', sequence: message.sequence })
        return
      case 'announce-drain':
        plane.announceDrain()
        return
      case 'drain':
        await plane.drain()
        flush()
        say({ type: 'drained' })
        return
      case 'stop':
        clearInterval(timer)
        await plane.close()
        flush()
        port.close()
        return
      default:
        throw new DataPlaneError('SLUICE_WORKER_PROTOCOL', 'a message that this worker does not know')
    }
  }
  port.on('message', (message: ToWorker) => void handle(message))
}

await main()
