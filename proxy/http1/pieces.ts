/**
 * What one read of a body brought, joined: each piece costs whoever takes it a write and more, and a sender of chunks of a
 * byte each would make the pieces of a few kilobytes dearer than everything else that a worker does.
 */
export class Pieces {
  #first: Buffer | null = null
  #all: Buffer[] | null = null

  readonly add = (piece: Buffer): void => {
    if (this.#first === null) this.#first = piece
    else (this.#all ??= [this.#first]).push(piece)
  }

  /** Null: nothing came since the last time. */
  take(): Buffer | null {
    const taken = this.#all === null ? this.#first : Buffer.concat(this.#all)
    this.#first = null
    this.#all = null
    return taken
  }
}

const FIRST_SIZE = 1_024

/** A body that is kept while it comes, in one buffer that grows: pieces of a byte each would cost a hundred times their size. */
export class Gathered {
  #bytes: Buffer | null = null
  #length = 0

  get length(): number {
    return this.#length
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length
    // Nearly always the only one.
    if (this.#bytes === null) this.#bytes = piece
    else {
      if (length > this.#bytes.length || this.#length === this.#bytes.length) this.#grow(length)
      piece.copy(this.#bytes, this.#length)
    }
    this.#length = length
  }

  /** A view. */
  get bytes(): Buffer | null {
    return this.#bytes === null ? null : this.#bytes.subarray(0, this.#length)
  }

  /** A first piece is somebody else's memory, and never written to. */
  #grow(length: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_SIZE, length, 2 * this.#length))
    this.#bytes?.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }
}
