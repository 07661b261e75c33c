/** Entry of the proxy process. */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { pino } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { dataPlaneConfig } from './config.ts'
import type { RunningProxy } from './proxy.ts'
import { startProxy } from './proxy.ts'
import { streamConfig } from './stream/config.ts'
import { startStream } from './stream/stream.ts'
import type { WorkerSetup } from './workers/messages.ts'

const { version } = packageJson
// Synchronous: the last line before an exit is the one that matters.
const output = pino.destination({ dest: 1, sync: true })
const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' }, output)

function fatal(error: unknown, message: string): never {
  log.fatal({ err: error }, message)
  process.exit(1)
}

/** Beside this file, as source or as bundle. */
function spawn(setup: WorkerSetup): Worker {
  return new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), { workerData: setup })
}

async function main(): Promise<void> {
  let proxy: RunningProxy | null = null
  let ending = false
  const end = (signal: string): void => {
    if (ending || proxy === null) {
      log.warn({ signal }, 'ended at once')
      process.exit(ending ? 1 : 0)
    }
    ending = true
    log.info({ signal }, 'ending')
    proxy.shutdown().then(
      () => process.exit(0),
      (error: unknown) => fatal(error, 'the end failed'),
    )
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)

  const config = dataPlaneConfig(process.env)
  const stream = streamConfig(process.env)
  log.level = stream.logLevel
  log.info({ version, node: process.version, pod: stream.pod, workers: config.workers }, 'sluice proxy starts')
  proxy = await startProxy({
    ...{ config, version, log, spawn },
    startStream: parts => startStream({ ...parts, config: stream, log }),
  })
}

process.on('uncaughtException', error => fatal(error, 'uncaught exception'))
process.on('unhandledRejection', error => fatal(error, 'unhandled rejection'))
await main().catch((error: unknown) => fatal(error, 'the proxy cannot start'))
