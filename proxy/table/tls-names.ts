/** The certificates of one server name. All come from one Ingress, or a younger one could push its own before the older's. */
import type { Certificate, ObjectKey } from '../../protocol/objects.ts'
import type { Group } from './groups.ts'
import { byAge, listOf, type Owner, type Some } from './owner.ts'

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

/** What one Ingress says of one server name, in the order in which it says it. */
export interface TlsShare {
  readonly name: string
  readonly owner: Owner
  /** Empty: Fragment.defaultTls. */
  readonly secrets: Some<SecretSlot>
}

/** A name with several Ingresses or several Secrets. */
export class TlsName implements Group<TlsShare> {
  readonly #shares: TlsShare[] = []
  #ready = NO_CERTIFICATES
  /** The state of all certificates from which `ready` was chosen; -1: to be chosen anew. */
  #version = -1

  get size(): number {
    return this.#shares.length
  }

  get alone(): TlsShare | null {
    const [first] = this.#shares
    return this.#shares.length === 1 && first !== undefined && !Array.isArray(first.secrets) ? first : null
  }

  add(share: TlsShare): void {
    this.#shares.push(share)
    this.#shares.sort(byAge)
    this.#version = -1
  }

  remove(share: TlsShare): void {
    const at = this.#shares.indexOf(share)
    if (at !== -1) this.#shares.splice(at, 1)
    this.#version = -1
  }

  /**
   * Chosen once per change of any certificate, not per handshake: nobody needs to know which names a Secret has.
   * @param version changes with every certificate of the table
   */
  ready(version: number): readonly Certificate[] {
    if (this.#version === version) return this.#ready
    this.#version = version
    const chosen = this.#choose()
    const same = chosen.length === this.#ready.length && chosen.every((c, i) => c === this.#ready[i])
    if (!same) this.#ready = chosen
    return this.#ready
  }

  /** Of the oldest alone: a younger one must not take a name over whenever the older's certificate is away. */
  #choose(): readonly Certificate[] {
    const chosen: Certificate[] = []
    for (const { certificate } of listOf(this.#shares[0]?.secrets ?? [])) {
      if (certificate !== null && chosen.every(c => c.keyType !== certificate.keyType)) chosen.push(certificate)
    }
    return chosen
  }
}
