/** One open stream: writes lines as fast as the client takes them, and no faster. */
import type { Writable } from 'node:stream'
import type { PodIdentity } from './auth.ts'
import { Feed } from './feed.ts'
import type { WorldChange } from './world.ts'

/** By how much later pods hear of a change of which they serve nothing yet: those that do have the machine, and the operator, first. */
const OTHERS_FIRST_MS = 100

export class Connection {
  readonly pod: PodIdentity
  readonly #to: Writable
  readonly #response: Writable
  readonly #feed: Feed
  readonly #now: () => number
  /** Monotonic milliseconds since when the client has not taken what was written; null: it keeps up. */
  #blockedSince: number | null = null
  #closed = false
  /** For what may wait. */
  #later: NodeJS.Timeout | null = null
  /** Lines to write before what the feed has. */
  readonly #owed: string[] = []

  constructor(options: {
    readonly pod: PodIdentity
    /** Takes lines. */
    readonly to: Writable
    /** Where they go in the end; what it still has may be stuck there when `to` has ended. */
    readonly response: Writable
    readonly clientHash: string | null
    readonly now: () => number
  }) {
    this.pod = options.pod
    this.#to = options.to
    this.#response = options.response
    this.#now = options.now
    this.#feed = new Feed(options.pod.ordinal, options.clientHash)
    this.#to.on('drain', () => {
      this.#blockedSince = null
      this.#pump()
    })
  }

  publish(change: WorldChange): void {
    this.#feed.publish(change)
    if (!this.#feed.mayWait) this.#pump()
    else this.#later ??= setTimeout(() => this.#pump(), OTHERS_FIRST_MS)
  }

  /** Writes a line that stands apart from the world (hello, ping); left out while the client is behind: it has enough to read. */
  say(line: string): void {
    if (this.#blockedSince === null) this.#write(line)
  }

  /** Writes a line that stands apart from the world and must arrive: as soon as the client reads. */
  tell(line: string): void {
    this.#owed.push(line)
    this.#pump()
  }

  /** For how long the client has not read, in milliseconds. */
  get blockedFor(): number {
    return this.#blockedSince === null ? 0 : this.#now() - this.#blockedSince
  }

  /** Ends after what was written. */
  end(): void {
    this.#pump()
    this.#close()
    this.#to.end()
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#close()
    this.#to.destroy()
    this.#response.destroy()
  }

  #close(): void {
    this.#closed = true
    this.#cancel()
  }

  #cancel(): void {
    if (this.#later !== null) clearTimeout(this.#later)
    this.#later = null
  }

  #pump(): void {
    this.#cancel()
    while (this.#blockedSince === null && !this.#closed) {
      const line = this.#owed.shift() ?? this.#feed.next()
      if (line === null) return
      this.#write(line)
    }
  }

  #write(line: string): void {
    if (this.#closed || this.#to.destroyed) return
    if (!this.#to.write(line)) this.#blockedSince = this.#now()
  }
}
