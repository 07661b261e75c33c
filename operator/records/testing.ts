/** For tests of the store: an API server for its Secrets, with processes that die, stand still, and hear of things late. */
import type { ReleaseRecord } from '../assign/types.ts'
import { KubeError } from '../kube/errors.ts'
import { hashOf, digitOf, shardOf } from './paths.ts'
import type { ShardPath } from './paths.ts'
import { KeyRing, storeKey } from './seal.ts'
import type { Opened } from './shards.ts'
import { decodeShard } from './shards.ts'
import { Slices } from './slices.ts'
import type { ShardApi, ShardLimits } from './store.ts'
import { ReleaseStore } from './store.ts'
import type { StoredShard } from './tree.ts'

export const KEYS = new KeyRing([storeKey('key-1', Buffer.alloc(32, 1))])

export function record(uid: string, index = -1): ReleaseRecord {
  return {
    ...{ uid, key: `Ingress/shop/${uid}`, createdAt: 1, governed: true, byHand: false, seen: null },
    ...{ current: 'r1', update: null, index, refused: [] },
    revisions: { r1: { hash: 'r1', content: { kind: 'Ingress', annotations: {}, spec: {} } } },
  }
}

/** So many UIDs of one shard. */
export function uidsIn(path: ShardPath, count: number): readonly string[] {
  const uids: string[] = []
  for (let i = 0; uids.length < count; i++) if (pathOfUid(`u${i}`, path.length - 2) === path) uids.push(`u${i}`)
  return uids
}

export function pathOfUid(uid: string, digits: number): ShardPath {
  const hash = hashOf(uid)
  return `${shardOf(uid)}${Array.from({ length: digits }, (_, level) => digitOf(hash, level)).join('')}`
}

export function opened({ name, data }: StoredShard): Opened {
  return decodeShard(name, data, { keys: KEYS, recover: () => null })
}

/** When the API server, and then the process, has it. */
export type Death = { readonly write: number; readonly takesEffect: boolean }

/** ResourceVersions grow, a stale one conflicts, and what does not change a Secret is no new version, as in Kubernetes. */
export class Secrets {
  readonly shards = new Map<string, StoredShard>()
  /** Names of all that was written. */
  readonly log: string[] = []
  readonly #watches = new Set<(name: string, now: StoredShard | null) => void>()
  #version = 0

  watch(seen: (name: string, now: StoredShard | null) => void): void {
    for (const stored of this.shards.values()) seen(stored.name, stored)
    this.#watches.add(seen)
  }

  write(name: string, resourceVersion: string | null, data: string): StoredShard {
    const held = this.shards.get(name)
    if ((held?.resourceVersion ?? null) !== resourceVersion) throw new KubeError('KUBE_CONFLICT', `${name}: conflict`)
    if (held?.data === data) return held
    this.log.push(name)
    const stored = { name, resourceVersion: String(++this.#version), data }
    this.shards.set(name, stored)
    for (const seen of this.#watches) seen(name, stored)
    return stored
  }

  /** What a person does. */
  delete(name: string): void {
    if (!this.shards.delete(name)) return
    this.#version++
    for (const seen of this.#watches) seen(name, null)
  }
}

const never = new Promise<never>(() => undefined)

/** A replica with its store, whose watch is behind until somebody delivers what it has. */
export class Replica implements ShardApi {
  readonly secrets: Secrets
  readonly store: ReleaseStore
  readonly unreadable: string[] = []
  readonly #events = new Map<string, (StoredShard | null)[]>()
  #isAlive = true
  #death: Death | null = null
  #writes = 0
  #gate: Promise<void> = Promise.resolve()
  #open: () => void = () => undefined

  /** @param slices without them what takes many turns is the same in every run, however slow the machine is */
  constructor(
    secrets: Secrets,
    limits: ShardLimits,
    mayWrite: () => boolean = () => true,
    slices: Slices = new Slices(() => 0),
  ) {
    this.secrets = secrets
    this.store = new ReleaseStore(
      this,
      {
        ...{ mayWrite, keys: KEYS, recover: () => null, changed: () => undefined },
        unreadable: error => this.unreadable.push(error.message),
      },
      limits,
      slices,
    )
    secrets.watch((name, now) => {
      const behind = this.#events.get(name) ?? []
      behind.push(now)
      this.#events.set(name, behind)
    })
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  /** At this write, counted from now on; null: at none. */
  dieAt(death: Death | null): void {
    this.#writes = 0
    this.#death = death
  }

  die(): void {
    this.#isAlive = false
    this.#events.clear()
  }

  /** Writes are on their way until `goOn`. */
  stand(): void {
    this.goOn()
    this.#gate = new Promise(resolve => (this.#open = resolve))
  }

  goOn(): void {
    this.#open()
    this.#gate = Promise.resolve()
  }

  /** In order for each Secret, and in the order that is asked for between them. */
  deliver(order: (names: string[]) => readonly string[] = names => names): void {
    for (const name of order([...this.#events.keys()].sort())) {
      const events = this.#events.get(name) ?? []
      this.#events.delete(name)
      for (const now of events) {
        if (now === null) this.store.lost(name)
        else this.store.observe(now)
      }
    }
  }

  async list(): Promise<readonly StoredShard[]> {
    await this.#travel()
    const found = [...this.secrets.shards.values()]
    await this.#travel()
    return found
  }

  async get(name: string): Promise<StoredShard | null> {
    await this.#travel()
    const found = this.secrets.shards.get(name) ?? null
    await this.#travel()
    return found
  }

  async write(name: string, resourceVersion: string | null, data: string): Promise<StoredShard> {
    await this.#gate
    await this.#travel()
    this.#writes++
    const dies = this.#death?.write === this.#writes
    if (dies) {
      if (this.#death?.takesEffect === true) {
        try {
          this.secrets.write(name, resourceVersion, data)
        } catch {
          // Nobody hears of it.
        }
      }
      this.die()
      return never
    }
    const stored = this.secrets.write(name, resourceVersion, data)
    await this.#travel()
    return stored
  }

  async #travel(): Promise<void> {
    await Promise.resolve()
    if (!this.#isAlive) await never
  }
}
