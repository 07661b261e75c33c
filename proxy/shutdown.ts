/** The orderly end of a proxy process: first nobody is sent here any more, then what is under way ends, then all the rest. */
import type { DataPlaneConfig } from './config.ts'
import type { Output } from './log/output.ts'
import type { StreamHandle } from './stream/contract.ts'
import type { WorkerFleet } from './workers/fleet.ts'

export interface ShutdownParts {
  readonly config: Pick<DataPlaneConfig, 'drainDelay' | 'drainTimeout'>
  readonly log: { info(fields: object, message: string): void }
  readonly fleet: Pick<WorkerFleet, 'announceDrain' | 'appliedAt' | 'drain' | 'stop'>
  readonly stream: Pick<StreamHandle, 'close'>
  readonly admin: { close(): PromiseLike<unknown> }
  readonly accessLog: Pick<Output, 'end'> | null
}

/** How long the end waits for whoever reads the access log, in milliseconds. */
const LOG_END_MS = 1_000

/** The admin server is to say already that the process drains. */
export async function shutDown({ config, log, fleet, stream, admin, accessLog }: ShutdownParts): Promise<void> {
  fleet.announceDrain()
  // Nobody was ever sent here who would have to learn of it.
  const delay = fleet.appliedAt === null ? 0 : config.drainDelay
  log.info({ delay, timeout: config.drainTimeout }, 'draining')
  await new Promise(resolve => setTimeout(resolve, delay))
  await fleet.drain(config.drainTimeout)
  await stream.close()
  await fleet.stop()
  await admin.close()
  await accessLog?.end(LOG_END_MS)
  log.info({}, 'ended')
}
