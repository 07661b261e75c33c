import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { leadersIn } from '../chaos/audit.ts'
import { chaos } from '../chaos/chaos.ts'
import { problemsOf } from '../chaos/outcome.ts'
import type { Outcome } from '../chaos/outcome.ts'
import { randomOf } from '../../protocol/testing/random.ts'
import { Operators } from './harness/operators.ts'
import { Space } from './harness/space.ts'
import { waitFor } from './harness/wait.ts'

const OPERATORS = 3

/** A short `make chaos`. */
describe('changes while the leader is killed, and the next one stands still', () => {
  let space: Space
  let operators: Operators
  let outcome: Outcome

  const running = async (replicas: number): Promise<void> => {
    await operators.start(replicas)
    await operators.ready()
    const count = (pods: readonly string[]): boolean => pods.length === replicas
    await waitFor(`${replicas} operators`, () => operators.pods(), count, { timeoutMs: 60_000 })
  }

  beforeAll(async () => {
    space = await Space.open('chaos')
    operators = new Operators(space.cluster)
    await running(OPERATORS)
    // Of this seed the first changes are good, bad, good, bad, good, good.
    const random = randomOf(3)
    // A lease is 15 s: where leaders end as often as that, hardly any leads for as long as a bake takes.
    const pace = { everyMs: 20_000, leastMs: 10_000 }
    outcome = await chaos(space, { changes: 6, disturbances: 2, hosts: 3, ...pace, random, say: () => undefined })
  }, 480_000)
  afterAll(async () => {
    await running(1)
    await space.close()
  }, 180_000)

  it('end as they should, harm the first batch alone, and nobody decides who does not lead', () => {
    expect(problemsOf(outcome)).toEqual([])
    expect(outcome.changes.length).toBeGreaterThanOrEqual(6)
  })

  it('were disturbed, and both good and bad', () => {
    expect(outcome.killed).toBeGreaterThan(0)
    expect(outcome.stopped).toBeGreaterThan(0)
    expect(leadersIn(outcome.writes).length).toBeGreaterThan(1)
    expect(new Set(outcome.changes.map(({ bad }) => bad))).toEqual(new Set([true, false]))
  })
})
