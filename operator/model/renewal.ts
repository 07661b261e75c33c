/** A certificate and the one that is to follow it: what is lost by waiting, and what by going (docs/adr/0029-renewals.md). */
import { certificateCovers, leafOf } from './certificate.ts'
import type { SecretContent } from './types.ts'

export interface Renewal {
  /** Why what is served is of no use to any client, in words: nothing can be lost. Null: it may be of use. */
  readonly useless: string | null
  /**
   * `valid`: what a client accepts of the old one speaks for the new one, too: it needs no handshakes for evidence.
   * `urgent`: the old one ends soon: whatever waits, it may not wait for that. Null: a change like any other.
   */
  readonly standing: 'valid' | 'urgent' | null
  /**
   * `valid`, and by the same authority: nothing is new to a client that knows it. Also of one that is urgent: that it may not wait is
   * no reason to wait longer.
   */
  readonly isPlain: boolean
  /** For people: of what is served. */
  readonly why: string
}

const DAY_MS = 86_400_000
/**
 * cert-manager renews when a third of the life is left: half of that is for gates and people, the other half is kept for what
 * comes after (docs/adr/0029-renewals.md).
 */
const URGENT_MS = 7 * DAY_MS
const URGENT_SHARE = 1 / 6

/**
 * @param served what pods fall back to
 * @param next what is to take its place; it can be served: key, chain, dates and hosts were found to be good
 * @param hosts that Ingresses serve with it
 * @param now milliseconds since the epoch
 */
export function renewalOf(
  served: SecretContent,
  next: SecretContent,
  hosts: readonly string[],
  now: number,
): Renewal | null {
  const [old, fresh] = [leafOf(served), leafOf(next)]
  // A placeholder, or one that nobody vouches for, in the place of one that somebody does: no renewal, whatever it names.
  if (old === null || fresh === null || fresh.isTemporary || (fresh.isSelfSigned && !old.isSelfSigned)) return null
  const expired = now > old.to
  const ends = `the certificate that is served ${expired ? 'expired' : 'expires'} on ${new Date(old.to).toISOString()}`
  const useless = expired
    ? ends
    : old.isTemporary
      ? 'the certificate that is served is a temporary one of cert-manager, which no client accepts'
      : hosts.length > 0 && hosts.every(host => !certificateCovers(served.chain, host))
        ? 'the certificate that is served names none of its hosts'
        : null
  const isLater = fresh.to > old.to
  const isUrgent = isLater && now >= old.to - Math.min(URGENT_MS, (old.to - old.from) * URGENT_SHARE)
  const isValid = isLater && isAlike(old, fresh, next)
  const isPlain = isValid && old.anchor !== null && old.anchor === fresh.anchor
  return { useless, standing: isUrgent ? 'urgent' : isValid ? 'valid' : null, isPlain, why: ends }
}

type Leaf = NonNullable<ReturnType<typeof leafOf>>

/** Whoever accepts the old one has what it takes for the new one: its names, its kind of key, the certificates in between. */
function isAlike(old: Leaf, fresh: Leaf, next: SecretContent): boolean {
  const namesAll = old.names.every(name => certificateCovers(next.chain, name))
  return namesAll && old.keyType === fresh.keyType && (old.isAlone || !fresh.isAlone)
}
