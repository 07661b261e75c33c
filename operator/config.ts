/** The operator's settings, read once from the environment and checked as a whole. */
import { objectKey } from '../protocol/ids.ts'
import type { ObjectKey } from '../protocol/objects.ts'
import { parseAddresses } from './status/addresses.ts'
import type { Address } from './status/addresses.ts'

export interface Config {
  readonly podName: string
  readonly namespace: string
  /** The address at which proxies reach this replica. */
  readonly podAddress: string
  /** Name of the StatefulSet whose pods are the fleet. */
  readonly fleet: string
  readonly proxyServiceAccount: string
  /** metadata.name of our Service: the name in the serving certificate. */
  readonly serviceName: string
  readonly streamPort: number
  readonly adminPort: number
  /** `operator`: the leader publishes the checksums; `external`: an outside control plane does. */
  readonly checksumMode: 'operator' | 'external'
  readonly checksumIds: 'content' | 'upstream'
  readonly annotationPrefix: string
  /** The Secret for names without a certificate of their own, as `--default-ssl-certificate`; null: none. */
  readonly defaultCertificate: ObjectKey | null
  /** What Ingresses show as their address; empty: what the Service in front of the fleet has. */
  readonly publishAddresses: readonly Address[]
  readonly logLevel: string
}

export class ConfigError extends Error {
  readonly code = 'SLUICE_CONFIG'
  override readonly name = 'ConfigError'
}

/** Throws one ConfigError that names every variable that is wrong. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const errors: string[] = []
  const text = (name: string, fallback?: string): string => {
    const value = env[name] ?? fallback
    if (value === undefined || value === '') errors.push(`${name} must be set`)
    return value ?? ''
  }
  const port = (name: string, fallback: number): number => {
    const value = env[name] === undefined ? fallback : Number(env[name])
    if (!Number.isInteger(value) || value < 0 || value > 65535)
      errors.push(`${name}=${String(env[name])} is no port (0 to 65535)`)
    return value
  }
  const oneOf = <T extends string>(name: string, allowed: readonly [T, ...T[]]): T => {
    const value = env[name] ?? allowed[0]
    const found = allowed.find(a => a === value)
    if (found === undefined) errors.push(`${name}=${value} must be one of ${allowed.join(', ')}`)
    return found ?? allowed[0]
  }
  const secret = (name: string): ObjectKey | null => {
    const value = env[name] ?? ''
    if (value === '') return null
    const [namespace = '', own = '', ...more] = value.split('/')
    if (namespace === '' || own === '' || more.length > 0) errors.push(`${name}=${value} must be <namespace>/<name>`)
    return objectKey('Secret', namespace, own)
  }
  const addresses = (name: string): readonly Address[] => {
    const value = env[name] ?? ''
    const parsed = parseAddresses(value)
    if (parsed.ok) return parsed.addresses
    errors.push(
      `${name}=${value}: ${parsed.problem}; allowed are IP addresses and host names, separated by commas or spaces`,
    )
    return []
  }
  const config: Config = {
    podName: text('POD_NAME'),
    namespace: text('POD_NAMESPACE'),
    podAddress: text('POD_IP'),
    fleet: text('FLEET', 'sluice-proxy'),
    proxyServiceAccount: text('PROXY_SERVICE_ACCOUNT', 'sluice-proxy'),
    serviceName: text('SERVICE_NAME', 'sluice-operator'),
    streamPort: port('STREAM_PORT', 8443),
    adminPort: port('ADMIN_PORT', 9090),
    checksumMode: oneOf('CHECKSUM_MODE', ['operator', 'external']),
    checksumIds: oneOf('CHECKSUM_IDS', ['content', 'upstream']),
    annotationPrefix: text('ANNOTATIONS_PREFIX', 'nginx.ingress.kubernetes.io'),
    defaultCertificate: secret('DEFAULT_SSL_CERTIFICATE'),
    publishAddresses: addresses('PUBLISH_STATUS_ADDRESS'),
    logLevel: oneOf('LOG_LEVEL', ['info', 'debug', 'warn', 'error']),
  }
  if (errors.length > 0) throw new ConfigError(errors.join('; '))
  return config
}
