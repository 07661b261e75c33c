/** The outcome as a table: for a terminal, and for docs/safety.md. Pure. */
import { FAMILIES } from './kind.ts'
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

/** Markdown, by families. */
export function markdownOf(rows: readonly Row[]): string {
  const head = ['bad change', 'caught by', 'detected', 'last harm', 'requests', 'harmed', 'share', 'allowed']
  const lines = FAMILIES.flatMap(family =>
    rows
      .filter(row => row.kind.family === family)
      .map(({ kind, verdict }) => [
        `${kind.what} (\`${kind.name}\`)`,
        byWords(verdict, kind),
        seconds(verdict.detectMs),
        seconds(verdict.backMs),
        String(verdict.requests),
        String(verdict.harmed),
        percent(verdict.harmed, verdict.requests),
        percent(verdict.allowed, verdict.requests),
      ]),
  )
  return [head, head.map(() => '---'), ...lines].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

function byWords({ outcome, by, problems }: Verdict, { caught }: Row['kind']): string {
  if (outcome === 'known') return `**nobody**: ${caught.by === 'nobody' ? caught.because : ''}`
  return outcome === 'failed' ? `**not as it should**: ${problems.join('; ')}` : by
}

function seconds(ms: number | null): string {
  return ms === null ? '–' : `${(ms / 1_000).toFixed(1)} s`
}

function percent(part: number, all: number): string {
  return all === 0 ? '–' : `${((part * 100) / all).toFixed(1)} %`
}

/** The document with what stands between its two markers replaced. @throws RangeError if they are not there */
export function withSection(document: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name}: written by make safety WRITE=1 -->`, `<!-- end of ${name} -->`]
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from < 0 || to < from) throw new RangeError(`no section ${name} in the document`)
  return `${document.slice(0, from + begin.length)}\n\n${text}\n\n${document.slice(to)}`
}
