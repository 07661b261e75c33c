/** Settings of a proxy's side of the stream and of its disk copy, from its environment. */
import { DataPlaneError } from '../errors.ts'
import { parseAddress } from './address.ts'
import type { Address } from './address.ts'

export interface StreamConfig {
  /** Name of this pod: a report is taken with the token of the same pod only. */
  readonly pod: string
  /** The operator's Service. Its host is the name that certificates of every replica carry. */
  readonly operator: Address
  /** Read anew for every request: the kubelet rotates it. */
  readonly tokenFile: string
  /** Read anew for every connection. */
  readonly caFile: string
  /** Folder of the last good table; null: none is kept. */
  readonly stateDir: string | null
  readonly logLevel: LogLevel
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

type Environment = Readonly<Record<string, string | undefined>>

/** @throws DataPlaneError SLUICE_CONFIG naming variable, value and what is allowed */
export function streamConfig(env: Environment): StreamConfig {
  return {
    pod: podName(env),
    operator: operatorAddress(env),
    tokenFile: path(env, 'TOKEN_FILE', '/var/run/secrets/sluice/token'),
    caFile: path(env, 'CA_FILE', '/etc/sluice/stream-ca/ca.crt'),
    // Set but empty means off, unlike everywhere else: there is no better word for "no folder".
    stateDir: env['STATE_DIR'] === '' ? null : path(env, 'STATE_DIR', '/var/lib/sluice'),
    logLevel: logLevel(env),
  }
}

function refuse(name: string, value: string | undefined, allowed: string): DataPlaneError {
  const what = value === undefined ? `${name} is missing` : `${name}=${JSON.stringify(value)} is not allowed`
  return new DataPlaneError('SLUICE_CONFIG', `${what}: set ${allowed}`)
}

function podName(env: Environment): string {
  const text = env['POD_NAME']
  if (text === undefined || !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)) {
    throw refuse('POD_NAME', text, 'the name of the pod, such as sluice-proxy-0')
  }
  return text
}

function operatorAddress(env: Environment): Address {
  const text = env['SLUICE_OPERATOR']
  const address = text === undefined ? null : parseAddress(text)
  if (address === null) {
    throw refuse('SLUICE_OPERATOR', text, 'host:port of the operator, such as sluice-operator.sluice-system.svc:8443')
  }
  return address
}

function path(env: Environment, name: string, fallback: string): string {
  const text = env[name]
  if (text === undefined || text === '') return fallback
  if (!text.startsWith('/')) throw refuse(name, text, `an absolute path, or nothing for ${fallback}`)
  return text
}

function logLevel(env: Environment): LogLevel {
  const text = env['LOG_LEVEL']
  if (text === undefined || text === '') return 'info'
  const level = LOG_LEVELS.find(l => l === text)
  if (level === undefined) throw refuse('LOG_LEVEL', text, `${LOG_LEVELS.join(', ')}, or nothing for info`)
  return level
}
