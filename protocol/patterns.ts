/**
 * Patterns that people write into objects, on an engine that is linear in the text (RE2): no object makes matching slow. Of bytes, as PCRE
 * without its option for UTF-8: texts have one character per byte. Not anchored; letters of either case differ.
 */
import { RE2JS } from 're2js'

/** Instructions of the compiled pattern: `[0-9a-f]{32}` has 35. Time goes with them times the length of the text. */
export const MOST_INSTRUCTIONS = 200
/** Characters of a pattern: compiling one takes time as well. */
export const MOST_PATTERN = 512
/** Bytes of a value that is looked at; a longer one fits no pattern. With both limits a look takes a few milliseconds at most. */
export const MOST_VALUE = 1_024

export type Pattern =
  { readonly ok: true; readonly fits: (value: string) => boolean } | { readonly ok: false; readonly reason: string }

/** @param pattern as written in the object */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > MOST_PATTERN) return { ok: false, reason: `is longer than ${MOST_PATTERN} characters` }
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(inBytes(pattern))
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) }
  }
  if (compiled.programSize() > MOST_INSTRUCTIONS) {
    return { ok: false, reason: `has more than ${MOST_INSTRUCTIONS} states; shorten what is repeated` }
  }
  // Not test(): it keeps up to 8 MiB of states for each pattern, made from what clients send.
  return { ok: true, fits: remembering(value => compiled.matcher(value).find()) }
}

/** Values that are remembered of a pattern, of up to MOST_VALUE bytes each: clients send the same few again and again. */
const REMEMBERED = 64

function remembering(look: (value: string) => boolean): (value: string) => boolean {
  const known = new Map<string, boolean>()
  return value => {
    if (value.length > MOST_VALUE) return false
    const before = known.get(value)
    if (before !== undefined) return before
    const fits = look(value)
    if (known.size >= REMEMBERED) known.clear()
    // Copied: what was cut out of a head would keep all of it.
    known.set(Buffer.from(value, 'latin1').toString('latin1'), fits)
    return fits
  }
}

/** A text as heads of messages have it: one character per byte of its UTF-8. */
export function inBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
