/** The rollout annotations of an object. TENGINE.md 1.1 to 1.4; unlike upstream, what does not parse is never a default. */
import type { ObjectKind, Revision } from '../../protocol/objects.ts'
import type { Parsed, Stamp } from './types.ts'

export const DEFAULT_ANNOTATION_PREFIX = 'nginx.ingress.kubernetes.io'

/** Full names of the four annotations. A type, because only that has an index signature. */
export type StampNames = {
  readonly flag: string
  readonly current: string
  readonly update: string
  readonly index: string
}

/** Go's strconv.ParseBool, which upstream uses. */
const GO_BOOLEANS: Readonly<Record<string, boolean>> = {
  '1': true,
  t: true,
  T: true,
  TRUE: true,
  true: true,
  True: true,
  '0': false,
  f: false,
  F: false,
  FALSE: false,
  false: false,
  False: false,
}

/** The same for all: nearly no Ingress has a stamp, and there are many. */
const ABSENT = { state: 'absent' } as const
const NO_STAMP: Stamp = { flag: ABSENT, current: ABSENT, update: ABSENT, index: ABSENT }

/** A word that may be a label's value: it goes into IDs, names and labels. */
const REVISION = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
/** Go's strconv.Atoi, as far as the number of a pod can be. */
const INTEGER = /^[+-]?[0-9]{1,9}$/

export function stampNames(kind: ObjectKind, prefix: string): StampNames {
  const stem = `${prefix}/${kind === 'Ingress' ? 'ingress' : 'secret'}-rollout`
  return {
    flag: stem,
    current: `${stem}-current-revision`,
    update: `${stem}-update-revision`,
    index: `${stem}-index-id`,
  }
}

export function parseStamp(
  annotations: Readonly<Record<string, string>>,
  kind: ObjectKind,
  prefix: string = DEFAULT_ANNOTATION_PREFIX,
): Stamp {
  const names = stampNames(kind, prefix)
  if (Object.values(names).every(name => annotations[name] === undefined)) return NO_STAMP
  return {
    flag: parse(annotations[names.flag], parseGoBoolean),
    current: parse(annotations[names.current], parseRevision),
    update: parse(annotations[names.update], parseRevision),
    index: parse(annotations[names.index], parseIndex),
  }
}

/** Null for anything but the words of Go's ParseBool. */
export function parseGoBoolean(text: string): boolean | null {
  return Object.hasOwn(GO_BOOLEANS, text) ? (GO_BOOLEANS[text] ?? null) : null
}

function parseRevision(text: string): Revision | null {
  return REVISION.test(text) ? text : null
}

function parseIndex(text: string): number | null {
  if (!INTEGER.test(text)) return null
  const value = Number(text)
  return value < -1 ? null : value + 0
}

function parse<T>(text: string | undefined, read: (text: string) => T | null): Parsed<T> {
  if (text === undefined) return ABSENT
  const value = read(text)
  return value === null ? { state: 'invalid', text } : { state: 'valid', value }
}
