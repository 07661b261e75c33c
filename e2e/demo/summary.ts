/** The last page of the demo. Pure. */
import type { Paint } from './table.ts'
import type { PartVerdict, Verdict } from './verdict.ts'

const TITLES: Readonly<Record<PartVerdict['part'], string>> = {
  good: 'a good change',
  bad: 'a bad change',
  certificate: 'a certificate nobody trusts',
  host: 'a certificate for another host',
  rest: 'before, between and after',
}
const HEAD = ['', 'REQUESTS', 'FAILED', 'DETECTED', 'TAKEN BACK', 'PODS TOUCHED'] as const

export function renderSummary(verdict: Verdict, paint: Paint): readonly string[] {
  const cells = verdict.parts.map(part => [
    TITLES[part.part],
    String(part.requests),
    String(part.failures),
    duration(part.detectMs),
    duration(part.rollBackMs),
    part.touched === null ? '-' : `${part.touched.length}`,
  ])
  const widths = HEAD.map((head, column) => Math.max(head.length, ...cells.map(line => (line[column] ?? '').length)))
  const line = (texts: readonly string[]): string =>
    texts.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('   ')
  const lines = [paint('dim', line(HEAD)), ...cells.map(line), '']
  for (const part of verdict.parts) {
    lines.push(paint('strong', TITLES[part.part]))
    for (const { name, ok, detail } of part.checks) {
      lines.push(`  ${ok ? paint('good', 'ok    ') : paint('bad', 'FAILED')}  ${name}: ${detail}`)
    }
    if (part.reasons !== '') lines.push(paint('dim', `          failed requests: ${part.reasons}`))
  }
  const wrong = verdict.parts.flatMap(part => part.checks).filter(one => !one.ok).length
  lines.push('')
  lines.push(verdict.ok ? paint('good', 'All of it went as it should.') : paint('bad', `${wrong} checks FAILED.`))
  return lines
}

function duration(ms: number | null): string {
  return ms === null ? '-' : `${(ms / 1000).toFixed(1)} s`
}
