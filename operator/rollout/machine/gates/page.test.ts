/** docs/rollout-policy.md names every gate, what it may say, and its default. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { NO_GATES } from '../../../model/settings.ts'
import { parsePolicy } from '../../../model/policy.ts'
import { policy } from '../../../pipeline/testing.ts'
import { SETTINGS, NEW, OLD, pod } from '../testing.ts'
import type { Counted } from '../testing.ts'
import { EMPTY_AGGREGATE } from '../figures.ts'
import type { PodProbe, Verdict, WindowFigures } from '../types.ts'
import { LATE_CHANCES, batchChances } from '../statistics.ts'
import { acknowledgement } from './acknowledgement.ts'
import { evaluate, evaluateFairly, required } from './chain.ts'
import { FEWEST } from './rise.ts'
import { input } from './testing.ts'

const PAGE = 'docs/rollout-policy.md'
const page = readFileSync(new URL(`../../../../${PAGE}`, `file://${__filename}`), 'utf8')
const rows = page
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split('|').map(cell => cell.trim()))
const quoted = (text: string): readonly string[] => [...text.matchAll(/`([^`]+)`/g)].map(found => found[1] ?? '')

type Said = Readonly<Record<Verdict['verdict'], readonly string[]>>

function pageSays(gate: string): Said | null {
  const row = rows.find(cells => cells[1] === `\`${gate}\`` && cells.length === 7)
  if (row === undefined) return null
  const [, , , pass = '', fail = '', inconclusive = ''] = row
  return { pass: sorted(quoted(pass)), fail: sorted(quoted(fail)), inconclusive: sorted(quoted(inconclusive)) }
}

/** The stable pods have not reported yet. */
const unheard = (): WindowFigures => ({ update: EMPTY_AGGREGATE, stable: EMPTY_AGGREGATE })

const sorted = (all: Iterable<string>): readonly string[] => [...new Set(all)].sort()

/** Everything that is worth a look: too few, enough; good, doubtful, bad; with references of all kinds. */
function verdicts(): readonly Verdict[] {
  const counts: readonly (readonly [number, number])[] = [
    ...([
      [0, 0],
      [10, 0],
      [200, 0],
      [200, 6],
      [200, 12],
      [200, 26],
      [200, 200],
    ] as const),
    ...([
      [1_000, 0],
      [1_000, 100],
      [1_000, 1_000],
    ] as const),
  ]
  const ways = ['failures', 'notFound', 'clientErrors', 'redirects', 'connectFailures'] as const
  const countedAs = (
    way: (typeof ways)[number],
    [total, count]: readonly [number, number],
    bucket: number,
  ): Counted => ({
    ...{ requests: total, handshakes: total, tlsFailures: count, bucket },
    [way]: count,
  })
  const all: Verdict[] = []
  const minimums = [SETTINGS.gates.successRate, { min: null, maxDrop: 1 }, { min: 99, maxDrop: null }]
  for (const way of ways)
    for (const ofUpdate of counts)
      for (const ofStable of counts)
        for (const successRate of minimums)
          for (const baked of [false, true])
            for (const bucket of [4, 7]) {
              const [update, stable] = [countedAs(way, ofUpdate, bucket), countedAs(way, ofStable, 4)]
              const figures = { update, stable, baked }
              const of = input({ ...figures, gates: { ...SETTINGS.gates, successRate } })
              all.push(...evaluate(of), ...evaluateFairly(of, unheard))
            }
  // Slow, and perhaps only by chance.
  for (const slow of [
    { requests: 200, bucket: 7 },
    { requests: 110, bucket: 7 },
  ])
    all.push(...evaluate(input({ update: slow, stable: { requests: 100, bucket: 4 }, baked: true, chances: NEVER })))
  all.push(...evaluate(input({ closed: 'login is not supported' })))
  const older = input({ closed: 'login is not supported' })
  all.push(...evaluate({ ...older, update: { ...older.update, closed: null } }))
  return [...all, ...probed(), ...acknowledgements()]
}

