/** Names of revisions: hashes of canonical content. DESIGN "Words". */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../protocol/hash.ts'
import type { Revision } from '../../protocol/objects.ts'
import { writtenChain } from './certificate.ts'
import type { ChallengePath, Content } from './types.ts'

const ALPHABET = '0123456789abcdefghijklmnopqrstuv'
const LENGTH = 10

/**
 * The revision of a content: 10 lower-case characters (50 bits of SHA-256), so that it may be part of a name.
 * Of a TLS Secret nothing but the certificate chain takes part, as it is sent: the key belongs to the leaf, and no hash
 * of it may be in public.
 */
export function revisionOf(content: Content): Revision {
  return content.kind === 'Ingress'
    ? short(canonicalJson({ annotations: content.annotations, spec: content.spec }))
    : short(canonicalChain(writtenChain(content) ?? content.chain))
}

/** These very challenges. */
export function revisionOfChallenges(paths: readonly ChallengePath[]): Revision {
  return short(canonicalJson(paths))
}

/** The certificates of a PEM text without what is around them and without line breaks; the text itself if there are none. */
function canonicalChain(pem: string): string {
  const blocks = [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----/g)]
  return blocks.length === 0 ? pem : blocks.map(block => (block[1] ?? '').replace(/\s+/g, '')).join('\n')
}

function short(text: string): Revision {
  const digest = createHash('sha256').update(text).digest()
  let bits = 0n
  for (const byte of digest.subarray(0, 8)) bits = (bits << 8n) | BigInt(byte)
  let name = ''
  for (let i = 0; i < LENGTH; i++) {
    name += ALPHABET.charAt(Number((bits >> BigInt(59 - 5 * i)) & 31n))
  }
  return name
}
