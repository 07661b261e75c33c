/** The Date header (RFC 9110 6.6.1), written once a second. */
export class HttpDate {
  #second = 0
  #text = ''

  /** @param now milliseconds since the epoch */
  text(now: number = Date.now()): string {
    const second = Math.floor(now / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = new Date(now).toUTCString()
    }
    return this.#text
  }
}
