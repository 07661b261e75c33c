/**
 * Sessions that stay with an endpoint by a cookie: annotations of ingress-nginx, as it behaves (NGINX.md 103 to 106), but for what it passes
 * over in silence, which is refused. `affinity-canary-behavior` is a canary's (canary.ts).
 */
import { COOKIE_DOMAIN, COOKIE_NAME, COOKIE_PATH } from '../../../protocol/cookies.ts'
import type { AffinitySettings } from '../../../protocol/objects.ts'
import { shown, type AnnotationReader } from '../annotation-reader.ts'

const AFFINITY = 'affinity'
const MODE = 'affinity-mode'
const NAME = 'session-cookie-name'
const PATH = 'session-cookie-path'
const DOMAIN = 'session-cookie-domain'
const EXPIRES = 'session-cookie-expires'
const MAX_AGE = 'session-cookie-max-age'
const SAME_SITE = 'session-cookie-samesite'
const CONDITIONAL = 'session-cookie-conditional-samesite-none'
const SECURE = 'session-cookie-secure'
const CHANGE = 'session-cookie-change-on-failure'

const OTHERS = [MODE, NAME, PATH, DOMAIN, EXPIRES, MAX_AGE, SAME_SITE, CONDITIONAL, SECURE, CHANGE]
/** Without prefix. */
export const AFFINITY_ANNOTATIONS: readonly string[] = [AFFINITY, ...OTHERS]

const USUAL_NAME = 'INGRESSCOOKIE'
/** Some 317 years: a date can say it. */
const MOST_SECONDS = 9_999_999_999
const SAME_SITES = ['None', 'Lax', 'Strict'] as const

/** Null: there is no affinity. */
export function affinitySettings(from: AnnotationReader): AffinitySettings | null {
  const type = from.word(AFFINITY, ['cookie'])
  if (type === null) {
    for (const name of OTHERS) from.unused(name, `has no effect without ${AFFINITY}: cookie`)
    return null
  }
  const path = like(from, PATH, COOKIE_PATH, 'is not a path of printable ASCII without ; and ,')
  const domain = like(from, DOMAIN, COOKIE_DOMAIN, 'is not a DNS name')
  const expires = seconds(from, EXPIRES)
  const maxAge = seconds(from, MAX_AGE)
  const sameSite = sameSiteOf(from)
  const secure = from.flag(SECURE)
  const conditionalNone = from.flag(CONDITIONAL) === true
  return {
    mode: from.word(MODE, ['balanced', 'persistent']) ?? 'balanced',
    name: like(from, NAME, COOKIE_NAME, 'is not the name of a cookie') ?? USUAL_NAME,
    ...(path === null ? {} : { path }),
    ...(domain === null ? {} : { domain }),
    ...(expires === null ? {} : { expires }),
    ...(maxAge === null ? {} : { maxAge }),
    ...(sameSite === null ? {} : { sameSite }),
    ...(conditionalNone ? { conditionalNone } : {}),
    ...(secure === null ? {} : { secure }),
    ...(from.flag(CHANGE) === true ? { changeOnFailure: true } : {}),
  }
}

function like(from: AnnotationReader, name: string, pattern: RegExp, otherwise: string): string | null {
  const text = from.text(name)
  if (text === null || pattern.test(text)) return text
  from.refuse(name, `${shown(text)} ${otherwise}`)
  return null
}

function seconds(from: AnnotationReader, name: string): number | null {
  return from.text(name) === null ? null : from.integer(name, -MOST_SECONDS, MOST_SECONDS)
}

/** In any case, as ingress-nginx takes it. */
function sameSiteOf(from: AnnotationReader): (typeof SAME_SITES)[number] | null {
  const text = from.text(SAME_SITE)
  if (text === null) return null
  const found = SAME_SITES.find(one => one.toLowerCase() === text.toLowerCase())
  if (found === undefined) from.refuse(SAME_SITE, `${shown(text)} is none of ${SAME_SITES.join(', ')}`)
  return found ?? null
}
