/**
 * Keys of session tickets (RFC 5077, RFC 8446 4.6.1), computed from secrets that the whole fleet has: a session begun at
 * one pod resumes at every other. Pure.
 */
import { createHash, hkdfSync } from 'node:crypto'

/** A key issues tickets for so long, and opens them for as long again. Milliseconds. */
export const TICKET_PERIOD_MS = 3_600_000
/** What a ticket begins with: the name of its key. */
export const TICKET_NAME_BYTES = 16
/** Of the fleet's secret. */
export const TICKET_SECRET_BYTES = 32

const PERIODS_A_DAY = 24

/** Never log one. */
export interface TicketSecret {
  /** Days since 1970-01-01 UTC. */
  readonly day: number
  readonly secret: Uint8Array
}

/** Oldest first; at least one. */
export type TicketSecrets = readonly [TicketSecret, ...TicketSecret[]]

/** Of a pod that no operator has spoken to yet: good for every day. */
export function ownSecrets(secret: Uint8Array): TicketSecrets {
  return [{ day: 0, secret }]
}

/**
 * What the keys of this period are made from: the secret of its day. While the operator is away for days the last one that is
 * known goes on, which is the same at every pod.
 */
export function secretOf(secrets: TicketSecrets, period: number): Uint8Array {
  const day = Math.floor(period / PERIODS_A_DAY)
  let { secret } = secrets[0]
  for (const one of secrets) if (one.day <= day) ({ secret } = one)
  return secret
}

/**
 * Whose tickets they are: one set of certificates. A ticket opens nowhere else, so a session never outlives the
 * certificates that its client saw, and never leads to a host that has others.
 * @param names what the certificates are called, the same at every pod
 * @param chains PEM
 */
export function ticketIdentity(names: string, chains: readonly string[]): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([names, ...chains]))
    .digest()
}

/**
 * The number of the period at this time. It changes at a moment of the hour that each identity has for itself: the full
 * handshakes that follow do not all come at once.
 * @param now milliseconds since the epoch
 */
export function ticketPeriod(identity: Buffer, now: number): number {
  return Math.floor((now + (identity.readUInt32BE(0) % TICKET_PERIOD_MS)) / TICKET_PERIOD_MS)
}

/** As Node wants them: 16 bytes of name, 16 of HMAC key, 16 of AES key. @throws never for secrets of any length */
export function ticketKeys(secret: Uint8Array, identity: Buffer, period: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, identity, `sluice session tickets ${period}`, 48))
}

/** The name of a key, as ClientHello.ticketName has it. */
export function ticketName(keys: Buffer): string {
  return keys.toString('latin1', 0, TICKET_NAME_BYTES)
}
