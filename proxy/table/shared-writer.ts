/**
 * The main thread's side of the table in shared memory: takes updates, writes what changed, and says which generation it is of. Workers
 * read it (shared-table.ts) when they are told of the generation.
 */
import { routedHosts } from '../../protocol/objects.ts'
import type { Certificate, Fragment, ObjectKey, Revision } from '../../protocol/objects.ts'
import { Blocks } from '../memory/blocks.ts'
import { RecordWriter } from '../memory/bytes.ts'
import { GENERATION, GONE, HEAD, IMAGE_GENERATION, KIND_BITS, NOWHERE, SEED } from '../memory/layout.ts'
import { behindName, nameOf, namedBy } from '../memory/names.ts'
import { SharedMemory } from '../memory/shared-memory.ts'
import { VersionedMap } from '../memory/versions.ts'
import type { Entry } from './entry.ts'
import { Objects, objectWords, readRevision, writeObject } from './objects.ts'
import {
  COUNT,
  KIND,
  PLACES,
  ROOM,
  ROOTS,
  fragmentOf,
  isGovernedCertificate,
  isGovernedFragment,
  readDefault,
  readHead,
  readPlan,
  readSecrets,
  readShares,
  recordWords,
  writeCertificate,
  writeDefault,
  writeFragment,
  type FragmentPlan,
} from './records.ts'
import { atOnce, type Steps } from '../turns.ts'
import type { ReadStored, StoredTable } from './stored.ts'
import type { TableUpdate } from './update.ts'

/** Names listed between two yields. */
const STEP = 128
/** Up to so many there is room for what there is and no more. */
const FEW_SHARES = 4

/** An update that is in memory. */
export interface Written {
  /** For readers to advance to. */
  readonly generation: number
  /** Those that came, changed or went. */
  readonly certificates: readonly ObjectKey[]
}

/** What a fragment says of hosts and server names, in the order of its record. */
interface Shares {
  readonly challenges: boolean
  readonly plan: FragmentPlan
  readonly place: number
}

export class SharedTableWriter {
  readonly memory: SharedMemory
  readonly #blocks: Blocks
  readonly #record = new RecordWriter()
  readonly #objects: VersionedMap
  readonly #certificates: VersionedMap
  readonly #hosts: VersionedMap
  readonly #challenges: VersionedMap
  readonly #serverNames: VersionedMap
  readonly #observed: VersionedMap
  /** Looks at older generations, which need what they lead to. */
  readonly #open = new Set<Objects>()
  #generation = 0
  #fragments = 0
  #names = 0

  constructor(memory = SharedMemory.create()) {
    this.memory = memory
    const blocks = new Blocks(memory)
    this.#blocks = blocks
    this.#objects = new VersionedMap(blocks, ROOTS.objects)
    this.#certificates = new VersionedMap(blocks, ROOTS.certificates)
    this.#hosts = new VersionedMap(blocks, ROOTS.hosts)
    this.#challenges = new VersionedMap(blocks, ROOTS.challenges)
    this.#serverNames = new VersionedMap(blocks, ROOTS.serverNames)
    this.#observed = new VersionedMap(blocks, ROOTS.observed)
  }

  /** Ingresses. */
  get fragments(): number {
    return this.#fragments
  }

  /** Names in rules and TLS of Ingresses. */
  get names(): number {
    return this.#names
  }

  get certificates(): number {
    return this.#certificates.size - (this.#live(this.#certificates, '') === NOWHERE ? 0 : 1)
  }

