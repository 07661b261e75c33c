import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'
import { metricsDocument, metricsIn } from './metrics.ts'

describe('docs/metrics.md', () => {
  it('is what the code says', async () => {
    expect(readFileSync('docs/metrics.md', 'utf8')).toBe(await metricsDocument())
  })
})

describe('the metrics of a scrape', () => {
  it('are ours, with their labels; parts of a histogram are one', () => {
    const text = `# HELP process_x not ours
# TYPE process_x gauge
process_x 1
# HELP sluice_x_seconds how long
# TYPE sluice_x_seconds histogram
sluice_x_seconds_bucket{host="a,b=\\"c\\"",le="1"} 0
sluice_x_seconds_sum{host="a"} 0
# HELP sluice_y none
# TYPE sluice_y gauge
sluice_y NaN
`
    expect(metricsIn(text)).toEqual([
      { name: 'sluice_x_seconds', type: 'histogram', labels: ['host'], help: 'how long' },
      { name: 'sluice_y', type: 'gauge', labels: [], help: 'none' },
    ])
  })

  it('are not guessed where nothing was counted', () => {
    expect(() => metricsIn('# HELP sluice_x x\n# TYPE sluice_x counter\n')).toThrow('sluice_x has no sample')
  })
})
