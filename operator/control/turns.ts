/**
 * Whose turn it is: so many rollouts of a policy at once, one per object, and those that share a host one after another
 * (DESIGN "The rollout machine"). Claims are made and given back synchronously.
 */
import type { ObjectKey } from '../../protocol/objects.ts'

export interface Claim {
  readonly object: ObjectKey
  readonly policy: string
  readonly hosts: readonly string[]
}

export class Turns {
  /** By UID of the rollout. */
  readonly #claims = new Map<string, Claim>()

  get size(): number {
    return this.#claims.size
  }

  /** Why it has to wait; null: it may begin. */
  obstacle(rollout: string, claim: Claim, maxConcurrent: number): string | null {
    let ofPolicy = 0
    const hosts = new Set(claim.hosts)
    for (const [uid, other] of this.#claims) {
      if (uid === rollout) continue
      if (other.object === claim.object) return `another rollout of ${claim.object} is under way`
      const shared = other.hosts.find(host => hosts.has(host))
      if (shared !== undefined) return `a rollout of ${other.object} is under way on the same host ${shared}`
      if (other.policy === claim.policy) ofPolicy++
    }
    return ofPolicy >= maxConcurrent
      ? `${ofPolicy} of ${maxConcurrent} rollouts of policy ${claim.policy} are under way`
      : null
  }

  claim(rollout: string, claim: Claim): void {
    this.#claims.set(rollout, claim)
  }

  /** True if it held a claim: others may be waiting for it. */
  release(rollout: string): boolean {
    return this.#claims.delete(rollout)
  }

  clear(): void {
    this.#claims.clear()
  }
}
