/** IDs of the global consistency check, in both forms. DESIGN "The consistency check", TENGINE.md 2.3, 2.4. */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey, Revision } from '../../protocol/objects.ts'

/** Form `content`: `<namespace>/<name>:<announced revision>`. */
export function contentId(key: ObjectKey, announced: Revision): string {
  const { namespace, name } = parseObjectKey(key)
  return `${namespace}/${name}:${announced}`
}

/**
 * Form `upstream` of an Ingress: `<number after the last - of the name>-<version annotation>`.
 * Empty (the object takes no part) without such a number, or without a version other than 0.
 */
export function upstreamIngressId(name: string, version: string | undefined): string {
  const number = suffixOf(name)
  const revision = goInteger(version ?? '')
  return number === null || revision === null || revision === 0n ? '' : `${number}-${revision}`
}

/** Form `upstream` of a Secret: as above, then the leaf's SHA-1 in lower-case hex; empty without a certificate. */
export function upstreamSecretId(name: string, version: string | undefined, leafSha1: string): string {
  const id = upstreamIngressId(name, version)
  return id === '' || leafSha1 === '' ? '' : `${id}-${leafSha1}`
}

function suffixOf(name: string): bigint | null {
  const dash = name.lastIndexOf('-')
  return dash < 0 ? null : goInteger(name.slice(dash + 1))
}

/** Go's strconv.Atoi: an optional sign and decimal digits, within 64 bits; null for anything else. */
function goInteger(text: string): bigint | null {
  if (!/^[+-]?[0-9]+$/.test(text)) return null
  const value = text.startsWith('+') ? BigInt(text.slice(1)) : BigInt(text)
  return BigInt.asIntN(64, value) === value ? value : null
}
