/**
 * What pods said of their probes, by object and revision. Of the last quarter of an hour; a verdict is about now. Pure but for
 * its own memory, which is bounded by what rollouts that are under way let pods report.
 */
import type { ProbeCounters, Report } from '../../../protocol/messages.ts'
import { ABSENT_REVISION } from '../../../protocol/objects.ts'
import type { ObjectKey, Revision } from '../../../protocol/objects.ts'
import type { PodProbe, ProbeSeen } from '../machine/types.ts'

/** Milliseconds. */
export const PROBED_MS = 15 * 60_000
/** Of one object on one pod: a quarter of an hour of reports every second. */
const MOST_PIECES = 1_000
/** A report may come so much later than what is in it. Milliseconds. */
const SLACK_MS = 10_000

interface Piece {
  readonly end: number
  readonly revision: Revision | null
  readonly probes: Readonly<Record<string, ProbeCounters>>
}

export interface Asked {
  readonly id: string
  readonly words: string
  /** Milliseconds. */
  readonly intervalMs: number
  readonly timeoutMs: number
}

export interface Question {
  readonly key: ObjectKey
  readonly update: Revision
  readonly stable: Revision | null
  readonly probes: readonly Asked[]
  /** Counts since then; monotonic milliseconds, both. */
  readonly sinceMs: number
  readonly nowMs: number
}

export class Probed {
  /** By pod. */
  readonly #pods = new Map<string, Map<ObjectKey, readonly Piece[]>>()

  add(pod: string, { probes = {} }: Report, nowMs: number): void {
    const objects = this.#pods.get(pod) ?? new Map<ObjectKey, readonly Piece[]>()
    for (const [key, { revision, probes: counted }] of Object.entries(probes)) {
      objects.set(key, [...(objects.get(key) ?? []), { end: nowMs, revision, probes: counted }].slice(-MOST_PIECES))
    }
    for (const [key, pieces] of objects) {
      const kept = pieces[0] !== undefined && pieces[0].end < nowMs - PROBED_MS ? recent(pieces, nowMs) : pieces
      if (kept.length === 0) objects.delete(key)
      else if (kept !== pieces) objects.set(key, kept)
    }
    if (objects.size > 0) this.#pods.set(pod, objects)
    else this.#pods.delete(pod)
  }

  forget(pod: string): void {
    this.#pods.delete(pod)
  }

  /** Probes that are known to lead to another object, and never to this one, are left out: they say nothing of it. */
  of({ key, update, stable, probes, sinceMs, nowMs }: Question): readonly ProbeSeen[] {
    const pods = [...this.#pods].flatMap(([pod, objects]): (readonly [string, readonly Piece[]])[] => {
      const pieces = recent(objects.get(key) ?? [], nowMs)
      return pieces.length === 0 ? [] : [[pod, pieces]]
    })
    const [updated, before] = [served(update), served(stable)]
    return probes.flatMap(({ id, words, intervalMs, timeoutMs }) => {
      const seen = pods.flatMap(([pod, pieces]) => {
        const mine = pieces.filter(piece => piece.probes[id] !== undefined)
        return mine.length === 0 ? [] : [{ pod, pieces: mine }]
      })
      const all = seen.flatMap(({ pieces }) => pieces)
      if (all.length > 0 && all.every(({ probes: counted }) => (counted[id]?.own ?? 0) === 0)) return []
      const freshFrom = nowMs - (3 * intervalMs + timeoutMs + SLACK_MS)
      const on = (revision: Revision | null): readonly PodProbe[] =>
        seen.flatMap(({ pod, pieces }) => {
          const last = pieces.at(-1)
          if (last === undefined || last.revision !== revision || last.end < Math.max(freshFrom, sinceMs)) return []
          return [podProbe(pod, id, pieces, { revision, before, sinceMs })]
        })
      const passed = all.some(piece => piece.revision === updated && (piece.probes[id]?.ok ?? 0) > 0)
      return [{ words, passed, update: on(updated), stable: updated === before ? [] : on(before) }]
    })
  }
}

function podProbe(
  pod: string,
  id: string,
  pieces: readonly Piece[],
  about: { readonly revision: Revision | null; readonly before: Revision | null; readonly sinceMs: number },
): PodProbe {
  const counted = pieces
    .filter(piece => piece.revision === about.revision && piece.end >= about.sinceMs)
    .flatMap(piece => piece.probes[id] ?? [])
  const stable = pieces.findLast(piece => piece.revision === about.before)?.probes[id]
  const { failedInRow = 0, status = null, error = null } = counted.at(-1) ?? {}
  return {
    ...{ pod, failedInRow, last: error ?? (status === null ? 'no answer' : `status ${status}`) },
    ok: counted.reduce((sum, one) => sum + one.ok, 0),
    failed: counted.reduce((sum, one) => sum + one.failed, 0),
    before: stable === undefined ? null : stable.failedInRow === 0 ? 'passed' : 'failed',
  }
}

function recent(pieces: readonly Piece[], nowMs: number): readonly Piece[] {
  return pieces.filter(({ end }) => end >= nowMs - PROBED_MS)
}

function served(revision: Revision | null): Revision | null {
  return revision === ABSENT_REVISION ? null : revision
}
