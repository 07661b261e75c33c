/** A short run of all there is. It says nothing of times, throughput or growth. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from '@jest/globals'
import { Ends } from '../bench/ends.ts'
import { parseCores } from '../bench/proc.ts'
import { KINDS } from './clients.ts'
import { CHANGE_KINDS } from './population.ts'
import { errorsOf } from './report.ts'
import { soak } from './soak.ts'
import type { Outcome } from './soak.ts'

const ends = new Ends()
afterEach(() => ends.all())

async function shortRun(lie?: string): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-soak-'))
  ends.add(() => rm(folder, { recursive: true }))
  const [core = 0] = parseCores(readFileSync('/proc/self/status', 'latin1'))
  return soak({
    ...{ ends, folder, proxyCore: core, loadCore: core, say: () => undefined },
    ...{ hosts: 60, changes: 20, load: { perSecond: 150 }, runMs: 4_000, sampleMs: 500, seed: 7 },
    // A bundle that other tests run is none of ours to replace.
    main: join(__dirname, '../../proxy/main.ts'),
    ...(lie === undefined ? {} : { lie }),
  })
}

describe('a soak', () => {
  it('changes everything under load of every kind, without an error', async () => {
    const outcome = await shortRun()
    expect(errorsOf(outcome)).toEqual([])
    expect(outcome.isSameState).toBe(true)
    for (const kind of CHANGE_KINDS) expect([kind, outcome.changes[kind]]).not.toEqual([kind, 0])
    for (const kind of KINDS) expect([kind, outcome.traffic.requests[kind]]).not.toEqual([kind, 0])
    expect(outcome.servedMs).toHaveLength(CHANGE_KINDS.reduce((sum, kind) => sum + outcome.changes[kind], 0))
    expect(outcome.traffic.posts).toBeGreaterThan(0)
    expect(outcome.samples.length).toBeGreaterThan(0)
    for (const sample of outcome.samples) {
      for (const figure of ['rss', 'anonymous', 'heap', 'external', 'table', 'descriptors', 'hosts'] as const)
        expect([figure, sample[figure]]).not.toEqual([figure, 0])
    }
  }, 120_000)

  it('sees a backend that answers for another host', async () => {
    const outcome = await shortRun('host-0000000.soak.example')
    expect(outcome.traffic.faults.wrong).toBeGreaterThan(0)
    expect(outcome.traffic.faults).toMatchObject({ cut: 0, closed: 0 })
    expect(outcome.traffic.examples[0]).toContain('a body that is not of host-0000000.soak.example')
  }, 120_000)
})
