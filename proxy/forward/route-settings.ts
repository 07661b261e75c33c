/** What an Ingress sets for its requests, over the settings of the worker: compiled once, so that nobody asks again whether it is set. */
import type { BalanceSettings, RetryCause, RouteSettings } from '../../protocol/objects.ts'
import type { Policy } from '../table/policy.ts'
import type { ForwardSettings } from './forward.ts'
import { Affinity } from './affinity.ts'
import { hashKey, type Spread } from './hash-key.ts'
import type { Balance } from '../upstream/contract.ts'

/** What an Ingress may have kept of a body at most, in bytes: the memory is everybody's. */
export const MOST_BUFFERED = 2 ** 20

/** How endpoints are chosen. */
export interface Balancing {
  readonly balance: Balance
  /** Null: nothing of a request matters. */
  readonly keyOf: ((request: Spread) => number) | null
}

export class RouteSettingsOf {
  readonly #defaults: ForwardSettings
  readonly #compiled = new WeakMap<RouteSettings, ForwardSettings>()

  constructor(defaults: ForwardSettings) {
    this.#defaults = defaults
  }

  of({ settings }: Policy): ForwardSettings {
    if (settings === null) return this.#defaults
    const known = this.#compiled.get(settings)
    if (known !== undefined) return known
    const compiled = Object.freeze(compile(settings, this.#defaults))
    this.#compiled.set(settings, compiled)
    return compiled
  }
}

function compile(
  { timeouts = {}, body = {}, retry = {}, balance, affinity }: RouteSettings,
  defaults: ForwardSettings,
): ForwardSettings {
  const { connect, read, send } = timeouts
  const { on } = retry
  const maxTries = retry.tries ?? defaults.maxTries
  const triesTime = retry.time ?? defaults.triesTime
  const isOff = on?.includes('off') === true
  const has = (cause: RetryCause): boolean => on === undefined || on.includes(cause)
  const statuses = (on ?? []).flatMap(cause => (cause.startsWith('http_') ? [Number(cause.slice(5))] : []))
  const onError = !isOff && has('error')
  const onTimeout = !isOff && has('timeout')
  return {
    ...defaults,
    headersTimeout: read ?? defaults.headersTimeout,
    bodyTimeout: read ?? defaults.bodyTimeout,
    sendTimeout: send ?? defaults.sendTimeout,
    tunnelTimeout: read ?? defaults.tunnelTimeout,
    maxBody: body.max === undefined ? defaults.maxBody : body.max === 0 ? Infinity : body.max,
    bufferedBody: body.buffer === undefined ? defaults.bufferedBody : Math.min(body.buffer, MOST_BUFFERED),
    streamed: body.streamed ?? defaults.streamed,
    maxTries: isOff ? 1 : maxTries === 0 ? Infinity : maxTries,
    triesTime,
    onError,
    onTimeout,
    onInvalid: !isOff && (on === undefined || on.includes('invalid_header')),
    onStatus: isOff || statuses.length === 0 ? null : new Set(statuses),
    unsafe: on?.includes('non_idempotent') ?? false,
    balancing: balance === undefined ? null : balancingOf(balance),
    affinity: affinity === undefined ? null : new Affinity(affinity),
    connecting:
      connect === undefined && Object.keys(retry).length === 0
        ? null
        : { timeout: connect ?? null, attemptTime: triesTime, onError, onTimeout },
  }
}

function balancingOf({ by, parts = [], subset = 1 }: BalanceSettings): Balancing {
  return Object.freeze({ balance: Object.freeze({ by, subset }), keyOf: by === 'hash' ? hashKey(parts) : null })
}
