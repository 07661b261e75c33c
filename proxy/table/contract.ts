/**
 * The small contract between the data plane and the table it serves from. The first implementation holds Maps; one in
 * shared memory will replace it. table.cases.ts is the suite that every implementation passes.
 */
import type { Backend, Certificate, ObjectKey, PathFragment, Revision, ServiceKey } from '../../protocol/objects.ts'
import type { TableUpdate } from './update.ts'

/** One path of one Ingress at one revision. Immutable: a request that holds one keeps it to its end, whatever is applied meanwhile. */
export interface Route {
  /** As the table writes it: lower case, `*.example.com`, or empty for every other host. */
  readonly host: string
  readonly type: PathFragment['type']
  /** As the Ingress wrote it. */
  readonly path: string
  readonly backend: Backend
  readonly object: ObjectKey
  readonly revision: Revision
  /** Answers are counted for the object in reports. */
  readonly governed: boolean
}

export interface Table {
  /** Takes one step, in one go. Only the hosts that the step names are rebuilt. */
  apply(update: TableUpdate): void

  /**
   * The route of a request, or null for 404.
   * @param host lower case, without port and trailing dot; empty if the request named none
   * @param path normalised (path.ts)
   * Host: exact, else the wildcard of one label, else ''. Path within that host: Exact, else the longest Prefix by path
   * element, else the longest ImplementationSpecific by path element, else Default. Then the Default of the '' host.
   * Ties: the oldest object, then namespace/name.
   */
  route(host: string, path: string): Route | null

  /** Certificates for a server name, at most one per key type, those of the oldest Ingress first; empty: there is none. */
  certificates(serverName: string): readonly Certificate[]

  /** Addresses `ip:port` that may serve now. Undefined: a Service that the operator never named. */
  endpoints(service: ServiceKey): readonly string[] | undefined

  /** Under which name a request is counted: the host as the table writes it, or an observed host; null: neither. */
  requestHost(host: string): string | null

  /** The same for a TLS connection: hosts that have only a certificate count too. */
  tlsHost(serverName: string): string | null
}

/** `*.example.com` for `www.example.com`; null for a name of one label. */
export function wildcardOf(host: string): string | null {
  const dot = host.indexOf('.')
  return dot <= 0 || dot === host.length - 1 ? null : `*${host.slice(dot)}`
}
