import { expect, it } from '@jest/globals'
import { Feed } from './feed.ts'
import type { Observation, World } from './world.ts'

const HOSTS = ['web.example.com']
let observation: Observation
/** Nothing is released. */
const world: World = {
  version: 1,
  checksums: { ingress: null, secret: null },
  objects: () => [],
  entry: () => null,
  endpoints: () => new Map(),
  observe: () => observation,
  held: () => [],
}

it('asks a pod again only where it asks for something else', () => {
  const feed = new Feed(0, null)
  const asked = (objects: Observation['objects'], observe = true): readonly unknown[] => {
    observation = { objects, hosts: HOSTS, intervalMs: 1_000 }
    feed.publish({ world, objects: [], services: [], observe })
    const lines: unknown[] = []
    for (let line = feed.next(); line !== null; line = feed.next()) lines.push(JSON.parse(line))
    return lines.filter(line => (line as { readonly type: string }).type === 'observe')
  }
  const of = (...objects: Observation['objects']): object => ({
    ...{ type: 'observe', objects, hosts: HOSTS, intervalMs: 1_000 },
  })
  expect(asked(['Ingress/shop/a'], false)).toEqual([of('Ingress/shop/a')])
  expect(asked(['Ingress/shop/a'])).toEqual([])
  expect(asked(['Ingress/shop/a', 'Ingress/shop/b'])).toEqual([of('Ingress/shop/a', 'Ingress/shop/b')])
  expect(asked(['Ingress/shop/a', 'Ingress/shop/b'])).toEqual([])
  expect(asked(['Ingress/shop/a'], false)).toEqual([])
  expect(asked(['Ingress/shop/a'])).toEqual([of('Ingress/shop/a')])
})
