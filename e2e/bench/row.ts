/** What every row is given, and what it gives back. */
import type { Ends } from './ends.ts'
import type { Cores } from './proc.ts'
import type { Settings } from './settings.ts'

export interface Bench extends Cores {
  readonly settings: Settings
  readonly ends: Ends
  /** Ended and removed with the run. */
  readonly folder: string
}

export interface Section {
  readonly title: string
  /** Versions of what was measured, `nginx 1.22.1`. */
  readonly versions: readonly string[]
  /** Markdown: a table, and what else is to be said. */
  readonly text: string
  /** Sluice itself could not be measured. */
  readonly failed: boolean
}

export function progress(text: string): void {
  console.error(`  ${text}`)
}

/** First line, without paths and addresses of this machine: it may end up in a public document. */
export function messageOf(error: unknown): string {
  const line = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
  return line.replaceAll(/[a-z]+:\/\/\S+/g, '…').replaceAll(/(?:\/[^\s/'"]+){2,}\/?/g, '…')
}
