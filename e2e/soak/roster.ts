/** Names of which any one is picked at once. */
export class Roster {
  readonly #names: string[] = []
  readonly #places = new Map<string, number>()
  readonly #most: number

  /** @param most of them; one more takes the place of the oldest */
  constructor(most = Infinity) {
    this.#most = most
  }

  get size(): number {
    return this.#names.length
  }

  set(name: string, isIn: boolean): void {
    if (isIn) this.#add(name)
    else this.#remove(name)
  }

  /** Null: there is none. @param random from 0 to below 1 */
  pick(random: () => number): string | null {
    return this.#names[Math.floor(random() * this.#names.length)] ?? null
  }

  #add(name: string): void {
    if (this.#places.has(name)) return
    const [oldest] = this.#places.keys()
    if (this.#names.length >= this.#most && oldest !== undefined) this.#remove(oldest)
    this.#places.set(name, this.#names.length)
    this.#names.push(name)
  }

  /** The last one takes its place. */
  #remove(name: string): void {
    const place = this.#places.get(name)
    const last = this.#names.at(-1)
    if (place === undefined || last === undefined) return
    this.#names[place] = last
    this.#names.pop()
    if (last !== name) this.#places.set(last, place)
    this.#places.delete(name)
  }
}
