/**
 * What the table keeps of an Ingress and of a certificate, in the memory that all threads share (memory/layout.ts). Nothing is lost: what
 * is read is what was written.
 *
 * Of a fragment: its key, then what it says of itself, then a node for each host and each server name that it names: their maps
 * lead right there, and from there it is found by how far it lies before. Hosts of a canary are in the map of hosts, beside those that it
 * takes requests of: who looks a host up finds both at once, and a host without canaries costs nobody a second look.
 *
 * | of a fragment, behind its name | where |
 * | --- | --- |
 * | flags, `createdAt`, revision | always |
 * | how many hosts and server names, Secrets | always |
 * | the rule of a canary, as canonical JSON | flag CANARY |
 * | settings, as canonical JSON | flag SETTINGS |
 * | `defaultTls`; `tls` entry by entry; `hosts` entry by entry, by numbers of the above | flags DEFAULT_TLS, TLS_APART, HOSTS_APART |
 * | a share for each host: way back to the fragment, paths | always |
 * | a share for each server name: way back to the fragment, numbers of Secrets | always |
 */
import { canonicalJson } from '../../protocol/hash.ts'
import { routedHosts } from '../../protocol/objects.ts'
import type {
  CanaryRule,
  Certificate,
  Fragment,
  HostFragment,
  ObjectKey,
  PathFragment,
  RouteSettings,
  TlsFragment,
} from '../../protocol/objects.ts'
import { RecordReader, type RecordWriter } from '../memory/bytes.ts'
import { HEAD, KIND_BITS } from '../memory/layout.ts'
import { behindName, nameOf } from '../memory/names.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'

/** The maps of the table, by their roots (memory/layout.ts). */
export const ROOTS = {
  /** Ingresses and Secrets, by key (objects.ts). */
  objects: 3,
  /** Certificates, by key; without a name: which of them is the default one. */
  certificates: 4,
  hosts: 5,
  /** Hosts of ACME challenges. */
  challenges: 6,
  serverNames: 7,
  /** Hosts to count though no route knows them. */
  observed: 8,
} as const

/** Kinds of nodes. */
export const KIND = {
  fragment: 1,
  /** What one fragment says of a host or a server name. */
  share: 2,
  /** Places of the shares of several fragments, or of one that was among several: room, how many, and they. */
  shares: 3,
  certificate: 4,
  /** Of the default certificate: its key. */
  key: 5,
  observed: 6,
  /** What is assigned of an object. */
  object: 7,
  /** The name of an object of which nothing is assigned. */
  name: 8,
} as const

/** What a node of shares says behind its name: how many it has room for, how many there are, and they. */
export const ROOM = 0
export const COUNT = 1
export const PLACES = 2

const GOVERNED = 1
const CHALLENGES = 2
const DEFAULT_TLS = 4
/** A host is named twice. */
const HOSTS_APART = 8
/** `tls` is not one entry with all names. */
const TLS_APART = 16
/** Its hosts are those that it is a canary on. */
const CANARY = 32
const SETTINGS = 64

const TYPES: readonly PathFragment['type'][] = ['Exact', 'Prefix', 'ImplementationSpecific', 'Default']
const TYPE_BITS = 3
const CLOSED = 4
const PROTECTS = 8
const PROTECTS_NOT = 16

/** Places of the shares that a node leads to, itself if it is one. In no order. */
export function readShares(memory: SharedMemory, node: number): number[] {
  if ((memory.word(node + HEAD) & KIND_BITS) === KIND.share) return [node]
  const content = behindName(memory, node)
  const begin = content + PLACES
  return [...memory.words.subarray(begin, begin + memory.word(content + COUNT))]
}

/** Where the nodes of a record are, of hosts and of server names: in words from its begin while it is written, places when it is read. */
export interface FragmentPlan {
  readonly hosts: readonly number[]
  readonly names: readonly number[]
  /** Of the record. */
  readonly words: number
}

