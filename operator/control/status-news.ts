/** When what a rollout's status says is to be written: etcd keeps each of them, and a good change is not worth twenty. Pure. */
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import type { State } from '../rollout/machine/types.ts'

/** What others wait for, what only people read, or nothing but figures, also those in the words. */
export type News = 'landmark' | 'words' | 'figures' | 'none'

/** What was last written, and when (monotonic milliseconds). */
export interface Written {
  readonly status: IngressRolloutStatus
  readonly text: string
  readonly at: number
}

export interface StatusNow {
  readonly status: IngressRolloutStatus
  /** By this process; null: nothing yet. */
  readonly written: Written | null
  /** What another leader wrote, if this one wrote nothing. */
  readonly previous: IngressRolloutStatus | undefined
  readonly step: State['step']['name']
  /** Since when a landmark is not written (monotonic milliseconds); null: there was none. */
  readonly landmarkSince: number | null
  /** Monotonic milliseconds. */
  readonly now: number
}

/** A batch is raised, confirmed, and bakes, all within a tenth of a second: one write says it. */
const WORDS_MS = 1_000
/** Figures change with every report; a status that differs in nothing else is written no more often than this. */
const FIGURES_MS = 60_000

/**
 * @returns leftMs milliseconds until it is to be written, 0: now; Infinity: with what comes next, nobody waits for it.
 *   landmarkSince: to be handed back with the next look
 */
export function newsOf(look: StatusNow): { readonly leftMs: number; readonly landmarkSince: number | null } {
  const { written, status, now } = look
  const news = kindOf(written, status)
  const landmarkSince = news === 'landmark' ? (look.landmarkSince ?? now) : null
  const left = (since: number, everyMs: number): number => Math.max(0, since + everyMs - now)
  switch (news) {
    case 'none':
      return { leftMs: Infinity, landmarkSince }
    case 'landmark':
      return { leftMs: landmarkSince !== null && mayWait(look) ? left(landmarkSince, WORDS_MS) : 0, landmarkSince }
    case 'words':
      return { leftMs: left(written?.at ?? -Infinity, WORDS_MS), landmarkSince }
    case 'figures': {
      const leftMs = left(written?.at ?? -Infinity, FIGURES_MS)
      return { leftMs: leftMs > 0 ? Infinity : 0, landmarkSince }
    }
  }
}

function kindOf(written: Written | null, status: IngressRolloutStatus): News {
  if (written === null) return 'landmark'
  if (written.text === JSON.stringify(status)) return 'none'
  if (landmarkOf(written.status) !== landmarkOf(status)) return 'landmark'
  return wordsOf(written.status) === wordsOf(status) ? 'figures' : 'words'
}

/**
 * That a batch is raised, while its pods confirm it: what it comes to follows, mostly within a tenth of a second, and the record says it
 * already. Not what answers a command: whoever gave it looks.
 */
function mayWait({ status, written, previous, step }: StatusNow): boolean {
  if (step !== 'acknowledging' || status.phase !== 'Progressing') return false
  const shown = written?.status ?? previous
  return shown?.phase === undefined || answersOf(shown) === answersOf(status)
}

function answersOf({ attempt, observedRetry, observedGeneration }: IngressRolloutStatus): string {
  return JSON.stringify([attempt, observedRetry, observedGeneration])
}

function landmarkOf(status: IngressRolloutStatus): string {
  const { phase, batch, index, conditions = [] } = status
  // While it goes on the reason is the step inside the batch.
  const kinds = conditions.map(one => [one.type, one.status, phase === 'Progressing' ? '' : one.reason])
  return JSON.stringify([phase, batch, index, answersOf(status), kinds])
}

function wordsOf({ message, pods, conditions = [] }: IngressRolloutStatus): string {
  const words = message?.replace(/(?<![\w-])\d[\d.]*/g, '#')
  return JSON.stringify([words, pods?.summary, pods?.acknowledged, conditions.map(({ reason }) => reason)])
}
