import { describe, expect, it } from '@jest/globals'
import type { Problem } from '../model/types.ts'
import { SETTLE_MS, Settling } from './settling.ts'

const KEY = 'Ingress/shop/web'
const problem = (reason: string, message = 'x'): Problem => ({
  ...{ key: KEY, field: 'spec', reason, message, effect: 'warn' },
})
const service = problem('ServiceNotFound')

describe('what is missing', () => {
  const look = (
    settling: Settling,
    now: number,
    problems: readonly Problem[],
    { deleting = false, said = false } = {},
  ): readonly [readonly string[], number] => {
    const { problems: kept, waitMs } = settling.settled(KEY, problems, { deleting, isSaid: () => said, now })
    return [kept.map(({ reason }) => reason), waitMs]
  }

  it('is said when it was missed for a while, and what is wrong with the object itself at once', () => {
    const settling = new Settling()
    const both = [service, problem('UnknownAnnotation')]
    expect(look(settling, 1_000, both)).toEqual([['UnknownAnnotation'], SETTLE_MS])
    expect(look(settling, 3_000, both)).toEqual([['UnknownAnnotation'], SETTLE_MS - 2_000])
    // Another one that is missed later has its own time.
    const more = [...both, problem('SecretNotFound')]
    expect(look(settling, 1_000 + SETTLE_MS, more)).toEqual([['ServiceNotFound', 'UnknownAnnotation'], SETTLE_MS])
  })

  it('that came back is missed anew', () => {
    const settling = new Settling()
    look(settling, 0, [service])
    expect(look(settling, 1_000, [])).toEqual([[], Infinity])
    expect(look(settling, SETTLE_MS, [service])).toEqual([[], SETTLE_MS])
  })

  it('stays said, also for a leader that begins', () => {
    expect(look(new Settling(), 0, [service], { said: true })).toEqual([['ServiceNotFound'], Infinity])
  })

  it('is no news of an object that is being deleted', () => {
    const settling = new Settling()
    expect(look(settling, 0, [service], { deleting: true })).toEqual([[], Infinity])
    expect(look(settling, 60_000, [service], { deleting: true })).toEqual([[], Infinity])
  })

  it('is never waited for longer because a clock was set back', () => {
    const settling = new Settling()
    look(settling, 1_000_000, [service])
    expect(look(settling, 1_000, [service])).toEqual([[], SETTLE_MS])
    expect(look(settling, 1_000 + SETTLE_MS, [service])).toEqual([['ServiceNotFound'], Infinity])
  })
})
