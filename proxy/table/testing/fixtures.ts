/** Short forms of table data for tests. */
import type { EndpointTable } from '../../../protocol/messages.ts'
import type {
  Backend,
  Certificate,
  Fragment,
  HostFragment,
  PathFragment,
  TlsFragment,
} from '../../../protocol/objects.ts'
import { normaliseRoutePath } from '../../../protocol/normalise-path.ts'
import type { Entry } from '../entry.ts'
import { EMPTY_UPDATE, type TableUpdate } from '../update.ts'

/** `Prefix /foo`, normalised as the operator does it, to `ns/web:80` or to the Service given. */
export function path(text: string, service = 'ns/web:80'): PathFragment {
  const [type = '', value = '/'] = text.split(' ')
  return { type: type as PathFragment['type'], path: normaliseRoutePath(value), backend: { service } }
}

export function closed(text: string): PathFragment {
  const backend: Backend = { status: 503, reason: 'authentication is not supported' }
  return { ...path(text), backend }
}

export function host(name: string, ...paths: readonly PathFragment[]): HostFragment {
  return { host: name, paths }
}

export function fragment(name: string, hosts: readonly HostFragment[], more: Partial<Fragment> = {}): Fragment {
  return { key: `Ingress/ns/${name}`, revision: 'r1', createdAt: 1000, governed: true, hosts, tls: [], ...more }
}

export function tls(secret: string, ...hosts: readonly string[]): TlsFragment {
  return { hosts, secret: `Secret/ns/${secret}` }
}

export function certificate(
  name: string,
  keyType: Certificate['keyType'],
  more: Partial<Certificate> = {},
): Certificate {
  return { key: `Secret/ns/${name}`, revision: 'r1', governed: false, chain: name, privateKey: '', keyType, ...more }
}

/** Released to everybody. Nobody looks at the digest. */
export function released(payload: Fragment | Certificate): Entry {
  const { key, revision } = payload
  const id = `${key.split('/').slice(1).join('/')}:${revision}`
  return {
    assignment: { key, id, announced: revision, current: revision, assigned: revision, digest: '' },
    payload,
  }
}

export function upsert(...payloads: readonly (Fragment | Certificate)[]): TableUpdate {
  return { ...EMPTY_UPDATE, objects: { upsert: payloads.map(released), remove: [] } }
}

export function remove(...names: readonly string[]): TableUpdate {
  return { ...EMPTY_UPDATE, objects: { upsert: [], remove: names.map(name => `Ingress/ns/${name}`) } }
}

export function endpoints(upserted: EndpointTable, removed: readonly string[] = []): TableUpdate {
  return { ...EMPTY_UPDATE, endpoints: { upsert: new Map(Object.entries(upserted)), remove: removed } }
}

export function certificates(upserted: readonly Certificate[], removed: readonly string[] = []): TableUpdate {
  const remove = removed.map(name => `Secret/ns/${name}`)
  return { ...EMPTY_UPDATE, objects: { upsert: upserted.map(released), remove } }
}

export function observed(...hosts: readonly string[]): TableUpdate {
  return { ...EMPTY_UPDATE, observed: hosts }
}
