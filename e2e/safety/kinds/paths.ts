/** Hosts and paths go where they should not, or nowhere. */
import type { Manifest } from '../../echo/manifests.ts'
import type { Caught, Gate, Kind, Place } from '../kind.ts'
import { LABEL, web } from '../shop.ts'

const by = (...gates: readonly Gate[]): Caught => ({ by: 'gate', gates })
const family = 'path'

/** Another Ingress on the host of the kind. */
const beside = (at: Place, to: string, path: string): Manifest =>
  web({ ...at, name: `${at.name}-beside` }, { paths: [{ path, to }] })

export const PATHS: readonly Kind[] = [
  {
    ...{ name: 'path-lost', family, what: 'the path that clients ask for is gone', caught: by('notFoundRate') },
    path: '/shop',
    before: at => [web(at, { paths: [{ path: '/shop', to: 'v1' }] })],
    change: at => [web(at, { paths: [{ path: '/shoop', to: 'v1' }] })],
  },
  {
    ...{ name: 'path-exact', family, what: 'Prefix becomes Exact: all below is gone', caught: by('notFoundRate') },
    path: '/shop/cart',
    before: at => [web(at, { paths: [{ path: '/shop', to: 'v1' }] })],
    change: at => [web(at, { paths: [{ path: '/shop', to: 'v1', type: 'Exact' }] })],
  },
  {
    name: 'path-falls-to-neighbour',
    family,
    what: 'a path is lost to the Ingress beside it, which answers 404',
    caught: by('clientErrorRate'),
    path: '/shop',
    before: at => [beside(at, 'missing', '/'), web(at, { paths: [{ path: '/shop', to: 'v1' }] })],
    change: at => [web(at, { paths: [{ path: '/shoop', to: 'v1' }] })],
  },
  {
    name: 'path-taken-by-newcomer',
    family,
    what: 'a new Ingress takes a path of a host that others serve, and fails',
    caught: by('successRate'),
    path: '/shop',
    change: at => [beside(at, 'fails', '/shop')],
    object: at => `${at.name}-beside`,
  },
  {
    name: 'path-order',
    family,
    what: 'two paths change places',
    caught: by('clientErrorRate'),
    path: '/api/carts',
    before: at => [
      web(at, {
        paths: [
          { path: '/api', to: 'v1' },
          { path: '/', to: 'missing' },
        ],
      }),
    ],
    change: at => [
      web(at, {
        paths: [
          { path: '/api', to: 'missing' },
          { path: '/', to: 'v1' },
        ],
      }),
    ],
  },
  {
    name: 'path-shadowed',
    family,
    what: 'a longer path, copied from elsewhere, hides one that works',
    caught: by('clientErrorRate'),
    path: '/shop/cart',
    before: at => [web(at, { paths: [{ path: '/shop', to: 'v1' }] })],
    change: at => [
      web(at, {
        paths: [
          { path: '/shop', to: 'v1' },
          { path: '/shop/cart', to: 'missing' },
        ],
      }),
    ],
  },
  {
    ...{ name: 'host-typo', family, what: 'the host is misspelt', caught: by('notFoundRate') },
    change: at => [web({ ...at, host: `x${at.host}` })],
  },
  {
    name: 'rule-lost',
    family,
    what: 'the rules are gone, a default backend that answers 404 is left',
    caught: by('clientErrorRate', 'notFoundRate'),
    change: at => [withoutRules(at)],
  },
  {
    name: 'deleted-in-use',
    family,
    what: 'the Ingress is deleted while clients ask for it',
    caught: { by: 'waits', says: 'still in use' },
    act: async scene => {
      await scene.kubectl('delete', `ingress/${scene.place.name}`, '--wait=false')
    },
  },
  {
    name: 'class-changed',
    family,
    what: 'the Ingress goes to a class that nobody serves',
    caught: { by: 'waits', says: 'still in use' },
    change: at => [web(at, { className: 'another' })],
  },
  {
    name: 'class-deleted',
    family,
    what: 'the IngressClass is deleted',
    caught: { by: 'kept' },
    before: at => [
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'IngressClass',
        metadata: { name: `${at.namespace}-class`, labels: { [LABEL]: at.namespace } },
        spec: { controller: 'tengine.taobao.org/sluice' },
      },
      web(at, { className: `${at.namespace}-class` }),
    ],
    act: async scene => {
      await scene.kubectl('delete', `ingressclass/${scene.place.namespace}-class`)
    },
  },
]

function withoutRules(at: Place): Manifest {
  const { spec, ...rest } = web(at)
  const { ingressClassName } = spec as { readonly ingressClassName: string }
  const service = { name: 'echo-missing', port: { name: 'http' } }
  return { ...rest, spec: { ingressClassName, defaultBackend: { service } } }
}
