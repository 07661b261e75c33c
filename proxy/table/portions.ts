/** Big updates in small pieces, so that traffic is served between them. */
import type { Certificate, Fragment, ObjectKey, ServiceKey } from '../../protocol/objects.ts'
import { wildcardOf } from './contract.ts'
import { atOnce, type Steps } from '../turns.ts'
import { inOrder } from './in-order.ts'
import { EMPTY_UPDATE, type TableUpdate } from './update.ts'

/** What a table holds before the update. */
export interface Held {
  fragmentKeys(): Iterable<ObjectKey>
  certificateKeys(): Iterable<ObjectKey>
  services(): Iterable<ServiceKey>
  fragment(key: ObjectKey): Fragment | undefined
}

/**
 * Pieces of about `maxHosts` hosts that, applied in order, lead to the same table as the update in one go. None is a
 * reset: what a reset does not name is removed, piece by piece. Whoever reads between two pieces sees
 * - of every host that the table writes, its routes as they were before the update or as they are after it, never half;
 * - a route for every request that has one before and after, also where it moves between Ingresses, or between a host
 *   and the wildcard or default that it falls back to;
 * - a certificate for every name that has one before and after. Certificates and endpoints come before the fragments
 *   that may need them, and go after all others.
 *
 * Fragments that belong together by this stay in one piece, however many: the promise counts more than the size.
 *
 * @param held the table just before the update: the pieces are not right for any other, except that one which has the
 *   whole update already is not harmed by them
 */
export function portions(update: TableUpdate, maxHosts: number, held: Held): Iterable<TableUpdate> {
  return atOnce(planPortions(update, maxHosts, held))
}

/**
 * The same in small steps: for 100 000 hosts it takes half a second to find out what belongs together. The table must not
 * change until that is done; the pieces themselves do not look at it any more.
 */
export function* planPortions(update: TableUpdate, maxHosts: number, held: Held): Steps<Iterable<TableUpdate>> {
  const touched = yield* touchedFragments(update, held)
  const certificates = yield* changes(update.certificates, update.reset ? held.certificateKeys() : null)
  const { upsert } = update.endpoints
  const services = { upsert, remove: yield* without(update.reset ? held.services() : update.endpoints.remove, upsert) }
  const size = touched.reduce((sum, { hosts }) => sum + hosts, 0)
  if (Math.max(size, update.certificates.upsert.length, upsert.size) <= maxHosts && !update.reset) {
    return [update]
  }
  const groups = yield* grouped(touched)
  return piecesOf(update, { maxHosts, certificates, services, groups })
}

interface Plan {
  readonly maxHosts: number
  readonly certificates: TableUpdate['certificates']
  readonly services: TableUpdate['endpoints']
  readonly groups: readonly (readonly Touched[])[]
}

function* piecesOf(
  update: TableUpdate,
  { maxHosts, certificates, services, groups }: Plan,
): Generator<TableUpdate, void, void> {
  for (const some of chunks(certificates.upsert, maxHosts)) {
    yield { ...EMPTY_UPDATE, certificates: { upsert: some, remove: [] } }
  }
  for (const some of chunks(services.upsert, maxHosts)) {
    yield { ...EMPTY_UPDATE, endpoints: { upsert: new Map(some), remove: [] } }
  }
  yield* fragmentPortions(groups, maxHosts)
  yield {
    ...EMPTY_UPDATE,
    certificates: { upsert: [], remove: certificates.remove },
    endpoints: { upsert: new Map(), remove: services.remove },
    observed: update.observed,
  }
}

/** A fragment that comes, changes or goes. What it says of a host's paths and of a name's certificates are two things. */
interface Touched {
  readonly key: ObjectKey
  /** Null: it goes. */
  readonly fragment: Fragment | null
  /** Null: it comes. */
  readonly replaced: Fragment | null
  readonly before: ReadonlySet<string>
  readonly after: ReadonlySet<string>
  /** How many it names, before and after. */
  readonly hosts: number
}