/** Writes the record of a fragment, which begins where the writer began. */
export function writeFragment(to: RecordWriter, fragment: Fragment): FragmentPlan {
  const routed = routedHosts(fragment)
  const hosts = [...Map.groupBy(routed, ({ host }) => host)]
  const names = namesOf(fragment)
  const index = new Map([...names.keys()].map((name, i) => [name, i]))
  const secrets = [...new Set(fragment.tls.map(({ secret }) => secret))]
  const apart = hosts.length < routed.length
  const [first] = fragment.tls
  const own = [...names].filter(([, keys]) => keys.length > 0).map(([name]) => name)
  const plain = first === undefined || (fragment.tls.length === 1 && sameList(first.hosts, own))
  const { governed, challenges, defaultTls, canary, settings } = fragment

  to.begin()
  to.node(fragment.key, KIND.fragment)
  to.byte(
    (governed ? GOVERNED : 0) |
      (challenges === true ? CHALLENGES : 0) |
      (defaultTls === undefined ? 0 : DEFAULT_TLS) |
      (apart ? HOSTS_APART : 0) |
      (plain ? 0 : TLS_APART) |
      (canary === undefined ? 0 : CANARY) |
      (settings === undefined ? 0 : SETTINGS),
  )
  to.number(fragment.createdAt)
  to.shortHex(fragment.revision)
  to.number(hosts.length)
  to.number(names.size)
  writeTexts(to, secrets)
  if (canary !== undefined) to.text(canonicalJson(canary.rule))
  if (settings !== undefined) to.text(canonicalJson(settings))
  const named = (list: readonly string[]): void => {
    to.number(list.length)
    for (const name of list) to.number(index.get(name) ?? 0)
  }
  if (defaultTls !== undefined) named(defaultTls)
  if (!plain) {
    to.number(fragment.tls.length)
    for (const { secret, hosts: list } of fragment.tls) {
      to.number(secrets.indexOf(secret))
      named(list)
    }
  }
  if (apart) {
    const places = new Map(hosts.map(([host], i) => [host, i]))
    to.number(routed.length)
    for (const { host, paths } of routed) {
      to.number(places.get(host) ?? 0)
      to.number(paths.length)
    }
  }
  const hostNodes = hosts.map(([host, all]) => {
    const begin = to.node(host, KIND.share)
    to.word(begin)
    writePaths(
      to,
      all.flatMap(({ paths }) => paths),
    )
    return begin
  })
  const nameNodes = [...names].map(([name, keys]) => {
    const begin = to.node(name, KIND.share)
    to.word(begin)
    to.number(keys.length)
    for (const key of keys) to.number(secrets.indexOf(key))
    return begin
  })
  return { hosts: hostNodes, names: nameNodes, words: to.align() }
}

/** What a fragment says of itself. */
export interface FragmentHead {
  readonly key: ObjectKey
  readonly revision: string
  readonly createdAt: number
  readonly governed: boolean
  readonly challenges: boolean
  /** Its hosts are those that it is a canary on. */
  readonly isCanary: boolean
}

/** @param share of a host or a server name */
export function fragmentOf(memory: SharedMemory, share: number): number {
  return share - memory.word(behindName(memory, share))
}

/** Costs the same however many hosts the fragment has. */
export function readHead(memory: SharedMemory, fragment: number): FragmentHead {
  return openHead(memory, fragment).head
}

/** @returns what is read next: how many hosts and names there are */
function openHead(
  memory: SharedMemory,
  fragment: number,
): { readonly head: FragmentHead; readonly flags: number; readonly from: RecordReader } {
  const from = new RecordReader(memory, behindName(memory, fragment))
  const flags = from.byte()
  const createdAt = from.number()
  const revision = from.shortHex()
  const [governed, challenges] = [(flags & GOVERNED) !== 0, (flags & CHALLENGES) !== 0]
  const isCanary = (flags & CANARY) !== 0
  return { head: { key: nameOf(memory, fragment), revision, createdAt, governed, challenges, isCanary }, flags, from }
}

export function isGovernedFragment(memory: SharedMemory, fragment: number): boolean {
  return (new RecordReader(memory, behindName(memory, fragment)).byte() & GOVERNED) !== 0
}

export function isGovernedCertificate(memory: SharedMemory, place: number): boolean {
  return (new RecordReader(memory, behindName(memory, place)).byte() & GOVERNED_CERTIFICATE) !== 0
}

