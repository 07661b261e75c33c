/**
 * `make monte-carlo RUNS=1000`: how often the gates take good changes back, and how soon they find bad ones, by playing
 * rollouts with random clients. Prints the tables of docs/rollout-policy.md. `ONLY=weekend` plays the rows with that word.
 */
import { FAULTS, GOOD_CHANGES, count, played, quantile } from '../operator/rollout/simulation/scenarios.ts'
import type { Row } from '../operator/rollout/simulation/scenarios.ts'

const runs = Number(process.env['RUNS'] ?? 1_000)
const seed = Number(process.env['SEED'] ?? 1)
const only = process.env['ONLY'] ?? ''

const runsOf = ({ part = 1 }: Row): number => Math.max(1, Math.round(runs * part))
const wanted = (rows: readonly Row[]): readonly Row[] => rows.filter(row => row.name.includes(only))
const cells = (...of: readonly (string | number)[]): void => console.log(`| ${of.join(' | ')} |`)

cells('good change', 'runs', 'taken back of 1 000', 'paused of 100', 'odd minutes of 10 000')
cells('---', '---', '---', '---', '---')
for (const row of wanted(GOOD_CHANGES)) {
  const outcomes = played(row, runsOf(row), seed)
  const per = (end: 'taken back' | 'stuck', of: number): string =>
    ((count(outcomes, end) / outcomes.length) * of).toFixed(1)
  const sum = (of: 'minutes' | 'oddMinutes'): number => outcomes.reduce((all, one) => all + one[of], 0)
  const odd = sum('minutes') === 0 ? '–' : ((sum('oddMinutes') / sum('minutes')) * 10_000).toFixed(2)
  cells(row.name, outcomes.length, per('taken back', 1_000), per('stuck', 100), odd)
}
console.log()
cells('fault', 'runs', 'found', 'found with at most 1 200 requests', 'half found after', '90 % found after')
cells('---', '---', '---', '---', '---', '---')
for (const row of wanted(FAULTS)) {
  const outcomes = played(row, runsOf(row), seed)
  const found = outcomes.filter(one => one.end === 'taken back')
  const inPercent = (part: number): string => `${((part / outcomes.length) * 100).toFixed(1)} %`
  const after = (q: number): string =>
    `${(
      quantile(
        found.map(one => one.afterMs),
        q,
      ) / 1_000
    ).toFixed(0)} s`
  const soon = found.filter(one => one.requests <= 1_200).length
  cells(row.name, outcomes.length, inPercent(found.length), inPercent(soon), after(0.5), after(0.9))
}
