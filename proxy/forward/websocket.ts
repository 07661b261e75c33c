/**
 * Where the frames of one direction of a WebSocket end (RFC 6455 5.2), and the frame that says goodbye. Payloads are not
 * looked at: a piece within one costs a subtraction.
 */
import { randomBytes } from 'node:crypto'

const FIN_AND_CLOSE = 0x88
const OPCODE = 0x0f
const CLOSE = 8
const MASKED = 0x80
/** RFC 6455 7.4.1: the server goes away. */
const GOING_AWAY = 1001

export class FrameReader {
  /** Bytes of the frame's head that came. */
  #head = 0
  /** Bytes that its head has, as far as is known. */
  #headLength = 2
  /** Bytes of payload that are still to come. Beyond 2 ** 53 not exact, which nobody will live to see. */
  #left = 0
  /** Bytes of its masking key. */
  #key = 0
  #closed = false

  /** The next byte begins a frame. */
  get between(): boolean {
    return this.#head === 0
  }

  /** A Close frame has begun: nothing may follow it. */
  get closed(): boolean {
    return this.#closed
  }

  /** The whole piece passes. */
  pass(bytes: Buffer): void {
    let at = 0
    while (at !== -1 && at < bytes.length) at = this.toEnd(bytes, at)
  }

  /** Reads on to the end of a frame. @returns the place behind it; -1: it does not end in this piece */
  toEnd(bytes: Buffer, from: number): number {
    let at = from
    while (this.#head < this.#headLength) {
      if (at === bytes.length) return -1
      this.#headByte(bytes[at++] ?? 0)
    }
    const taken = Math.min(this.#left, bytes.length - at)
    this.#left -= taken
    if (this.#left > 0) return -1
    this.#head = 0
    this.#headLength = 2
    return at + taken
  }

  #headByte(byte: number): void {
    const place = this.#head++
    if (place === 0) {
      if ((byte & OPCODE) === CLOSE) this.#closed = true
      this.#left = 0
    } else if (place === 1) {
      const length = byte & ~MASKED
      // As good as payload.
      this.#key = (byte & MASKED) === 0 ? 0 : 4
      if (length < 126) this.#left = length + this.#key
      else this.#headLength = length === 126 ? 4 : 10
    } else {
      this.#left = this.#left * 256 + byte
      if (this.#head === this.#headLength) this.#left += this.#key
    }
  }
}

/** To a client. */
export function goingAway(): Buffer {
  return Buffer.from([FIN_AND_CLOSE, 2, GOING_AWAY >> 8, GOING_AWAY & 0xff])
}

/** To a backend: what clients send is masked, with a key that nobody can guess (RFC 6455 5.3). */
export function goingAwayMasked(key: Buffer = randomBytes(4)): Buffer {
  const [a = 0, b = 0, c = 0, d = 0] = key
  return Buffer.from([FIN_AND_CLOSE, MASKED | 2, a, b, c, d, (GOING_AWAY >> 8) ^ a, (GOING_AWAY & 0xff) ^ b])
}
