/**
 * Whose turn it is: so many rollouts of a policy at once, one per object, and those that share a host one after another
 * (DESIGN "The rollout machine"). Two share a host if the same requests or the same handshakes judge them: a certificate does not
 * wait for paths, nor they for it. What waits for a person or for evidence rests: it holds back nobody. On a host what grows goes
 * before what shrinks, if it came with it; else who is older goes first.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey } from '../../protocol/objects.ts'

export interface Claim {
  readonly object: ObjectKey
  /** Null: it takes none of a policy's places. */
  readonly policy: string | null
  /** Hosts whose requests judge it. */
  readonly requests: readonly string[]
  /** Hosts whose handshakes do. */
  readonly handshakes: readonly string[]
  /** It takes paths away. What was moved from one object to another in one go is to be there before it goes here. */
  readonly shrinks: boolean
  /** Creation of the rollout, milliseconds since the epoch. */
  readonly since: number
}

/** `waits`: it has not begun; `runs`: it is judged, or taken back; `rests`: it began and does not go on by itself. */
export type Stand = 'waits' | 'runs' | 'rests'

interface Held {
  readonly rollout: string
  readonly claim: Claim
  readonly stand: Stand
}

export class Turns {
  /** By UID of the rollout. */
  readonly #held = new Map<string, Held>()
  readonly #byObject = new Index()
  /** Host, with what is judged of it. */
  readonly #byHost = new Index()
  /** Policy, with the kind of object: so many Ingresses at once, and so many certificates. */
  readonly #byPolicy = new Index()

  get size(): number {
    return this.#held.size
  }

  stand(rollout: string): Stand | null {
    return this.#held.get(rollout)?.stand ?? null
  }

  claim(rollout: string, claim: Claim, stand: Stand): void {
    this.release(rollout)
    this.#held.set(rollout, { rollout, claim, stand })
    this.#byObject.add(claim.object, rollout)
    for (const thing of judged(claim)) this.#byHost.add(thing, rollout)
    if (claim.policy !== null) this.#byPolicy.add(placesOf(claim), rollout)
  }

  /** On the claim that it has. */
  move(rollout: string, stand: Stand): void {
    const held = this.#held.get(rollout)
    if (held !== undefined) this.#held.set(rollout, { ...held, stand })
  }

  /** Why one that waits has to go on waiting; null: it may begin. */
  obstacle(rollout: string, maxConcurrent: number): string | null {
    const held = this.#held.get(rollout)
    if (held === undefined) return null
    const { claim } = held
    const sibling = this.sibling(rollout)
    if (sibling !== null) return sibling
    // Whoever waits for a place does not keep a host from what needs none.
    const before = this.#conflict(held, claim.policy !== null)
    if (before !== null || claim.policy === null) return before
    const ofPolicy = this.#others(held, this.#byPolicy.get(placesOf(claim)))
    const running = ofPolicy.filter(other => other.stand === 'runs').length
    if (running >= maxConcurrent) {
      return `${running} of ${maxConcurrent} ${placesOf(claim)} ${running === 1 ? 'is' : 'are'} under way`
    }
    // A place goes to whoever could use it and is older.
    let ahead = 0
    for (const other of ofPolicy) {
      if (other.stand !== 'waits' || !isOlder(other, held) || this.#conflict(other, true) !== null) continue
      if (running + ++ahead < maxConcurrent) continue
      return `${olderOnes(ahead, claim)} for the same place`
    }
    return null
  }

  /** Another one of the same object that is under way: the only obstacle for one that must not wait; null: there is none. */
  sibling(rollout: string): string | null {
    const held = this.#held.get(rollout)
    if (held === undefined) return null
    const { object } = held.claim
    const others = this.#others(held, this.#byObject.get(object))
    return others.some(({ stand }) => stand !== 'waits') ? `another rollout of ${object} is under way` : null
  }

  /** Why one that rests is not judged and cannot go on; null: nothing else is judged on its hosts. */
  conflict(rollout: string): string | null {
    const held = this.#held.get(rollout)
    return held === undefined ? null : this.#conflict(held, false)
  }

  /** True if it held a claim: others may be waiting for it. */
  release(rollout: string): boolean {
    const held = this.#held.get(rollout)
    if (held === undefined) return false
    const { claim } = held
    this.#byObject.remove(claim.object, rollout)
    for (const thing of judged(claim)) this.#byHost.remove(thing, rollout)
    if (claim.policy !== null) this.#byPolicy.remove(placesOf(claim), rollout)
    return this.#held.delete(rollout)
  }

  clear(): void {
    for (const rollout of [...this.#held.keys()]) this.release(rollout)
  }

  /** An older one that waits for a host keeps it: else one with many hosts would never find all of them free. */
  #conflict(held: Held, withWaiters: boolean): string | null {
    const { claim } = held
    for (const thing of judged(claim)) {
      for (const other of this.#others(held, this.#byHost.get(thing))) {
        const { object } = other.claim
        if (object === claim.object) continue
        if (other.stand === 'runs') return `a rollout of ${object} is under way and judged by ${thing}`
        if (withWaiters && other.stand === 'waits' && goesBefore(other, held)) {
          return isOlder(other, held)
            ? `an older rollout of ${object} waits, to be judged by ${thing}`
            : `a rollout of ${object} that takes no path away goes first, judged by ${thing}`
        }
      }
    }
    return null
  }

  #others({ rollout }: Held, rollouts: Iterable<string>): readonly Held[] {
    const others: Held[] = []
    for (const uid of rollouts) {
      const held = uid === rollout ? undefined : this.#held.get(uid)
      if (held !== undefined) others.push(held)
    }
    return others
  }
}

/** Rollouts by what they have in common. */
class Index {
  readonly #sets = new Map<string, Set<string>>()

  get(key: string): ReadonlySet<string> {
    return this.#sets.get(key) ?? NONE
  }

  add(key: string, rollout: string): void {
    const set = this.#sets.get(key)
    if (set === undefined) this.#sets.set(key, new Set([rollout]))
    else set.add(rollout)
  }

  remove(key: string, rollout: string): void {
    const set = this.#sets.get(key)
    if (set?.delete(rollout) === true && set.size === 0) this.#sets.delete(key)
  }
}

const NONE: ReadonlySet<string> = new Set()

function judged({ requests, handshakes }: Claim): readonly string[] {
  return [...requests.map(host => `requests to ${host}`), ...handshakes.map(host => `handshakes of ${host}`)]
}

function placesOf({ object, policy }: Claim): string {
  return `${parseObjectKey(object).kind} rollouts of policy ${policy}`
}

function olderOnes(count: number, claim: Claim): string {
  const { policy, object } = claim
  if (count === 1) return `an older ${parseObjectKey(object).kind} rollout of policy ${policy} waits`
  return `${count} older ${placesOf(claim)} wait`
}

/** What takes paths away lets those go first that came so much later; whoever goes on growing does not keep it for ever. Milliseconds. */
const LETS_FIRST_MS = 60_000

/** On a host. */
function goesBefore(a: Held, b: Held): boolean {
  const [left, right] = [a, b].map(({ claim: { since, shrinks } }) => since + (shrinks ? LETS_FIRST_MS : 0))
  return left === right ? isOlder(a, b) : (left ?? 0) < (right ?? 0)
}

/** Created earlier; of the same second the one with the lower UID: someone has to be first, and for everybody the same. */
function isOlder(a: Held, b: Held): boolean {
  return a.claim.since < b.claim.since || (a.claim.since === b.claim.since && a.rollout < b.rollout)
}
