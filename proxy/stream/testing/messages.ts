/** States and messages for tests, made without the operator's code: what is right here was written down twice. */
import { idsChecksum, payloadDigest, StateHash } from '../../../protocol/hash.ts'
import { parseObjectKey } from '../../../protocol/ids.ts'
import type { Checksums, DeltaMessage, EndpointTable, Refusal, StreamMessage } from '../../../protocol/messages.ts'
import type { Assignment, Certificate, Fragment, ObjectKey, Revision } from '../../../protocol/objects.ts'
import { fragment, host, path } from '../../table/testing/fixtures.ts'
import type { Objects } from '../../table/objects.ts'
import type { ReadStored, StoredTable } from '../../table/stored.ts'
import type { TableSink, TableUpdate } from '../../table/update.ts'
import { MasterTable } from '../../workers/master-table.ts'
import type { StreamLog } from '../log.ts'
import { Receiver } from '../receiver.ts'
import type { Received } from '../receiver.ts'
import type { Entry } from '../../table/entry.ts'

/** An Ingress `ns/<name>` with one host, to the Service `ns/<name>:80`. */
export function site(name: string, revision: Revision = 'r1'): Fragment {
  return fragment(name, [host(`${name}.test`, path('Prefix /', `ns/${name}:80`))], { revision })
}

/** Assigned and released to everybody, unless said otherwise. */
export function entry(payload: Fragment | Certificate, more: Partial<Assignment> = {}): Entry {
  const { key, revision } = payload
  return {
    assignment: {
      ...{ key, id: `${key.split('/').slice(1).join('/')}:${more.announced ?? revision}` },
      ...{ announced: revision, current: revision, assigned: revision, digest: payloadDigest(payload), ...more },
    },
    payload,
  }
}

/** Nothing of it for this pod yet. */
export function unassigned(key: ObjectKey, announced: Revision): Entry {
  const id = `${key.split('/').slice(1).join('/')}:${announced}`
  return { assignment: { key, id, announced, current: null, assigned: null, digest: null }, payload: null }
}

export function checksumsOf(entries: readonly Entry[]): Checksums {
  const ids = (kind: string): string =>
    idsChecksum(entries.filter(e => parseObjectKey(e.assignment.key).kind === kind).map(e => e.assignment.id))
  return { ingress: ids('Ingress'), secret: ids('Secret') }
}

export function hashOf(entries: readonly Entry[]): string {
  const hash = new StateHash()
  for (const { assignment } of entries) hash.toggle(assignment)
  return hash.hex
}

export function partsOf(entries: readonly Entry[]): {
  readonly assignments: readonly Assignment[]
  readonly fragments: readonly Fragment[]
  readonly certificates: readonly Certificate[]
} {
  const payloads = entries.flatMap(({ payload }) => (payload === null ? [] : [payload]))
  return {
    assignments: entries.map(e => e.assignment),
    fragments: payloads.filter((p): p is Fragment => !('chain' in p)),
    certificates: payloads.filter((p): p is Certificate => 'chain' in p),
  }
}

/** A snapshot as the operator sends it, without the `observe` that follows it. */
export function snapshot(entries: readonly Entry[], endpoints: EndpointTable = {}): StreamMessage[] {
  return [
    { type: 'snapshot-begin', sequence: 1 },
    { type: 'snapshot-items', ...partsOf(entries), endpoints },
    { type: 'snapshot-end', sequence: 1, checksums: checksumsOf(entries), stateHash: hashOf(entries) },
  ]
}

/** From one state to another; every payload of a changed assignment is in it. */
export function delta(before: readonly Entry[], after: readonly Entry[]): DeltaMessage {
  const changed = after.filter(e => !before.some(b => hashOf([b]) === hashOf([e])))
  const removed = before.map(e => e.assignment.key).filter(key => !after.some(e => e.assignment.key === key))
  return {
    ...{ type: 'delta', sequence: 2, base: hashOf(before), ...partsOf(changed), removed },
    ...{ checksums: checksumsOf(after), stateHash: hashOf(after) },
  }
}

export function observe(...objects: readonly ObjectKey[]): StreamMessage {
  return { type: 'observe', objects, hosts: [], intervalMs: 10_000 }
}

/** What was read back, and the generation that serves it. */
export interface Restored<S extends StoredTable> {
  readonly stored: S
  readonly generation: number
}

/** The `restore` of a sink of one table. */
export async function restoreInto<S extends StoredTable>(
  table: MasterTable,
  read: ReadStored<S>,
): Promise<Restored<S> | null> {
  const restored = await table.restore(read, Infinity)
  return restored === null ? null : { stored: restored.stored, generation: table.generation }
}

/** Workers that confirm when they are told to. */
export class FakeSink implements TableSink {
  table = new MasterTable()
  withdrawals = 0
  readonly updates: TableUpdate[] = []
  #held: (() => void)[] | null = null

  apply(update: TableUpdate): Promise<number> {
    this.updates.push(update)
    const { generation } = this.table.apply(update)
    const held = this.#held
    return held === null ? Promise.resolve(generation) : new Promise(resolve => held.push(() => resolve(generation)))
  }

  written(): Promise<void> {
    return Promise.resolve()
  }

  objects(): Objects {
    return this.table.objects()
  }

  restore<S extends StoredTable>(read: ReadStored<S>): Promise<Restored<S> | null> {
    return restoreInto(this.table, read)
  }

  withdraw(): Promise<void> {
    this.withdrawals++
    this.table = new MasterTable()
    return Promise.resolve()
  }

  /** From now on nothing is confirmed. */
  hold(): void {
    this.#held = []
  }

  release(): void {
    for (const confirm of this.#held ?? []) confirm()
    this.#held = null
  }
}

export const SILENT: StreamLog = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** Keeps what was logged, as one line each. */
export class FakeLog implements StreamLog {
  readonly lines: string[] = []
  readonly info = (fields: object, message: string): void => this.#add('info', fields, message)
  readonly warn = (fields: object, message: string): void => this.#add('warn', fields, message)
  readonly error = (fields: object, message: string): void => this.#add('error', fields, message)

  #add(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  }
}

/** A receiver with everything that came out of it. */
export class ReceiverRig {
  readonly sink = new FakeSink()
  readonly log = new FakeLog()
  readonly events: string[] = []
  readonly receiver = new Receiver({
    sink: this.sink,
    log: this.log,
    events: {
      served: revisions => this.events.push(`served ${JSON.stringify(Object.fromEntries(revisions))}`),
      refusals: () => this.events.push('refusals'),
      observe: message => this.events.push(`observe ${message.objects.join()}`),
      leader: leader => this.events.push(`leader ${leader ?? 'none'}`),
      tickets: secrets =>
        this.events.push(
          ...secrets.map(({ day, secret }) => `tickets ${day} ${Buffer.from(secret).toString('base64')}`),
        ),
      changed: what => this.events.push(`changed ${what}`),
    },
  })

  /** Says what the last message came to. */
  async feed(...messages: readonly StreamMessage[]): Promise<Received> {
    let received: Received = 'taken'
    for (const message of messages) received = await this.receiver.receive(message)
    return received
  }

  get reasons(): readonly Refusal['reason'][] {
    return this.receiver.refusals.map(r => r.reason)
  }
}
