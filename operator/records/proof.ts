/**
 * What was found when a certificate and its key were checked, beside both in the store: a process that starts believes it and does not
 * check ten thousand of them again (docs/adr/0053-certificates-are-checked-once.md). With a key of the operator's own over the very text
 * of both, and over who checked: another OpenSSL, or other rules of ours, check again. Pure.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { CHECKED_BY } from '../model/certificate.ts'
import type { Proof } from '../model/certificate.ts'
import type { SecretContent } from '../model/types.ts'
import type { StoreKey, StoredProof } from './seal.ts'

export function prove(key: StoreKey, content: SecretContent, { keyType, from, to }: Proof): StoredProof {
  const proof = { keyType, from, to }
  return { ...proof, mac: macOf(key, content, proof).toString('base64') }
}

/** Null: it is none of this content, by this key, as this process would check. */
export function proven(key: StoreKey | null, content: SecretContent, stored: StoredProof): Proof | null {
  if (key === null) return null
  const { keyType, from, to } = stored
  const proof = { keyType, from, to }
  const [expected, mac] = [macOf(key, content, proof), Buffer.from(stored.mac, 'base64')]
  return mac.length === expected.length && timingSafeEqual(mac, expected) ? proof : null
}

function macOf({ bytes }: StoreKey, { chain, privateKey }: SecretContent, { keyType, from, to }: Proof): Buffer {
  // The key encrypts, too: of what it proves it knows under another name.
  const own = createHmac('sha256', bytes).update('sluice proof').digest()
  const text = JSON.stringify([CHECKED_BY, keyType, from, to, chain, privateKey])
  return createHmac('sha256', own).update(text).digest()
}
