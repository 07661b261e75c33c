/** Probes between a real stream server and a real stream client. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { ObservedProbe, ProbedObject } from '../../protocol/messages.ts'
import { Cleanup, Operator, prepare, startProxySide, until } from './rig.ts'
import type { Site } from './rig.ts'
import { TestWorld } from './world.ts'

const A = 'Ingress/ns/a'
const PROBE: ObservedProbe = {
  ...{ object: A, id: 'p', method: 'GET', scheme: 'https', host: 'a.example', path: '/', headers: [['X-A', 'b']] },
  ...{ expect: [[200, 299]], timeoutMs: 1_000, intervalMs: 5_000 },
}

let cleanup: Cleanup
let site: Site
beforeEach(async () => {
  cleanup = new Cleanup()
  site = await prepare(cleanup)
})
afterEach(() => cleanup.run())

describe('probes on the stream', () => {
  it('reach the proxy, what they came to reaches the operator, and the state is as it was', async () => {
    const world = new TestWorld()
    const op = await Operator.start(cleanup, site.leaf)
    op.server.publish(world.change())
    const asked: (readonly ObservedProbe[])[] = []
    let probed: Readonly<Record<string, ProbedObject>> = {}
    const probes = { observe: (all: readonly ObservedProbe[]) => asked.push(all), take: () => probed }
    const proxy = startProxySide(cleanup, site, op.port, { probes })
    await until('a table', () => proxy.stream.status().source === 'stream')
    const { stateHash, checksums } = proxy.stream.status()
    await until('what to observe', () => asked.length > 0)
    expect(asked.at(-1)).toEqual([])
    await until('a report', () => op.reports.length > 0)
    expect(op.reports.at(-1)).not.toHaveProperty('probes')

    const counters = { ok: 2, failed: 1, own: 3, failedInRow: 1, status: 500, error: null }
    probed = { [A]: { revision: 'r1', probes: { p: counters } } }
    world.observation = { objects: [A], hosts: [], intervalMs: 100, probes: [PROBE] }
    op.server.publish(world.change())
    await until('asked', () => asked.at(-1)?.length === 1)
    expect(asked.at(-1)).toEqual([PROBE])
    await until('told', () => op.reports.at(-1)?.probes !== undefined)
    expect(op.reports.at(-1)?.probes).toEqual(probed)
    expect(proxy.stream.status()).toMatchObject({ stateHash, checksums })

    world.observation = { objects: [], hosts: [], intervalMs: 100 }
    op.server.publish(world.change())
    await until('no more', () => asked.at(-1)?.length === 0)
  })
})