  /** All objects of the newest generation that is complete. To be closed: what they lead to is kept until then. */
  objects(): Objects {
    return new Objects(this.memory, this.#open, this.#generation)
  }

  /** Of all Ingresses and Secrets that are assigned. */
  *revisions(): Generator<readonly [ObjectKey, Revision], void, void> {
    const { memory } = this
    for (const node of this.#objects.nodes()) {
      const revision = readRevision(memory, node)
      if (revision !== null) yield [nameOf(memory, node), revision]
    }
  }

  /** The revision of an Ingress or a Secret; null: none is assigned. */
  revision(key: ObjectKey): Revision | null {
    const node = this.#live(this.#objects, key)
    return node === NOWHERE ? null : readRevision(this.memory, node)
  }

  /** A host or server name that an Ingress names, or one that is observed. */
  knows(name: string): boolean {
    return this.#isNamed(name) || this.isObserved(name)
  }

  observed(): readonly string[] {
    return atOnce(this.#keys(this.#observed))
  }

  isObserved(name: string): boolean {
    return this.#live(this.#observed, name) !== NOWHERE
  }

  /** An Ingress that names it is governed, or the Secret of one that it names for it. */
  isGoverned(name: string): boolean {
    const { memory } = this
    const shares = (map: VersionedMap): readonly number[] => {
      const node = this.#live(map, name)
      return node === NOWHERE ? [] : readShares(memory, node)
    }
    const governed = (share: number): boolean => isGovernedFragment(memory, fragmentOf(memory, share))
    if ([this.#hosts, this.#challenges, this.#serverNames].some(map => shares(map).some(governed))) return true
    return shares(this.#serverNames).some(share =>
      readSecrets(memory, share).some(key => {
        const place = this.#live(this.#certificates, key)
        return place !== NOWHERE && isGovernedCertificate(memory, place)
      }),
    )
  }

  #isNamed(name: string): boolean {
    return [this.#hosts, this.#challenges, this.#serverNames].some(map => this.#live(map, name) !== NOWHERE)
  }

  /** The newest one that is complete. */
  get generation(): number {
    return this.#generation
  }

  /** Bytes in use, and of those the ones that only readers of an older generation need. */
  get sizes(): { readonly used: number; readonly waiting: number } {
    return { used: this.#blocks.used, waiting: this.#blocks.waiting }
  }

  /**
   * Takes one step, in small ones, between which nothing else may be given to it; endpoints are not the table's. What did not change is
   * not written. Readers see nothing of it before they advance to the generation that it ends with.
   * @param served the generation that every reader serves, or a later one: what is older is written over
   */
  *steps(update: TableUpdate, served: number): Steps<Written> {
    const generation = this.#generation + 1
    const oldest = Math.min(served, ...[...this.#open].map(objects => objects.generation))
    yield* this.#blocks.collect(oldest, generation)
    const certificates = yield* this.#applyObjects(update, generation)
    if (update.observed !== null) yield* this.#observe(update.observed, generation)
    this.#generation = generation
    return { generation, certificates }
  }

  /** The same in one go. */
  apply(update: TableUpdate, served: number): Written {
    return atOnce(this.steps(update, served))
  }

  /**
   * Takes up a table that was stored (stored.ts), as it is. Only where nothing was given yet, and nothing may be meanwhile. Readers see
   * nothing of it before they advance. Whether it is right is not looked at here.
   * @returns null: there is none @throws what `read` throws; then nothing is there, as before
   */
  async restore<S extends StoredTable>(read: ReadStored<S>): Promise<S | null> {
    const taken = { place: 0, words: 0 }
    try {
      const stored = await read(words => {
        const place = this.#blocks.image(words)
        Object.assign(taken, { place, words })
        return this.memory.bytes.subarray(place * 4, (place + words) * 4)
      })
      if (stored !== null) this.#adopt(stored)
      return stored
    } catch (error) {
      if (taken.words > 0) this.#blocks.give(taken.place, taken.words)
      throw error
    }
  }

  #adopt({ image: { seed, slots, fragments, names } }: StoredTable): void {
    // First: readers that look into the slots of before find no name there, whatever its hash.
    this.memory.words[SEED] = seed
    this.#objects.adopt(slots.objects, IMAGE_GENERATION)
    this.#certificates.adopt(slots.certificates, IMAGE_GENERATION)
    this.#hosts.adopt(slots.hosts, IMAGE_GENERATION)
    this.#challenges.adopt(slots.challenges, IMAGE_GENERATION)
    this.#serverNames.adopt(slots.serverNames, IMAGE_GENERATION)
    this.#fragments = fragments
    this.#names = names
    this.#generation = IMAGE_GENERATION
  }

  /** @returns certificates that came, changed or went */
  *#applyObjects({ objects, reset }: TableUpdate, generation: number): Steps<readonly ObjectKey[]> {
    const gone = new Set(reset ? yield* this.#keys(this.#objects) : objects.remove)
    if (reset) yield* this.#reserve(objects.upsert, generation)
    const certificates = new Set<ObjectKey>()
    for (const entry of objects.upsert) {
      const { key } = entry.assignment
      gone.delete(key)
      if (this.#putObject(entry, generation)) certificates.add(key)
      yield
    }
    for (const key of gone) {
      if (this.#removeObject(key, generation)) certificates.add(key)
      yield
    }
    return [...certificates]
  }

  /** Room for all that is to come, where there is nothing yet. */
  *#reserve(entries: readonly Entry[], generation: number): Steps<void> {
    let [hosts, serverNames, certificates] = [0, 0, 0]
    for (const { payload } of entries) {
      if (payload === null) continue
      if ('chain' in payload) certificates++
      else {
        hosts += routedHosts(payload).length
        for (const tls of payload.tls) serverNames += tls.hosts.length
      }
      yield
    }
    this.#objects.reserve(entries.length, generation)
    this.#hosts.reserve(hosts, generation)
    this.#serverNames.reserve(serverNames, generation)
    this.#certificates.reserve(certificates, generation)
  }

  /** @returns a certificate came, changed or went */
  #putObject(entry: Entry, generation: number): boolean {
    const { key } = entry.assignment
    const node = this.#live(this.#objects, key)
    const before = node === NOWHERE ? NOWHERE : namedBy(this.memory, node)
    const record = this.#putRecord(key, entry.payload, before, generation)
    writeObject(this.#record, entry, record)
    if (node === NOWHERE || !this.#isSame(node, objectWords(this.memory, node))) {
      if (node !== NOWHERE) this.#blocks.retire(node, objectWords(this.memory, node), generation)
      this.#objects.set(this.#store(), generation)
    }
    const kinds = [before, record].map(place => (place === NOWHERE ? null : this.#kindOf(place)))
    return before !== record && kinds.includes(KIND.certificate)
  }

  /** What the object says. @returns where; as before, if that says the same */
  #putRecord(key: ObjectKey, payload: Entry['payload'], before: number, generation: number): number {
    const kind = payload === null ? KIND.name : 'chain' in payload ? KIND.certificate : KIND.fragment
    const same = before !== NOWHERE && this.#kindOf(before) === kind
    if (before !== NOWHERE && !same) this.#removeRecord(before, generation)
    const old = same ? before : NOWHERE
    if (payload !== null) {
      return 'chain' in payload
        ? this.#putCertificate(payload, generation)
        : this.#putFragment(payload, old, generation)
    }
    if (old !== NOWHERE) return old
    this.#record.begin()
    this.#record.node(key, KIND.name)
    return this.#store()
  }

  /** @returns it was a certificate */
  #removeObject(key: ObjectKey, generation: number): boolean {
    const node = this.#live(this.#objects, key)
    if (node === NOWHERE) return false
    const record = namedBy(this.memory, node)
    const isCertificate = this.#kindOf(record) === KIND.certificate
    this.#objects.delete(key, generation)
    this.#blocks.retire(node, objectWords(this.memory, node), generation)
    this.#removeRecord(record, generation)
    return isCertificate
  }

  #removeRecord(record: number, generation: number): void {
    const key = nameOf(this.memory, record)
    switch (this.#kindOf(record)) {
      case KIND.certificate:
        this.#delete(this.#certificates, key, generation)
        this.#unsetDefault(key, generation)
        break
      case KIND.fragment: {
        const old = this.#sharesOf(record)
        this.#fragments--
        this.#blocks.retire(record, old.plan.words, generation)
        this.#exchange(old, null, generation)
        break
      }
      default:
        this.#blocks.retire(record, recordWords(this.memory, record), generation)
    }
  }

  #putCertificate(certificate: Certificate, generation: number): number {
    const { key } = certificate
    writeCertificate(this.#record, certificate)
    this.#put(this.#certificates, key, generation)
    if (certificate.isDefault === true) this.#setDefault(key, generation)
    else this.#unsetDefault(key, generation)
    return this.#certificates.newest(key)
  }

  #setDefault(key: ObjectKey, generation: number): void {
    writeDefault(this.#record, key)
    this.#put(this.#certificates, '', generation)
  }

  #unsetDefault(key: ObjectKey, generation: number): void {
    const node = this.#live(this.#certificates, '')
    if (node !== NOWHERE && readDefault(this.memory, node) === key) this.#delete(this.#certificates, '', generation)
  }

  /** @param before where its record is; NOWHERE: there is none */
  #putFragment(fragment: Fragment, before: number, generation: number): number {
    const plan = writeFragment(this.#record, fragment)
    const old = before === NOWHERE ? null : this.#sharesOf(before)
    if (old !== null && this.#isWritten(old, plan)) return before
    const place = this.#store()
    const next: Shares = {
      challenges: fragment.challenges === true,
      plan: { hosts: plan.hosts.map(at => place + at), names: plan.names.map(at => place + at), words: plan.words },
      place,
    }
    if (old === null) this.#fragments++
    else this.#blocks.retire(old.place, old.plan.words, generation)
    // It is no node of a map; what readers made of it is told from what they make of another one by it.
    this.memory.words[place + GENERATION] = generation
    this.#exchange(old, next, generation)
    return place
  }

  #sharesOf(place: number): Shares {
    return { challenges: readHead(this.memory, place).challenges, plan: readPlan(this.memory, place), place }
  }

  /** The record under the writer's hands says what the one in memory says. Generation and older node of its nodes are the maps'. */
  #isWritten({ place, plan }: Shares, next: FragmentPlan): boolean {
    if (plan.words !== next.words) return false
    const { words } = this.#record
    const nodes = [0, ...next.hosts, ...next.names]
    return nodes.every((begin, i) => {
      const end = nodes[i + 1] ?? next.words
      for (let at = begin + HEAD; at < end; at++) if (words[at] !== this.memory.word(place + at)) return false
      return true
    })
  }

  #exchange(old: Shares | null, next: Shares | null, generation: number): void {
    const hostsOf = ({ challenges }: Shares): VersionedMap => (challenges ? this.#challenges : this.#hosts)
    if (old !== null && next !== null && old.challenges === next.challenges) {
      this.#exchangeShares(hostsOf(next), old.plan.hosts, next.plan.hosts, generation)
    } else {
      if (old !== null) this.#exchangeShares(hostsOf(old), old.plan.hosts, [], generation)
      if (next !== null) this.#exchangeShares(hostsOf(next), [], next.plan.hosts, generation)
    }
    this.#exchangeShares(this.#serverNames, old?.plan.names ?? [], next?.plan.names ?? [], generation)
  }

  #exchangeShares(map: VersionedMap, old: readonly number[], next: readonly number[], generation: number): void {
    const before = new Map(old.map(share => [nameOf(this.memory, share), share]))
    for (const share of next) {
      const name = nameOf(this.memory, share)
      this.#exchangeShare(map, name, before.get(name) ?? null, share, generation)
      before.delete(name)
    }
    for (const [name, share] of before) this.#exchangeShare(map, name, share, null, generation)
  }

  #exchangeShare(map: VersionedMap, name: string, old: number | null, next: number | null, generation: number): void {
    const changes = old === null || next === null
    const before = changes && this.#isNamed(name)
    this.#exchangeIn(map, name, old, next, generation)
    if (changes) this.#names += Number(this.#isNamed(name)) - Number(before)
  }

  /** Nearly always a name has one share, which is its node by itself. */
  #exchangeIn(map: VersionedMap, name: string, old: number | null, next: number | null, generation: number): void {
    const node = this.#live(map, name)
    if (node === NOWHERE || node === old) {
      if (next !== null) map.set(next, generation)
      else map.delete(name, generation)
      return
    }
    if (this.#kindOf(node) === KIND.share) {
      if (next !== null) this.#putShares(map, name, [node, next], generation)
      return
    }
    if (this.#changeInPlace(node, old, next, generation)) return
    const list = readShares(this.memory, node)
    const at = old === null ? -1 : list.indexOf(old)
    if (at !== -1) list.splice(at, 1)
    if (next !== null) list.push(next)
    this.#blocks.retire(node, this.#sharesWords(node), generation)
    const [only] = list
    if (only === undefined) map.delete(name, generation)
    else if (list.length === 1 && only === next) map.set(next, generation)
    else this.#putShares(map, name, list, generation)
  }

  /** What was made in this generation nobody reads yet: a host of thousands of Ingresses is not written thousands of times. */
  #changeInPlace(node: number, old: number | null, next: number | null, generation: number): boolean {
    const { words } = this.memory
    if (this.memory.word(node + GENERATION) !== generation) return false
    const content = behindName(this.memory, node)
    const count = this.memory.word(content + COUNT)
    const places = content + PLACES
    const at = old === null ? -1 : words.subarray(places, places + count).indexOf(old)
    if (next !== null && at !== -1) {
      words[places + at] = next
      return true
    }
    if (next !== null) {
      if (count === this.memory.word(content + ROOM)) return false
      words[places + count] = next
      words[content + COUNT] = count + 1
      return true
    }
    if (at === -1 || count < 2) return false
    words[places + at] = this.memory.word(places + count - 1)
    words[content + COUNT] = count - 1
    return true
  }

  #putShares(map: VersionedMap, name: string, list: readonly number[], generation: number): void {
    const record = this.#record
    const room = list.length <= FEW_SHARES ? list.length : Math.ceil(list.length * 1.5)
    record.begin()
    record.node(name, KIND.shares)
    record.word(room)
    record.word(list.length)
    for (let i = 0; i < room; i++) record.word(list[i] ?? 0)
    map.set(this.#store(), generation)
  }

  #sharesWords(node: number): number {
    const content = behindName(this.memory, node)
    return content + PLACES + this.memory.word(content + ROOM) - node
  }

