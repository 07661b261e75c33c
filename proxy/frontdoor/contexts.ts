/** SecureContexts, made when first needed and kept while they are used: parsing a key costs more than a lookup. */
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Certificate, ObjectKey } from '../../protocol/objects.ts'
import {
  TICKET_PERIOD_MS,
  secretOf,
  ticketIdentity,
  ticketKeys,
  ticketName,
  ticketPeriod,
  type TicketSecrets,
} from './ticket-keys.ts'

/** PEM. Never log one. */
export interface KeyPair {
  readonly chain: string
  readonly privateKey: string
}

export interface ContextsParts {
  /** For names without a certificate. */
  readonly fallback: KeyPair
  /** The fleet's; until the operator said them, one that the workers of this pod share. */
  readonly ticketSecrets: TicketSecrets
  /** What may be kept, in bytes; one is kept whatever its size. */
  readonly memory: number
  readonly events: ContextEvents
  /** Milliseconds since the epoch; default Date.now. */
  readonly now?: () => number
}

export interface ContextEvents {
  made(): void
  /** To make room. */
  evicted(): void
  /** OpenSSL took none of it; once, not for each handshake. @param message names Secrets and OpenSSL's reason, no content */
  refused(message: string): void
}

/**
 * ECDSA before RSA, so that a TLS 1.2 client that can do both gets the small one (ANCHORS 10). Of TLS 1.3 the suite first that all
 * clients have (RFC 8446 9.1): SHA-384 was 4 % of a handshake's processor time, and nobody is safer for it.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** Measured over RSA and ECDSA, chains of one to six: 30 KiB for a lone certificate, 5 more for each above it. Bytes. */
const CONTEXT_BYTES = 24_576
const CERTIFICATE_BYTES = 6_144
/** What is kept of certificates that OpenSSL refused. */
const REFUSAL_BYTES = 1_024

/** OpenSSL does not take these certificates, and will not the next time either. */
export class RefusedCertificateError extends Error {
  override readonly name = 'RefusedCertificateError'
  readonly code = 'SLUICE_CERTIFICATE_REFUSED'
}

/** A context has one ticket key, so there is one context for each key that is in use. */
interface Ready {
  readonly period: number
  readonly context: SecureContext
}

/** One set of certificates. */
class Kept {
  readonly pairs: readonly KeyPair[]
  readonly identity: Buffer
  /** Issues tickets. */
  current: Ready | null = null
  /** Opens those of the period before, for clients that bring one. */
  previous: Ready | null = null
  previousName = ''
  refusal: RefusedCertificateError | null = null
  /** As counted. */
  bytes = 0
  readonly #contextBytes: number

  constructor(id: string, pairs: readonly KeyPair[]) {
    this.pairs = pairs
    this.#contextBytes = contextBytes(pairs)
    this.identity = ticketIdentity(
      id,
      pairs.map(({ chain }) => chain),
    )
  }

  get size(): number {
    if (this.refusal !== null) return REFUSAL_BYTES
    return this.#contextBytes * (Number(this.current !== null) + Number(this.previous !== null))
  }
}

export class Contexts {
  readonly #memory: number
  readonly #events: ContextEvents
  readonly #now: () => number
  #ticketSecrets: TicketSecrets
  /** In order of use, oldest first. */
  readonly #cache = new Map<string, Kept>()
  readonly #idsOf = new Map<ObjectKey, Set<string>>()
  readonly #fallback: Kept
  #bytes = 0

  constructor({ fallback, ticketSecrets, memory, events, now = (): number => Date.now() }: ContextsParts) {
    this.#memory = memory
    this.#events = events
    this.#now = now
    this.#ticketSecrets = ticketSecrets
    this.#fallback = new Kept('default', [fallback])
  }

  get size(): number {
    return this.#cache.size
  }

