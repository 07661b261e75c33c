/**
 * Probes of the rollouts that are under way, on the main thread: each goes to one worker after the other, once an interval,
 * and is counted under the revision that the pod served from its beginning to its end.
 */
import type { ObservedProbe, ProbeCounters, ProbedObject } from '../../protocol/messages.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'
import type { ProbeAnswer, ProbeRequest } from './self.ts'

/** What the stream needs of it. */
export interface ProbeSource {
  /** From now on these and no others. */
  observe(probes: readonly ObservedProbe[]): void
  /** What was counted since the last call, by object; objects without an answer are left out. */
  take(): Readonly<Record<ObjectKey, ProbedObject>>
}

export interface ProberParts {
  /** Null: no worker could say, which is no word of the object. */
  readonly ask: (probe: ProbeRequest) => Promise<ProbeAnswer | null>
  /** What the pod serves of an object now; null: nothing. */
  readonly revision: (object: ObjectKey) => Revision | null
}

/** Pods of a fleet that hear of a probe in the same moment are not to send it in the same moment. Milliseconds. */
const SPREAD_MS = 1_000

interface Running {
  readonly probe: ObservedProbe
  timer: NodeJS.Timeout | null
  /** Of the counts below; undefined: nothing was counted. */
  revision: Revision | null | undefined
  ok: number
  failed: number
  own: number
  failedInRow: number
  status: number | null
  error: string | null
}

export class Prober implements ProbeSource {
  readonly #parts: ProberParts
  readonly #running = new Map<string, Running>()
  #ended = false
  #ok = 0
  #failed = 0

  constructor(parts: ProberParts) {
    this.#parts = parts
  }

  /** Since the start of the process. */
  get totals(): { readonly ok: number; readonly failed: number } {
    return { ok: this.#ok, failed: this.#failed }
  }

  observe(probes: readonly ObservedProbe[]): void {
    if (this.#ended) return
    const wanted = new Map(probes.map(probe => [`${probe.object} ${probe.id}`, probe]))
    for (const [key, running] of this.#running) {
      if (wanted.has(key)) continue
      this.#stop(running)
      this.#running.delete(key)
    }
    for (const [key, probe] of wanted) if (!this.#running.has(key)) this.#start(key, probe)
  }

  take(): Readonly<Record<ObjectKey, ProbedObject>> {
    const taken: Record<ObjectKey, { revision: Revision | null; probes: Record<string, ProbeCounters> }> = {}
    for (const running of this.#running.values()) {
      const { probe, revision, ok, failed, own, failedInRow, status, error } = running
      // One revision per object: what was counted under the one before counts neither for nor against this one.
      if (ok + failed === 0 || revision === undefined || revision !== this.#parts.revision(probe.object)) continue
      const of = (taken[probe.object] ??= { revision, probes: {} })
      of.probes[probe.id] = { ok, failed, own, failedInRow, status, error }
      Object.assign(running, { ok: 0, failed: 0, own: 0 })
    }
    return taken
  }

  end(): void {
    this.#ended = true
    for (const running of this.#running.values()) this.#stop(running)
    this.#running.clear()
  }

  #start(key: string, probe: ObservedProbe): void {
    const running: Running = {
      ...{
        probe,
        timer: null,
        revision: undefined,
        ok: 0,
        failed: 0,
        own: 0,
        failedInRow: 0,
        status: null,
        error: null,
      },
    }
    this.#running.set(key, running)
    this.#after(running, Math.random() * Math.min(SPREAD_MS, probe.intervalMs))
  }

  #stop(running: Running): void {
    if (running.timer !== null) clearTimeout(running.timer)
    running.timer = null
  }

  #after(running: Running, ms: number): void {
    running.timer = setTimeout(() => void this.#send(running), ms)
  }

  async #send(running: Running): Promise<void> {
    const { probe } = running
    const { ask, revision } = this.#parts
    const begun = performance.now()
    const before = revision(probe.object)
    const answer = await ask(probe)
    if (this.#running.get(`${probe.object} ${probe.id}`) !== running) return
    if (answer !== null && revision(probe.object) === before) this.#count(running, before, answer)
    this.#after(running, Math.max(0, probe.intervalMs - (performance.now() - begun)))
  }

  #count(running: Running, revision: Revision | null, { status, error, object }: ProbeAnswer): void {
    const { probe } = running
    if (running.revision !== revision) Object.assign(running, { revision, ok: 0, failed: 0, own: 0, failedInRow: 0 })
    const passed =
      error === null && status !== null && probe.expect.some(([from, to]) => status >= from && status <= to)
    if (passed) {
      running.ok++
      running.failedInRow = 0
      this.#ok++
    } else {
      running.failed++
      running.failedInRow++
      this.#failed++
    }
    if (object === probe.object) running.own++
    Object.assign(running, { status, error })
  }
}
