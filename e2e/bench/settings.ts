/** Settings of a run, from its environment. Pure. */

export const ROWS = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I'] as const
export type Row = (typeof ROWS)[number]

export interface Settings {
  /** Rounds of each measurement; what is printed is their median. */
  readonly rounds: number
  /** Seconds of load per proxy and round. */
  readonly duration: number
  /** Hosts of the large table. */
  readonly hosts: number
  /** Hosts with a certificate each. */
  readonly tlsHosts: number
  /** Idle TLS connections. */
  readonly idle: number
  readonly rows: readonly Row[]
  /** Put the tables into docs/benchmarks.md. */
  readonly write: boolean
}

export type Environment = Readonly<Record<string, string | undefined>>

/** @throws SettingError naming variable, value and what is allowed */
export function settingsFrom(env: Environment): Settings {
  return {
    rounds: integer(env, 'ROUNDS', 3, 1, 99),
    duration: integer(env, 'DURATION', 5, 1, 600),
    hosts: integer(env, 'HOSTS', 20_000, 100, 1_000_000),
    tlsHosts: integer(env, 'TLS_HOSTS', 5_000, 100, 200_000),
    idle: integer(env, 'IDLE', 2_000, 100, 20_000),
    rows: rows(env['ONLY']),
    write: env['WRITE'] === '1',
  }
}

/** What to type to measure this row again. */
export function commandOf(row: Row, { rounds, duration, hosts, tlsHosts, idle }: Settings): string {
  const used: Readonly<Record<Row, string>> = {
    A: `DURATION=${duration}`,
    B: `HOSTS=${hosts} TLS_HOSTS=${tlsHosts}`,
    C: `IDLE=${idle}`,
    D: `HOSTS=${hosts}`,
    E: `DURATION=${duration}`,
    F: `DURATION=${duration}`,
    G: '',
    H: `HOSTS=${hosts}`,
    I: `DURATION=${duration}`,
  }
  const settings = row === 'G' ? '' : `ROUNDS=${rounds} ${used[row]} `
  return `ONLY=${row} ${settings}make bench`
}

export class SettingError extends Error {
  override readonly name = 'SettingError'
}

/** @throws SettingError naming variable, value and what is allowed */
export function integer(env: Environment, name: string, fallback: number, min: number, max: number): number {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max) {
    throw new SettingError(`${name}=${text} is not allowed: set a whole number from ${min} to ${max}`)
  }
  return value
}

function rows(text: string | undefined): readonly Row[] {
  if (text === undefined || text === '') return ROWS
  return text.split(',').map(name => {
    const row = ROWS.find(r => r === name.trim())
    if (row === undefined) throw new SettingError(`ONLY=${text} is not allowed: set some of ${ROWS.join(',')}`)
    return row
  })
}