  /** Roughly what is kept, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * The context for these certificates (one or one per key type); the default one for none.
   * @param ticket name of the key of the ticket that the client brings; null: it brings none
   * @throws RefusedCertificateError
   */
  get(certificates: readonly Certificate[], ticket: string | null = null): SecureContext {
    if (certificates.length === 0) return this.#at(this.#fallback, ticket)
    const id = certificates.map(c => `${c.key}@${c.revision}`).join(' ')
    const found = this.#cache.get(id)
    this.#cache.delete(id)
    const kept = found ?? new Kept(id, certificates)
    this.#cache.set(id, kept)
    if (!found) for (const { key } of certificates) this.#idsOf.set(key, (this.#idsOf.get(key) ?? new Set()).add(id))
    try {
      if (kept.refusal !== null) throw kept.refusal
      return this.#at(kept, ticket)
    } catch (error) {
      if (kept.refusal === null) {
        kept.refusal = new RefusedCertificateError(
          `OpenSSL refuses ${id.replaceAll(' ', ' with ')}: ${reasonOf(error)}`,
        )
        kept.current = kept.previous = null
        this.#events.refused(kept.refusal.message)
      }
      throw kept.refusal
    } finally {
      this.#count(kept)
    }
  }

  /**
   * Tickets of secrets that are gone open no more: their clients begin anew. What has the same keys as before stays, so that
   * nothing happens when only a day to come is added.
   */
  setTicketSecrets(secrets: TicketSecrets): void {
    const before = this.#ticketSecrets
    this.#ticketSecrets = secrets
    const isSame = (period: number): boolean => Buffer.from(secretOf(before, period)).equals(secretOf(secrets, period))
    for (const kept of [this.#fallback, ...this.#cache.values()]) {
      if (kept.current === null || (isSame(kept.current.period) && isSame(kept.current.period - 1))) continue
      kept.current = kept.previous = null
      if (kept === this.#fallback) continue
      this.#bytes += kept.size - kept.bytes
      kept.bytes = kept.size
    }
  }

  /** Forgets what was made from these certificates: they changed or went. Open connections keep their own. */
  forget(keys: readonly ObjectKey[]): void {
    for (const key of keys) for (const id of this.#idsOf.get(key) ?? []) this.#drop(id)
  }

  #at(kept: Kept, ticket: string | null): SecureContext {
    const period = ticketPeriod(kept.identity, this.#now())
    if (kept.current?.period !== period) {
      kept.previous = kept.current?.period === period - 1 ? kept.current : null
      kept.previousName = ticketName(ticketKeys(secretOf(this.#ticketSecrets, period - 1), kept.identity, period - 1))
      kept.current = this.#make(kept, period)
    }
    // What it issues has the old key, too. So nobody resumes for more than two periods without a full handshake.
    if (ticket !== null && ticket === kept.previousName) {
      kept.previous ??= this.#make(kept, period - 1)
      return kept.previous.context
    }
    return kept.current.context
  }

  #make({ pairs, identity }: Kept, period: number): Ready {
    const context = createSecureContext({
      cert: pairs.map(pair => pair.chain),
      key: pairs.map(pair => pair.privateKey),
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      honorCipherOrder: true,
      // Node allows a client of TLS 1.2 to begin anew on its connection; nothing here expects a second handshake.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ecdhCurve: 'auto',
      ticketKeys: ticketKeys(secretOf(this.#ticketSecrets, period), identity, period),
      // No longer than the key is sure to be known.
      sessionTimeout: TICKET_PERIOD_MS / 1_000,
    })
    this.#events.made()
    return { period, context }
  }

  #count(kept: Kept): void {
    this.#bytes += kept.size - kept.bytes
    kept.bytes = kept.size
    for (const [id, oldest] of this.#cache) {
      if (this.#bytes <= this.#memory || oldest === kept) return
      this.#drop(id)
      this.#events.evicted()
    }
  }

  #drop(id: string): void {
    this.#bytes -= this.#cache.get(id)?.bytes ?? 0
    this.#cache.delete(id)
    for (const part of id.split(' ')) {
      const key = part.slice(0, part.lastIndexOf('@'))
      const ids = this.#idsOf.get(key)
      if (ids?.delete(id) && ids.size === 0) this.#idsOf.delete(key)
    }
  }
}

function contextBytes(pairs: readonly KeyPair[]): number {
  return pairs.reduce((bytes, { chain, privateKey }, i) => {
    const certificates = chain.split('-----BEGIN CERTIFICATE-----').length - 1
    return bytes + certificates * CERTIFICATE_BYTES + chain.length + privateKey.length + (i === 0 ? CONTEXT_BYTES : 0)
  }, 0)
}

/** OpenSSL's own word, which quotes nothing. */
function reasonOf(error: unknown): string {
  const { reason, code } = error as { readonly reason?: unknown; readonly code?: unknown }
  return typeof reason === 'string' ? reason : typeof code === 'string' ? code : 'it gives no reason'
}
