/** Messages as lines of the stream, in portions that stay far below the longest line a client accepts. */
import type { EndpointTable, SnapshotItemsMessage, StreamMessage } from '../../protocol/messages.ts'
import { routedHosts } from '../../protocol/objects.ts'
import type { Assignment, Certificate, Fragment, ServiceKey } from '../../protocol/objects.ts'
import type { Snapshot } from './pod-state.ts'

/** Objects per line of a snapshot. */
const MAX_OBJECTS = 256
/** Characters of payload after which a line ends: one object of etcd's largest size still fits behind it. */
const MAX_PAYLOAD = 4_000_000
const MAX_SERVICES = 1_000

export function line(message: StreamMessage): string {
  return `${JSON.stringify(message)}\n`
}

/** A snapshot, line by line as the reader asks for them. Endpoints first: they apply even if the rest is refused. */
export function* snapshotLines(snapshot: Snapshot, sequence: number): Generator<string> {
  yield line({ type: 'snapshot-begin', sequence })
  for (let from = 0; from < snapshot.endpoints.length; from += MAX_SERVICES) {
    yield line({ ...NO_ITEMS, endpoints: Object.fromEntries(snapshot.endpoints.slice(from, from + MAX_SERVICES)) })
  }
  let assignments: Assignment[] = []
  let fragments: Fragment[] = []
  let certificates: Certificate[] = []
  let size = 0
  for (const { assignment, payload } of snapshot.entries) {
    assignments.push(assignment)
    if (payload !== null) {
      if ('chain' in payload) certificates.push(payload)
      else fragments.push(payload)
      size += sizeOf(payload)
    }
    if (assignments.length < MAX_OBJECTS && size < MAX_PAYLOAD) continue
    yield line({ ...NO_ITEMS, assignments, fragments, certificates })
    assignments = []
    fragments = []
    certificates = []
    size = 0
  }
  if (assignments.length > 0) yield line({ ...NO_ITEMS, assignments, fragments, certificates })
  const { checksums, stateHash } = snapshot
  yield line({ type: 'snapshot-end', sequence, checksums, stateHash })
}

const NO_ITEMS: SnapshotItemsMessage = {
  type: 'snapshot-items',
  assignments: [],
  fragments: [],
  certificates: [],
  endpoints: {},
}

export function* endpointLines(upsert: EndpointTable, remove: readonly ServiceKey[]): Generator<string> {
  const entries = Object.entries(upsert)
  for (let from = 0; from < entries.length; from += MAX_SERVICES) {
    yield line({
      type: 'endpoints',
      upsert: Object.fromEntries(entries.slice(from, from + MAX_SERVICES)),
      remove: [],
    })
  }
  for (let from = 0; from < remove.length; from += MAX_SERVICES) {
    yield line({ type: 'endpoints', upsert: {}, remove: remove.slice(from, from + MAX_SERVICES) })
  }
}

/** Roughly how many characters of JSON it makes. */
function sizeOf(payload: Fragment | Certificate): number {
  if ('chain' in payload) return payload.chain.length + payload.privateKey.length
  let size = 200
  for (const host of routedHosts(payload)) {
    size += host.host.length
    for (const { path, backend } of host.paths) {
      size += 60 + path.length + ('service' in backend ? backend.service.length : backend.reason.length)
    }
  }
  if (payload.canary !== undefined) size += 500
  if (payload.settings !== undefined) size += 300
  return size + 100 * (payload.tls.length + (payload.defaultTls?.length ?? 0))
}
