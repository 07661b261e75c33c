/** Tables for the terminal and for the document. Pure. */

/** A Markdown table whose columns stand under each other; the first column left, the others right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(3, ...all.map(row => (row[column] ?? '').length)))
  const line = (row: readonly string[]): string =>
    `| ${widths.map((w, i) => (i === 0 ? (row[i] ?? '').padEnd(w) : (row[i] ?? '').padStart(w))).join(' | ')} |`
  const rule = `| ${widths.map((w, i) => (i === 0 ? '-'.repeat(w) : `${'-'.repeat(w - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

/** The document with this between its markers `<!-- bench A -->` and `<!-- /bench A -->`. @throws if they are not there */
export function withSection(document: string, name: string, content: string): string {
  const [begin, end] = [`<!-- bench ${name} -->`, `<!-- /bench ${name} -->`]
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the document has no markers ${begin} … ${end}`)
  return `${document.slice(0, from + begin.length)}\n${content.trim()}\n${document.slice(to)}`
}
