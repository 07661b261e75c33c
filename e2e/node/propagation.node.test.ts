import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { quantile } from '../load/summary.ts'
import { ingress, pointAt } from './harness/manifests.ts'
import { HostPoller } from './harness/poller.ts'
import { Space } from './harness/space.ts'
import { waitFor } from './harness/wait.ts'

const INGRESSES = 1_000
const CHANGES = 200

/**
 * Changes go through one long-lived client of the API server, because kubectl's own start takes a tenth of a second of
 * processor time: the time is from the API server's answer to the first answer of the last proxy with the new content.
 * It is printed, not judged: how fast depends on the machine and on what else it does.
 */
describe('an ungoverned change, among 1 000 Ingresses', () => {
  let space: Space
  const hostOf = (n: number): string => space.host(`web-${n}`)

  beforeAll(async () => {
    space = await Space.open('speed')
    await space.backends({ version: 'v1' }, { version: 'v2' })
    const all = Array.from({ length: INGRESSES }, (_, n) => n)
    const { api } = space.cluster
    for (let from = 0; from < INGRESSES; from += 50) {
      const some = all.slice(from, from + 50)
      await Promise.all(
        some.map(n =>
          api.create('ingresses', ingress({ namespace: space.name, name: `web-${n}`, host: hostOf(n), to: 'v1' })),
        ),
      )
    }
    for (const n of [0, INGRESSES / 2, INGRESSES - 1]) await space.serves(hostOf(n), 'v1', 60_000)
  }, 300_000)
  afterAll(() => space.close(), 180_000)

  it('reaches the last of 5 proxies, every time', async () => {
    const poller = new HostPoller(space.cluster.http)
    const times: number[] = []
    try {
      for (let change = 0; change < CHANGES; change++) {
        // Spread over all Ingresses, none twice.
        const n = (change * 5) % INGRESSES
        const host = hostOf(n)
        const arrived = poller.until(host, 'v2', 10_000)
        await space.cluster.api.patch('ingresses', `web-${n}`, space.name, pointAt(host, 'v2'))
        const answered = performance.now()
        times.push(Math.max(0, (await arrived) - answered))
      }
    } finally {
      poller.close()
    }
    const sorted = Float64Array.from(times).sort()
    const figures = [0.5, 0.9, 0.99, 1].map(q => Math.round(quantile(sorted, q)))
    console.log(
      `propagation over ${CHANGES} changes: p50 ${figures[0]} ms, p90 ${figures[1]}, p99 ${figures[2]}, max ${figures[3]}`,
    )
    expect(sorted).toHaveLength(CHANGES)
  }, 300_000)

  it('kubectl apply arrives as well', async () => {
    const host = hostOf(3)
    await space.ingress({ name: 'web-3', host, to: 'v2' })
    await space.serves(host, 'v2', 2_000)
  }, 30_000)

  it('what was not changed is as it was', async () => {
    await sleep(200)
    for (const n of [1, 2, 501, 999]) {
      await waitFor(
        hostOf(n),
        () => space.proxies.served(hostOf(n)),
        got => got.every(word => word === 'v1'),
      )
    }
  }, 30_000)
})