/** Of a fragment that is one. */
export function readCanaryRule(memory: SharedMemory, fragment: number): CanaryRule {
  const { from } = openHead(memory, fragment)
  from.number()
  from.number()
  for (let i = from.number(); i > 0; i--) from.skipText()
  return JSON.parse(from.text()) as CanaryRule
}

/** Canonical JSON of RouteSettings: who has made something of the same text before need not parse it. Null: there are none. */
export function readSettings(memory: SharedMemory, fragment: number): string | null {
  const { head, flags, from } = openHead(memory, fragment)
  if ((flags & SETTINGS) === 0) return null
  from.number()
  from.number()
  for (let i = from.number(); i > 0; i--) from.skipText()
  if (head.isCanary) from.skipText()
  return from.text()
}

export function isDefaultCertificate(memory: SharedMemory, place: number): boolean {
  return (new RecordReader(memory, behindName(memory, place)).byte() & DEFAULT_CERTIFICATE) !== 0
}

export function readPlan(memory: SharedMemory, fragment: number): FragmentPlan {
  return new Opened(memory, fragment)
}

/** All of it, as it was written; with keys in order, so that its JSON is the canonical one, of which digests are made. */
export function readFragment(memory: SharedMemory, fragment: number): Fragment {
  return new Opened(memory, fragment).whole()
}

export function readPaths(memory: SharedMemory, host: number): readonly PathFragment[] {
  return pathsFrom(contentOf(memory, host))
}

/** Of a server name, as its fragment names them. */
export function readSecrets(memory: SharedMemory, name: number): readonly ObjectKey[] {
  const wanted = numbers(contentOf(memory, name))
  const { from } = openHead(memory, fragmentOf(memory, name))
  from.number()
  from.number()
  const count = from.number()
  const found = new Map<number, ObjectKey>()
  // A fragment may have thousands, a name has one or two.
  for (let i = 0; i < count && found.size < wanted.length; i++) {
    if (wanted.includes(i)) found.set(i, from.text())
    else from.skipText()
  }
  return wanted.map(i => found.get(i) ?? '')
}

/** Of a share, behind the way to its fragment. */
function contentOf(memory: SharedMemory, share: number): RecordReader {
  return new RecordReader(memory, behindName(memory, share) + 1)
}

class Opened implements FragmentPlan {
  readonly head: FragmentHead
  readonly secrets: readonly ObjectKey[]
  readonly rule: CanaryRule | null
  readonly settings: RouteSettings | null
  readonly hosts: readonly number[]
  readonly names: readonly number[]
  readonly words: number
  readonly #memory: SharedMemory
  readonly #defaultTls: readonly number[] | null
  readonly #tls: readonly { readonly secret: number; readonly names: readonly number[] }[] | null
  readonly #apart: readonly { readonly host: number; readonly paths: number }[] | null

  constructor(memory: SharedMemory, fragment: number) {
    this.#memory = memory
    const { head, flags, from } = openHead(memory, fragment)
    this.head = head
    const [hosts, names] = [from.number(), from.number()]
    this.secrets = readTexts(from)
    this.rule = head.isCanary ? (JSON.parse(from.text()) as CanaryRule) : null
    this.settings = (flags & SETTINGS) === 0 ? null : (JSON.parse(from.text()) as RouteSettings)
    this.#defaultTls = (flags & DEFAULT_TLS) === 0 ? null : numbers(from)
    this.#tls = (flags & TLS_APART) === 0 ? null : times(from, () => ({ secret: from.number(), names: numbers(from) }))
    this.#apart =
      (flags & HOSTS_APART) === 0 ? null : times(from, () => ({ host: from.number(), paths: from.number() }))
    let at = from.place
    const share = (skip: (content: RecordReader) => void): number => {
      const place = at
      const content = contentOf(memory, place)
      skip(content)
      at = content.place
      return place
    }
    this.hosts = many(hosts, () => share(skipPaths))
    this.names = many(names, () => share(numbers))
    this.words = at - fragment
  }

