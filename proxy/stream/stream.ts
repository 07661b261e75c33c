/** The main thread's side of the stream put together: disk → receiver ← client, reporter → leader. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DiskErrorCode } from '../disk/errors.ts'
import { WriteBehind } from '../disk/write-behind.ts'
import { LastTable } from '../disk/last-table.ts'
import { describe, errorCode } from '../errors.ts'
import type { CounterSource } from '../report/counter-source.ts'
import type { TableSink, TicketSink } from '../table/update.ts'
import type { ProbeSource } from '../probe/prober.ts'
import { StreamClient } from './client.ts'
import type { ClientTimings } from './client.ts'
import type { StreamConfig } from './config.ts'
import type { StreamHandle } from './contract.ts'
import type { StreamLog } from './log.ts'
import { Receiver } from './receiver.ts'
import { Reporter } from './reporter.ts'
import type { ReporterTimings } from './reporter.ts'
import { HttpsTransport } from './transport.ts'

const UNPROVEN: DiskErrorCode = 'SLUICE_DISK_UNPROVEN'
/** How long the end waits for workers to serve what came last, in milliseconds. */
const SETTLE_MS = 1_000

export interface StreamParts {
  readonly config: Omit<StreamConfig, 'logLevel'>
  readonly log: StreamLog
  readonly sink: TableSink
  readonly tickets: TicketSink
  readonly counters: CounterSource
  readonly probes: ProbeSource
  readonly clientTimings?: Partial<ClientTimings>
  readonly reporterTimings?: Partial<ReporterTimings>
}

/** Serves what is on disk first, then what the operator says. */
export function startStream({ config, log, sink, tickets, counters, probes, ...timings }: StreamParts): StreamHandle {
  const transport = new HttpsTransport(config)
  const receiver = new Receiver({
    ...{ sink, log },
    events: {
      served: revisions => reporter.served(revisions),
      refusals: () => reporter.refused(),
      observe: message => {
        probes.observe(message.probes ?? [])
        reporter.observe(message)
      },
      leader: leader => reporter.leader(leader),
      tickets: secret => tickets.setTicketSecrets(secret),
      changed: () => copy?.changed(),
    },
  })
  const reporter = new Reporter({
    ...{ pod: config.pod, instance: randomUUID(), counters, probes, served: receiver.served, transport, log },
    refusals: () => receiver.refusals,
    ...(timings.reporterTimings ? { timings: timings.reporterTimings } : {}),
  })
  const client = new StreamClient({
    ...{ receiver, transport, log },
    ...(timings.clientTimings ? { timings: timings.clientTimings } : {}),
  })
  const file = config.stateDir === null ? null : new LastTable(config.stateDir)
  const copy = file === null ? null : new WriteBehind({ file, contents: () => receiver.contents(), log })

  const closed = new AbortController()
  let diskRefused = 0
  const begin = async (): Promise<void> => {
    if (file !== null && !(await restore(file, receiver, log, closed.signal))) diskRefused++
    if (closed.signal.aborted) return
    reporter.start()
    client.start()
  }
  const begun = begin()

  return {
    status: () => {
      const { stateHash, source, checksums } = receiver.served
      return {
        ...{ stateHash, source, checksums },
        connected: client.connected,
        refusals: receiver.refusals.length,
        diskError: copy?.lastError ?? null,
        diskRefused,
      }
    },
    close: async () => {
      closed.abort()
      await begun
      await client.close()
      // A worker that hangs is no reason not to end.
      await Promise.race([receiver.settled(), sleep(SETTLE_MS, undefined, { ref: false })])
      await reporter.close()
      await copy?.close()
      transport.close()
    },
  }
}

/**
 * Serves first, proves behind it. Whatever is wrong with the file: the proxy goes on without a table, as it did the first time.
 * @returns false: there is a file, and it is not used
 */
async function restore(file: LastTable, receiver: Receiver, log: StreamLog, signal: AbortSignal): Promise<boolean> {
  try {
    if (!(await receiver.restore(room => file.read(room)))) {
      log.info({}, 'no table on disk')
      return true
    }
    const { stateHash } = receiver.served
    log.info({ stateHash }, 'table restored from disk: it is served, and proven now')
    log.info({ objects: await receiver.proveRestored(signal), stateHash }, 'the table from disk proved right')
    return true
  } catch (error) {
    if (signal.aborted) return true
    const code = errorCode(error)
    log.error({ code }, `the table on disk is not used: ${describe(error)}`)
    // Whoever starts next would serve it again until the same proof.
    if (code === UNPROVEN) await file.remove().catch((cause: unknown) => log.error({}, describe(cause)))
    return false
  }
}
