/** Ends what it was given, the last one first; also when the bench is interrupted. */
export class Ends {
  readonly #ends: (() => unknown)[] = []

  add(end: () => unknown): void {
    this.#ends.push(end)
  }

  /** One failure does not keep the others from being ended. @throws the first one */
  async all(): Promise<void> {
    let failure: unknown = null
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end()
      } catch (error) {
        failure ??= error
      }
    }
    if (failure !== null) throw failure as Error
  }

  /** @returns what `work` returns, once what it started is ended */
  async during<T>(work: (ends: Ends) => Promise<T>): Promise<T> {
    const inner = new Ends()
    const end = (): Promise<void> => inner.all()
    this.add(end)
    try {
      return await work(inner)
    } finally {
      await end()
    }
  }
}
