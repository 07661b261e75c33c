/** docs/which-revision.md line by line, where nobody but the annotations says what is governed. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { ingress } from './harness/manifests.ts'
import { Space } from './harness/space.ts'
import { PREFIX, stamped } from './harness/stamps.ts'
import type { StampValues } from './harness/stamps.ts'
import { waitFor } from './harness/wait.ts'

const below = (index: number, update: string, current: string): readonly string[] =>
  Array.from({ length: 5 }, (_, ordinal) => (ordinal < index ? update : current))

let space: Space
let n = 0
/** An Ingress and a host for each test. */
let name: string
let host: string

const apply = (to: string, stamps: StampValues = {}): Promise<void> =>
  space.ingress({ name, host, to, annotations: stamped(stamps) })
const stamp = (values: StampValues): Promise<void> => space.stamp(name, values)
/** Changes the backend and nothing else: kubectl apply would take away annotations that were applied before. */
const edit = async (to: string): Promise<void> => {
  const { spec } = ingress({ namespace: space.name, name, host, to })
  await space.kubectl.patch(space.name, `ingress/${name}`, { spec })
}
const replace = (to: string): Promise<void> => space.kubectl.replace(ingress({ namespace: space.name, name, host, to }))
const reason = (word: string): Promise<string> => space.event(`Ingress/${name}`, word)

beforeAll(async () => {
  space = await Space.open('hand')
  await space.backends({ version: 'v1' }, { version: 'v2' }, { version: 'v3' })
}, 180_000)
afterAll(() => space.close(), 90_000)
beforeEach(() => {
  name = `web-${++n}`
  host = space.host(name)
})

/** Serves v1 everywhere, flagged, with v2 stamped on so many pods. */
async function midRollout(index: number): Promise<void> {
  await apply('v1')
  await space.serves(host, 'v1')
  await stamp({ flag: 'true' })
  await edit('v2')
  await stamp({ update: 'r2', index })
  await space.serves(host, below(index, 'v2', 'v1'))
}

describe('nobody governs it', () => {
  it('created or changed: its content, at once', async () => {
    await apply('v1')
    await space.serves(host, 'v1')
    await apply('v2')
    await space.serves(host, 'v2')
  }, 60_000)

  it('deleted: nothing, at once', async () => {
    await apply('v1')
    await space.serves(host, 'v1')
    await space.kubectl.delete(space.name, `ingress/${name}`)
    await space.serves(host, '404')
    expect(await space.object('ingresses', name)).toBeNull()
  }, 60_000)

  it('its class is not ours any more: nothing, at once', async () => {
    await apply('v1')
    await space.serves(host, 'v1')
    await space.ingress({ name, host, to: 'v1', className: 'of-somebody-else' })
    await space.serves(host, '404')
  }, 60_000)

  it('flag neither true nor false: what was served before', async () => {
    await apply('v1')
    await space.serves(host, 'v1')
    await apply('v2', { flag: 'yes' })
    expect(await reason('InvalidFlag')).toContain('yes')
    await space.keepsServing(host, 'v1')
    await apply('v2')
    await space.serves(host, 'v2')
  }, 60_000)
})

