/** The outcome as a table: for a terminal, and for docs/crossings.md. Pure. */
import type { Scenario } from './scenario.ts'
import type { Verdict } from './verdict.ts'

export interface Row {
  readonly scenario: Pick<Scenario, 'name' | 'program' | 'what'>
  readonly verdict: Verdict
}

/** One line as soon as a scenario is over. */
export function lineOf({ scenario, verdict }: Row): string {
  const word = verdict.fine ? 'fine  ' : 'FAILED'
  const times = `${seconds(verdict.seconds).padStart(6)} of ${seconds(verdict.allowed).padStart(6)}`
  return `${word}  ${scenario.name.padEnd(28)}  ${times}  ${scenario.what}`
}

const HEAD = ['program', 'scenario', 'took', 'allowed', 'persons', '']

/** In the order of `names`, under a line that counts. Lines of `earlier` stay for scenarios that were not played this time. */
export function markdownOf(rows: readonly Row[], names: readonly string[], earlier = ''): string {
  const before = earlier.split('\n')
  const lines = names.flatMap(name => {
    const row = rows.find(one => one.scenario.name === name)
    return row === undefined ? before.filter(line => line.includes(`(\`${name}\`)`)) : [tableLine(cellsOf(row))]
  })
  const wrong = lines.filter(line => line.includes(WRONG)).length
  const said = `${lines.length - wrong} of ${lines.length} go as they should${wrong === 0 ? '' : `, ${wrong} do not`}.`
  return [said, '', tableLine(HEAD), tableLine(HEAD.map(() => '---')), ...lines].join('\n')
}

const WRONG = '**not as it should**'

function cellsOf({ scenario, verdict }: Row): readonly string[] {
  const { problems } = verdict
  return [
    ...[scenario.program, `${scenario.what} (\`${scenario.name}\`)`],
    ...[seconds(verdict.seconds), seconds(verdict.allowed)],
    verdict.seconds === null ? '–' : '0',
    verdict.fine ? '' : `${WRONG}: ${problems.join('; ').replaceAll('\n', ' ').replaceAll('|', '\\|')}`,
  ]
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function seconds(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(0)} s`
}

/** The document with what stands between its two markers replaced. @throws RangeError if they are not there */
export function withSection(document: string, text: string): string {
  const { from, to } = section(document)
  return `${document.slice(0, from)}\n\n${text}\n\n${document.slice(to)}`
}

/** What stands there now. @throws RangeError */
export function sectionOf(document: string): string {
  const { from, to } = section(document)
  return document.slice(from, to)
}

function section(document: string): { readonly from: number; readonly to: number } {
  const [begin, end] = ['<!-- crossings: written by make crossings WRITE=1 -->', '<!-- end of crossings -->']
  const [at, to] = [document.indexOf(begin), document.indexOf(end)]
  if (at < 0 || to < at) throw new RangeError('no section crossings in the document')
  return { from: at + begin.length, to }
}