  *#observe(hosts: readonly string[], generation: number): Steps<void> {
    const wanted = new Set(hosts)
    for (const host of yield* this.#keys(this.#observed)) {
      if (!wanted.delete(host)) this.#delete(this.#observed, host, generation)
      yield
    }
    for (const host of wanted) {
      this.#record.begin()
      this.#record.node(host, KIND.observed)
      this.#put(this.#observed, host, generation)
      yield
    }
  }

  /** Makes the record under the writer's hands the node of its name. @returns false: the node says the same already */
  #put(map: VersionedMap, name: string, generation: number): boolean {
    const node = this.#live(map, name)
    if (node !== NOWHERE) {
      const size = recordWords(this.memory, node)
      if (this.#isSame(node, size)) return false
      this.#blocks.retire(node, size, generation)
    }
    map.set(this.#store(), generation)
    return true
  }

  /** The record under the writer's hands says what this one says. */
  #isSame(node: number, size: number): boolean {
    const { words } = this.#record
    let same = words.length === size
    for (let at = HEAD; same && at < size; at++) same = words[at] === this.memory.word(node + at)
    return same
  }

  /** @returns false: it is not there */
  #delete(map: VersionedMap, name: string, generation: number): boolean {
    const node = this.#live(map, name)
    if (node === NOWHERE) return false
    this.#blocks.retire(node, recordWords(this.memory, node), generation)
    map.delete(name, generation)
    return true
  }

  /** The record under the writer's hands, in a block of its own. */
  #store(): number {
    const { words } = this.#record
    const place = this.#blocks.take(words.length)
    this.memory.words.set(words, place)
    return place
  }

  /** The newest node that is there. */
  #live(map: VersionedMap, name: string): number {
    const node = map.newest(name)
    return node === NOWHERE || this.#kindOf(node) === GONE ? NOWHERE : node
  }

  #kindOf(node: number): number {
    return this.memory.word(node + HEAD) & KIND_BITS
  }

  /** In small steps: of 100 000 names it takes a while. */
  *#keys(map: VersionedMap): Steps<readonly string[]> {
    const names: string[] = []
    for (const node of map.nodes()) {
      names.push(nameOf(this.memory, node))
      if (names.length % STEP === 0) yield
    }
    return names
  }
}
