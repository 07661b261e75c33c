/** What a whole fleet asks for at once, and costs a look at everything that is on its way. */

/** Computed when it is asked for, and then the same for the rest of this turn of the event loop, or until renew(). */
export class OnceATurn<T> {
  readonly #compute: () => T
  #known: { readonly value: T } | null = null

  constructor(compute: () => T) {
    this.#compute = compute
  }

  get value(): T {
    if (this.#known === null) {
      this.#known = { value: this.#compute() }
      setImmediate(() => this.renew())
    }
    return this.#known.value
  }

  /** What it is made of may be another by now. */
  renew(): void {
    this.#known = null
  }
}
