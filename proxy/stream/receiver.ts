/**
 * Messages in, table updates out. Knows nothing of sockets and time: the client feeds it, and decides when to connect
 * again. Endpoints are passed on whatever happens to the configuration; configuration only as a whole and proven.
 */
import type {
  DaySecret,
  HeldMessage,
  ObserveMessage,
  Refusal,
  StreamMessage,
  TicketsMessage,
} from '../../protocol/messages.ts'
import { PROTOCOL_VERSION } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { TicketSecret, TicketSecrets } from '../frontdoor/ticket-keys.ts'
import { describe } from '../errors.ts'
import { imageFault, imageOf, type ReadStored } from '../table/stored.ts'
import { EMPTY_UPDATE } from '../table/update.ts'
import type { Addresses, TableSink, TableUpdate } from '../table/update.ts'
import { Endpoints } from './endpoints.ts'
import type { EndpointChange, ServingPlan } from './endpoints.ts'
import type { StreamLog } from './log.ts'
import { Served } from './served.ts'
import { EMPTY_STATE } from './state.ts'
import type { StateHead, Step, StreamState } from './state.ts'
import { chunks, inPortions, type Steps } from '../turns.ts'
import { proveDelta, proveSnapshot, proveStored } from './verify.ts'
import type { Proof, StoredVerdict, Verdict } from './verify.ts'
import type { PinnedContents, StoredContents } from '../disk/contents.ts'
import { DiskError } from '../disk/errors.ts'
import type { Objects } from '../table/objects.ts'
import type { Assignment, Certificate, Fragment } from '../../protocol/objects.ts'

/** What the client must know of a message. */
export type Received =
  /** Nothing in particular. */
  | 'taken'
  /** The state is the operator's again. */
  | 'verified'
  /** It was refused just now: a full snapshot is needed. */
  | 'refused'
  /** A change came while a full snapshot is needed: the reason of the refusal may be gone. */
  | 'waiting'
  /** The operator speaks another version of the protocol. */
  | 'unsupported'

export interface ReceiverEvents {
  /** Every worker serves a new state; these revisions changed. */
  served(revisions: ReadonlyMap<ObjectKey, Revision | null>): void
  /** What is refused, or why, changed. */
  refusals(): void
  observe(message: ObserveMessage): void
  leader(leader: string | null): void
  /** The fleet's secrets for session tickets. */
  tickets(secrets: TicketSecrets): void
  /** What is served changed, or the endpoints: the copy on disk is old. */
  changed(what: 'table' | 'endpoints'): void
}

interface Parts {
  readonly assignments: Assignment[]
  readonly fragments: Fragment[]
  readonly certificates: Certificate[]
}

/** A proven step with all that making it needs: only the making is left to be done, and that is short. */
interface Ready {
  readonly ok: true
  readonly step: Step
  readonly serving: ServingPlan
  /** Of all Services; null: the workers have them. */
  readonly addresses: Addresses | null
}
type Prepared = Ready | Extract<Verdict, { readonly ok: false }>

/** As Ready, of what the workers have already. */
type ProvenStored =
  | (Extract<StoredVerdict, { readonly ok: true }> & { readonly serving: ServingPlan })
  | Extract<StoredVerdict, { readonly ok: false }>

const NO_REVISIONS: ReadonlyMap<ObjectKey, Revision | null> = new Map()
/** Services taken between two yields. */
const LISTED_STEP = 128
/** Updates that workers have not confirmed yet, above which the stream is not read on. */
const MAX_UNCONFIRMED = 64

export class Receiver {
  readonly served: Served
  readonly #sink: TableSink
  readonly #events: ReceiverEvents
  readonly #log: StreamLog
  /** Its objects are in the table when what was given to the sink is written. */
  #state: StateHead = EMPTY_STATE
  readonly #endpoints = new Endpoints()
  readonly #held = new Map<HeldMessage['kind'], Refusal>()
  #refusal: Refusal | null = null
  #parts: Parts | null = null
  #hasTable = false
  /** What is served, and not proven; null: nothing is. */
  #unproven: StoredContents | null = null
  /** The operator was told our hash, and has not yet said that it differs. */
  #resuming = false
  /** Counts connections: what belongs to an old one does not count any more. */
  #connection = 0
  /** No `observe` came over this connection yet. */
  #fresh = false
  #observed: readonly string[] | null = null
  #unconfirmed = 0
  #tail: Promise<void> = Promise.resolve()

