/**
 * The address column of `kubectl get ingress`: which addresses an Ingress of ours is to show, and whether those that it
 * shows are ours to take away. Pure.
 */
import { isIP, isIPv6 } from 'node:net'
import { FIELD_MANAGER } from '../kube/client.ts'
import { hostProblem } from '../model/validate.ts'

/** networking.k8s.io/v1 IngressLoadBalancerIngress, without its ports: one of the two is set. */
export interface Address {
  readonly ip?: string
  readonly hostname?: string
}

interface Balanced {
  readonly spec?: { readonly externalIPs?: readonly string[] }
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly Address[] } }
}

/** The addresses in a text, each once, in its order; or what is wrong with it. Empty text: none. */
export type ParsedAddresses =
  { readonly ok: true; readonly addresses: readonly Address[] } | { readonly ok: false; readonly problem: string }

/** IP addresses and host names, separated by commas or white space. What the API server would refuse is refused here. */
export function parseAddresses(text: string): ParsedAddresses {
  const words = text.split(/[\s,]+/).filter(word => word !== '')
  const bad = words.flatMap(word => {
    const problem = addressProblem(word)
    return problem === null ? [] : [`${JSON.stringify(word)} ${problem}`]
  })
  if (bad.length > 0) return { ok: false, problem: bad.join(', ') }
  // DNS names know no case, and the API server takes small letters alone.
  return { ok: true, addresses: distinct(words.map(word => addressOf(word.toLowerCase()))) }
}

/**
 * What every Ingress of ours is to show; null: not known yet, what stands there stays. Addresses that somebody set are
 * the only ones: in front of a load balancer there may be another, and then its own address is nobody's business. Else
 * the Service's: those of its load balancer, and its spec.externalIPs.
 */
export function wantedAddresses(fixed: readonly Address[], service: unknown): readonly Address[] | null {
  if (fixed.length > 0) return fixed
  if (service === null || service === undefined) return null
  const { spec } = service as Balanced
  return distinct([...shownAddresses(service), ...(spec?.externalIPs ?? []).map(ip => ({ ip }))])
}

/** What the status of a Service or an Ingress holds. */
export function shownAddresses(object: unknown): readonly Address[] {
  const { status } = object as Balanced
  return (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ({
    ...(ip === undefined ? {} : { ip }),
    ...(hostname === undefined ? {} : { hostname }),
  }))
}

export function sameAddresses(a: readonly Address[] | null, b: readonly Address[] | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/**
 * Of an object's metadata.managedFields what tells that its addresses were written by us. The list is atomic to the API
 * server: its manager is whoever wrote it last, so that what another controller put there is never taken for ours, and
 * what we put there is known after any change of settings. Kubernetes "Server-Side Apply", field management.
 */
export function ownAddressFields(managedFields: readonly unknown[] | undefined): readonly unknown[] {
  return (managedFields ?? []).filter(entry => {
    const { manager, subresource, fieldsV1 } = entry as {
      readonly manager?: string
      readonly subresource?: string
      readonly fieldsV1?: { readonly 'f:status'?: { readonly 'f:loadBalancer'?: { readonly 'f:ingress'?: unknown } } }
    }
    return (
      manager === FIELD_MANAGER &&
      subresource === 'status' &&
      fieldsV1?.['f:status']?.['f:loadBalancer']?.['f:ingress'] !== undefined
    )
  })
}

/** The addresses that the Ingress shows were written by us. */
export function showsOurs(ingress: { readonly metadata: { readonly managedFields?: readonly unknown[] } }): boolean {
  return shownAddresses(ingress).length > 0 && ownAddressFields(ingress.metadata.managedFields).length > 0
}

function addressProblem(word: string): string | null {
  if (isIP(word) !== 0) {
    if (word.includes('%')) return 'has a zone, which means nothing elsewhere'
    return isIPv6(word) && isMapped(word) ? 'is an IPv4 address written as IPv6' : null
  }
  if (word.includes('*')) return 'is no single host'
  // 203.0.113.300 would pass for a name, as would an address with leading zeros.
  if (hostProblem(word) !== null || /(^|\.)[0-9]+$/.test(word)) return 'is neither an IP address nor a host name'
  return null
}

/** The URL standard writes every IPv6 address in one way. */
function isMapped(address: string): boolean {
  return new URL(`http://[${address}]`).hostname.startsWith('[::ffff:')
}

function addressOf(word: string): Address {
  return isIP(word) === 0 ? { hostname: word } : { ip: word }
}

function distinct(addresses: readonly Address[]): readonly Address[] {
  return [...new Map(addresses.map(address => [JSON.stringify(address), address])).values()]
}
