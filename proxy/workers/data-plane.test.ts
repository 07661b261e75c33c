/** The wires of a data plane that no single part of it can have tests of. */
import { afterEach, describe, expect, it } from '@jest/globals'
import { dataPlaneConfig } from '../config.ts'
import { createDefaultCertificate } from '../frontdoor/default-certificate.ts'
import { ownSecrets } from '../frontdoor/ticket-keys.ts'
import { createMetrics } from '../report/metrics.ts'
import { TotalCounts } from '../report/totals.ts'
import { UpstreamTotals } from '../report/upstream-totals.ts'
import { DataPlane } from './data-plane.ts'
import { MasterTable } from './master-table.ts'
import { Ends, TEST_ENVIRONMENT, ask, site, startBackend } from './testing/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

/** As /metrics says it. */
async function metric(totals: TotalCounts, name: string): Promise<number> {
  const metrics = createMetrics({
    ...{ totals, upstream: new UpstreamTotals(() => true), version: 'test', socketIo: 'streams' },
    workers: () => ({ serving: 1, crashes: 0, stalls: 0, outOfMemory: 0, heapLimitBytes: 0 }),
    ...{ logDropped: () => ({ access: 0, own: 0 }), workerStates: () => [], appliedAt: () => null },
    tableBroken: () => null,
    table: () => ({ ingresses: 0, hosts: 0, certificates: 0, services: 0, memoryBytes: 0 }),
    ticketsOfFleet: () => false,
    probes: () => ({ ok: 0, failed: 0 }),
    stream: () => ({ stateHash: '', source: 'none', connected: false, refusals: 0, diskError: null, diskRefused: 0 }),
  })
  let text = ''
  for await (const portion of metrics.portions()) text += portion
  return Number(new RegExp(`^${name} ([0-9]+)$`, 'm').exec(text)?.[1])
}

describe('a defect in what handles a request', () => {
  it('is told with its error, is counted in the metric, and ends that request and no other', async () => {
    const defects: unknown[] = []
    const defect = new Error('no lines today')
    let broken = false
    const table = new MasterTable()
    const plane = await DataPlane.create({
      table: table.memory,
      config: dataPlaneConfig({ ...TEST_ENVIRONMENT, ACCESS_LOG: 'stdout' }),
      defaultCertificate: await createDefaultCertificate(),
      ticketSecrets: ownSecrets(Buffer.alloc(32, 7)),
      onDefect: error => defects.push(error),
      // The last thing that handles a request, and the only one that a caller brings along.
      lines: {
        line: () => {
          if (broken) throw defect
        },
        flush: () => undefined,
      },
    })
    ends.add(() => plane.close())
    const { httpPort } = await plane.listen(0, 0)
    const address = await startBackend(ends, (_request, response) => response.end('ok'))
    for (const update of site('a.example', [address])) plane.apply(table.apply(update))
    const totals = new TotalCounts(() => true)
    const defectsCounted = async (): Promise<number> => {
      const delta = plane.flushCounts()
      if (delta !== null) totals.add(delta)
      return await metric(totals, 'sluice_defects_total')
    }

    expect((await ask(httpPort, {})).status).toBe(200)
    expect([await defectsCounted(), defects]).toEqual([0, []])
    broken = true
    await ask(httpPort, {}).catch(() => null)
    expect(defects.length).toBeGreaterThan(0)
    expect(new Set(defects)).toEqual(new Set([defect]))
    expect(await defectsCounted()).toBe(defects.length)
    broken = false
    expect((await ask(httpPort, {})).status).toBe(200)
    expect(await defectsCounted()).toBe(defects.length)
  })
})
