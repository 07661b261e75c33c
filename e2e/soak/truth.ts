/**
 * Which answers are right. While a change is on its way the old and the new are; a request's answer is right if it was at
 * any moment from its sending on. Times come from the caller. Pure.
 */

export interface Route {
  /** Of the path /. */
  readonly service: string
  readonly extra: { readonly path: string; readonly service: string } | null
}

export type Fact =
  /** Null: nothing serves the host, and its requests are answered 404. */
  | { readonly kind: 'route'; readonly host: string; readonly route: Route | null }
  | { readonly kind: 'endpoint'; readonly service: string; readonly address: string }
  /** SHA-256 of the certificate, as Node writes it; null: the host has none. */
  | { readonly kind: 'certificate'; readonly host: string; readonly fingerprint: string | null }

export interface Question {
  readonly host: string
  readonly target: string
  /** Method and digest of what was sent. */
  readonly sent: string
}

/** Bytes of an answer of the backend. */
export const BODY_BYTES = 1_024

/** What the backend at this address answers. */
export function answerOf(address: string, { host, target, sent }: Question): string {
  return `${address}\n${host}\n${target}\n${sent}\n`.padEnd(BODY_BYTES, '.')
}

interface Held<T> {
  readonly value: T
  /** It is right until then; null: it still is. */
  until: number | null
}

/** What was right of each subject, and until when. */
class Timeline<T> {
  readonly #held = new Map<string, Held<T>[]>()
  /** What is right of a subject of which nothing was said. */
  readonly #otherwise: readonly T[]
  readonly #same: (a: T, b: T) => boolean

  constructor(otherwise: readonly T[], same: (a: T, b: T) => boolean) {
    this.#otherwise = otherwise
    this.#same = same
  }

  get subjects(): number {
    return this.#held.size
  }

  allow(subject: string, value: T): void {
    const held = this.#held.get(subject) ?? this.#otherwise.map(one => ({ value: one, until: null }))
    const known = held.find(one => this.#same(one.value, value))
    if (known === undefined) held.push({ value, until: null })
    else known.until = null
    this.#held.set(subject, held)
  }

  forbid(subject: string, value: T, at: number): void {
    const held = this.#held.get(subject)?.find(one => this.#same(one.value, value))
    if (held !== undefined) held.until = at
  }

  since(subject: string, at: number): readonly T[] {
    const held = this.#held.get(subject)
    if (held === undefined) return this.#otherwise
    // Mostly there is one, and this is asked for every answer.
    return held.flatMap(({ value, until }) => (until === null || until >= at ? [value] : []))
  }

  now(subject: string): readonly T[] {
    return this.since(subject, Infinity)
  }

  /** What has not been right since then is not asked for any more. */
  forget(subject: string, before: number): void {
    const left = (this.#held.get(subject) ?? []).filter(({ until }) => until === null || until >= before)
    const isOtherwise =
      left.length === this.#otherwise.length &&
      left.every(({ value, until }, i) => until === null && this.#same(value, this.#otherwise[i] as T))
    if (isOtherwise) this.#held.delete(subject)
    else this.#held.set(subject, left)
  }
}

const sameText = (a: string | null, b: string | null): boolean => a === b

export class Truth {
  readonly #routes = new Timeline<Route | null>([null], (a, b) => JSON.stringify(a) === JSON.stringify(b))
  readonly #endpoints = new Timeline<string>([], sameText)
  readonly #certificates = new Timeline<string | null>([null], sameText)
  /** What was forbidden, the oldest first. */
  #forbidden: { readonly fact: Fact; readonly at: number }[] = []

  /** Of how many hosts and Services something is held. */
  get size(): number {
    return this.#routes.subjects + this.#endpoints.subjects + this.#certificates.subjects
  }

  allow(fact: Fact): void {
    if (fact.kind === 'route') this.#routes.allow(fact.host, fact.route)
    else if (fact.kind === 'endpoint') this.#endpoints.allow(fact.service, fact.address)
    else this.#certificates.allow(fact.host, fact.fingerprint)
  }

  /** @param at on the clock of all times here, in milliseconds */
  forbid(fact: Fact, at: number): void {
    if (fact.kind === 'route') this.#routes.forbid(fact.host, fact.route, at)
    else if (fact.kind === 'endpoint') this.#endpoints.forbid(fact.service, fact.address, at)
    else this.#certificates.forbid(fact.host, fact.fingerprint, at)
    this.#forbidden.push({ fact, at })
  }

  /** Requests that were sent before are all answered. */
  forget(before: number): void {
    const old = this.#forbidden.filter(({ at }) => at < before)
    if (old.length === 0) return
    this.#forbidden = this.#forbidden.slice(old.length)
    for (const { fact } of old) {
      if (fact.kind === 'route') this.#routes.forget(fact.host, before)
      else if (fact.kind === 'endpoint') this.#endpoints.forget(fact.service, before)
      else this.#certificates.forget(fact.host, before)
    }
  }

  /** The newest one that is right now. */
  routeOf(host: string): Route | null {
    return this.#routes.now(host).at(-1) ?? null
  }

  certificateOf(host: string): string | null {
    return this.#certificates.now(host).at(-1) ?? null
  }

  certificatesSince(host: string, at: number): readonly (string | null)[] {
    return this.#certificates.since(host, at)
  }

  /** Null: the answer is right. Else what is wrong with it. @param sentAt when the request was sent */
  faultOf(
    question: Question,
    { status, body }: { readonly status: number; readonly body: string },
    sentAt: number,
  ): string | null {
    const { host, target } = question
    const routes = this.#routes.since(host, sentAt)
    if (status === 404 && routes.includes(null)) return null
    if (status !== 200) return `status ${status}: ${body.slice(0, 100).trim()}`
    const address = body.slice(0, body.indexOf('\n'))
    if (body !== answerOf(address, question))
      return `a body that is not of ${host}${target}: ${body.slice(0, 100).trim()}`
    const services = routes.flatMap(route => (route === null ? [] : serviceOf(route, target)))
    const isRight = services.some(service => this.#endpoints.since(service, sentAt).includes(address))
    return isRight ? null : `answered by ${address}, which is none of ${services.join(', ') || 'a host that is gone'}`
  }
}

function serviceOf({ service, extra }: Route, target: string): string {
  return extra !== null && target.startsWith(`${extra.path}/`) ? extra.service : service
}
