/** SecureContexts, made when first needed and kept while they are used: parsing a key costs more than a lookup. */
import { createHmac } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Certificate, ObjectKey } from '../../protocol/objects.ts'
import type { TableUpdate } from '../table/update.ts'

/** PEM. Never log one. */
export interface KeyPair {
  readonly chain: string
  readonly privateKey: string
}

/** ECDSA before RSA, so that a TLS 1.2 client that can do both gets the small one (ANCHORS 10). TLS 1.3 suites are OpenSSL's own. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

export class Contexts {
  readonly #limit: number
  readonly #ticketSecret: Buffer
  /** In order of use, oldest first. */
  readonly #cache = new Map<string, SecureContext>()
  readonly #idsOf = new Map<ObjectKey, Set<string>>()
  readonly #fallback: SecureContext

  /**
   * @param ticketSecret shared by the workers of a pod: a session begun at one resumes at another. Keys are derived
   *   per certificate, so a session never outlives the certificate that the client saw
   */
  constructor(fallback: KeyPair, ticketSecret: Buffer, limit: number) {
    this.#limit = limit
    this.#ticketSecret = ticketSecret
    this.#fallback = this.#create([fallback], 'default')
  }

  get size(): number {
    return this.#cache.size
  }

  /** The context for these certificates (one or one per key type); the default one for none. */
  get(certificates: readonly Certificate[]): SecureContext {
    if (certificates.length === 0) return this.#fallback
    const id = certificates.map(c => `${c.key}@${c.revision}`).join(' ')
    const found = this.#cache.get(id)
    this.#cache.delete(id)
    const context = found ?? this.#create(certificates, id)
    this.#cache.set(id, context)
    if (!found) {
      for (const { key } of certificates) this.#idsOf.set(key, (this.#idsOf.get(key) ?? new Set()).add(id))
      if (this.#cache.size > this.#limit) this.#drop(this.#cache.keys().next().value ?? '')
    }
    return context
  }

  /** Forgets what was made from certificates that changed. Open connections keep their own. */
  apply(update: TableUpdate): void {
    if (update.reset) {
      this.#cache.clear()
      this.#idsOf.clear()
      return
    }
    for (const key of [...update.certificates.remove, ...update.certificates.upsert.map(c => c.key)]) {
      for (const id of this.#idsOf.get(key) ?? []) this.#drop(id)
    }
  }

  #drop(id: string): void {
    this.#cache.delete(id)
    for (const part of id.split(' ')) {
      const key = part.slice(0, part.lastIndexOf('@'))
      const ids = this.#idsOf.get(key)
      if (ids?.delete(id) && ids.size === 0) this.#idsOf.delete(key)
    }
  }

  #create(pairs: readonly KeyPair[], id: string): SecureContext {
    return createSecureContext({
      cert: pairs.map(pair => pair.chain),
      key: pairs.map(pair => pair.privateKey),
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      honorCipherOrder: true,
      ecdhCurve: 'auto',
      ticketKeys: Buffer.concat(
        ['name and hmac', 'cipher'].map(use =>
          createHmac('sha256', this.#ticketSecret)
            .update(`${use} ${id} ${pairs[0]?.chain ?? ''}`)
            .digest(),
        ),
      ).subarray(0, 48),
    })
  }
}
