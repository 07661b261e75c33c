/** Names and certificates for kinds that play beside each other in one namespace, and what there is before they do. */
import type { Manifest } from '../echo/manifests.ts'
import { Authority } from '../pki/pki.ts'
import type { Kind, Place } from './kind.ts'
import { web } from './shop.ts'

export interface Part {
  readonly kind: Kind
  readonly place: Place
}

export async function partsOf(kinds: readonly Kind[], namespace: string): Promise<readonly Part[]> {
  const [trusted, unknown] = [await Authority.root('Safety Trust'), await Authority.root('Nobody Knows Me')]
  return kinds.map(kind => {
    const { name } = kind
    return {
      kind,
      place: { namespace, name, host: `${name}.${namespace}.test`, secret: `${name}-tls`, trusted, unknown },
    }
  })
}

export async function beforeOf(parts: readonly Part[]): Promise<readonly Manifest[]> {
  const all = parts.map(async ({ kind, place }) => (await kind.before?.(place)) ?? [web(place)])
  return (await Promise.all(all)).flat()
}
