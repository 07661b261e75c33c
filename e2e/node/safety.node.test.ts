import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { CATALOGUE } from '../safety/catalogue.ts'
import { beforeOf, partsOf } from '../safety/places.ts'
import { play } from '../safety/play.ts'
import { LABEL, mainPolicy } from '../safety/shop.ts'
import { judge } from '../safety/verdict.ts'
import type { Verdict } from '../safety/verdict.ts'
import { Space } from './harness/space.ts'

/** A few of `make safety`, which no other test of the node has. */
const NAMES = [
  'backend-missing',
  'path-falls-to-neighbour',
  'certificate-incomplete',
  'policy-edited',
  'rollout-deleted',
] as const

describe('kinds of bad change', () => {
  let space: Space
  const verdicts = new Map<string, Verdict>()

  beforeAll(async () => {
    space = await Space.open('safety')
    await space.backends(
      { version: 'v1', replicas: 2 },
      { version: 'missing', status: 404 },
      { version: 'errors-20', env: { ECHO_ERRORS_PER_MILLE: '200' } },
    )
    const kinds = CATALOGUE.filter(kind => NAMES.some(name => name === kind.name))
    const parts = await partsOf(kinds, space.name)
    await space.kubectl.apply(...(await beforeOf(parts)))
    for (const { kind, place } of parts) await space.serves(place.host, 'v1', 20_000, kind.path)
    await space.kubectl.apply(mainPolicy(space.name))
    await space.governs(space.name, 6)
    const world = { cluster: space.cluster, rollouts: space.rollouts, fleet: space.cluster.ordinals.length }
    // Two at a time: clients of five would want more processor time than a small machine has.
    const queue = [...parts]
    const lane = async (): Promise<void> => {
      for (let part = queue.shift(); part !== undefined; part = queue.shift()) {
        verdicts.set(part.kind.name, judge(await play(part.kind, part.place, world)))
      }
    }
    await Promise.all([lane(), lane()])
  }, 240_000)
  afterAll(async () => {
    await space.kubectl.ok(['delete', 'ingressrolloutpolicy', '-l', `${LABEL}=${space.name}`, '--timeout=30s'])
    await space.close()
  }, 90_000)

  it.each(NAMES)('%s harms the first batch alone, and is taken back by its gate', name => {
    expect(verdicts.get(name)).toMatchObject({ outcome: 'caught', problems: [] })
    expect(verdicts.get(name)?.harmed).toBeGreaterThan(0)
  })
})
