/** What a crossing is: a value that says what meets what, how it is played, and within which time it has to end without a person. */
import type { Cluster } from '../node/harness/cluster.ts'
import type { Programs } from './programs.ts'
import type { Tables } from './tables.ts'

export const PROGRAMS = ['cert-manager', 'external-dns', 'helm', 'kstatus and Argo CD', 'a restore'] as const
export type Program = (typeof PROGRAMS)[number]

/** How long it may take. */
export type Within =
  /** So many seconds. */
  | { readonly by: 'seconds'; readonly seconds: number }
  /** As long as the scenario of this name, and 30 s. */
  | { readonly by: 'beside'; readonly scenario: string }

/** Something that has to be so, and what was seen. */
export interface Check {
  readonly what: string
  readonly held: boolean
  readonly seen: string
}

export interface Played {
  /** From what somebody did until its end; null: there was none as long as anybody looked. */
  readonly seconds: number | null
  readonly checks: readonly Check[]
}

export interface Seen extends Played {
  /** An error of the run itself. */
  readonly broke: string | null
}

export interface World {
  readonly cluster: Cluster
  readonly programs: Programs
  readonly tables: Tables
  readonly say: (line: string) => void
}

export interface Scenario {
  /** A DNS label. */
  readonly name: string
  readonly program: Program
  readonly what: string
  readonly within: Within
  /** It disturbs all others. */
  readonly alone?: boolean
  readonly play: (world: World) => Promise<Played>
}

export function check(what: string, held: boolean, seen = ''): Check {
  return { what, held, seen }
}