/** Handled between two yields: some tenths of a millisecond. */
const STEP = 128

function* touchedFragments({ fragments, reset }: TableUpdate, held: Held): Steps<readonly Touched[]> {
  const { upsert, remove } = yield* changes(fragments, reset ? held.fragmentKeys() : null)
  const touch = (key: ObjectKey, fragment: Fragment | null): Touched => {
    const replaced = held.fragment(key) ?? null
    const before = thingsOf(replaced)
    const after = thingsOf(fragment)
    return { key, fragment, replaced, before, after, hosts: Math.max(before.size, after.size, 1) }
  }
  const touched: Touched[] = []
  for (const fragment of upsert) {
    touched.push(touch(fragment.key, fragment))
    if (touched.length % STEP === 0) yield
  }
  for (const key of remove) {
    touched.push(touch(key, null))
    if (touched.length % STEP === 0) yield
  }
  return touched
}

const TLS = 'tls '

function thingsOf(fragment: Fragment | null): ReadonlySet<string> {
  if (fragment === null) return new Set()
  const { hosts, tls, defaultTls = [] } = fragment
  const names = [...tls.flatMap(t => t.hosts), ...defaultTls]
  return new Set([...hosts.map(h => h.host), ...names.map(name => TLS + name)])
}

/** What answers where the host has nothing (more), of those that may. */
function fallbacksOf(thing: string): readonly string[] {
  if (thing === '') return []
  const tls = thing.startsWith(TLS)
  const wildcard = wildcardOf(tls ? thing.slice(TLS.length) : thing)
  if (tls) return wildcard === null ? [] : [TLS + wildcard]
  return wildcard === null ? [''] : [wildcard, '']
}

function* changes<T extends Fragment | Certificate>(
  { upsert, remove }: { readonly upsert: readonly T[]; readonly remove: readonly ObjectKey[] },
  all: Iterable<ObjectKey> | null,
): Steps<{ readonly upsert: readonly T[]; readonly remove: readonly ObjectKey[] }> {
  const last = new Map<ObjectKey, T>()
  for (const [i, item] of upsert.entries()) {
    if (i % STEP === 0) yield
    last.set(item.key, item)
  }
  return { upsert: [...last.values()], remove: yield* without(all ?? remove, last) }
}

function* without<K>(keys: Iterable<K>, others: ReadonlyMap<K, unknown>): Steps<readonly K[]> {
  const left: K[] = []
  let seen = 0
  for (const key of keys) {
    if (seen++ % STEP === 0) yield
    if (!others.has(key)) left.push(key)
  }
  return left
}

function* fragmentPortions(
  groups: readonly (readonly Touched[])[],
  maxHosts: number,
): Generator<TableUpdate, void, void> {
  let piece: Touched[] = []
  let size = 0
  for (const group of groups) {
    const hosts = group.reduce((sum, t) => sum + t.hosts, 0)
    if (piece.length > 0 && size + hosts > maxHosts) {
      yield fragmentsOf(piece)
      piece = []
      size = 0
    }
    for (const t of group) piece.push(t)
    size += hosts
  }
  if (piece.length > 0) yield fragmentsOf(piece)
}

function fragmentsOf(piece: readonly Touched[]): TableUpdate {
  const upsert = piece.flatMap(({ fragment }) => fragment ?? [])
  const remove = piece.flatMap(({ key, fragment }) => (fragment === null ? [key] : []))
  return { ...EMPTY_UPDATE, fragments: { upsert, remove } }
}

