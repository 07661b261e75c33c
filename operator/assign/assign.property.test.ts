/**
 * Random histories of one object: edits, stamps by hand, lost annotations, policies that come and go, and a leader that
 * does its steps or is away. Replicas see object and record late, each at its own moment. Whatever happens, a pod
 * serves only what the rules of DESIGN "Which revision does a pod serve?" allow.
 */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Revision } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { SourceObject } from '../model/types.ts'
import { governanceOf } from './governance.ts'
import { plan, revisionFor } from './plan.ts'
import { advance, begin, complete, follow, noted, retry, takeBack } from './records.ts'
import { hashOf } from './revisions.ts'
import { removeStamps, restoreStamps, stampFor } from './stamps.ts'
import { AS_IS, ingress, record as stored, stamped } from './testing.ts'
import type { StampTexts } from './testing.ts'
import type { ReleaseRecord } from './types.ts'

const ORDINALS = [0, 1, 2, 4, 9, -1]
const PREFIX = 'x'
const policy = { name: 'p', allowOptOut: false, allowManualIndex: true }

type Step =
  | { readonly do: 'edit'; readonly content: Revision }
  | { readonly do: 'stamp'; readonly texts: StampTexts }
  | { readonly do: 'index'; readonly index: string }
  | { readonly do: 'strip' }
  | { readonly do: 'policy'; readonly on: boolean }
  | {
      readonly do: 'leader'
      readonly action: 'look' | 'begin' | 'raise' | 'complete' | 'take back' | 'retry' | 'stamp'
    }

interface World {
  readonly texts: StampTexts
  readonly content: Revision
  readonly policy: boolean
  readonly record: ReleaseRecord | null
}

const contents = fc.constantFrom('h1', 'h2', 'h3', ABSENT_REVISION)
const indexes = fc.constantFrom('-1', '0', '1', '2', '3', '5')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('edit' as const), content: contents }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('stamp' as const),
      texts: fc.record({
        flag: fc.constantFrom('true', 'false', 'yes', undefined),
        current: fc.constantFrom('h1', 'h2', 'r1', undefined),
        update: fc.constantFrom('h1', 'h2', 'h3', 'r1', 'r2', 'a/b', undefined),
        index: fc.oneof(indexes, fc.constantFrom('abc', undefined)),
      }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('index' as const), index: indexes }) },
  { weight: 1, arbitrary: fc.constant({ do: 'strip' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('policy' as const), on: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('leader' as const),
      action: fc.constantFrom('look', 'look', 'begin', 'raise', 'complete', 'take back', 'retry', 'stamp'),
    }),
  },
)

function objectOf(world: World): SourceObject {
  return ingress(world.content, world.texts)
}

function decide(world: World): { readonly governed: boolean; readonly plan: ReturnType<typeof plan> } {
  const object = objectOf(world)
  const { governance } = governanceOf(object, world.policy ? policy : null, world.record)
  return { governed: governance.by !== 'none', plan: plan(object, governance, world.record, AS_IS) }
}

function patched(texts: StampTexts, patch: Readonly<Record<string, string | null>> | null): StampTexts {
  if (patch === null) return texts
  const stem = 'x/ingress-rollout'
  const value = (name: string, now: string | undefined): string | undefined =>
    Object.hasOwn(patch, name) ? (patch[name] ?? undefined) : now
  return {
    flag: value(stem, texts.flag),
    current: value(`${stem}-current-revision`, texts.current),
    update: value(`${stem}-update-revision`, texts.update),
    index: value(`${stem}-index-id`, texts.index),
  }
}

/** What the leader does, with what it knows: it takes no step that the record forbids. */
function lead(world: World, action: Extract<Step, { do: 'leader' }>['action']): World {
  const object = objectOf(world)
  const { governance } = governanceOf(object, world.policy ? policy : null, world.record)
  const { record } = world
  if (action === 'look') {
    const made = plan(object, governance, record, AS_IS)
    const next = noted({ object, governance, record, plan: made, invalid: false, fresh: false }) ?? record
    const followed = governance.by === 'hand' && next !== null ? follow(next, object, false).record : next
    return {
      ...world,
      record: followed,
      texts:
        followed === null
          ? world.texts
          : patched(
              patched(world.texts, removeStamps(object, governance, followed, PREFIX)),
              restoreStamps(object, governance, followed, PREFIX),
            ),
    }
  }
  if (record === null || !record.governed) return world
  if (action === 'begin') {
    return governance.by !== 'policy' || record.refused.includes(object.revision)
      ? world
      : { ...world, record: begin(record, object) }
  }
  if (action === 'raise') return { ...world, record: advance(record, record.index === -1 ? -1 : record.index + 1) }
  if (action === 'complete') return { ...world, record: complete(record) }
  if (action === 'take back') return { ...world, record: takeBack(record) }
  if (action === 'retry') return { ...world, record: retry(record, object.revision) }
  return governance.by === 'policy' ? { ...world, texts: patched(world.texts, stampFor(record, PREFIX)) } : world
}

function next(world: World, taken: Step): World {
  switch (taken.do) {
    case 'edit':
      return { ...world, content: taken.content }
    case 'stamp':
      return { ...world, texts: taken.texts }
    case 'index':
      return { ...world, texts: { ...world.texts, index: taken.index } }
    case 'strip':
      return { ...world, texts: {} }
    case 'policy':
      return { ...world, policy: taken.on }
    case 'leader':
      return lead(world, taken.action)
  }
}

