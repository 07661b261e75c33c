/** What the stream client asks of the data plane for its reports. */
import type { HostCounters, ObjectCounters } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'

/** Counts since the last successful `take`, merged over all workers. */
export interface Counts {
  /** Keyed as Report.hosts. Hosts without any count are left out. */
  readonly hosts: Readonly<Record<string, HostCounters>>
  /** Governed objects only, keyed as Report.objects; the revision is the one served last. */
  readonly objects: Readonly<Record<ObjectKey, ObjectCounters>>
}

export interface CounterSource {
  /** What was counted since the last call. Nothing is lost when a worker does not answer: its counts come with a later call. */
  take(): Promise<Counts>
}