  whole(): Fragment {
    const { key, revision, createdAt, governed, challenges } = this.head
    const defaultTls = this.#defaultTls?.map(i => this.#name(i))
    const hosts = this.#hostFragments()
    const { rule, settings } = this
    return {
      ...(rule === null ? {} : { canary: { hosts, rule } }),
      ...(challenges ? { challenges } : {}),
      createdAt,
      ...(defaultTls === undefined ? {} : { defaultTls }),
      ...{ governed, hosts: rule === null ? hosts : [], key, revision },
      ...(settings === null ? {} : { settings }),
      tls: this.#tlsFragments(),
    }
  }

  #name(index: number): string {
    return nameOf(this.#memory, this.names[index] ?? 0)
  }

  #hostFragments(): readonly HostFragment[] {
    const all = this.hosts.map(place => ({
      host: nameOf(this.#memory, place),
      paths: readPaths(this.#memory, place),
      taken: 0,
    }))
    if (this.#apart === null) return all.map(({ host, paths }) => ({ host, paths }))
    return this.#apart.flatMap(({ host, paths: count }) => {
      const one = all[host]
      if (one === undefined) return []
      const paths = one.paths.slice(one.taken, one.taken + count)
      one.taken += count
      return [{ host: one.host, paths }]
    })
  }

