/** The outcome as a table: for a terminal, and for docs/safety.md. Pure. */
import type { Kind } from './kind.ts'
import type { Verdict } from './verdict.ts'

export interface Row {
  readonly kind: Pick<Kind, 'name' | 'family' | 'what' | 'caught'>
  readonly verdict: Verdict
}

/** One line as soon as a kind is over. */
export function lineOf({ kind, verdict }: Row): string {
  const { outcome, by, detectMs, backMs, requests, harmed } = verdict
  const word = { caught: 'caught    ', known: 'NOT CAUGHT', failed: 'FAILED    ' }[outcome]
  const times = `${seconds(detectMs).padStart(7)}  ${seconds(backMs).padStart(7)}`
  const share = `${String(harmed).padStart(5)} of ${String(requests).padStart(5)}`
  return `${word}  ${kind.name.padEnd(24)}  ${by.padEnd(16)}  ${times}  ${share}  ${kind.what}`
}

export function summaryOf(rows: readonly Row[]): string {
  const count = (outcome: Verdict['outcome']): number => rows.filter(row => row.verdict.outcome === outcome).length
  const known = count('known')
  return `${count('caught')} of ${rows.length} kinds caught${known === 0 ? '' : `, ${known} known not to be`}, ${count('failed')} failed`
}

const HEAD = ['bad change', 'caught by', 'detected', 'last harm', 'requests', 'harmed', 'share', 'allowed']
const NOBODY = '**nobody**'
const WRONG = '**not as it should**'

/** Markdown in the order of `names`, under a line that counts. Lines of `earlier` stay for kinds that were not played this time. */
export function markdownOf(rows: readonly Row[], names: readonly string[], earlier = ''): string {
  const before = earlier.split('\n')
  const lines = names.flatMap(name => {
    const row = rows.find(one => one.kind.name === name)
    return row === undefined ? before.filter(line => line.includes(`(\`${name}\`)`)) : [tableLine(cellsOf(row))]
  })
  const [nobody, wrong] = [NOBODY, WRONG].map(word => lines.filter(line => line.includes(word)).length) as [
    number,
    number,
  ]
  const said = [
    `${lines.length - nobody - wrong} of ${lines.length} kinds are caught`,
    ...(nobody === 0 ? [] : [`${nobody} are known not to be`]),
    ...(wrong === 0 ? [] : [`${wrong} did not go as they should`]),
  ]
  return [`${said.join(', ')}.`, '', tableLine(HEAD), tableLine(HEAD.map(() => '---')), ...lines].join('\n')
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function cellsOf({ kind, verdict }: Row): readonly string[] {
  return [
    `${kind.what} (\`${kind.name}\`)`,
    byWords(verdict, kind),
    ...[seconds(verdict.detectMs), seconds(verdict.backMs)],
    ...[String(verdict.requests), String(verdict.harmed)],
    ...[percent(verdict.harmed, verdict.requests), percent(verdict.allowed, verdict.requests)],
  ]
}

function byWords({ outcome, by, problems }: Verdict, { caught }: Row['kind']): string {
  if (outcome === 'known') return `${NOBODY}: ${caught.by === 'nobody' ? caught.because : ''}`
  return outcome === 'failed' ? `${WRONG}: ${problems.join('; ')}` : by
}

function seconds(ms: number | null): string {
  return ms === null ? '–' : `${(ms / 1_000).toFixed(1)} s`
}

function percent(part: number, all: number): string {
  return all === 0 ? '–' : `${((part * 100) / all).toFixed(1)} %`
}

/** The document with what stands between its two markers replaced. @throws RangeError if they are not there */
export function withSection(document: string, name: string, text: string): string {
  const { from, to } = section(document, name)
  return `${document.slice(0, from)}\n\n${text}\n\n${document.slice(to)}`
}

/** What stands there now. @throws RangeError */
export function sectionOf(document: string, name: string): string {
  const { from, to } = section(document, name)
  return document.slice(from, to)
}

function section(document: string, name: string): { readonly from: number; readonly to: number } {
  const [begin, end] = [`<!-- ${name}: written by make safety WRITE=1 -->`, `<!-- end of ${name} -->`]
  const [at, to] = [document.indexOf(begin), document.indexOf(end)]
  if (at < 0 || to < at) throw new RangeError(`no section ${name} in the document`)
  return { from: at + begin.length, to }
}
