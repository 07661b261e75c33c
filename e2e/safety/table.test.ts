import { describe, expect, it } from '@jest/globals'
import type { GoodChange } from './good.ts'
import { goodText } from './good.ts'
import { lineOf, markdownOf, sectionOf, summaryOf, withSection } from './table.ts'
import type { Row } from './table.ts'

const caught: Row = {
  kind: {
    name: 'backend-fails',
    family: 'backend',
    what: 'a Service that answers 500',
    caught: { by: 'gate', gates: ['successRate'] },
  },
  verdict: {
    ...{ outcome: 'caught', by: 'successRate', detectMs: 1_234, backMs: 1_300, requests: 1_000, harmed: 12 },
    ...{ allowed: 28, problems: [] },
  },
}
const known: Row = {
  kind: { ...caught.kind, name: 'backend-other', caught: { by: 'nobody', because: 'no gate reads bodies' } },
  verdict: { ...caught.verdict, outcome: 'known', by: 'Complete', detectMs: null },
}
const wrong: Row = { ...caught, verdict: { ...caught.verdict, outcome: 'failed', problems: ['one', 'two'] } }

describe('the table', () => {
  it('has a line for the terminal', () => {
    expect(lineOf(caught)).toMatch(
      /^caught +backend-fails +successRate +1\.2 s +1\.3 s +12 of +1000 +a Service that answers 500$/,
    )
    expect(lineOf(known)).toMatch(/^NOT CAUGHT .* – /)
    expect(lineOf(wrong)).toMatch(/^FAILED /)
  })

  it('counts', () => {
    expect(summaryOf([caught, known, wrong])).toBe('1 of 3 kinds caught, 1 known not to be, 1 failed')
    expect(summaryOf([caught])).toBe('1 of 1 kinds caught, 0 failed')
  })

  it('is Markdown in the order of the catalogue, with what is missing and what went wrong', () => {
    const names = ['backend-other', 'backend-fails']
    expect(markdownOf([caught, known], names).split('\n')).toEqual([
      '1 of 2 kinds are caught, 1 are known not to be.',
      '',
      '| bad change | caught by | detected | last harm | requests | harmed | share | allowed |',
      '| --- | --- | --- | --- | --- | --- | --- | --- |',
      '| a Service that answers 500 (`backend-other`) | **nobody**: no gate reads bodies | – | 1.3 s | 1000 | 12 | 1.2 % | 2.8 % |',
      '| a Service that answers 500 (`backend-fails`) | successRate | 1.2 s | 1.3 s | 1000 | 12 | 1.2 % | 2.8 % |',
    ])
    const lines = markdownOf([wrong], names).split('\n')
    expect(lines[0]).toBe('0 of 1 kinds are caught, 1 did not go as they should.')
    expect(lines.at(-1)).toContain('| **not as it should**: one; two |')
  })

  it('keeps the lines of kinds that were not played', () => {
    const names = ['backend-fails', 'backend-other']
    const before = markdownOf([wrong, known], names)
    const after = markdownOf([caught], names, before).split('\n')
    expect(after[0]).toBe('1 of 2 kinds are caught, 1 are known not to be.')
    expect(after.at(-1)).toBe(before.split('\n').at(-1))
    expect(after.at(-2)).toContain('| successRate | 1.2 s |')
  })

  it('goes between its markers, and nowhere else', () => {
    const [begin, end] = ['<!-- x: written by make safety WRITE=1 -->', '<!-- end of x -->']
    expect(withSection(`a\n${begin}\nold\n${end}\nb`, 'x', 'new')).toBe(`a\n${begin}\n\nnew\n\n${end}\nb`)
    expect(sectionOf(`a\n${begin}old${end}`, 'x')).toBe('old')
    expect(() => withSection('a', 'x', 'new')).toThrow('no section x')
  })
})

describe('good changes', () => {
  const NONE = { changes: [], requests: 0, failed: 0, failures: '', backendRestarts: 0, proxyRestarts: 0 }

  it('are counted by their end', () => {
    const change = (phase: string, ms: number): GoodChange => ({ host: 0, phase, message: '', ms, story: [] })
    const changes = [
      change('Complete', 20_000),
      change('Complete', 30_000),
      change('RolledBack', 5_000),
      change('Paused', 150_000),
    ]
    const text = goodText({
      ...NONE,
      changes,
      requests: 900,
      failed: 4,
      failures: '4 500',
      backendRestarts: 2,
      proxyRestarts: 1,
    })
    expect(text).toContain('4 good changes: 1 taken back, 2 complete (half of all within 30 s), 1 waited for a person;')
    expect(text).toContain('900 requests, 4 failed (4 500), 2 restarts of backends, 1 of proxies')
    expect(goodText({ ...NONE, changes: [change('broken', 1)] })).toContain('1 ended otherwise')
    expect(goodText(NONE)).toContain('0 requests, 0 failed, 0 restarts')
  })
})
