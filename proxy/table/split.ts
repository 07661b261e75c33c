/**
 * Which of a path's requests its canaries take, compiled once when the path is read from the table: a request walks through a list of
 * steps, none of which looks at a setting. Order: all headers, then cookies, then arguments of the query, then weights; in each of them the
 * older Ingress first (TENGINE.md 3.12). What a single canary does is what ingress-nginx does (NGINX.md 1 to 10).
 */
import { MOST_CANARIES, sharesOf } from '../../protocol/canary-shares.ts'
import type { CanaryKey, CanaryModulo, CanaryRule } from '../../protocol/objects.ts'
import { compilePattern, inBytes } from '../../protocol/patterns.ts'
import { lowerAscii } from '../http1/fields.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Route } from './contract.ts'
import { READS, type Asked, type Read } from './asked.ts'
import { compileMarks, type Marks } from './marks.ts'
import { serviceMark, sessionReader } from './session.ts'

export type CanaryClass = 'header' | 'cookie' | 'query' | 'weight' | 'session'

/** A path of a canary Ingress. */
export interface CanaryPath {
  readonly route: Route
  readonly rule: CanaryRule
}

export interface CanaryChoice {
  readonly route: Route
  /** Null: there is no backend that we know how to ask. */
  readonly cluster: Cluster | null
  readonly by: CanaryClass
  /** Sessions stay with it, where its main path has them stay. */
  readonly sticky: boolean
  /** Null: nothing is added. Never where the weight chose. */
  readonly marks: Marks | null
}

/** From 0 on, below 1. */
export type Random = () => number

/** One canary, for people. */
export interface ExplainedCanary {
  readonly route: Route
  readonly outcome: 'chosen' | 'not chosen'
  readonly reason: string
}

/** The value leaves it to what comes next. */
const PASSES = 0
const TAKES = 1
/** Whatever comes next, the request is not the canary's. */
const KEEPS = -1
type Verdict = typeof PASSES | typeof TAKES | typeof KEEPS

type Judge = (value: string) => Verdict
interface Step {
  /** Which canary, by its place among them. */
  readonly of: number
  readonly read: Read
  readonly judge: Judge
  readonly choice: CanaryChoice
}

interface Share {
  readonly of: number
  /** Part of all requests that the canary and those before it take, 0 to 1. */
  readonly upTo: number
  readonly choice: CanaryChoice
}

const CLASSES = ['header', 'cookie', 'query'] as const

export class Split {
  /** Oldest first. */
  readonly canaries: readonly CanaryPath[]
  readonly #steps: readonly Step[]
  readonly #shares: readonly Share[]
  /** Whose a session is: a canary's, the main path's (null), or nobody's (undefined). Null: sessions do not matter. */
  readonly #sessionOf: ((asked: Asked) => CanaryChoice | null | undefined) | null

