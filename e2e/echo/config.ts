/** Settings of the echo backend, from its environment. */

export interface EchoConfig {
  readonly version: string
  readonly pod: string
  /** Status of every answer but /healthz and /status/NNN. */
  readonly status: number
  /** Milliseconds before every answer but /healthz. */
  readonly delayMs: number
  /** Of a thousand answers, so many are a 500 instead; each by its own throw of dice. */
  readonly errorsPerMille: number
  /** In every tenth second of the clock, all answers of all pods wait until so many milliseconds of it are over. */
  readonly burstMs: number
  /** Bytes of one more header in every answer. */
  readonly headerBytes: number
  /** `head`: closes the connection instead of an answer; `body`: in the middle of the body. */
  readonly breaksOff: 'no' | 'head' | 'body'
  readonly port: number
  /** Milliseconds after SIGTERM during which new requests are still taken: the proxies hear of the end a little later. */
  readonly drainMs: number
}

export class EchoConfigError extends Error {
  override readonly name = 'EchoConfigError'
  readonly code = 'ECHO_CONFIG'
}

/** @throws EchoConfigError that names the variable, its value and what is allowed */
export function echoConfig(env: Readonly<Record<string, string | undefined>>): EchoConfig {
  const integer = (name: string, fallback: number, min: number, max: number): number => {
    const text = env[name]
    if (text === undefined || text === '') return fallback
    const value = Number(text)
    if (!/^[0-9]+$/.test(text) || value < min || value > max) {
      throw new EchoConfigError(`${name}=${JSON.stringify(text)}: set a whole number from ${min} to ${max}`)
    }
    return value
  }
  const oneOf = <T extends string>(name: string, words: readonly [T, ...(readonly T[])]): T => {
    const text = env[name] ?? ''
    const word = text === '' ? words[0] : words.find(one => one === text)
    if (word === undefined) throw new EchoConfigError(`${name}=${JSON.stringify(text)}: set one of ${words.join(', ')}`)
    return word
  }
  return {
    version: env['ECHO_VERSION'] ?? 'v1',
    pod: env['POD_NAME'] ?? env['HOSTNAME'] ?? 'echo',
    status: integer('ECHO_STATUS', 200, 200, 599),
    delayMs: integer('ECHO_DELAY_MS', 0, 0, 600_000),
    errorsPerMille: integer('ECHO_ERRORS_PER_MILLE', 0, 0, 1_000),
    burstMs: integer('ECHO_BURST_MS', 0, 0, 900),
    headerBytes: integer('ECHO_HEADER_BYTES', 0, 0, 1_000_000),
    breaksOff: oneOf('ECHO_BREAKS_OFF', ['no', 'head', 'body']),
    port: integer('ECHO_PORT', 8080, 0, 65_535),
    drainMs: integer('ECHO_DRAIN_MS', 3_000, 0, 600_000),
  }
}
