/** Character classes of RFC 9110 5.6 and RFC 9112, by char code. Everything here is latin1: one character per byte. */

export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const COLON = 0x3a

/** RFC 9110 5.6.2: 1 for the characters of a token. */
export const TOKEN: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, code) =>
  /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)) ? 1 : 0,
)

/** RFC 9110 5.5: what a field value may not hold. HTAB may stand in it, and bytes above 127 pass. */
export const isControl = (code: number): boolean => (code < SP && code !== HTAB) || code === 0x7f

/** 1 for what a field value may hold. */
export const VALUE: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, code) => (isControl(code) ? 0 : 1))

/** Does the token that begins at `from` read `word` in any case? `word`: small letters and hyphens, of the token's length. */
export function reads(text: string, from: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if ((text.charCodeAt(from + i) | 0x20) !== word.charCodeAt(i)) return false
  return true
}
