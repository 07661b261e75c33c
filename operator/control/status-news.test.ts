import { describe, expect, it } from '@jest/globals'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { newsOf } from './status-news.ts'
import type { StatusNow } from './status-news.ts'

type Step = StatusNow['step']
type Status = IngressRolloutStatus

const status = (more: Partial<Status> = {}): Status => ({
  ...{ phase: 'Progressing', attempt: 1, batch: 1, index: 1, observedRetry: 0, observedGeneration: 1 },
  ...{ message: 'batch 1 bakes for 30 s', pods: { ready: 5, updated: 1, acknowledged: 1, summary: '1/5' } },
  ...more,
})
const NOW = 100_000
const look = (
  now: Status,
  before: Status | null,
  { step = 'baking', ago = 10, ...more }: Partial<StatusNow> & { readonly ago?: number } = {},
): ReturnType<typeof newsOf> => {
  const written = before === null ? null : { status: before, text: JSON.stringify(before), at: NOW - ago }
  return newsOf({ status: now, written, previous: undefined, step, landmarkSince: null, now: NOW, ...more })
}

describe('what a rollout says', () => {
  it.each<readonly [what: string, now: Partial<Status>, ago: number, leftMs: number]>([
    ['the same', {}, 1_000_000, Infinity],
    ['another phase', { phase: 'Paused' }, 0, 0],
    ['another batch', { batch: 2, index: 2 }, 0, 0],
    ['another condition', { conditions: [{ type: 'Ready', status: 'False' } as never] }, 0, 0],
    ['other words', { message: 'waits for requests' }, 10, 990],
    ['other words', { message: 'waits for requests' }, 1_000, 0],
    ['one more pod that confirmed', { pods: { acknowledged: 2 } }, 400, 600],
    ['figures', { message: 'batch 1 bakes for 29 s' }, 59_999, Infinity],
    ['figures', { message: 'batch 1 bakes for 29 s' }, 60_000, 0],
  ])('%s %j after %d ms is written in %d ms', (_what, now, ago, leftMs) => {
    expect(look(status(now), status(), { ago }).leftMs).toBe(leftMs)
  })
})

describe('a landmark', () => {
  const raised = status({ batch: 2, index: 2, message: 'batch 2 is raised' })

  it.each<readonly [step: Step, leftMs: number]>([
    ['acknowledging', 1_000],
    ['raising', 0],
    ['baking', 0],
    ['waiting', 0],
    ['confirming', 0],
  ])('in the step %s is written in %d ms', (step, leftMs) => {
    expect(look(raised, status(), { step })).toEqual({ leftMs, landmarkSince: NOW })
    // The first thing that is said of it, too.
    expect(look(raised, null, { step })).toEqual({ leftMs, landmarkSince: NOW })
  })

  it.each([
    [1, 999],
    [999, 1],
    [1_000, 0],
    [5_000, 0],
  ])('waits from when it was first seen, %d ms ago: %d ms, whenever was written before', (ago, leftMs) => {
    const landmarkSince = NOW - ago
    for (const writtenAgo of [0, 1_000_000])
      expect(look(raised, status(), { step: 'acknowledging', landmarkSince, ago: writtenAgo })).toEqual({
        leftMs,
        landmarkSince,
      })
  })

  it.each<readonly [what: string, Partial<Status>]>([
    ['a pause', { phase: 'Paused' }],
    ['what is taken back', { phase: 'RollingBack', index: 0 }],
    ['a command that is observed', { observedGeneration: 2 }],
    ['a retry', { observedRetry: 1 }],
    ['another attempt', { attempt: 2 }],
  ])('waits for no pods where it says %s', (_what, more) => {
    const now = { ...raised, ...more }
    expect(look(now, status(), { step: 'acknowledging' }).leftMs).toBe(0)
    expect(look(now, null, { step: 'acknowledging', previous: status() }).leftMs).toBe(0)
  })

  it('that is none any more is forgotten', () => {
    expect(look(status({ message: 'other' }), status(), { landmarkSince: NOW - 900 }).landmarkSince).toBeNull()
    expect(look(status(), status(), { landmarkSince: NOW - 900 }).landmarkSince).toBeNull()
  })
})