  constructor(options: { readonly sink: TableSink; readonly events: ReceiverEvents; readonly log: StreamLog }) {
    this.#sink = options.sink
    this.served = new Served(options.sink.objects())
    this.#events = options.events
    this.#log = options.log
  }

  /** Hash to resume from; null: there is no table, or it must be replaced as a whole. */
  get resumeHash(): string | null {
    return this.#hasTable && this.#refusal === null ? this.#state.hash.hex : null
  }

  /** Why the last update was refused, by this proxy and by its operator replica. */
  get refusals(): readonly Refusal[] {
    return [...(this.#refusal === null ? [] : [this.#refusal]), ...this.#held.values()]
  }

  /** A new connection that asked to resume from this hash. What the old one left unfinished is forgotten. */
  connect(resumeHash: string | null): void {
    this.disconnect()
    this.#resuming = resumeHash !== null
    this.#fresh = true
    this.#endpoints.beginListing()
  }

  /** The connection ended. A proof that is under way is forgotten: what is resumed from is the state as it is now. */
  disconnect(): void {
    this.#connection++
    this.#parts = null
  }

  /**
   * Takes a message. Resolves when it is known what it comes to, and only then the next one may come: a proof takes its
   * time.
   */
  async receive(message: StreamMessage): Promise<Received> {
    switch (message.type) {
      case 'hello':
        if (message.protocol !== PROTOCOL_VERSION) return 'unsupported'
        this.#events.leader(message.leader)
        return 'taken'
      case 'ping':
        this.#events.leader(message.leader)
        return 'taken'
      case 'tickets':
        this.#events.tickets(ticketSecretsOf(message))
        return 'taken'
      case 'snapshot-begin':
        this.#resuming = false
        this.#parts = { assignments: [], fragments: [], certificates: [] }
        this.#endpoints.beginListing()
        return 'taken'
      case 'snapshot-items':
        this.#changeEndpoints(this.#endpoints.change(Object.entries(message.endpoints), []))
        if (this.#parts === null) return this.#unasked('snapshot-items without snapshot-begin')
        // Not push(...): a line may hold more items than a call has arguments.
        for (const assignment of message.assignments) this.#parts.assignments.push(assignment)
        for (const fragment of message.fragments) this.#parts.fragments.push(fragment)
        for (const certificate of message.certificates) this.#parts.certificates.push(certificate)
        return 'taken'
      case 'snapshot-end': {
        const parts = this.#parts
        this.#parts = null
        if (parts === null) return this.#unasked('snapshot-end without snapshot-begin')
        return this.#conclude(state => proveSnapshot(state, parts, message))
      }
      case 'delta':
        if (this.#refusal !== null) return 'waiting'
        if (!this.#hasTable) return this.refuse(outOfOrder('a delta before the first snapshot'))
        return this.#conclude(state => proveDelta(state, message))
      case 'endpoints':
        this.#changeEndpoints(this.#endpoints.change(Object.entries(message.upsert), message.remove))
        return 'taken'
      case 'observe':
        return this.#observe(message)
      case 'held':
        this.#hold(message)
        return 'taken'
    }
  }

  /**
   * A line could not be taken, and nobody knows what it said: neither the snapshot under way nor the listing of endpoints
   * nor a resumed state can be trusted to be whole.
   */
  refuse(refusal: Refusal): Received {
    this.#parts = null
    this.#resuming = false
    this.#endpoints.abandonListing()
    return this.#refuse(refusal)
  }

  /** Notes why an update is refused; the table goes on as it is. */
  #refuse(refusal: Refusal): Received {
    const before = this.#refusal
    this.#refusal = refusal
    if (before?.reason !== refusal.reason || before.message !== refusal.message || before.object !== refusal.object) {
      this.#log.error({ reason: refusal.reason, object: refusal.object }, `update refused: ${refusal.message}`)
      this.#events.refusals()
    }
    return 'refused'
  }

  /**
   * Takes a table read from disk, and serves it as it is; `proveRestored` comes next. Only before the first connection.
   * @returns false: there is none
   */
  async restore(read: ReadStored<StoredContents>): Promise<boolean> {
    const restored = await this.#sink.restore(read)
    if (restored === null) return false
    const { stored, generation } = restored
    this.#unproven = stored
    this.served.advance(generation)
    this.served.acknowledge(stored, 'disk')
    return true
  }

  /**
   * Proves what was restored, in small steps, while it is served. Where it does not prove right, it is served no more and there is no table.
   * @returns how many objects there are
   * @throws DiskError SLUICE_DISK_UNPROVEN; the signal's reason, when nothing is known of it
   */
  async proveRestored(signal: AbortSignal): Promise<number> {
    const stored = this.#unproven
    if (stored === null) return 0
    const objects = this.#sink.objects()
    let fault: DiskError
    try {
      const proven = await inPortions(untilAborted(this.#proveStored(objects, stored), signal))
      if (proven.ok) return this.#takeRestored(proven)
      const { refusal } = proven
      fault = new DiskError('SLUICE_DISK_UNPROVEN', `it does not prove right: ${refusal.message}`)
    } catch (cause) {
      signal.throwIfAborted()
      // It may be anything, and quote what it could not read.
      const name = cause instanceof Error ? cause.name : 'an error'
      fault = new DiskError('SLUICE_DISK_UNPROVEN', 'it cannot be read to its end', { cause: name })
    } finally {
      objects.close()
    }
    this.#unproven = null
    await this.#sink.withdraw()
    this.served.withdraw(this.#sink.objects())
    this.#events.served(NO_REVISIONS)
    throw fault
  }

  *#proveStored(objects: Objects, { image, endpoints, ...announced }: StoredContents): Steps<ProvenStored> {
    const fault = yield* imageFault(objects, image)
    if (fault !== null) return { ok: false, refusal: { reason: 'StateHashMismatch', object: null, message: fault } }
    const verdict = yield* proveStored(objects.entries(), announced)
    if (!verdict.ok) return verdict
    // The workers have them.
    for (const some of chunks(endpoints, LISTED_STEP)) {
      this.#endpoints.change(some, [])
      yield
    }
    return { ...verdict, serving: yield* this.#endpoints.plan(verdict.needs) }
  }

  #takeRestored({ state, serving, revisions }: Extract<ProvenStored, { ok: true }>): number {
    this.#unproven = null
    this.#hasTable = true
    this.#state = state
    this.#endpoints.serve(serving)
    this.#events.served(revisions)
    return state.counts.Ingress + state.counts.Secret
  }

  /** What to keep on disk: what is served, read while it is written. Null before the first table that is proven. */
  contents(): PinnedContents | null {
    const { source, checksums, stateHash } = this.served
    if (source === 'none' || this.#unproven !== null) return null
    const objects = this.served.objects()
    return {
      ...{ image: imageOf(objects), endpoints: this.#endpoints.entries(), checksums, stateHash },
      close: () => objects.close(),
    }
  }

  /** Resolves when workers keep up; the stream is read on after it. */
  async room(): Promise<void> {
    if (this.#unconfirmed >= MAX_UNCONFIRMED) await this.#tail
  }

  /** Resolves when everything received so far is served. */
  settled(): Promise<void> {
    return this.#tail
  }

  /** The rest of a snapshot after a line of it was lost is no second reason to refuse it. */
  #unasked(message: string): Received {
    return this.#refusal === null ? this.refuse(outOfOrder(message)) : 'taken'
  }

  async #conclude(proof: (state: StreamState) => Proof): Promise<Received> {
    const connection = this.#connection
    try {
      await this.#sink.written()
    } catch {
      // What is served stays, and no table is taken any more; the log has why.
      return 'taken'
    }
    if (connection !== this.#connection) return 'taken'
    const prepared = await this.#proven(state => this.#prepare(proof(state)))
    if (connection !== this.#connection) return 'taken'
    if (!prepared.ok) return this.#refuse(prepared.refusal)
    this.#apply(prepared)
    this.#accepted()
    return 'verified'
  }

  /** A proof that starts from the state as it is: all of it has to be written. */
  async #proven(prepare: (state: StreamState) => Steps<Prepared>): Promise<Prepared> {
    const objects = this.#sink.objects()
    try {
      return await inPortions(prepare({ ...this.#state, objects }))
    } finally {
      objects.close()
    }
  }

  /** The proof, and behind it all else that is long: for 100 000 Services what follows would hold up the thread. */
  *#prepare(proof: Proof): Steps<Prepared> {
    const verdict = yield* proof
    if (!verdict.ok) return verdict
    const serving = yield* this.#endpoints.plan(verdict.step.changes.needs)
    return { ...verdict, serving, addresses: this.#hasTable ? null : yield* this.#endpoints.all() }
  }

  #apply({ step, serving, addresses }: Ready): void {
    this.#hasTable = true
    this.#state = step.state
    const { objects, revisions } = step.changes
    this.#endpoints.serve(serving)
    const update: TableUpdate =
      addresses === null
        ? { ...EMPTY_UPDATE, objects, endpoints: { upsert: new Map(), remove: serving.free } }
        : { reset: true, objects, endpoints: { upsert: addresses, remove: [] }, observed: this.#observed }
    const { hash, checksums } = step.state
    this.#give(update, () => {
      this.served.acknowledge({ stateHash: hash.hex, checksums }, 'stream')
      this.#events.served(revisions)
      this.#events.changed('table')
    })
  }

  #observe(message: ObserveMessage): Received {
    // The first one after hello or snapshot-begin ends the listing of endpoints, and confirms a resumed state.
    this.#changeEndpoints(this.#endpoints.endListing())
    this.#forgetHeld()
    this.#observed = message.hosts
    if (this.#hasTable) this.#give({ ...EMPTY_UPDATE, observed: message.hosts })
    this.#events.observe(message)
    if (!this.#resuming) return 'taken'
    this.#resuming = false
    this.#accepted()
    this.#give(null, () => {
      this.served.confirm()
      this.#events.served(NO_REVISIONS)
    })
    return 'verified'
  }

  #accepted(): void {
    if (this.#refusal === null) return
    this.#refusal = null
    this.#log.info({}, 'updates are accepted again')
    this.#events.refusals()
  }

  /** What another connection's replica held back. What this one does follows its first `observe`. */
  #forgetHeld(): void {
    if (!this.#fresh) return
    this.#fresh = false
    if (this.#held.size === 0) return
    this.#held.clear()
    this.#events.refusals()
  }

  #hold({ kind, mismatch }: HeldMessage): void {
    if (mismatch === null) this.#held.delete(kind)
    else {
      const { missing, unexpected, message } = mismatch
      const [first, ...others] = [...missing, ...unexpected]
      this.#held.set(kind, { reason: 'Held', object: others.length === 0 ? (first ?? null) : null, message })
    }
    this.#events.refusals()
  }

  #changeEndpoints({ upsert, remove }: EndpointChange): void {
    if (!this.#hasTable || (remove.length === 0 && upsert.size === 0)) return
    this.#give({ ...EMPTY_UPDATE, endpoints: { upsert, remove } })
    this.#events.changed('endpoints')
  }

  /** Hands an update (null: none) to the table; `then` runs when workers serve it and all before it. */
  #give(update: TableUpdate | null, then?: () => void): void {
    this.#unconfirmed++
    const applied = update === null || isEmpty(update) ? Promise.resolve(null) : this.#sink.apply(update)
    // Settled, both: one that is not taken ends nobody's wait for those before it.
    this.#tail = Promise.allSettled([this.#tail, applied])
      .then(([, taken]) => {
        if (taken.status === 'rejected') throw taken.reason
        if (taken.value !== null) this.served.advance(taken.value)
        then?.()
      })
      .catch((error: unknown) => {
        // What it did not take is never reported as served.
        this.#log.error({ err: describe(error) }, 'a table update failed')
      })
      .finally(() => this.#unconfirmed--)
  }
}

/** @throws the signal's reason */
function* untilAborted<T>(work: Steps<T>, signal: AbortSignal): Steps<T> {
  for (;;) {
    signal.throwIfAborted()
    const step = work.next()
    if (step.done === true) return step.value
    yield
  }
}

function isEmpty({ reset, objects, endpoints, observed }: TableUpdate): boolean {
  return (
    !reset &&
    observed === null &&
    objects.upsert.length === 0 &&
    objects.remove.length === 0 &&
    endpoints.remove.length === 0 &&
    endpoints.upsert.size === 0
  )
}

function outOfOrder(message: string): Refusal {
  return { reason: 'SchemaViolation', object: null, message }
}

function ticketSecretsOf({ secrets: [first, ...more] }: TicketsMessage): TicketSecrets {
  // A copy: a Buffer may be a view of memory that others use, too.
  const of = ({ day, secret }: DaySecret): TicketSecret => ({
    day,
    secret: Uint8Array.from(Buffer.from(secret, 'base64')),
  })
  return [of(first), ...more.map(of)]
}