/** Fragments that must change at the same moment, in an order that leaves no gap. */
function* grouped(touched: readonly Touched[]): Steps<readonly (readonly Touched[])[]> {
  const joined = new Joined()
  const before = new Set<string>()
  const after = new Set<string>()
  for (const [i, t] of touched.entries()) {
    if (i % STEP === 0) yield
    let first: string | null = null
    for (const host of t.before) before.add(host)
    for (const host of t.after) after.add(host)
    for (const host of [...t.before, ...t.after]) {
      if (first === null) first = host
      else joined.join(first, host)
    }
  }
  const byRoot = new Map<string, Touched[]>()
  for (const [i, t] of touched.entries()) {
    if (i % STEP === 0) yield
    const [host = ''] = t.after.size > 0 ? t.after : t.before
    const root = joined.rootOf(host)
    const group = byRoot.get(root)
    if (group === undefined) byRoot.set(root, [t])
    else group.push(t)
  }
  const needs = yield* needsOf({ before, after, joined, any: anyOf(touched) })
  const roots = new Set(byRoot.keys())
  const every = joined.rootOf('')
  const ordered = yield* inOrder(roots, root => (root === every && needs.any === 'last' ? roots : needs.of(root)))
  return ordered.map(group => group.flatMap(root => byRoot.get(root) ?? []))
}

/** When what is said of the `''` host must change: its default, where it has one, serves what no other route of any host does. */
type Any = 'first' | 'last' | 'as its paths need it'

function anyOf(touched: readonly Touched[]): Any {
  if (touched.some(({ fragment }) => hasDefault(fragment))) return 'first'
  return touched.some(({ replaced }) => hasDefault(replaced)) ? 'last' : 'as its paths need it'
}

function hasDefault(fragment: Fragment | null): boolean {
  return (fragment?.hosts ?? []).some(({ host, paths }) => host === '' && paths.some(({ type }) => type === 'Default'))
}

interface Things {
  readonly before: ReadonlySet<string>
  readonly after: ReadonlySet<string>
  readonly joined: Joined
  readonly any: Any
}

interface Needs {
  readonly any: Any
  /** What must have changed before, or at the same moment. */
  of(root: string): Iterable<string>
}

/**
 * A host that goes: its fallbacks change before, those that go as well too, or they would hide what is behind them. A host
 * that comes: it is there before its fallbacks change, and before one comes that would hide what served it.
 */
function* needsOf({ before, after, joined, any }: Things): Steps<Needs> {
  const needs = new Map<string, Set<string>>()
  const need = (thing: string, other: string): void => {
    const root = joined.rootOf(thing)
    const others = needs.get(root)
    if (others === undefined) needs.set(root, new Set([joined.rootOf(other)]))
    else others.add(joined.rootOf(other))
  }
  let seen = 0
  for (const host of union(before, after)) {
    if (++seen % STEP === 0) yield
    const [comes, goes] = [!before.has(host), !after.has(host)]
    if (any === 'first' && !host.startsWith(TLS)) need(host, '')
    for (const fallback of comes || goes ? fallbacksOf(host) : []) {
      if (fallback === '' && any !== 'as its paths need it') continue
      if (!before.has(fallback) && !after.has(fallback)) continue
      if (comes) need(fallback, host)
      else need(host, fallback)
    }
  }
  return { any, of: root => needs.get(root) ?? [] }
}

function* union(a: ReadonlySet<string>, b: ReadonlySet<string>): Generator<string, void, void> {
  yield* a
  for (const one of b) if (!a.has(one)) yield one
}

/** Sets of names that were joined (union-find). */
class Joined {
  readonly #parents = new Map<string, string>()

  rootOf(host: string): string {
    let root = host
    for (let up = this.#parents.get(root); up !== undefined; up = this.#parents.get(root)) root = up
    for (let at = host; at !== root;) {
      const up = this.#parents.get(at) ?? root
      this.#parents.set(at, root)
      at = up
    }
    return root
  }

  join(a: string, b: string): void {
    const [one, two] = [this.rootOf(a), this.rootOf(b)]
    if (one !== two) this.#parents.set(one, two)
  }
}

/** Takes from the iterator only when the next one is asked for: what changes meanwhile is seen. */
export function* chunks<T>(items: Iterable<T>, size: number): Generator<readonly T[], void, void> {
  let chunk: T[] = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length < size) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