/** Where histories start: at nothing, in mid-rollout, after a rollback, after the policy went. */
const starts: readonly World[] = [
  { texts: {}, content: 'h1', policy: false, record: null },
  {
    texts: { flag: 'true', current: 'h1', update: 'h2', index: '2' },
    content: 'h2',
    policy: true,
    record: stored({ current: 'h1', update: 'h2', index: 2 }),
  },
  {
    texts: { flag: 'true', current: 'h1', update: 'h1', index: '0' },
    content: 'h2',
    policy: true,
    record: stored({ current: 'h1', update: 'h1', index: 0, refused: ['h2'] }),
  },
  { texts: {}, content: 'h3', policy: false, record: stored({ governed: false, current: 'h1', refused: ['h2'] }) },
]

/** All worlds of a history. */
function history({ start, steps }: History): readonly World[] {
  const worlds: World[] = [start]
  let world = start
  for (const taken of steps) {
    world = next(world, taken)
    worlds.push(world)
  }
  return worlds
}

interface History {
  readonly start: World
  readonly steps: readonly Step[]
}

/** Every mixture of an object with the record of a moment shortly before or after. */
function mixtures(worlds: readonly World[]): readonly World[] {
  return worlds.flatMap((world, i) =>
    worlds.slice(Math.max(0, i - 3), i + 4).map(other => ({ ...world, record: other.record })),
  )
}

const histories: fc.Arbitrary<History> = fc.record({
  start: fc.constantFrom(...starts),
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
})
const RUNS = { numRuns: 400 }

describe('any history', () => {
  it('serves of a governed object nothing but the current and the update revision of the record', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const world of mixtures(history(steps))) {
          const { governed, plan: made } = decide(world)
          if (!governed && world.record?.governed !== true) continue
          if (!governed && (world.record?.byHand === true || world.content === ABSENT_REVISION)) continue
          for (const ordinal of ORDINALS) {
            const revision = revisionFor(made, ordinal)
            if (revision === null) continue
            const { record } = world
            const atOnce = !governed && record !== null && hashOf(record, record.current) === revision
            expect([record?.current, record?.update, atOnce ? revision : record?.current]).toContain(revision)
          }
        }
      }),
      RUNS,
    )
  })

  it('never lets out what was taken back, by whatever door', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const world of mixtures(history(steps))) {
          const { record } = world
          if (record === null) continue
          const { plan: made } = decide(world)
          for (const ordinal of ORDINALS) {
            const revision = revisionFor(made, ordinal)
            if (revision === null || revision === record.current) continue
            const hash = hashOf(record, revision) ?? revision
            if (hash === hashOf(record, record.current)) continue
            expect(record.refused).not.toContain(revision)
            expect(record.refused).not.toContain(hash)
          }
        }
      }),
      RUNS,
    )
  })

  it('takes a change back from every pod when the index goes to 0', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const world of mixtures(history(steps))) {
          const lowered: World = { ...world, texts: { ...world.texts, index: '0' } }
          const before = decide(world)
          const after = decide(lowered)
          const { record } = world
          // Where the stamp is followed, and not held for another reason, which leaves everything as it is.
          const followed =
            after.governed && record !== null && after.plan.index === 0 && after.plan.update !== null && before.governed
          if (!followed) continue
          for (const ordinal of ORDINALS) expect(revisionFor(after.plan, ordinal)).toBe(record.current)
        }
      }),
      RUNS,
    )
  })

  it('gives no pod the update that did not have it when a governed object loses all annotations', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const world of history(steps)) {
          const { record } = world
          const object = objectOf(world)
          if (record?.governed !== true || !(world.policy || record.byHand)) continue
          const stripped = decide({ ...world, texts: {}, content: object.revision })
          for (const ordinal of ORDINALS) {
            const recorded =
              record.update !== null && (record.index === -1 || (ordinal >= 0 && ordinal < record.index))
                ? record.update
                : record.current
            expect(revisionFor(stripped.plan, ordinal) ?? ABSENT_REVISION).toBe(recorded ?? ABSENT_REVISION)
          }
        }
      }),
      RUNS,
    )
  })

  it('is served the same by every replica, and after a restart', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const world of history(steps)) {
          const restarted = JSON.parse(JSON.stringify(world)) as World
          expect(decide(restarted)).toEqual(decide(world))
        }
      }),
      { numRuns: 50 },
    )
  })

  it('never serves a pod the update beyond the index, nor a pod without ordinal before all have it', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const world of mixtures(history(steps))) {
          const { plan: made } = decide(world)
          if (made.update === null || made.index === -1) continue
          expect(revisionFor(made, -1)).toBe(made.current)
          expect(revisionFor(made, made.index)).toBe(made.current)
        }
      }),
      RUNS,
    )
  })

  it('keeps every revision that the record names, and no other', () => {
    fc.assert(
      fc.property(histories, steps => {
        for (const { record } of history(steps)) {
          if (record === null) continue
          const named = [record.current, record.update].filter(name => name !== null)
          expect(Object.keys(record.revisions).sort()).toEqual([...new Set(named)].sort())
        }
      }),
      RUNS,
    )
  })

  it('does not release an edit while nobody leads', () => {
    fc.assert(
      fc.property(histories, contents, fc.boolean(), (steps, content, policyGone) => {
        const last = history(steps).at(-1)
        if (last?.record?.governed !== true || last.record.byHand || content === ABSENT_REVISION) return
        const edited = decide({ ...last, content, policy: policyGone ? false : last.policy })
        const known = [last.record.current, last.record.update, hashOf(last.record, last.record.current)]
        for (const ordinal of ORDINALS) expect([null, ...known]).toContain(revisionFor(edited.plan, ordinal))
      }),
      RUNS,
    )
  })
})

it('stamps are read as they were written', () => {
  expect(stamped({ flag: 'true', index: '-1' })).toMatchObject({ flag: { value: true }, index: { value: -1 } })
})
