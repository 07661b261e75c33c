/** Entry of the proxy process. */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { pino } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { dataPlaneConfig } from './config.ts'
import { Output } from './log/output.ts'
import type { RunningProxy } from './start-proxy.ts'
import { startProxy } from './start-proxy.ts'
import { streamConfig } from './stream/config.ts'
import { startStream } from './stream/stream.ts'
import { resourceLimits } from './workers/heap.ts'
import type { WorkerSetup } from './workers/messages.ts'

const { version } = packageJson
/** For the own lines of the process, beside what the access log may hold back, in bytes. */
const OWN_LINES_BYTES = 1_048_576
/** How long the end waits for whoever reads the log, in milliseconds. */
const LOG_END_MS = 500

// Never waits for its reader: probes would wait with it. The last lines before an exit are written at once.
const stdout = new Output({ to: 'stdout', limit: logLimit() })
const log = pino(
  { base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' },
  { write: text => stdout.write(text) },
)
process.on('exit', () => stdout.flushSync())

/** The settings are read later, when there is somebody to tell that they are wrong. */
function logLimit(): number {
  try {
    return dataPlaneConfig(process.env).accessLogBuffer + OWN_LINES_BYTES
  } catch {
    return OWN_LINES_BYTES
  }
}

function fatal(error: unknown, message: string): never {
  log.fatal({ err: error }, message)
  process.exit(1)
}

/** Beside this file, as source or as bundle. */
function spawn(setup: WorkerSetup): Worker {
  return new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
    workerData: setup,
    resourceLimits: resourceLimits(setup.config),
  })
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
      () => void stdout.end(LOG_END_MS).then(() => process.exit(0)),
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
    ...{ config, version, log, spawn, stdout },
    startStream: parts => startStream({ ...parts, config: stream, log }),
  })
}

process.on('uncaughtException', error => fatal(error, 'uncaught exception'))
process.on('unhandledRejection', error => fatal(error, 'unhandled rejection'))
await main().catch((error: unknown) => fatal(error, 'the proxy cannot start'))
