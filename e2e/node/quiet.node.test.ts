import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { batchesOf } from './harness/rollouts.ts'
import { Space } from './harness/space.ts'

/** Nobody asks for the host while it is rolled out: what is judged is what the pods ask themselves. */
describe('a change of an Ingress without clients, under a policy with probes', () => {
  let space: Space
  beforeAll(async () => {
    space = await Space.open('quiet')
    await space.backends({ version: 'v1' }, { version: 'v2' }, { version: 'v3', status: 500 }, { version: 'other' })
    await space.ingress({ name: 'web', host: space.host(), to: 'v1' })
    await space.serves(space.host(), 'v1')
    const seconds = { intervalSeconds: 1, timeoutSeconds: 2 }
    const probes = [{ host: space.host(), path: '/', expectBody: '"version":"v', ...seconds }]
    await space.policy(1, { bakeTime: '4s', analysis: { probes } })
  }, 180_000)
  afterAll(() => space.close(), 90_000)

  it('passes where every pod with the update passes them', async () => {
    await space.ingress({ name: 'web', host: space.host(), to: 'v2' })
    const name = await space.rollouts.next('web')
    const end = await space.rollouts.reaches(name, ['Complete', 'RolledBack', 'Paused', 'Superseded'], 60_000)
    expect(end.phase).toBe('Complete')
    expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1, 2, 5])
    expect(end.gates).toContainEqual(expect.objectContaining({ name: 'probes', verdict: 'pass' }))
    await space.serves(space.host(), 'v2')
  }, 90_000)

  it.each([
    ['v3', 'status 500'],
    ['other', 'status 200, and the body has not the text that is expected'],
  ])(
    'is taken back where they fail with the update alone: to %s',
    async (to, says) => {
      const known = space.rollouts.names('web')
      await space.ingress({ name: 'web', host: space.host(), to })
      const name = await space.rollouts.next('web', known)
      const end = await space.rollouts.reaches(name, ['Complete', 'RolledBack', 'Paused', 'Superseded'], 60_000)
      expect(end.phase).toBe('RolledBack')
      const message = expect.stringContaining(says) as unknown
      expect(end.gates).toContainEqual(expect.objectContaining({ name: 'probes', verdict: 'fail', message }))
      expect(batchesOf(space.rollouts.history(name), 5)).toEqual([1])
      expect(await space.proxies.served(space.host())).toEqual(['v2', 'v2', 'v2', 'v2', 'v2'])
    },
    90_000,
  )
})
