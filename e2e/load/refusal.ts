/** What a client finds wrong with a certificate, and the alert that says so. Pure but for the clock handed in. */
import { X509Certificate } from 'node:crypto'

export interface Refusal {
  readonly code: 'CERT_UNTRUSTED' | 'CERT_EXPIRED' | 'CERT_WRONG_HOST'
  /** AlertDescription of RFC 8446, 6. */
  readonly alert: number
}

/** Null: the client accepts. `chain` is DER, leaf first; `ca` the one authority that is trusted, PEM. */
export function refusalOf(chain: readonly Buffer[], ca: string, host: string, now: Date): Refusal | null {
  const [leaf, ...others] = chain.map(der => new X509Certificate(der))
  const untrusted: Refusal = { code: 'CERT_UNTRUSTED', alert: 48 }
  if (leaf === undefined) return untrusted
  const root = new X509Certificate(ca)
  let at = leaf
  for (let depth = 0; !signed(root, at); depth++) {
    const above = others.find(candidate => signed(candidate, at))
    if (above === undefined || depth > others.length) return untrusted
    at = above
  }
  if (now < leaf.validFromDate || now > leaf.validToDate) return { code: 'CERT_EXPIRED', alert: 45 }
  if (leaf.checkHost(host) === undefined) return { code: 'CERT_WRONG_HOST', alert: 42 }
  return null
}

function signed(issuer: X509Certificate, subject: X509Certificate): boolean {
  return issuer.ca && subject.checkIssued(issuer) && subject.verify(issuer.publicKey)
}

/** A fatal alert in plain, as a TLS 1.2 client sends it before the keys are changed. */
export function alertRecord(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description])
}
