/** Ids for requests that bring none: 128 random bits in hex, as ingress-nginx's `$req_id`. */
import { randomFillSync } from 'node:crypto'

const BYTES = 16
/** Ids that are drawn at once: a call of the generator costs more than the id. */
const DRAWN = 256

export class RequestIds {
  readonly #pool = Buffer.alloc(BYTES * DRAWN)
  #drawn = ''
  #used = 0

  next(): string {
    if (this.#used === this.#drawn.length) {
      this.#drawn = randomFillSync(this.#pool).toString('hex')
      this.#used = 0
    }
    const from = this.#used
    this.#used += 2 * BYTES
    return this.#drawn.slice(from, this.#used)
  }
}
