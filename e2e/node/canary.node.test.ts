/** A canary is governed as any Ingress: it comes, changes and goes batch by batch, and what it breaks is taken back. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { failed } from '../load/record.ts'
import { failuresOf, ordinalsOf } from './harness/load.ts'
import type { NodeLoad } from './harness/load.ts'
import { batchesOf } from './harness/rollouts.ts'
import { Space } from './harness/space.ts'
import { PREFIX } from './harness/stamps.ts'

const ENDS = ['Complete', 'RolledBack', 'Paused', 'Superseded'] as const

describe('a canary of a governed Ingress', () => {
  let space: Space
  let load: NodeLoad
  beforeAll(async () => {
    space = await Space.open('canary')
    await space.backends({ version: 'v1', replicas: 2 }, { version: 'v2', replicas: 2 }, { version: 'v3', status: 500 })
    await space.ingress({ name: 'web', host: space.host(), to: 'v1' })
    await space.serves(space.host(), 'v1')
    await space.policy(1)
    load = space.http({ host: space.host(), perSecond: 300 })
  }, 240_000)
  afterAll(() => space.close(), 90_000)

  /** Applies it with this weight, and waits for the end of its rollout. */
  const canary = async (to: string, weight: string): Promise<string> => {
    const known = space.rollouts.names('web-canary')
    const annotations = { [`${PREFIX}/canary`]: 'true', [`${PREFIX}/canary-weight`]: weight }
    await space.ingress({ name: 'web-canary', host: space.host(), to, annotations })
    const name = await space.rollouts.next('web-canary', known)
    await space.rollouts.reaches(name, ENDS, 90_000)
    return name
  }

  it('comes batch by batch: its weight takes requests of the first pod before those of the others', async () => {
    const name = await canary('v2', '100')
    expect(space.rollouts.last(name)?.phase).toBe('Complete')
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1, 2, 5])
    await space.serves(space.host(), 'v2')
    expect(failuresOf(load.records)).toEqual({})
  }, 120_000)

  it('is taken back when what it now sends half of the requests to fails: no pod but the first asked it', async () => {
    const name = await canary('v3', '50')
    expect(space.rollouts.last(name)?.phase).toBe('RolledBack')
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1])
    await space.serves(space.host(), 'v2')
    expect(ordinalsOf(load.records, 'v3')).toEqual([0])
    expect(failuresOf(load.records.filter(record => record.version !== 'v3'))).toEqual({})
    expect(load.records.some(record => failed(record))).toBe(true)
  }, 120_000)

  it('goes as a deletion: the main Ingress takes over, and no request is lost', async () => {
    const before = load.records.length
    await space.kubectl.delete(space.name, 'ingress/web-canary')
    await space.serves(space.host(), 'v1', 90_000)
    await load.stop()
    expect(failuresOf(load.records.slice(before).filter(record => record.version !== 'v3'))).toEqual({})
    expect(load.connections.map(({ closedByPeer }) => closedByPeer)).toEqual([0, 0, 0, 0, 0])
  }, 120_000)
})
