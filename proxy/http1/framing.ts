/** How long the body of a message is: Content-Length and Transfer-Encoding. */
import { reads } from './characters.ts'
import { CHUNKED, type Refusal } from './contract.ts'
import type { FieldFacts } from './fields.ts'
import { BAD_LENGTH, CODING, LENGTH_AND_CODING, OLD_CODING, TWO_LENGTHS } from './refusals.ts'

/**
 * Where the message ends, by its fields alone (RFC 9112 6.1 to 6.3): bytes, CHUNKED, or null: they do not say. Stricter than
 * the RFC, which lets equal lengths be one: whoever reads them otherwise takes the rest for a second message.
 */
export function framing(facts: FieldFacts, minor: 0 | 1): number | null | Refusal {
  const { length, lengths, coding, codings } = facts
  if (coding !== null) {
    if (lengths > 0) return LENGTH_AND_CODING
    if (minor === 0) return OLD_CODING
    return codings === 1 && coding.length === 7 && reads(coding, 0, 'chunked') ? CHUNKED : CODING
  }
  if (length === null) return null
  if (lengths > 1) return TWO_LENGTHS
  for (let i = 0; i < length.length; i++) {
    const code = length.charCodeAt(i)
    if (code < 0x30 || code > 0x39) return BAD_LENGTH
  }
  const bytes = length === '' ? Number.NaN : Number(length)
  return Number.isSafeInteger(bytes) ? bytes : BAD_LENGTH
}
