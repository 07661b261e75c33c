/** The table of the demo: one line per pod, and how a text of its own width is made. Pure. */

export interface PodRow {
  readonly ordinal: number
  /** Revision of the object that the scene changes; null: not known yet. */
  readonly revision: string | null
  /** Serves the update rather than the stable revision. */
  readonly updated: boolean
  /** Answers of this scene. */
  readonly requests: number
  readonly failures: number
  /** TLS connections of this scene. */
  readonly handshakes: number
  readonly tlsFailures: number
  /** Version of the backend that answered last; null: nobody yet. */
  readonly version: string | null
}

export type Paint = (style: 'good' | 'bad' | 'dim' | 'strong' | 'update', text: string) => string

const HEAD = ['POD', 'REVISION', 'BACKEND', 'REQUESTS', 'SUCCESS', 'TLS', 'ACCEPTED'] as const
const RIGHT = new Set<number>([3, 4, 5, 6])

/** Lines without a line feed. `paint` must not change the width on a screen. */
export function renderTable(rows: readonly PodRow[], paint: Paint): readonly string[] {
  const cells = rows.map(row => [
    `sluice-proxy-${row.ordinal}`,
    row.revision === null ? '-' : `${row.revision}${row.updated ? ' new' : ''}`,
    row.version ?? '-',
    String(row.requests),
    percent(row.requests, row.failures),
    String(row.handshakes),
    percent(row.handshakes, row.tlsFailures),
  ])
  const widths = HEAD.map((head, column) => Math.max(head.length, ...cells.map(line => (line[column] ?? '').length)))
  const pad = (text: string, column: number): string =>
    RIGHT.has(column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)
  const lines = cells.map((line, i) =>
    line
      .map((text, column) => style(rows[i], column, pad(text, column), paint))
      .join('   ')
      .trimEnd(),
  )
  return [paint('dim', HEAD.map(pad).join('   ').trimEnd()), ...lines]
}

function style(row: PodRow | undefined, column: number, text: string, paint: Paint): string {
  if (row === undefined) return text
  if (column === 1 && row.updated) return paint('update', text)
  if (column === 4 && row.requests > 0) return paint(row.failures > 0 ? 'bad' : 'good', text)
  if (column === 6 && row.handshakes > 0) return paint(row.tlsFailures > 0 ? 'bad' : 'good', text)
  return text
}

/** Success in percent; cut rather than rounded, so that 100% means all. */
export function percent(all: number, failures: number): string {
  if (all === 0) return '-'
  if (failures === 0) return '100%'
  return `${(Math.floor(((all - failures) * 1000) / all) / 10).toFixed(1)}%`
}