  /** @param canaries of one path, oldest first @param main their main path */
  constructor(canaries: readonly CanaryPath[], main: Pick<Route, 'cluster' | 'policy'>) {
    this.canaries = canaries.slice(0, MOST_CANARIES)
    const compiled = this.canaries.map(({ route, rule }) => ({
      ...{ route, rule },
      marks: rule.marks === undefined ? null : compileMarks(rule.marks),
    }))
    this.#steps = CLASSES.flatMap(by =>
      compiled.flatMap(({ route, rule, marks }, of): readonly Step[] => {
        const key = rule[by]
        if (key === undefined) return []
        const read = READS[by](lowerAscii(inBytes(key.name)))
        return [{ of, read, judge: judgeOf(key), choice: choiceOf(route, rule, by, marks) }]
      }),
    )
    this.#shares = weigh(this.canaries)
    this.#sessionOf = sessionsOf(this.canaries, main)
  }

  /**
   * The canary of a request; null: it stays on the main path. What a request says `never` to does not take it by another way: where it
   * would be in that canary's share it stays, so that the shares of others are what they say.
   * @param random is asked once, and only where some canary has a weight
   */
  choose(asked: Asked, random: Random): CanaryChoice | null {
    const own = this.#sessionOf === null ? undefined : this.#sessionOf(asked)
    if (own !== undefined) return own
    let kept = null as Set<number> | null
    for (const { of, read, judge, choice } of this.#steps) {
      const value = read(asked)
      if (value === null || kept?.has(of) === true) continue
      const verdict = judge(value)
      if (verdict === TAKES) return choice
      if (verdict === KEEPS) kept = (kept ?? new Set()).add(of)
    }
    if (this.#shares.length === 0) return null
    const drawn = random()
    for (const { of, upTo, choice } of this.#shares) if (drawn < upTo) return kept?.has(of) === true ? null : choice
    return null
  }

  /** Of each canary, in words, what its rule makes of the request. Weights are told, not drawn. */
  explain(asked: Asked): readonly ExplainedCanary[] {
    const chosen = this.choose(asked, () => 1)
    const session = this.#sessionOf === null ? undefined : this.#sessionOf(asked)
    return this.canaries.map(({ route, rule }, of): ExplainedCanary => {
      if (session?.route === route) return { route, outcome: 'chosen', reason: 'the session is with it' }
      if (session !== undefined) {
        const whose = session === null ? 'the main path' : session.route.object
        return { route, outcome: 'not chosen', reason: `the session is with ${whose}` }
      }
      const words: string[] = []
      for (const { of: whose, read, judge, choice } of this.#steps) {
        if (whose !== of) continue
        const key = rule[choice.by === 'weight' || choice.by === 'session' ? 'header' : choice.by]
        const value = read(asked)
        const verdict = value === null ? PASSES : judge(value)
        const what = `${choice.by} ${key?.name ?? ''}`
        if (verdict === TAKES) {
          if (choice === chosen) return { route, outcome: 'chosen', reason: `${what} fits` }
          words.push(`${what} fits, but ${chosen?.by ?? 'another one'} of ${chosen?.route.object ?? ''} goes before it`)
          break
        }
        if (verdict === KEEPS) {
          words.push(`${what} says never`)
          break
        }
        words.push(value === null ? `there is no ${what}` : `${what} does not fit`)
      }
      const share = this.#shares.find(one => one.of === of)
      if (share !== undefined) words.push(`takes ${rule.weight} of ${rule.total} requests that nothing else decides`)
      else if (rule.weight > 0)
        words.push(
          `its weight of ${rule.weight} goes beyond what older canaries leave of all requests: it takes none by it`,
        )
      return { route, outcome: 'not chosen', reason: words.join('; ') || 'its rule takes no request' }
    })
  }
}

function choiceOf(route: Route, rule: CanaryRule, by: CanaryClass, marks: Marks | null): CanaryChoice {
  return { route, cluster: route.cluster, by, sticky: rule.affinity !== 'legacy', marks }
}

/** A session stays where it is before any rule is asked (NGINX.md 15; route_to_alternative_balancer of ingress-nginx). */
function sessionsOf(
  canaries: readonly CanaryPath[],
  { cluster, policy }: Pick<Route, 'cluster' | 'policy'>,
): ((asked: Asked) => CanaryChoice | null | undefined) | null {
  const affinity = policy.settings?.affinity
  if (affinity === undefined || cluster === null) return null
  const read = sessionReader(affinity.name)
  const own = new Map<string, CanaryChoice | null>()
  for (const { route, rule } of canaries.toReversed()) {
    const choice = choiceOf(route, rule, 'session', null)
    if (choice.sticky && route.cluster !== null) own.set(serviceMark(route.cluster.service), choice)
  }
  own.set(serviceMark(cluster.service), null)
  return asked => {
    const session = read(asked)
    return session === null ? undefined : own.get(session.service)
  }
}

/** In order of age. */
function weigh(canaries: readonly CanaryPath[]): readonly Share[] {
  const parts = sharesOf(canaries.map(({ rule }) => rule))
  return canaries.flatMap(({ route, rule }, of): readonly Share[] => {
    const upTo = parts[of] ?? null
    return upTo === null ? [] : [{ of, upTo, choice: choiceOf(route, rule, 'weight', null) }]
  })
}

function judgeOf({ values, pattern, modulo }: CanaryKey): Judge {
  if (values !== undefined) {
    const known = new Set(values.map(inBytes))
    return value => (known.has(value) ? TAKES : PASSES)
  }
  if (pattern !== undefined) {
    const compiled = compilePattern(pattern)
    // The schema has compiled it before. As at ingress-nginx a pattern that does not leaves the request where it is (NGINX.md 5).
    if (!compiled.ok) return () => KEEPS
    return value => (compiled.fits(value) ? TAKES : PASSES)
  }
  if (modulo !== undefined) return value => (fitsModulo(modulo, value) ? TAKES : PASSES)
  return value => (value === 'always' ? TAKES : value === 'never' ? KEEPS : PASSES)
}

const COMPARE: Readonly<Record<CanaryModulo['operator'], (a: number, b: number) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
}

/** Of a number of any length: digit by digit, nothing is rounded. */
export function fitsModulo({ divisor, operator, remainder }: CanaryModulo, value: string): boolean {
  if (value === '') return false
  let rest = 0
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - ZERO
    if (digit < 0 || digit > 9) return false
    rest = (rest * 10 + digit) % divisor
  }
  return COMPARE[operator](rest, remainder)
}

const ZERO = 48
