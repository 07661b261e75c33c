/**
 * Private keys in the store are encrypted: who may read the Secrets of the store, or has a copy of them, has no key of a certificate
 * yet (docs/adr/0025-keys-in-the-store.md). AES-256-GCM, a random nonce for each, bound to object and revision: a ciphertext
 * that somebody moved elsewhere opens nowhere. Pure but for the random nonce.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import type { Proof } from '../model/certificate.ts'

export const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const ALGORITHM = 'aes-256-gcm'

/** A key of the operator's own. Never log one. */
export interface StoreKey {
  /** In the Secret that holds it; the last one, in the order of names, writes. */
  readonly name: string
  /** What a ciphertext names it by: follows from the key, so that another one under an old name is another one. */
  readonly id: string
  readonly bytes: Buffer
}

/** What was found of a private key and its certificate (proof.ts). */
export interface StoredProof extends Proof {
  /** Base64. */
  readonly mac: string
}

/** A private key as the store has it; base64 but for the id. */
export interface Sealed {
  readonly key: string
  readonly nonce: string
  /** Ciphertext and tag. */
  readonly text: string
  /** By the same key; absent: nobody has checked it when it was written, or there was something to say of it. */
  readonly proof?: StoredProof
}

/** What a ciphertext belongs to. */
export interface Owner {
  readonly uid: string
  readonly revision: string
  readonly hash: string
}

/** Thrown where something is to be written and there is no key: it is not written then. */
export class SealError extends Error {
  readonly code = 'SLUICE_SEAL'
  override readonly name = 'SealError'
}

export function storeKey(name: string, bytes: Buffer): StoreKey {
  if (bytes.length !== KEY_BYTES) throw new SealError(`${name}: a key has ${KEY_BYTES} bytes, not ${bytes.length}`)
  const id = createHash('sha256').update('sluice store key').update(bytes).digest('hex').slice(0, 16)
  return { name, id, bytes }
}

/** The keys that this process knows: all of them read, the newest of the Secret writes. */
export class KeyRing {
  readonly #keys = new Map<string, StoreKey>()
  #writer: StoreKey | null = null

  constructor(keys: readonly StoreKey[] = []) {
    this.take(keys)
  }

  /** Those of the Secret as it is now. What was known before still reads. True if something differs. */
  take(keys: readonly StoreKey[]): boolean {
    const newest = [...keys].sort((a, b) => (a.name < b.name ? -1 : 1)).at(-1)
    const differs = newest?.id !== this.#writer?.id || keys.some(({ id }) => !this.#keys.has(id))
    for (const key of keys) this.#keys.set(key.id, key)
    if (newest !== undefined) this.#writer = newest
    return differs
  }

  /** Null: none is known yet, and nothing may be written. */
  get writer(): StoreKey | null {
    return this.#writer
  }

  find(id: string): StoreKey | null {
    return this.#keys.get(id) ?? null
  }

  get all(): readonly StoreKey[] {
    return [...this.#keys.values()]
  }
}

/** @throws SealError */
export function seal(ring: KeyRing, text: string, owner: Owner): Sealed {
  const key = ring.writer
  if (key === null) throw new SealError('there is no key to encrypt with')
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key.bytes, nonce, { authTagLength: TAG_BYTES }).setAAD(bound(owner))
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { key: key.id, nonce: nonce.toString('base64'), text: sealed.toString('base64') }
}

/** Null: no key that is known opens it, or it is not what was written for this owner. */
export function unseal(ring: KeyRing, { key: id, nonce, text }: Sealed, owner: Owner): string | null {
  const key = ring.find(id)
  if (key === null) return null
  try {
    const sealed = Buffer.from(text, 'base64')
    const options = { authTagLength: TAG_BYTES }
    const decipher = createDecipheriv(ALGORITHM, key.bytes, Buffer.from(nonce, 'base64'), options).setAAD(bound(owner))
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    return decipher.update(sealed.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    // Node's words for a wrong tag say nothing that a person could use.
    return null
  }
}

function bound({ uid, revision, hash }: Owner): Buffer {
  return Buffer.from(JSON.stringify(['sluice store', uid, revision, hash]))
}
