/** The certificates of one server name. All come from one Ingress, or a younger one could push its own before the older's. */
import type { Certificate } from '../../protocol/objects.ts'
import type { Group } from './groups.ts'
import { byAge, listOf, type TlsShare } from './owner.ts'
import { NO_CERTIFICATES } from './secret-slot.ts'

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
