/**
 * Which of a path's requests its canaries take, compiled once when the path is read from the table: a request walks through a list of
 * steps, none of which looks at a setting. Order: all headers, then cookies, then arguments of the query, then weights; in each of them the
 * older Ingress first (TENGINE.md 3.12). What a single canary does is what ingress-nginx does (NGINX.md 1 to 10).
 */
import { MOST_CANARIES, sharesOf } from '../../protocol/canary-shares.ts'
import type { CanaryKey, CanaryModulo, CanaryRule } from '../../protocol/objects.ts'
import { compilePattern, inBytes } from '../../protocol/patterns.ts'
import type { Fields } from '../http1/contract.ts'
import { lowerAscii } from '../http1/fields.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Route } from './contract.ts'
import { compileMarks, type Marks } from './marks.ts'

export type CanaryClass = 'header' | 'cookie' | 'query' | 'weight'

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
  /** Null: nothing is added. Never where the weight chose. */
  readonly marks: Marks | null
}

/** What is asked of a request. */
export interface Asked {
  readonly fields: Fields
  /** What stands behind the `?` as it was sent; empty: nothing. */
  readonly query: string
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
/** Null: the request has none. */
type Read = (asked: Asked) => string | null

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
const READS = { header: readField, cookie: readCookie, query: readArgument } as const

export class Split {
  /** Oldest first. */
  readonly canaries: readonly CanaryPath[]
  readonly #steps: readonly Step[]
  readonly #shares: readonly Share[]

  /** @param canaries of one path, oldest first */
  constructor(canaries: readonly CanaryPath[]) {
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
        return [{ of, read, judge: judgeOf(key), choice: { route, cluster: route.cluster, by, marks } }]
      }),
    )
    this.#shares = weigh(this.canaries)
  }

  /**
   * The canary of a request; null: it stays on the main path. What a request says `never` to does not take it by another way: where it
   * would be in that canary's share it stays, so that the shares of others are what they say.
   * @param random is asked once, and only where some canary has a weight
   */
  choose(asked: Asked, random: Random): CanaryChoice | null {
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
    return this.canaries.map(({ route, rule }, of): ExplainedCanary => {
      const words: string[] = []
      for (const { of: whose, read, judge, choice } of this.#steps) {
        if (whose !== of) continue
        const key = rule[choice.by === 'weight' ? 'header' : choice.by]
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

/** In order of age. */
function weigh(canaries: readonly CanaryPath[]): readonly Share[] {
  const parts = sharesOf(canaries.map(({ rule }) => rule))
  return canaries.flatMap(({ route }, of): readonly Share[] => {
    const upTo = parts[of] ?? null
    return upTo === null ? [] : [{ of, upTo, choice: { route, cluster: route.cluster, by: 'weight', marks: null } }]
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

/**
 * As $http_<name> of nginx: one that is sent twice is one value, joined, and `_` in the annotation stands for `-`.
 * @param written lower case
 */
function readField(written: string): Read {
  const name = written.replaceAll('_', '-')
  return ({ fields }) => {
    let found: string | null = null
    for (let i = 0; i < fields.length; i += 2) {
      const candidate = fields[i] ?? ''
      if (candidate.length !== name.length || !isNamed(candidate, 0, name)) continue
      const value = fields[i + 1] ?? ''
      found = found === null ? value : `${found}, ${value}`
    }
    return found
  }
}

/** As $cookie_<name> of nginx: the first one of that name. @param name lower case */
function readCookie(name: string): Read {
  return ({ fields }) => {
    for (let i = 0; i < fields.length; i += 2) {
      const field = fields[i] ?? ''
      if (field.length !== 6 || !isNamed(field, 0, 'cookie')) continue
      const found = readPair(fields[i + 1] ?? '', name, ';')
      if (found !== null) return found.trim()
    }
    return null
  }
}

/** As $arg_<name> of nginx: the first one of that name, as it was sent. @param name lower case */
function readArgument(name: string): Read {
  return ({ query }) => (query === '' ? null : readPair(query, name, '&'))
}

/** `name=value` of a list; blanks before the name are none of it. */
function readPair(text: string, name: string, separator: string): string | null {
  for (let at = 0; at < text.length;) {
    while (text.charCodeAt(at) === SPACE) at++
    const next = text.indexOf(separator, at)
    const end = next === -1 ? text.length : next
    const equals = at + name.length
    if (equals < end && text.charCodeAt(equals) === EQUALS && isNamed(text, at, name))
      return text.slice(equals + 1, end)
    at = end + 1
  }
  return null
}

/** In any case: only letters of ASCII have two. @param name lower case */
function isNamed(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = text.charCodeAt(at + i)
    if ((code >= UPPER_A && code <= UPPER_Z ? code + 32 : code) !== name.charCodeAt(i)) return false
  }
  return true
}

const UPPER_A = 65
const UPPER_Z = 90
const SPACE = 32
const EQUALS = 61
