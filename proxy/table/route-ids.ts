/** Small numbers for routes, dense, so that they can be indices of arrays. */
export class RouteIds {
  readonly #free: number[] = []
  #gone: number[] = []
  #next = 0

  take(): number {
    return this.#free.pop() ?? this.#next++
  }

  /** Not given again before `reclaim`: something may still be counted under it, and be read later. */
  give(id: number): void {
    this.#gone.push(id)
  }

  reclaim(): void {
    for (const id of this.#gone) this.#free.push(id)
    this.#gone = []
  }
}
