/** What the data plane asks of the table that it serves from. */
import type { Certificate, ObjectKey, PathFragment, Revision } from '../../protocol/objects.ts'
import type { Cluster } from '../upstream/contract.ts'
import type { Policy } from './policy.ts'
import type { Split } from './split.ts'

/** One path of one Ingress at one revision. Immutable: a request that holds one keeps it to its end, whatever is applied meanwhile. */
export interface Route {
  /**
   * A small number, no two routes of the table have the same: the slot of its counters. Given anew only after the route
   * is gone *and* the owner of the table called `reclaim()`. Compare routes by it, never by identity. A request may
   * outlive its route by hours: who counts it at its end by the number first looks whether the slot is still the route's.
   */
  readonly id: number
  /** As the table writes it: lower case, `*.example.com`, or empty for every other host. */
  readonly host: string
  readonly type: PathFragment['type']
  /** Normalised, as the fragment has it. */
  readonly path: string
  /** Where its requests go; null if and only if the policy is closed. */
  readonly cluster: Cluster | null
  readonly policy: Policy
  /** Canaries of the path; null: there are none (nearly always). A canary's own route has none. */
  readonly split: Split | null
  readonly object: ObjectKey
  readonly revision: Revision
  /** Answers are counted for the object in reports. */
  readonly governed: boolean
}

/** What traffic asks. */
export interface TableReader {
  /**
   * The route of a request, or null for 404.
   * @param host lower case, without port and trailing dot; empty if the request named none
   * @param path normalised (protocol/normalise-path.ts)
   * Host: exact, else the wildcard of one label, else ''. Path within that host: the longest, whatever its type; Exact
   * fits only the same path, Prefix and ImplementationSpecific fit by path element, and one that ends in a slash fits
   * the path without it, too, where no other of the same elements does. Of equal paths Exact, then Prefix, then
   * ImplementationSpecific; then the oldest object, then namespace/name, then whatever the object names first.
   * Else the Default of the host, else that of the '' host.
   * Before all that: a path of the host's challenges (Fragment.challenges), which fits itself alone.
   */
  route(host: string, path: string): Route | null

  /**
   * Certificates for a server name: at most one per key type, all of one Ingress, the oldest that names it under `tls` or
   * `defaultTls` (else another namespace could push its own before them, or take the name over while they are away).
   * No Ingress names it: those of the wildcard, by the same rule. None of them is there: the default one of the operator's
   * settings, as at ingress-nginx. Empty: there is none of all these.
   * The same array until one of them changes.
   */
  certificates(serverName: string): readonly Certificate[]

  /** Under which name a request is counted: the host as the table writes it, or an observed host; null: neither. */
  requestHost(host: string): string | null

  /** The same for a TLS connection: hosts that have only a certificate count too. */
  tlsHost(serverName: string): string | null
}

/** Everything that one entry of the table's hosts holds. */
export interface HostEntry {
  readonly kind: 'challenges' | 'exact' | 'wildcard' | 'default'
  readonly host: string
  /** Oldest object first. */
  readonly routes: readonly { readonly route: Route; readonly createdAt: number }[]
}

/** What people ask. */
export interface TableExplainer {
  /** What there is for the host, in the order in which `route` looks for it. */
  entries(host: string): readonly HostEntry[]
}

/** `*.example.com` for `www.example.com`; null for a name of one label. */
export function wildcardOf(host: string): string | null {
  const dot = host.indexOf('.')
  return dot <= 0 || dot === host.length - 1 ? null : `*${host.slice(dot)}`
}

/** The rule of `requestHost` and `tlsHost`: the name itself, its wildcard, or every other host, whichever is known first. */
export function countedAs(host: string, known: (name: string) => boolean): string | null {
  if (known(host)) return host
  const wildcard = wildcardOf(host)
  if (wildcard !== null && known(wildcard)) return wildcard
  return known('') ? '' : null
}
