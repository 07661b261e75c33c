/** The certificate of one Secret, as the table keeps it. */
import type { Certificate, ObjectKey } from '../../protocol/objects.ts'

export const NO_CERTIFICATES: readonly Certificate[] = Object.freeze([])

/** A Secret that something names, or whose certificate came: both may happen first. */
export class SecretSlot {
  readonly key: ObjectKey
  certificate: Certificate | null = null
  /** What a name gets that has only this Secret: many may have a wildcard's. */
  ready = NO_CERTIFICATES
  /** How many TlsShares name it. */
  uses = 0

  constructor(key: ObjectKey) {
    this.key = key
  }

  set(certificate: Certificate | null): void {
    this.certificate = certificate
    this.ready = certificate === null ? NO_CERTIFICATES : [certificate]
  }
}
