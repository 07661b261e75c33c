/**
 * How an endpoint is chosen: annotations of ingress-nginx, as it behaves (NGINX.md 107, 108). On a canary they are for what it takes, as
 * there.
 */
import type { BalanceSettings, HashPart } from '../../../protocol/objects.ts'
import { shown, type AnnotationReader } from '../annotation-reader.ts'

const LOAD = 'load-balance'
const HASH_BY = 'upstream-hash-by'
const SUBSET = 'upstream-hash-by-subset'
const SUBSET_SIZE = 'upstream-hash-by-subset-size'

/** Without prefix. */
export const BALANCE_ANNOTATIONS: readonly string[] = [LOAD, HASH_BY, SUBSET, SUBSET_SIZE]

/** What ingress-nginx takes where nothing else is said. */
const USUAL_SUBSET = 3
const MOST_SUBSET = 1_000
const MOST_PARTS = 16

/** Null: nothing is set. */
export function balanceSettings(from: AnnotationReader): BalanceSettings | null {
  const load = from.word(LOAD, ['round_robin', 'ewma'])
  const by = from.text(HASH_BY)
  const isSubset = from.flag(SUBSET)
  const size = from.text(SUBSET_SIZE) === null ? null : from.integer(SUBSET_SIZE, 1, MOST_SUBSET)
  if (by === null) {
    for (const name of [SUBSET, SUBSET_SIZE]) from.unused(name, `has no effect without ${HASH_BY}`)
    return load === null ? null : { by: load }
  }
  from.unused(LOAD, `has no effect beside ${HASH_BY}`)
  if (isSubset !== true) from.unused(SUBSET_SIZE, `has no effect without ${SUBSET}: "true"`)
  const parts = partsOf(from, by)
  if (parts === null) return null
  return { by: 'hash', parts, ...(isSubset === true ? { subset: size ?? USUAL_SUBSET } : {}) }
}

const VARIABLES: Readonly<Record<string, HashPart>> = {
  request_uri: { of: 'request_uri' },
  uri: { of: 'uri' },
  host: { of: 'host' },
  remote_addr: { of: 'client' },
  binary_remote_addr: { of: 'client' },
}
const FAMILIES = { arg_: 'query', http_: 'header', cookie_: 'cookie' } as const

/** Variables of nginx, `$name` or `${name}`, with printable ASCII between. Null: something is wrong, which is said. */
function partsOf(from: AnnotationReader, text: string): readonly HashPart[] | null {
  const refused = (reason: string): null => {
    from.refuse(HASH_BY, reason)
    return null
  }
  if (!/^[ -~]+$/.test(text)) return refused(`${shown(text)} holds something else than printable ASCII`)
  const parts: HashPart[] = []
  for (const [whole, braced, bare, between] of text.matchAll(/\$\{([a-z0-9_]*)\}|\$([a-z0-9_]*)|([^$]+)/gi)) {
    if (between !== undefined) {
      parts.push({ text: between })
      continue
    }
    const part = variable((braced ?? bare ?? '').toLowerCase())
    if (part === null)
      return refused(`${shown(whole)} is no variable that can be used here (docs/requests.md has them)`)
    parts.push(part)
  }
  return parts.length > MOST_PARTS ? refused(`has ${parts.length} parts; at most ${MOST_PARTS} are taken`) : parts
}

function variable(name: string): HashPart | null {
  if (Object.hasOwn(VARIABLES, name)) return VARIABLES[name] ?? null
  for (const [start, of] of Object.entries(FAMILIES)) {
    if (name.startsWith(start) && name.length > start.length) return { of, name: name.slice(start.length) }
  }
  return null
}
