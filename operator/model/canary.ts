/**
 * The canary annotations of ingress-nginx and, on top, those of Tengine-Ingress (TENGINE.md §3): which requests of a path an Ingress
 * takes as a canary of another one. Where the two disagree ingress-nginx counts, as it behaves (NGINX.md 1 to 19); what both pass over
 * in silence is refused. docs/canary.md is for people.
 */
import { FIELD_NAME, FIELD_VALUE, QUERY, isReservedField } from '../../protocol/marks.ts'
import type { CanaryKey, CanaryMarks, CanaryModulo, CanaryRule, ObjectKey } from '../../protocol/objects.ts'
import { compilePattern } from '../../protocol/patterns.ts'
import { AnnotationReader, shown } from './annotation-reader.ts'
import { parseGoBoolean } from './stamp.ts'
import type { IngressContent, Problem } from './types.ts'

/** max-canary-header-val-num and its siblings. */
const MOST_VALUES = 20
/** max-canary-req-add-header-num and its siblings. */
const MOST_MARKS = 2
/** Of what a weight is, where nothing else is said; less counts as this (NGINX.md 10). */
const LEAST_TOTAL = 100
const MOST_TOTAL = 2 ** 31 - 1
const OPERATORS: readonly CanaryModulo['operator'][] = ['==', '!=', '>', '>=', '<', '<=']
/** Of a cookie or an argument: what no parser of either takes for an end. */
const KEY_NAME = /^[!#$%'*+.^_`|~0-9A-Za-z-]+$/

const VALUES_OF = {
  header: 'canary-by-header-value',
  cookie: 'canary-by-cookie-value',
  query: 'canary-by-query-value',
} as const
const PATTERN = 'canary-by-header-pattern'
const MODULO = ['canary-mod-divisor', 'canary-mod-relational-operator', 'canary-mod-remainder'] as const
const MARKS = {
  requestAdd: 'canary-request-add-header',
  requestAppend: 'canary-request-append-header',
  responseAdd: 'canary-response-add-header',
  responseAppend: 'canary-response-append-header',
} as const
const QUERY_MARK = 'canary-request-add-query'
/** ingress-nginx reads it of the canary, not of its main Ingress. */
const AFFINITY = 'affinity-canary-behavior'

/** Without prefix, beside `canary` itself. */
export const CANARY_ANNOTATIONS: ReadonlySet<string> = new Set([
  ...['canary-by-header', 'canary-by-cookie', 'canary-by-query', 'canary-weight', 'canary-weight-total'],
  AFFINITY,
  ...[...Object.values(VALUES_OF), PATTERN, ...MODULO, ...Object.values(MARKS), QUERY_MARK],
])

/** The annotation says that the Ingress is a canary; what is neither true nor false counts as such here, and is refused. */
export function isCanary({ annotations }: IngressContent): boolean {
  const value = Object.entries(annotations).find(([name]) => name.endsWith('/canary'))?.[1]
  return value !== undefined && parseGoBoolean(value) !== false
}

export interface ParsedCanary {
  /** Null: it is no canary, or a Problem refuses it. */
  readonly rule: CanaryRule | null
  readonly problems: readonly Problem[]
}

/** What the annotations of a canary ask for. A field that is wrong refuses the content: what was served stays. */
export function canaryRuleOf(key: ObjectKey, content: IngressContent): ParsedCanary {
  const parser = new Parser(key, content)
  if (isCanary(content)) return parser.canary()
  for (const name of CANARY_ANNOTATIONS) {
    parser.unused(name, 'has no effect without canary: "true", which alone makes an Ingress a canary')
  }
  return { rule: null, problems: parser.problems }
}

class Parser extends AnnotationReader {
  canary(): ParsedCanary {
    if (parseGoBoolean(this.raw('canary')) === null) {
      this.refuse('canary', 'must be true or false')
      return { rule: null, problems: this.problems }
    }
    const modulo = this.#modulo()
    const header = this.#keyOf('header', modulo, this.#pattern())
    const cookie = this.#keyOf('cookie', modulo, null)
    const query = this.#keyOf('query', modulo, null)
    const keyed = header !== null || cookie !== null || query !== null
    if (!keyed) {
      for (const name of MODULO) this.unused(name, 'has no effect without a header, cookie or query to divide')
    }
    const { weight, total } = this.#weights()
    const marks = this.#marks()
    const isFree = this.word(AFFINITY, ['sticky', 'legacy']) === 'legacy'
    if (!keyed) {
      for (const name of [...Object.values(MARKS), QUERY_MARK]) {
        this.unused(
          name,
          'has no effect on a canary by weight alone: only requests that a header, cookie or query led to it are marked',
        )
      }
      if (!this.has('canary-weight')) {
        this.say(
          'canary',
          'NothingToServe',
          'neither a header, cookie or query nor a weight: it takes no request',
          'warn',
        )
      }
    }
    if (this.problems.some(({ effect }) => effect === 'reject')) return { rule: null, problems: this.problems }
    const rule: CanaryRule = {
      ...(header === null ? {} : { header }),
      ...(cookie === null ? {} : { cookie }),
      ...(query === null ? {} : { query }),
      ...{ weight, total },
      ...(isFree ? { affinity: 'legacy' } : {}),
      ...(!keyed || Object.keys(marks).length === 0 ? {} : { marks }),
    }
    return { rule, problems: this.problems }
  }

  #keyOf(part: keyof typeof VALUES_OF, modulo: CanaryModulo | null, pattern: string | null): CanaryKey | null {
    const by = `canary-by-${part}`
    const name = this.text(by)
    if (name === null) {
      this.unused(VALUES_OF[part], `has no effect without ${by}`)
      if (part === 'header') this.unused(PATTERN, `has no effect without ${by}`)
      return null
    }
    if (!(part === 'header' ? FIELD_NAME : KEY_NAME).test(name)) {
      this.refuse(by, `${shown(name)} is not the name of a ${part === 'query' ? 'query argument' : part}`)
      return null
    }
    const values = this.#list(VALUES_OF[part], MOST_VALUES)
    // As at ingress-nginx values go before the pattern (NGINX.md 4), and as at Tengine before the modulo (TENGINE.md 3.6).
    if (values !== null) {
      if (pattern !== null) this.unused(PATTERN, `has no effect beside ${VALUES_OF[part]}`)
      return { name, values }
    }
    if (pattern !== null) return { name, pattern }
    return modulo === null ? { name } : { name, modulo }
  }

  #pattern(): string | null {
    const pattern = this.text(PATTERN)
    if (pattern === null) return null
    const compiled = compilePattern(pattern)
    if (!compiled.ok) this.refuse(PATTERN, `${shown(pattern)}: ${compiled.reason} (RE2 syntax)`)
    return pattern
  }

  #modulo(): CanaryModulo | null {
    const [byDivisor, byOperator, byRemainder] = MODULO
    const present = MODULO.filter(name => this.has(name))
    if (present.length === 0) return null
    const divisor = this.integer(byDivisor, 2, 100)
    const operator = OPERATORS.find(one => one === this.text(byOperator))
    const remainder = this.has(byRemainder) ? this.integer(byRemainder, 0, (divisor ?? 100) - 1) : 0
    if (!this.has(byDivisor)) this.refuse(present[0] ?? byDivisor, `needs ${byDivisor}, from 2 to 100`)
    if (operator === undefined) {
      const missing = !this.has(byOperator)
      this.refuse(
        missing ? byDivisor : byOperator,
        `${missing ? `needs ${byOperator}: ` : 'must be '}one of ${OPERATORS.join(' ')}`,
      )
    }
    return divisor === null || remainder === null || operator === undefined ? null : { divisor, operator, remainder }
  }

  #weights(): { readonly weight: number; readonly total: number } {
    const asked = this.has('canary-weight-total') ? this.integer('canary-weight-total', 0, MOST_TOTAL) : LEAST_TOTAL
    const total = Math.max(asked ?? LEAST_TOTAL, LEAST_TOTAL)
    if (asked !== null && asked < LEAST_TOTAL) {
      this.say(
        'canary-weight-total',
        'WeightTotalTooSmall',
        `less than ${LEAST_TOTAL} counts as ${LEAST_TOTAL}`,
        'warn',
      )
    }
    const weight = this.has('canary-weight') ? this.integer('canary-weight', 0, total) : 0
    return { weight: weight ?? 0, total }
  }

  #marks(): CanaryMarks {
    const found: Record<string, unknown> = {}
    for (const [mark, name] of Object.entries(MARKS)) {
      const of = mark.startsWith('request') ? 'request' : 'response'
      const items = this.#list(name, MOST_MARKS)
      if (items !== null) found[mark] = items.map(item => this.#field(name, item, of))
    }
    const query = this.text(QUERY_MARK)
    if (query !== null) {
      if (!QUERY.test(query)) this.refuse(QUERY_MARK, `${shown(query)} is not written name=value, joined with &`)
      if (query.split('&').length > MOST_MARKS) this.refuse(QUERY_MARK, `has more than ${MOST_MARKS} arguments`)
      found['query'] = query
    }
    return found
  }

  /** `name:value`; further colons are of the value. */
  #field(annotation: string, item: string, of: 'request' | 'response'): readonly [string, string] {
    const colon = item.indexOf(':')
    const [name, value] = [item.slice(0, Math.max(colon, 0)).trim(), item.slice(colon + 1).trim()]
    if (!FIELD_NAME.test(name) || !FIELD_VALUE.test(value)) {
      this.refuse(annotation, `${shown(item)} is not written name:value, in ASCII`)
    } else if (isReservedField(name, of)) {
      this.refuse(annotation, `${shown(name)} is written by the proxy alone`)
    } else if (of === 'request' && name.includes('_')) {
      this.refuse(annotation, `${shown(name)} has an underscore: to many backends it is the same as the name with -`)
    } else if (value.startsWith('$')) {
      this.refuse(annotation, `${shown(value)} is a variable of nginx: they are not supported`)
    }
    return [name, value]
  }

  /** Joined with `||`, empty ones left out; null: not there, or empty, which is the same at ingress-nginx. */
  #list(name: string, most: number): readonly string[] | null {
    const text = this.text(name)
    if (text === null) return null
    const items = text.split('||').flatMap(item => item.trim() || [])
    if (items.length === 0) this.refuse(name, 'names no value')
    if (items.length > most) this.refuse(name, `names ${items.length} values; at most ${most} are taken`)
    return items
  }
}
