import { describe, expect, it } from '@jest/globals'
import { lineOf, scenariosOf, summaryOf } from './report.ts'

const step = (status: string, error_message?: string): object => ({
  keyword: 'Then ',
  name: 'the response status-code must be 404',
  result: { status, ...(error_message === undefined ? {} : { error_message }) },
})
const report = (...scenarios: readonly (readonly object[])[]): string =>
  JSON.stringify([
    {
      name: 'Host rules',
      elements: scenarios.map((steps, n) => ({ name: `scenario ${n}`, type: 'scenario', steps })),
    },
  ])
const failures = (text: string): readonly (string | null)[] => (scenariosOf(text) ?? []).map(({ failure }) => failure)

describe('the report of the suite', () => {
  it('a scenario passed if every step did', () => {
    expect(scenariosOf(report([step('passed'), step('passed')]))).toEqual([
      { feature: 'Host rules', name: 'scenario 0', failure: null },
    ])
  })

  it.each([
    [
      'failed',
      step('failed', 'expected 404 but 200'),
      'Then the response status-code must be 404: expected 404 but 200',
    ],
    ['was skipped', step('skipped'), 'Then the response status-code must be 404: skipped'],
    ['is not defined', step('undefined'), 'Then the response status-code must be 404: undefined'],
    ['has no result', {}, ': no result'],
  ])('and failed if one %s', (_, bad, failure) => expect(failures(report([step('passed'), bad]))).toEqual([failure]))

  it('proves nothing without steps', () => expect(failures(report([]))).toEqual(['it has no steps']))

  it('does not count a background as a scenario', () => {
    const text = JSON.stringify([{ name: 'x', elements: [{ type: 'background', steps: [step('failed')] }] }])
    expect(scenariosOf(text)).toEqual([])
  })

  it('is not complete while it is no JSON', () => {
    expect(scenariosOf('')).toBeNull()
    expect(scenariosOf('[{"name":')).toBeNull()
  })

  it('is printed line by line, with a sum', () => {
    const scenarios = scenariosOf(report([step('passed')], [step('failed', 'no')])) ?? []
    expect(scenarios.map(lineOf)).toEqual([
      '  passed  scenario 0',
      '  FAILED  scenario 1\n          Then the response status-code must be 404: no',
    ])
    expect(summaryOf(scenarios)).toBe('1 passed, 1 failed')
  })
})
