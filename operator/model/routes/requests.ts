/**
 * How long a request may take, how long it may be, and when it may go to another endpoint: annotations of ingress-nginx, as it behaves
 * (NGINX.md 56 to 64), but for what it passes over in silence, which is refused.
 */
import { RETRY_CAUSES } from '../../../protocol/objects.ts'
import type {
  BodySettings,
  RetryCause,
  RetrySettings,
  RouteSettings,
  TimeoutSettings,
} from '../../../protocol/objects.ts'
import { shown, type AnnotationReader } from '../annotation-reader.ts'

const CONNECT = 'proxy-connect-timeout'
const READ = 'proxy-read-timeout'
const SEND = 'proxy-send-timeout'
const MAX = 'proxy-body-size'
const BUFFER = 'client-body-buffer-size'
const REQUEST_BUFFERING = 'proxy-request-buffering'
const BUFFERING = 'proxy-buffering'
const NEXT = 'proxy-next-upstream'
const TRIES = 'proxy-next-upstream-tries'
const TRIES_TIME = 'proxy-next-upstream-timeout'

/** Without prefix. */
export const REQUEST_ANNOTATIONS: readonly string[] = [
  ...[CONNECT, READ, SEND, MAX, BUFFER, REQUEST_BUFFERING, BUFFERING, NEXT, TRIES, TRIES_TIME],
]

/** What timers take, in seconds: some 24 days. */
const MOST_SECONDS = 2_147_483
const ON_OFF = ['on', 'off'] as const

export function requestSettings(from: AnnotationReader): Pick<RouteSettings, 'timeouts' | 'body' | 'retry'> {
  // An answer is never kept, so that there is nothing to switch: it goes on as its client takes it.
  from.word(BUFFERING, ON_OFF)
  const timeouts = someOf<TimeoutSettings>({
    connect: milliseconds(from, CONNECT, 1),
    read: milliseconds(from, READ, 1),
    send: milliseconds(from, SEND, 1),
  })
  const body = someOf<BodySettings>({
    max: size(from, MAX),
    buffer: size(from, BUFFER),
    streamed: from.word(REQUEST_BUFFERING, ON_OFF) === 'off' ? true : null,
  })
  const retry = someOf<RetrySettings>({
    on: causes(from),
    tries: from.text(TRIES) === null ? null : from.integer(TRIES, 0, 1_000),
    time: milliseconds(from, TRIES_TIME, 0),
  })
  return {
    ...(timeouts === null ? {} : { timeouts }),
    ...(body === null ? {} : { body }),
    ...(retry === null ? {} : { retry }),
  }
}

/** Whole seconds, as ingress-nginx has them. */
function milliseconds(from: AnnotationReader, name: string, least: number): number | null {
  const seconds = from.text(name) === null ? null : from.integer(name, least, MOST_SECONDS)
  return seconds === null ? null : seconds * 1_000
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1_024, m: 1_024 ** 2, g: 1_024 ** 3 }

/** nginx's syntax of sizes: digits, and k, m or g in either case. Null: it is not there, or wrong, which is said. */
function size(from: AnnotationReader, name: string): number | null {
  const text = from.text(name)
  if (text === null) return null
  const [, digits = '', unit = ''] = /^([0-9]{1,12})([kmg]?)$/i.exec(text) ?? []
  const bytes = digits === '' ? Number.NaN : Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN)
  if (Number.isSafeInteger(bytes)) return bytes
  from.refuse(name, `${shown(text)} is not a size: digits, with k, m or g behind them or nothing`)
  return null
}

/** In the order of RETRY_CAUSES. */
function causes(from: AnnotationReader): readonly RetryCause[] | null {
  const text = from.text(NEXT)
  if (text === null) return null
  const words = text.split(/\s+/).filter(word => word !== '')
  const unknown = words.find(word => RETRY_CAUSES.every(cause => cause !== word))
  if (unknown !== undefined) from.refuse(NEXT, `${shown(unknown)} is none of ${RETRY_CAUSES.join(', ')}`)
  const known = RETRY_CAUSES.filter(cause => words.includes(cause))
  if (known.length > 0 || unknown !== undefined) return unknown === undefined ? known : null
  from.refuse(NEXT, 'names nothing; "off" is what means none')
  return null
}

/** Without what is not set; null: nothing is. */
function someOf<T>(all: { readonly [K in keyof Required<T>]: Required<T>[K] | null }): T | null {
  const set = Object.entries(all).filter(([, value]) => value !== null)
  return set.length === 0 ? null : (Object.fromEntries(set) as T)
}
