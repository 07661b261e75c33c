/**
 * Would a new Ingress take a request away from what is served now? One that takes none can be released at once: nobody is
 * protected by holding it back. Which route serves a request is table/path-match.ts and table/shared-table.ts of the proxy.
 */
import type { Canary, Fragment, PathFragment } from '../../protocol/objects.ts'

/** What others serve, in any revision that is out or on its way. Names in lower case, wildcards and the empty host included. */
export interface Served {
  readonly paths: (host: string) => readonly PathFragment[]
  /** Somebody says which certificate this name gets. */
  readonly hasTls: (name: string) => boolean
}

/** In words, what it takes first; null: nothing. */
export function takenBy({ hosts, tls, defaultTls = [], canary }: Fragment, served: Served): string | null {
  if (canary !== undefined) return takenByCanary(canary, served)
  for (const { host, paths } of hosts) {
    const taken = takenOnHost(host, paths, served)
    if (taken !== null) return taken
  }
  for (const name of [...tls.flatMap(entry => entry.hosts), ...defaultTls]) {
    // Whose a name is the older object decides, and an object may be older than the day on which it becomes ours.
    if (served.hasTls(name)) return `handshakes of ${name}`
    const wildcard = wildcardOf(name)
    if (wildcard !== null && served.hasTls(wildcard)) return `handshakes of ${name} from the certificate of ${wildcard}`
  }
  return null
}

/**
 * Others serve every host and path of it, of the same type, and say which certificate its names get: who asks for one goes on being
 * answered when it is gone. A path that is closed answers nobody.
 */
export function isCovered(
  { hosts, tls }: Pick<Fragment, 'hosts' | 'tls'>,
  { paths: pathsOf, hasTls }: Served,
): boolean {
  const isNamed = (name: string): boolean => {
    const wildcard = wildcardOf(name)
    return hasTls(name) || (wildcard !== null && hasTls(wildcard))
  }
  const isServed = hosts.every(({ host, paths }) => {
    const others = pathsOf(host).filter(({ backend }) => 'service' in backend)
    return paths.every(({ type, path }) => others.some(other => other.type === type && other.path === path))
  })
  return isServed && tls.every(entry => entry.hosts.every(isNamed))
}

/** Some requests of every path that it is a canary of. Whatever its rule says: what comes with it may be wrong on the first request. */
function takenByCanary({ hosts }: Canary, { paths: pathsOf }: Served): string | null {
  for (const { host, paths } of hosts) {
    const main = pathsOf(host).find(other => paths.some(({ type, path }) => other.type === type && other.path === path))
    if (main !== undefined) return `requests of ${named(host)} from its ${describe(main)}, as a canary`
  }
  return null
}

function takenOnHost(host: string, paths: readonly PathFragment[], { paths: pathsOf }: Served): string | null {
  const others = pathsOf(host)
  // A host hides whatever serves its requests else, on every path; who serves it already may do so on some pods alone.
  const wildcard = wildcardOf(host)
  for (const fallback of [...(wildcard === null ? [] : [wildcard]), ...(host === '' ? [] : [''])]) {
    if (pathsOf(fallback).length > 0) return `requests of ${named(host)} from ${named(fallback)}`
  }
  for (const path of paths) {
    const loser = others.find(other => mayLose(other, path))
    if (loser !== undefined) return `requests of ${named(host)}${path.path} from its ${describe(loser)}`
  }
  return null
}

/**
 * May a route lose requests to one that comes, on the same host? The longest path wins; of equal ones type and age decide, and
 * an object may be older than the day on which it becomes ours: in doubt, yes.
 */
function mayLose(other: PathFragment, comes: PathFragment): boolean {
  if (other.type === 'Default') return true
  if (comes.type === 'Default') return false
  const [theirs, its] = [withoutSlash(other.path), withoutSlash(comes.path)]
  if (other.type === 'Exact') return its === theirs && comes.type === 'Exact'
  return its === theirs || its.startsWith(`${theirs}/`)
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

/** The wildcard that serves what the host does not; null: there is none. */
export function wildcardOf(host: string): string | null {
  const dot = host.indexOf('.')
  return dot <= 0 || dot === host.length - 1 || host.startsWith('*') ? null : `*${host.slice(dot)}`
}

function named(host: string): string {
  return host === '' ? 'every other host' : host
}

function describe({ type, path }: PathFragment): string {
  return type === 'Default' ? 'default backend' : `${type} ${path}`
}
