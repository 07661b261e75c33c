/**
 * Clients that do what they should not, and one that does nothing wrong beside them. Black box: real sockets on both sides of the
 * data plane. `SLUICE_SEED` repeats a run, `SLUICE_ONLY` plays one connection of it, `SLUICE_CONNECTIONS` makes it longer.
 */
import { afterAll, expect, it } from '@jest/globals'
import { runHostile, type Outcome } from '../testing/hostile/run.ts'
import { describeOnAll } from '../workers/testing/ways.ts'
import { Ends } from '../workers/testing/harness.ts'

const number = (name: string, fallback: number): number => Number(process.env[name] ?? fallback)
const seed = number('SLUICE_SEED', Math.floor(Math.random() * 1_000_000_000))
const connections = number('SLUICE_CONNECTIONS', 2_000)
const only = process.env['SLUICE_ONLY'] === undefined ? null : number('SLUICE_ONLY', 0)

/** The first of many say enough. */
function some(faults: readonly string[]): readonly string[] {
  return faults.length > 12 ? [...faults.slice(0, 12), `and ${faults.length - 12} more`] : faults
}

describeOnAll(`random clients (SLUICE_SEED=${seed})`, () => {
  const ends = new Ends()
  afterAll(() => ends.all())
  let outcome: Outcome

  // Jest fails a test during which an exception or a rejection was caught by nobody.
  it(
    'do not bring the process down',
    async () => {
      process.stderr.write(`hostile: SLUICE_SEED=${seed}\n`)
      outcome = await runHostile(ends, { seed, connections, atOnce: 50, only })
      process.stderr.write(`hostile: ${outcome.summary}\n`)
    },
    60_000 + connections * 50,
  )

  it('get a right sequence of answers, each in the place of its request', () => {
    expect(some(outcome.faults)).toEqual([])
  })

  it('cannot make a backend see two requests of one connection at once, one twice, or one that nobody sent', () => {
    expect(some(outcome.backendFaults)).toEqual([])
  })

  it('are not felt by others', () => {
    expect(outcome.bystanderFaults).toEqual([])
    expect(outcome.bystanderAnswers).toBeGreaterThan(2)
  })

  it('leave nothing behind: no connection, no backend connection, no timer', () => {
    expect(outcome.left).toEqual({ clients: 0, backendSockets: [], resources: {} })
  })

  it('are counted: every answer, and nothing that was no request', () => {
    // An answer that a client got was counted; of those that went before, and of what was cut, nobody can say.
    expect(outcome.counted).toBeGreaterThanOrEqual(outcome.answers)
    expect(outcome.counted).toBeLessThanOrEqual(outcome.begun)
  })
})