  #tlsFragments(): readonly TlsFragment[] {
    const { secrets } = this
    if (this.#tls !== null) {
      return this.#tls.map(({ secret, names }) => ({
        hosts: names.map(i => this.#name(i)),
        secret: secrets[secret] ?? '',
      }))
    }
    const [secret] = secrets
    if (secret === undefined) return []
    const own = this.names.filter(place => contentOf(this.#memory, place).number() > 0)
    return [{ hosts: own.map(place => nameOf(this.#memory, place)), secret }]
  }
}

/** A server name, and the Secrets that the fragment names for it, each once; none: the default one (Fragment.defaultTls). */
function namesOf({ tls, defaultTls = [] }: Fragment): ReadonlyMap<string, readonly ObjectKey[]> {
  const names = new Map<string, ObjectKey[]>()
  for (const { hosts, secret } of tls) {
    for (const host of hosts) {
      const keys = names.get(host)
      if (keys === undefined) names.set(host, [secret])
      else if (!keys.includes(secret)) keys.push(secret)
    }
  }
  for (const name of defaultTls) if (!names.has(name)) names.set(name, [])
  return names
}

function writePaths(to: RecordWriter, paths: readonly PathFragment[]): void {
  to.number(paths.length)
  for (const { type, path, backend } of paths) {
    const kind = TYPES.indexOf(type)
    if ('service' in backend) {
      to.byte(kind)
      to.text(path)
      to.text(backend.service)
      continue
    }
    const { protects, reason } = backend
    to.byte(kind | CLOSED | (protects === undefined ? 0 : protects ? PROTECTS : PROTECTS_NOT))
    to.text(path)
    to.text(reason)
  }
}

function pathsFrom(from: RecordReader): readonly PathFragment[] {
  return times(from, (): PathFragment => {
    const flags = from.byte()
    const type = TYPES[flags & TYPE_BITS] ?? 'Exact'
    const path = from.text()
    if ((flags & CLOSED) === 0) return { backend: { service: from.text() }, path, type }
    const reason = from.text()
    const said = (flags & (PROTECTS | PROTECTS_NOT)) !== 0
    return { backend: { ...(said ? { protects: (flags & PROTECTS) !== 0 } : {}), reason, status: 503 }, path, type }
  })
}

function skipPaths(from: RecordReader): void {
  times(from, () => {
    from.byte()
    from.skipText()
    from.skipText()
  })
}

const ECDSA = 1
const GOVERNED_CERTIFICATE = 2
const DEFAULT_CERTIFICATE = 4

/** Writes the record of a certificate. It holds the private key: it must never be logged. */
export function writeCertificate(to: RecordWriter, certificate: Certificate): void {
  const { key, revision, governed, chain, privateKey, keyType, isDefault } = certificate
  to.begin()
  to.node(key, KIND.certificate)
  to.byte(
    (keyType === 'ECDSA' ? ECDSA : 0) |
      (governed ? GOVERNED_CERTIFICATE : 0) |
      (isDefault === true ? DEFAULT_CERTIFICATE : 0),
  )
  to.shortHex(revision)
  to.text(chain)
  to.text(privateKey)
}

/** All of it, as it was written; with keys in order, as those of a fragment. */
export function readCertificate(memory: SharedMemory, place: number): Certificate {
  const from = new RecordReader(memory, behindName(memory, place))
  const flags = from.byte()
  const revision = from.shortHex()
  const chain = from.text()
  const privateKey = from.text()
  return {
    ...{ chain, governed: (flags & GOVERNED_CERTIFICATE) !== 0 },
    ...((flags & DEFAULT_CERTIFICATE) !== 0 ? { isDefault: true } : {}),
    ...{ key: nameOf(memory, place), keyType: (flags & ECDSA) !== 0 ? 'ECDSA' : 'RSA', privateKey, revision },
  }
}

export function readCertificateRevision(memory: SharedMemory, place: number): string {
  const from = new RecordReader(memory, behindName(memory, place))
  from.byte()
  return from.shortHex()
}

/** Of a certificate, or another record of one node and texts. */
export function recordWords(memory: SharedMemory, place: number): number {
  const from = new RecordReader(memory, behindName(memory, place))
  switch (memory.word(place + HEAD) & KIND_BITS) {
    case KIND.certificate:
      from.byte()
      from.shortHex()
      from.skipText()
      from.skipText()
      break
    case KIND.key:
      from.skipText()
      break
    default:
      break
  }
  return from.place - place
}

/** The records say all of it, and no more is in it. */
export function isWhole(payload: Fragment | Certificate): boolean {
  if ('chain' in payload) {
    const { key, revision, chain, privateKey, isDefault } = payload
    return hasKeys(payload, 6 + Number(isDefault !== undefined)) && [key, revision, chain, privateKey].every(isText)
  }
  const { key, revision, createdAt, hosts, tls, defaultTls, challenges, canary, settings } = payload
  const optional = [defaultTls, challenges, canary, settings].filter(one => one !== undefined)
  return (
    hasKeys(payload, 6 + optional.length) &&
    (canary === undefined || (hasKeys(canary, 2) && hosts.length === 0)) &&
    [key, revision, ...(defaultTls ?? [])].every(isText) &&
    Number.isSafeInteger(createdAt) &&
    routedHosts(payload).every(one => hasKeys(one, 2) && isText(one.host) && one.paths.every(isWholePath)) &&
    tls.every(one => hasKeys(one, 2) && isText(one.secret) && one.hosts.every(isText))
  )
}

function isWholePath(one: PathFragment): boolean {
  const { path, backend } = one
  if (!hasKeys(one, 3) || !isText(path)) return false
  if ('service' in backend) return hasKeys(backend, 1) && isText(backend.service)
  return hasKeys(backend, backend.protects === undefined ? 2 : 3) && isText(backend.reason)
}

/** Those that are required are there: so many, and no other. */
function hasKeys(value: object, count: number): boolean {
  return Object.keys(value).length === count
}

/** It can be written as UTF-8. */
function isText(value: string): boolean {
  return value.isWellFormed()
}

/** Which certificate is the default one. */
export function writeDefault(to: RecordWriter, key: ObjectKey): void {
  to.begin()
  to.node('', KIND.key)
  to.text(key)
}

export function readDefault(memory: SharedMemory, place: number): ObjectKey {
  return new RecordReader(memory, behindName(memory, place)).text()
}

function writeTexts(to: RecordWriter, texts: readonly string[]): void {
  to.number(texts.length)
  for (const text of texts) to.text(text)
}

function readTexts(from: RecordReader): readonly string[] {
  return times(from, () => from.text())
}

function numbers(from: RecordReader): readonly number[] {
  return times(from, () => from.number())
}

function times<T>(from: RecordReader, read: () => T): readonly T[] {
  return many(from.number(), read)
}

/** Array.from takes several times as long, and this is read for every host. */
function many<T>(count: number, read: () => T): readonly T[] {
  const all: T[] = []
  for (let i = 0; i < count; i++) all.push(read())
  return all
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i])
}
