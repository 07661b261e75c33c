/** What the pipeline hands to the stream: the released world, and which parts of it changed. */
import type { Checksums, HeldMessage, ObservedProbe } from '../../protocol/messages.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'

export interface WorldEntry {
  readonly assignment: Assignment
  /** Compiled form of the assigned revision; null if and only if nothing is assigned. */
  readonly payload: Fragment | Certificate | null
}

export interface Observation {
  readonly objects: readonly ObjectKey[]
  readonly hosts: readonly string[]
  /** Milliseconds between reports. */
  readonly intervalMs: number
  /** Absent: none. */
  readonly probes?: readonly ObservedProbe[]
}

/**
 * What is released for streaming right now, the same for all pods except through `entry`. The stream reads the newest
 * published world only, synchronously inside publish() or later; entries, payloads and endpoint lists that it returned
 * must never change afterwards, the world itself may be a view over maps that do.
 */
export interface World {
  readonly version: number
  /** Published checksums that every pod's IDs of this world match. */
  readonly checksums: Checksums
  /** Hash of all that a pod of this ordinal is to serve (protocol/hash.ts), in hex. */
  stateHash(ordinal: number): string
  /** All that a pod of this ordinal is to serve, as it is now, whatever changes while it is read. */
  entries(ordinal: number): Iterable<WorldEntry>
  /** What a pod of this ordinal (-1: none, infinitely high) is to serve of the object; null: the object takes no part. */
  entry(key: ObjectKey, ordinal: number): WorldEntry | null
  endpoints(): ReadonlyMap<ServiceKey, readonly string[]>
  observe(): Observation
  /** Updates that this replica refuses; a kind that is left out is not held. */
  held(): readonly HeldMessage[]
}

/** What pods were to serve of one object, by ordinal; null: it took no part. */
export type Assigned = (ordinal: number) => Assignment | null

export interface WorldChange {
  readonly world: World
  /** Objects that are other ones than in the world that was published before, and what they were there. */
  readonly objects: ReadonlyMap<ObjectKey, Assigned>
  /** Services whose endpoints may differ. */
  readonly services: readonly ServiceKey[]
  /** What is to be observed may differ. */
  readonly observe: boolean
}