function probed(): readonly Verdict[] {
  const on = (pod: string, failedInRow: number, before: PodProbe['before'] = 'passed', ok = 3): PodProbe => ({
    ...{ pod, ok, failed: failedInRow, failedInRow, last: 'status 500', before },
  })
  const ways: readonly (readonly [update: readonly PodProbe[], stable: readonly PodProbe[]])[] = [
    [[], []],
    [[on('p0', 0)], []],
    [[{ ...on('p0', 0), failed: 3 }], []],
    [[on('p0', 1)], []],
    [[on('p0', 3)], [on('p1', 0)]],
    [[on('p0', 3)], [on('p1', 3)]],
    [[on('p0', 3, null)], []],
    [[on('p0', 3), on('p2', 0)], []],
  ]
  return ways.flatMap(([update, stable]) => {
    const seen = [{ words: 'GET http://a.example/', passed: false, update, stable }]
    return evaluate(input({ probes: { seen, ready: ['p0', ...update.map(({ pod: name }) => name)] } }))
  })
}

/** Nothing is ever certain. */
const NEVER = { certain: 0, likely: 0 }

function acknowledgements(): readonly Verdict[] {
  const asked = { index: 2, deadlineMs: 5_000, now: 10_000 }
  const late = pod(1, OLD)
  return [
    acknowledgement({ ...asked, pods: [pod(0, NEW)], owing: {} }),
    acknowledgement({ ...asked, pods: [late], owing: { [late.name]: 9_000 } }),
    acknowledgement({ ...asked, pods: [late], owing: { [late.name]: 1_000 } }),
    acknowledgement({ ...asked, pods: [pod(1, OLD, { refuses: 'no' })], owing: { [late.name]: 9_000 } }),
    acknowledgement({ ...asked, pods: [pod(0, OLD, { ready: false })], owing: {} }),
  ]
}

describe(PAGE, () => {
  const given = verdicts()
  const names = sorted([
    ...Object.keys(NO_GATES),
    ...[...required('Ingress', false), ...required('Ingress', true), ...required('Secret', false)],
    ...given.map(one => one.name),
  ])

  it('has a row for every gate, and none besides', () => {
    const documented = sorted(rows.filter(cells => cells.length === 7).map(cells => quoted(cells[1] ?? '')[0] ?? ''))
    expect(documented).toEqual(names)
  })

  it.each(names)('says what %s may say, and nothing else', gate => {
    const by = (verdict: Verdict['verdict']): readonly string[] =>
      sorted(given.filter(one => one.name === gate && one.verdict === verdict).map(one => one.reason))
    expect(pageSays(gate)).toEqual({ pass: by('pass'), fail: by('fail'), inconclusive: by('inconclusive') })
  })

  it.each(Object.keys(NO_GATES))('has the field and the default of %s', gate => {
    const fields = rows.filter(cells => cells[1]?.startsWith(`\`analysis.${gate}.`) === true && cells.length === 5)
    // A policy that asks for another gate than this one, and says no more.
    const other = gate === 'successRate' ? { notFoundRate: { maxRise: 1 } } : { successRate: { min: 99 } }
    const { gates } = parsePolicy(policy({ spec: { analysis: other } })).settings
    const byDefault = gates[gate as keyof typeof gates] as { readonly maxRise?: number } | null
    const limits = fields.filter(cells => cells[1]?.endsWith('.minHandshakes`') === false)
    expect(limits).not.toEqual([])
    for (const [, , text] of limits) expect(text).toBe(byDefault === null ? '–' : `\`${byDefault.maxRise ?? ''}\``)
  })

  it('has the other defaults', () => {
    const analysis = { tlsFailureRate: { maxRise: 1 } }
    const { gates, minRequests } = parsePolicy(policy({ spec: { analysis } })).settings
    const text = (field: string): string | undefined => rows.find(cells => cells[1] === `\`analysis.${field}\``)?.[2]
    expect(text('minRequests')).toBe(`\`${minRequests}\``)
    expect(text('tlsFailureRate.minHandshakes')).toBe(`\`${gates.tlsFailureRate?.minHandshakes ?? ''}\``)
  })

  it('has the error budget that the statistics spend', () => {
    const grouped = (value: number): string =>
      Math.round(value)
        .toString()
        .replace(/(?<=\d)(?=(\d{3})+$)/g, ' ')
    const one = batchChances(1)
    expect(page).toContain(
      `| 1 of ${grouped(1 / one.certain)} windows | the rise is beyond the limit as surely; at least ${FEWEST} requests |`,
    )
    expect(page).toContain(`| 1 of ${grouped(1 / one.likely)} divided by the number of batches |`)
    expect(batchChances(4).likely).toBeCloseTo(one.likely / 4, 12)
    expect(page).toContain(
      `1 of ${grouped(1 / LATE_CHANCES.certain)} at any moment; ${Math.round(LATE_CHANCES.likely * 10_000)} of 10 000`,
    )
  })
})
