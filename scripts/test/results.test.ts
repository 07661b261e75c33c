import { describe, expect, it } from '@jest/globals'
import { gatesOffProblem, jestOutcome, tallyLine } from './results.ts'
import type { DemoReport, JestReport } from './results.ts'

const report: JestReport = {
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [{ name: 'a.test.ts', status: 'passed', assertionResults: [{}, {}, {}] }],
}
const empty = { name: 'b.test.ts', status: 'passed', assertionResults: [] }

describe('jest’s outcome', () => {
  it('counts tests', () => {
    expect(jestOutcome(report, 0)).toEqual({ tally: { passed: 3, failed: 0, skipped: 0 }, problems: [] })
    const some = { ...report, numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 }
    expect(jestOutcome(some, 1)).toEqual({ tally: { passed: 3, failed: 2, skipped: 2 }, problems: [] })
  })

  it('a run that crashed, a file without tests, one that could not be run, and a run without tests are failures', () => {
    expect(jestOutcome(null, null).tally.failed).toBe(1)
    expect(jestOutcome({ ...report, testResults: [...report.testResults, empty] }, 0)).toEqual({
      tally: { passed: 3, failed: 1, skipped: 0 },
      problems: ['b.test.ts: ran no test'],
    })
    const broken = { ...report, testResults: [{ ...empty, status: 'failed' }] }
    expect(jestOutcome(broken, 1).problems).toEqual(['b.test.ts: could not be run'])
    expect(jestOutcome({ ...report, numPassedTests: 0, testResults: [] }, 0).tally.failed).toBe(1)
  })

  it('an exit status that nothing explains is a failure, once', () => {
    expect(jestOutcome(report, 1).tally.failed).toBe(1)
    expect(jestOutcome({ ...report, numFailedTests: 1 }, 1).tally.failed).toBe(1)
  })
})

describe('last line', () => {
  it('names what was skipped only if something was', () => {
    expect(tallyLine({ passed: 12, failed: 0, skipped: 0 })).toBe('12 passed, 0 failed')
    expect(tallyLine({ passed: 12, failed: 1, skipped: 4 })).toBe('12 passed, 1 failed, 4 skipped')
  })
})

describe('the demo with its gates off', () => {
  const demo = (good: boolean, stopped: boolean): DemoReport => ({
    parts: [
      { part: 'good', checks: [{ name: 'no request failed', ok: good }] },
      {
        part: 'bad',
        checks: [
          { name: 'only the first batch ever served it', ok: stopped },
          { name: 'rollout RolledBack', ok: stopped },
        ],
      },
    ],
  })

  it('has to fail, in the bad scene, and there only because nothing stopped the change', () => {
    expect(gatesOffProblem(demo(true, false), 1)).toBeNull()
    expect(gatesOffProblem(demo(true, false), 0)).toContain('succeeded')
    expect(gatesOffProblem(null, 1)).toContain('broke off')
    expect(gatesOffProblem(demo(false, false), 1)).toContain('the good change failed too')
    expect(gatesOffProblem(demo(true, true), 1)).toContain('passed with the gates off')
  })
})
