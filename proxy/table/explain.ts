/**
 * Why a path of the table serves a request, and why others do not. The choice is the table's own (`route`); here is only
 * said which of the rules of that choice (contract.ts) each loser lost by.
 */
import type { PathFragment } from '../../protocol/objects.ts'
import type { HostEntry, Route, TableExplainer, TableReader } from './contract.ts'
import { fits } from './path-match.ts'

export interface Candidate {
  readonly route: Route
  readonly outcome: 'chosen' | 'lost' | 'does not fit'
  readonly reason: string
}

export interface RouteExplanation {
  /** Host entries that could answer, the most specific first; only the first is looked at for paths. */
  readonly entries: readonly HostEntry[]
  readonly chosen: Route | null
  /** The entry that the chosen route is of. */
  readonly entry: HostEntry | null
  /** The chosen one, then those that fit, then the others. */
  readonly candidates: readonly Candidate[]
}

const TYPES: readonly PathFragment['type'][] = ['Exact', 'Prefix', 'ImplementationSpecific', 'Default']
const ORDER: readonly Candidate['outcome'][] = ['chosen', 'lost', 'does not fit']

/** @param host and @param path as for TableReader.route */
export function explainRoute(table: TableReader & TableExplainer, host: string, path: string): RouteExplanation {
  const chosen = table.route(host, path)
  const isChosen = ({ route }: HostEntry['routes'][number]): boolean => route.id === chosen?.id
  const entries = table.entries(host)
  // Challenges hide nothing: where none of them fits they are as if they were not there.
  const entered = entries.find(({ kind, routes }) => kind !== 'challenges' || routes.some(isChosen)) ?? null
  const entry = entries.find(({ routes }) => routes.some(isChosen)) ?? null
  const winner = entry?.routes.find(isChosen) ?? null
  const judge = (of: HostEntry, { route, createdAt }: HostEntry['routes'][number]): Candidate => {
    if (route.id === chosen?.id) return { route, outcome: 'chosen', reason: whyChosen(of, route) }
    if (of.kind === 'challenges' && !fits(route, path)) return { route, outcome: 'does not fit', reason: misfit(route) }
    if (entered?.kind === 'challenges' && of !== entered) {
      return { route, outcome: 'lost', reason: 'an ACME challenge goes before all others' }
    }
    // Of all hosts' rules only the default is left for a host that has rules of its own.
    if (of !== entered && !(of.kind === 'default' && route.type === 'Default')) {
      return {
        route,
        outcome: 'lost',
        reason: `host ${nameOf(entered)} has rules of its own, and is not left for others`,
      }
    }
    if (!fits(route, path)) return { route, outcome: 'does not fit', reason: misfit(route) }
    if (winner === null) return { route, outcome: 'lost', reason: 'another route was chosen' }
    return { route, outcome: 'lost', reason: whyLost({ route, createdAt }, winner, of !== entry) }
  }
  const candidates = entries.flatMap(of => of.routes.map(candidate => judge(of, candidate)))
  return {
    ...{ entries, chosen, entry },
    candidates: candidates.toSorted((a, b) => ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome)),
  }
}

function nameOf(entry: HostEntry | null): string {
  return entry === null || entry.host === '' ? '(any)' : entry.host
}

function whyChosen({ kind, host }: HostEntry, route: Route): string {
  if (kind === 'challenges') return `an ACME challenge of host ${host}`
  const by = kind === 'exact' ? `host ${host}` : kind === 'wildcard' ? `wildcard ${host}` : 'the rules for all hosts'
  return route.type === 'Default' ? `default backend of ${by}: no path fits` : `${by}: the longest path that fits`
}

function misfit({ type, path }: Route): string {
  return type === 'Exact' ? `fits only ${path} itself` : `fits only ${path} and what is below it`
}

function whyLost(loser: HostEntry['routes'][number], winner: HostEntry['routes'][number], elsewhere: boolean): string {
  const [a, b] = [loser.route, winner.route]
  if (elsewhere) return `host ${b.host} has an answer of its own`
  if (a.type === 'Default' && b.type !== 'Default') return 'a default backend answers only where no path fits'
  if (a.path.length < b.path.length) return `${b.path} is longer`
  // `/foo/` serves `/foo`, but only where no other does.
  if (a.path.length > b.path.length) return `it serves the path without its last slash only where no other path does`
  if (a.type !== b.type) {
    const [one, other] = TYPES.indexOf(b.type) < TYPES.indexOf(a.type) ? [b.type, a.type] : [a.type, b.type]
    return `of equal paths ${one} goes before ${other}`
  }
  if (a.object === b.object) return 'the same Ingress names the other one first'
  if (loser.createdAt !== winner.createdAt) return `${b.object} is older`
  return `${b.object} is as old, and its name comes first`
}
