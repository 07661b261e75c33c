/**
 * Would a new Ingress take a request away from what is served now? One that takes none can be released at once: nobody is
 * protected by holding it back. Which route serves a request is table/path-match.ts and table/map-table.ts of the proxy.
 */
import type { Fragment, PathFragment } from '../../protocol/objects.ts'

/** What others serve, in any revision that is out or on its way. Names in lower case, wildcards and the empty host included. */
export interface Served {
  readonly paths: (host: string) => readonly PathFragment[]
  /** Somebody says which certificate this name gets. */
  readonly hasTls: (name: string) => boolean
}

/** In words, what it takes first; null: nothing. */
export function takenBy({ hosts, tls, defaultTls = [] }: Fragment, served: Served): string | null {
  for (const { host, paths } of hosts) {
    const taken = takenOnHost(host, paths, served)
    if (taken !== null) return taken
  }
  for (const name of [...tls.flatMap(entry => entry.hosts), ...defaultTls]) {
    const wildcard = wildcardOf(name)
    if (!served.hasTls(name) && wildcard !== null && served.hasTls(wildcard)) {
      return `handshakes of ${name} from the certificate of ${wildcard}`
    }
  }
  return null
}

function takenOnHost(host: string, paths: readonly PathFragment[], { paths: pathsOf }: Served): string | null {
  const others = pathsOf(host)
  // A host that nobody serves hides whatever serves its requests now, on every path.
  const wildcard = wildcardOf(host)
  const behind = others.length > 0 ? [] : [...(wildcard === null ? [] : [wildcard]), ...(host === '' ? [] : [''])]
  for (const fallback of behind) {
    if (pathsOf(fallback).length > 0) return `requests of ${named(host)} from ${named(fallback)}`
  }
  // The default of the empty host serves what nothing else does, on every host.
  const last = pathsOf('').find(path => path.type === 'Default')
  for (const path of paths) {
    const loser = others.find(other => loses(other, path)) ?? (host === '' ? undefined : last)
    if (loser !== undefined) return `requests of ${named(host)}${path.path} from its ${describe(loser)}`
  }
  return null
}

const ORDER: readonly PathFragment['type'][] = ['Exact', 'Prefix', 'ImplementationSpecific', 'Default']

/**
 * Does a route lose requests to one that comes, on the same host? The longest path wins, of equal ones the type in ORDER, then
 * the oldest object's. In doubt, yes.
 */
function loses(other: PathFragment, comes: PathFragment): boolean {
  if (other.type === 'Default') return comes.type !== 'Default'
  if (other.type === 'Exact' || comes.type === 'Default') return false
  const prefix = other.path.endsWith('/') ? other.path.slice(0, -1) : other.path
  const isBelow =
    comes.path.startsWith(prefix) && (comes.path.length === prefix.length || comes.path[prefix.length] === '/')
  const keepsSame = comes.path === other.path && ORDER.indexOf(comes.type) >= ORDER.indexOf(other.type)
  return isBelow && !keepsSame
}

function wildcardOf(host: string): string | null {
  const dot = host.indexOf('.')
  return dot <= 0 || dot === host.length - 1 || host.startsWith('*') ? null : `*${host.slice(dot)}`
}

function named(host: string): string {
  return host === '' ? 'every other host' : host
}

function describe({ type, path }: PathFragment): string {
  return type === 'Default' ? 'default backend' : `${type} ${path}`
}