describe('governed by hand', () => {
  it('flagged while it is served: what they served, also if the same write changes the content', async () => {
    await apply('v1')
    await space.serves(host, 'v1')
    await apply('v2', { flag: 'true' })
    await space.keepsServing(host, 'v1')
  }, 60_000)

  it('changed, not stamped yet: what they served', async () => {
    await apply('v1')
    await space.serves(host, 'v1')
    await stamp({ flag: 'true' })
    await edit('v2')
    await reason('NotStamped')
    await space.keepsServing(host, 'v1')
  }, 60_000)

  it('index raised, lowered, 0: the update on more pods, on fewer, on none', async () => {
    await midRollout(1)
    await stamp({ index: 3 })
    await space.serves(host, below(3, 'v2', 'v1'))
    await stamp({ index: 2 })
    await space.serves(host, below(2, 'v2', 'v1'))
    await stamp({ index: 0 })
    await space.serves(host, 'v1')
    await space.keepsServing(host, 'v1')
  }, 90_000)

  it('index -1: the update on all; lowering it still takes it back', async () => {
    await midRollout(1)
    await stamp({ index: -1 })
    await space.serves(host, 'v2')
    await stamp({ index: 2 })
    await space.serves(host, below(2, 'v2', 'v1'))
  }, 90_000)

  it('current equal to the update, and index -1: complete; lowering the index then does nothing', async () => {
    await midRollout(2)
    await stamp({ current: 'r2', index: -1 })
    await space.serves(host, 'v2')
    await stamp({ index: 1 })
    await space.keepsServing(host, 'v2')
  }, 90_000)

  it('created: the update below the index, above it as if the object did not exist', async () => {
    await apply('v1', { flag: 'true' })
    await space.keepsServing(host, '404')
    await stamp({ update: 'r1', index: 2 })
    await space.serves(host, below(2, 'v1', '404'))
    await stamp({ current: 'r1', index: -1 })
    await space.serves(host, 'v1')
  }, 90_000)

  it('changed again in mid-rollout: as before until the new revision is stamped, then from the same current', async () => {
    await midRollout(2)
    await edit('v3')
    await space.keepsServing(host, below(2, 'v2', 'v1'))
    await stamp({ update: 'r3', index: 1 })
    await space.serves(host, below(1, 'v3', 'v1'))
  }, 90_000)

  it('a pod restarts: what its ordinal says', async () => {
    await midRollout(1)
    await Promise.all([space.replaceProxy(0), space.replaceProxy(3)])
    await space.serves(host, below(1, 'v2', 'v1'))
  }, 150_000)

  it('annotations removed by kubectl replace: what the record says; they are written again', async () => {
    await midRollout(2)
    await replace('v2')
    await space.keepsServing(host, below(2, 'v2', 'v1'))
    const restored = await waitFor(
      'the annotations are back',
      () => space.annotations(name),
      annotations => `${PREFIX}/ingress-rollout-index-id` in annotations,
    )
    expect(restored).toMatchObject(stamped({ flag: 'true', update: 'r2', index: 2 }))
    await reason('StampMissing')
  }, 90_000)

  it('flag removed: as governed; the flag is written again', async () => {
    await midRollout(1)
    await stamp({ flag: null })
    const flagged = (annotations: Readonly<Record<string, string>>): boolean =>
      annotations[`${PREFIX}/ingress-rollout`] === 'true'
    await waitFor('the flag is back', () => space.annotations(name), flagged)
    await space.serves(host, below(1, 'v2', 'v1'))
  }, 60_000)

  it('flag neither true nor false: what the record says', async () => {
    await midRollout(2)
    await stamp({ flag: 'yes' })
    expect(await reason('InvalidFlag')).toContain('yes')
    await edit('v3')
    await space.keepsServing(host, below(2, 'v2', 'v1'))
  }, 60_000)

  it.each(['abc', '-2', '1.5'])(
    'index %s: what the record says',
    async index => {
      await midRollout(2)
      await stamp({ index })
      expect(await reason('InvalidIndex')).toContain(index)
      await space.keepsServing(host, below(2, 'v2', 'v1'))
      await stamp({ index: 3 })
      await space.serves(host, below(3, 'v2', 'v1'))
    },
    60_000,
  )

  it('update is no name: what the record says', async () => {
    await midRollout(2)
    await stamp({ update: 'no name!', index: -1 })
    await reason('UnknownRevision')
    await space.keepsServing(host, below(2, 'v2', 'v1'))
  }, 60_000)

  it('update names other content than the object has: what the record says, until there is a new name', async () => {
    await midRollout(2)
    await edit('v3')
    await stamp({ update: 'r3', index: 1 })
    await space.serves(host, below(1, 'v3', 'v1'))
    // The name r2 belongs to the content that sent to v2.
    await stamp({ update: 'r2', index: 4 })
    await space.keepsServing(host, below(1, 'v3', 'v1'))
    await reason('RevisionConflict')
    await stamp({ update: 'r4', index: 2 })
    await space.serves(host, below(2, 'v3', 'v1'))
  }, 90_000)

  it('spec and annotations in one write: released as it says', async () => {
    await midRollout(1)
    await space.kubectl.apply(
      ingress({
        ...{ namespace: space.name, name, host, to: 'v3' },
        annotations: stamped({ flag: 'true', update: 'r3', index: 2 }),
      }),
    )
    await space.serves(host, below(2, 'v3', 'v1'))
  }, 90_000)

  it('flag set to false: its content, at once', async () => {
    await midRollout(1)
    await stamp({ flag: 'false' })
    await space.serves(host, 'v2')
  }, 60_000)

  it('deleted: rolled out as revision absent, and then gone', async () => {
    await midRollout(1)
    await stamp({ current: 'r2', index: -1 })
    await space.serves(host, 'v2')
    await space.kubectl.delete(space.name, `ingress/${name}`)
    await space.keepsServing(host, 'v2')
    expect((await space.object('ingresses', name))?.metadata.deletionTimestamp).toBeDefined()
    await stamp({ update: 'absent', index: 2 })
    await space.serves(host, below(2, '404', 'v2'))
    await stamp({ current: 'absent', index: -1 })
    await space.serves(host, '404')
    await waitFor(
      'the Ingress is gone',
      () => space.object('ingresses', name),
      found => found === null,
    )
  }, 90_000)
})
