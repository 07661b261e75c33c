import { beforeEach, describe, expect, it } from '@jest/globals'
import type { ObjectKey } from '../../protocol/objects.ts'
import { Feed } from './feed.ts'
import type { Observation, World } from './world.ts'
import { ServedWorld } from './testing/world.ts'

const HOSTS = ['web.example.com']
let observation: Observation
/** Nothing is released. */
const world: World = {
  version: 1,
  checksums: { ingress: null, secret: null },
  stateHash: () => '',
  entries: () => [],
  entry: () => null,
  endpoints: () => new Map(),
  observe: () => observation,
  held: () => [],
}

it('asks a pod again only where it asks for something else', () => {
  const feed = new Feed(0, null)
  const asked = (objects: Observation['objects'], observe = true): readonly unknown[] => {
    observation = { objects, hosts: HOSTS, intervalMs: 1_000 }
    feed.publish({ world, objects: new Map(), services: [], observe })
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

describe('what may wait until other pods have it', () => {
  const A = 'Ingress/shop/a'
  const B = 'Ingress/shop/b'
  const MANY = Array.from({ length: 17 }, (_, n) => `Ingress/shop/${n}`)
  let released: ServedWorld
  let served: Map<ObjectKey, string>
  let feed: Feed
  const publish = (objects: readonly ObjectKey[], services: readonly string[] = [], observe = false): boolean => {
    feed.publish(released.change(objects, { services, observe }))
    return feed.mayWait
  }
  const read = (): void => {
    while (feed.next() !== null);
  }

  beforeEach(() => {
    observation = { objects: [], hosts: [], intervalMs: 1_000 }
    released = new ServedWorld([A, ...MANY].map(key => [key, 'r1']))
    served = released.served
    feed = new Feed(0, null)
  })

  it('is nothing of what a connection begins with', () => {
    expect(publish([], [], true)).toBe(false)
    expect(publish([A])).toBe(false)
  })

  it.each<readonly [string, () => boolean, boolean]>([
    ['a change of which this pod serves nothing', () => publish([A]), true],
    ['another content', () => publish([(served.set(A, 'r2'), A)]), false],
    ['an object that is new', () => publish([(served.set(B, 'r1'), B)]), false],
    ['an object that is gone', () => publish([(served.delete(A), A)]), false],
    ['one of two that it serves', () => publish([A, (served.set(B, 'r1'), B)]), false],
    ['endpoints', () => publish([A], ['shop/a:80']), false],
    ['of many objects', () => publish(MANY), false],
    ['of fewer', () => publish(MANY.slice(1)), true],
    ['another question, by itself', () => publish([], [], true), false],
    ['another question with a change', () => publish([A], [], true), true],
    ['another question behind a change that waits', () => publish([A]) && publish([], [], true), true],
    ['endpoints behind a change that waits', () => publish([A]) && publish([], ['shop/a:80']), false],
  ])('%s', (_what, change, may) => {
    publish([], [], true)
    read()
    expect(change()).toBe(may)
  })

  it('is nothing any more when it was read', () => {
    publish([], [], true)
    read()
    publish([A])
    read()
    expect(feed.mayWait).toBe(false)
  })
})
