/** Annotations of one Ingress by their short names, read strictly: what is wrong is said, and never taken for a default. */
import type { ObjectKey } from '../../protocol/objects.ts'
import { parseGoBoolean } from './stamp.ts'
import type { IngressContent, Problem } from './types.ts'

export class AnnotationReader {
  readonly problems: Problem[] = []
  readonly #key: ObjectKey
  readonly #names = new Map<string, string>()
  readonly #values = new Map<string, string>()

  constructor(key: ObjectKey, { annotations }: IngressContent) {
    this.#key = key
    for (const [name, value] of Object.entries(annotations)) {
      const short = name.slice(name.lastIndexOf('/') + 1)
      this.#names.set(short, name)
      this.#values.set(short, value)
    }
  }

  /** It is there, though it may be empty. */
  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** As it is written; empty where it is not there. */
  raw(name: string): string {
    return this.#values.get(name) ?? ''
  }

  /** Null: not there, or empty, which is the same at ingress-nginx. */
  text(name: string): string | null {
    const text = this.#values.get(name)
    return text === undefined || text === '' ? null : text
  }

  /** Null: it is not there, or not what it has to be, which is said. */
  integer(name: string, least: number, most: number): number | null {
    const text = this.#values.get(name)
    if (text === undefined) return null
    const value = /^[+-]?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    this.refuse(name, `${shown(text)} is not a whole number from ${least} to ${most}`)
    return null
  }

  /** One of the words. Null: as `integer`; an empty one is as if it were not there. */
  word<W extends string>(name: string, words: readonly W[]): W | null {
    const text = this.text(name)
    if (text === null) return null
    const found = words.find(word => word === text)
    if (found === undefined) this.refuse(name, `${shown(text)} is none of ${words.join(', ')}`)
    return found ?? null
  }

  /** The words of Go's ParseBool. Null: as `word`. */
  flag(name: string): boolean | null {
    const text = this.text(name)
    if (text === null) return null
    const value = parseGoBoolean(text)
    if (value === null) this.refuse(name, `${shown(text)} is neither true nor false`)
    return value
  }

  /** The content is not served: what was served stays. */
  refuse(name: string, message: string): void {
    this.say(name, 'InvalidAnnotation', message, 'reject')
  }

  /** Says it of an annotation that is there. */
  unused(name: string, message: string): void {
    if (this.#values.has(name)) this.say(name, 'AnnotationWithoutEffect', message, 'warn')
  }

  say(name: string, reason: string, message: string, effect: Problem['effect']): void {
    const whole = this.#names.get(name) ?? name
    this.problems.push({
      ...{ key: this.#key, field: `metadata.annotations[${whole}]`, reason, effect },
      message: `${whole}: ${message}`,
    })
  }
}

/** For messages. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
}
