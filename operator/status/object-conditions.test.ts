import { describe, expect, it } from '@jest/globals'
import type { Hold } from '../assign/types.ts'
import type { Condition } from '../model/generated/crds.ts'
import type { Problem } from '../model/types.ts'
import { objectConditions } from './object-conditions.ts'
import type { ConditionsInput } from './object-conditions.ts'

const NOW = '2026-01-01T00:00:00Z'
const LATER = '2026-01-02T00:00:00Z'
const problem = (effect: Problem['effect'], reason: string): Problem => ({
  ...{ key: 'k', field: `spec.${reason}`, reason, message: `of ${reason}`, effect },
})
const hold = (reason: Hold['reason'], message = 'why'): Hold => ({ reason, message })
const input = (change: Partial<ConditionsInput> = {}): ConditionsInput => ({
  ...{ problems: [], hold: null, expected: false, deleting: false, previous: undefined, now: NOW },
  ...change,
})
const read = (value: string | null): readonly Condition[] => JSON.parse(value ?? '[]') as readonly Condition[]
const short = (of: Partial<ConditionsInput>): readonly string[] =>
  read(objectConditions(input(of)).value).map(({ type, status, reason }) => `${type}=${status} ${reason}`)

describe('what is said of an object', () => {
  const cases: readonly (readonly [string, Partial<ConditionsInput>, readonly string[]])[] = [
    ['nothing, if all is well', {}, []],
    ['a warning', { problems: [problem('warn', 'Typo')] }, ['Accepted=True Typo']],
    ['paths that are closed', { problems: [problem('close', 'Auth')] }, ['Accepted=False Auth']],
    ['content that is refused', { problems: [problem('reject', 'Host')] }, ['Accepted=False Host']],
    [
      'the worst of several',
      { problems: [problem('warn', 'A'), problem('reject', 'B'), problem('close', 'C')] },
      ['Accepted=False B'],
    ],
    ['what holds it', { hold: hold('RevisionRefused') }, ['Released=False RevisionRefused']],
    [
      'both',
      { problems: [problem('reject', 'Host')], hold: hold('InvalidContent') },
      ['Accepted=False Host', 'Released=False InvalidContent'],
    ],
    ['a content that nobody released', { hold: hold('NotStamped') }, ['Released=False NotStamped']],
    ['not that, if a rollout will', { hold: hold('NotStamped'), expected: true }, []],
    ['another hold also then', { hold: hold('InvalidIndex'), expected: true }, ['Released=False InvalidIndex']],
    ['an annotation that nobody understands', { hold: hold('UnknownRevision') }, ['Released=False UnknownRevision']],
    ['not of an object that is being deleted', { hold: hold('UnknownRevision'), deleting: true }, []],
    [
      'that its deletion is held',
      { hold: hold('RevisionRefused'), deleting: true },
      ['Released=False RevisionRefused'],
    ],
    ['nothing of what mends itself', { hold: hold('StampMissing') }, []],
    ['nothing of the end of a namespace', { hold: hold('NamespaceTerminating') }, []],
  ]

  it.each(cases)('%s', (_what, of, wanted) => {
    expect(short(of)).toEqual(wanted)
  })

  it('names the first five problems, the worst first, and how many more there are', () => {
    const problems = ['a', 'b', 'c', 'd', 'e', 'f']
      .map(reason => problem('warn', reason))
      .concat(problem('reject', 'g'))
    const [accepted] = read(objectConditions(input({ problems })).value)
    expect(accepted?.message).toBe('spec.g: of g; spec.a: of a; spec.b: of b; spec.c: of c; spec.d: of d (and 2 more)')
  })

  it('cuts what is too long', () => {
    const [released] = read(objectConditions(input({ hold: hold('InvalidFlag', 'x'.repeat(5_000)) })).value)
    expect(released?.message).toHaveLength(1_000)
  })
})

describe('the annotation over time', () => {
  const bad = input({ problems: [problem('reject', 'Host')], hold: hold('InvalidContent') })
  const first = objectConditions(bad)
  const then = (change: Partial<ConditionsInput>): ReturnType<typeof objectConditions> =>
    objectConditions({ ...bad, previous: first.value ?? '', now: LATER, ...change })

  it('says each news once', () => {
    expect(first.news.map(({ type }) => type)).toEqual(['Accepted', 'Released'])
    expect(then({})).toEqual({ value: first.value, news: [] })
    expect(then({ hold: hold('InvalidContent', 'another word') }).news.map(({ type }) => type)).toEqual(['Released'])
  })

  it('keeps since when it is so while only the words change', () => {
    const next = read(then({ problems: [problem('reject', 'Other')] }).value)
    expect(next.map(({ lastTransitionTime }) => lastTransitionTime)).toEqual([NOW, NOW])
    const mended = read(then({ problems: [problem('warn', 'Typo')], hold: null }).value)
    expect(mended).toMatchObject([{ status: 'True', lastTransitionTime: LATER }])
  })

  it('goes when there is nothing to say any more, part by part', () => {
    expect(read(then({ hold: null }).value).map(({ type }) => type)).toEqual(['Accepted'])
    expect(then({ problems: [], hold: null })).toEqual({ value: null, news: [] })
    expect(objectConditions(input()).value).toBeNull()
  })

  it('is written anew where somebody wrote nonsense', () => {
    for (const previous of ['nonsense', '{}', '[1, null]', '""']) {
      const { value, news } = then({ previous })
      expect(news).toHaveLength(2)
      expect(read(value)).toHaveLength(2)
    }
  })
})
