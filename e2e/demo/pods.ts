/** The rows of the live table: counts of the part that runs now, kept up request by request. */
import { failed } from '../load/record.ts'
import type { DemoEvent, RolloutEvent } from './events.ts'
import type { PodRow } from './table.ts'

interface Counts {
  requests: number
  failures: number
  handshakes: number
  tlsFailures: number
  version: string | null
}

export class PodCounts {
  readonly #pods: Counts[]
  #rollout: RolloutEvent | null = null
  readonly #seen = new Set<string>()
  readonly #earlier = new Set<string>()

  constructor(pods: number) {
    this.#pods = Array.from({ length: pods }, () => ({
      requests: 0,
      failures: 0,
      handshakes: 0,
      tlsFailures: 0,
      version: null,
    }))
  }

  add(event: DemoEvent): void {
    if (event.type === 'rollout') {
      // Rollouts of earlier parts may still change; the table is about this part's.
      if (!this.#earlier.has(event.name)) this.#rollout = event
      this.#seen.add(event.name)
    }
    if (event.type === 'part') {
      for (const name of this.#seen) this.#earlier.add(name)
      for (const pod of this.#pods) Object.assign(pod, { requests: 0, failures: 0, handshakes: 0, tlsFailures: 0 })
      this.#rollout = null
    }
    if (event.type !== 'request') return
    const { record } = event
    const pod = this.#pods[record.ordinal]
    if (pod === undefined) return
    // A connection that was refused by its client is no request; one that got an answer counts as both.
    if (record.kind === 'tls') {
      pod.handshakes++
      if (record.status === null) pod.tlsFailures++
      return
    }
    pod.requests++
    if (failed(record)) pod.failures++
    if (record.version !== null) pod.version = record.version
  }

  get rows(): readonly PodRow[] {
    const rollout = this.#rollout
    return this.#pods.map((pod, ordinal) => {
      const updated = rollout !== null && servesUpdate(rollout, ordinal)
      const revision = rollout === null ? null : updated ? rollout.revision : rollout.stableRevision
      return { ordinal, revision, updated, ...pod }
    })
  }
}

/** DESIGN, "Which revision does a pod serve?" */
export function servesUpdate(rollout: Pick<RolloutEvent, 'index'>, ordinal: number): boolean {
  if (rollout.index === null) return false
  return rollout.index === -1 || ordinal < rollout.index
}
