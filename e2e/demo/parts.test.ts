import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { LoadRecord } from '../load/record.ts'
import { DocumentSplitter } from './documents.ts'
import type { RolloutEvent } from './events.ts'
import { Journal } from './journal.ts'
import { policy } from './manifests.ts'
import { PodCounts, servesUpdate } from './pods.ts'
import { Screen } from './screen.ts'
import { renderSummary } from './summary.ts'
import { percent, renderTable } from './table.ts'
import type { Paint, PodRow } from './table.ts'
import { rolloutOf, warningOf } from './watched.ts'

const plain: Paint = (_style, text) => text
const rollout = (more: Partial<RolloutEvent> = {}): RolloutEvent => ({
  type: 'rollout',
  at: 0,
  name: 'ing-web-new',
  kind: 'Ingress',
  object: 'web',
  revision: 'new',
  stableRevision: 'old',
  phase: 'Progressing',
  message: '',
  index: 1,
  gates: [],
  ...more,
})

describe('table', () => {
  const row: PodRow = {
    ordinal: 0,
    revision: 'ab12',
    updated: true,
    requests: 1000,
    failures: 1,
    handshakes: 9,
    tlsFailures: 0,
    version: 'v2',
  }

  it('lines up, and says who serves the update', () => {
    const rows = [row, { ...row, ordinal: 1, revision: null, updated: false, requests: 0, failures: 0, version: null }]
    expect(renderTable(rows, plain)).toEqual([
      'POD              REVISION   BACKEND   REQUESTS   SUCCESS   TLS   ACCEPTED',
      'sluice-proxy-0   ab12 new   v2            1000     99.9%     9       100%',
      'sluice-proxy-1   -          -                0         -     9       100%',
    ])
  })

  it('paints without changing the width', () => {
    const paint: Paint = (style, text) => `<${style}>${text}</${style}>`
    const painted = renderTable([row], paint).map(line => line.replaceAll(/<\/?[a-z]+>/g, ''))
    expect(painted.map(line => line.trimEnd())).toEqual(renderTable([row], plain))
    expect(renderTable([row], paint)[1]).toContain('<bad>  99.9%</bad>')
  })

  it('100% means all of them, and nothing is rounded up to it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 0, max: 1e6 }), (all, failures) => {
        fc.pre(failures <= all)
        expect(percent(all, failures) === '100%').toBe(failures === 0)
      }),
    )
    expect(percent(0, 0)).toBe('-')
    expect(percent(3, 3)).toBe('0.0%')
  })
})

describe('documents of a watch', () => {
  it('are found however the text is cut', () => {
    const documents = [
      { type: 'ADDED', object: { a: [{}, '}'] } },
      { type: 'MODIFIED', object: { text: 'x\n}\n' } },
      {},
    ]
    const text = documents.map(document => `${JSON.stringify(document, null, 4)}\n`).join('')
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), sizes => {
        const splitter = new DocumentSplitter()
        const found: unknown[] = []
        for (let at = 0, i = 0; at < text.length; i++) {
          const size = sizes[i % sizes.length]!
          found.push(...splitter.push(text.slice(at, at + size)))
          at += size
        }
        expect(found).toEqual(documents)
      }),
    )
  })

  it('become rollouts', () => {
    const object = {
      metadata: { name: 'ing-web-new' },
      spec: { objectRef: { kind: 'Ingress', name: 'web' }, revision: 'new' },
      status: {
        phase: 'RolledBack',
        stableRevision: 'old',
        message: 'm',
        index: 0,
        gates: [{ name: 'successRate', verdict: 'fail', message: '0%' }],
      },
    }
    const gates = [{ name: 'successRate', verdict: 'fail', message: '0%' }]
    expect(rolloutOf({ type: 'ADDED', object }, 7)).toEqual(
      rollout({ at: 7, phase: 'RolledBack', message: 'm', index: 0, gates }),
    )
    const young = { metadata: object.metadata, spec: object.spec }
    expect(rolloutOf({ type: 'ADDED', object: young }, 7)).toEqual(
      rollout({ at: 7, phase: '', index: null, stableRevision: null }),
    )
    expect(rolloutOf({ type: 'DELETED', object }, 7)).toBeNull()
    expect(rolloutOf({ type: 'ERROR', object: { kind: 'Status' } }, 7)).toBeNull()
    expect(rolloutOf('text', 7)).toBeNull()
  })

  it('become warnings', () => {
    const object = { type: 'Warning', involvedObject: { kind: 'Secret', name: 'web-tls' }, reason: 'R', message: 'm' }
    expect(warningOf({ type: 'ADDED', object }, 7)).toEqual({
      type: 'warning',
      at: 7,
      object: 'Secret/web-tls',
      reason: 'R',
      message: 'm',
    })
    expect(warningOf({ type: 'ADDED', object: { ...object, type: 'Normal' } }, 7)).toBeNull()
  })
})

describe('counts per pod', () => {
  const request = (record: Partial<LoadRecord>): Parameters<PodCounts['add']>[0] => ({
    type: 'request',
    at: 0,
    record: {
      kind: 'http',
      at: 0,
      ms: 1,
      ordinal: 0,
      status: 200,
      version: 'v1',
      issuer: null,
      error: null,
      connection: 'reused',
      ...record,
    },
  })

  it('count requests and handshakes apart, from the start of the part', () => {
    const counts = new PodCounts(2)
    counts.add(request({}))
    counts.add({ type: 'part', at: 0, part: 'good' })
    counts.add(request({ status: 500, version: 'v3' }))
    counts.add(request({ kind: 'tls', status: null, version: null, error: 'x' }))
    counts.add(request({ ordinal: 7 }))
    expect(counts.rows[0]).toMatchObject({ requests: 1, failures: 1, handshakes: 1, tlsFailures: 1, version: 'v3' })
    expect(counts.rows[1]).toMatchObject({ requests: 0, handshakes: 0, version: null })
  })

  it('show the revision of the rollout of this part, not of an earlier one', () => {
    const counts = new PodCounts(2)
    counts.add(rollout())
    expect(counts.rows.map(row => [row.revision, row.updated])).toEqual([
      ['new', true],
      ['old', false],
    ])
    counts.add({ type: 'part', at: 0, part: 'bad' })
    counts.add(rollout({ index: -1 }))
    expect(counts.rows.map(row => row.revision)).toEqual([null, null])
  })

  it('index: -1 is everybody, 0 nobody', () => {
    expect([-1, 0, 1, 5, null].map(index => servesUpdate({ index }, 4))).toEqual([true, false, false, true, false])
  })
})

describe('journal', () => {
  it('hands out the next event that is wanted, and gives up after its time', async () => {
    const journal = new Journal()
    const wanted = journal.next('x', 1_000, event => event.type === 'rollout')
    journal.add({ type: 'part', at: 3, part: 'bad' })
    journal.add(rollout())
    expect((await wanted).name).toBe('ing-web-new')
    expect(journal.part).toBe('bad')
    await expect(journal.next('a rollout', 10, event => event.type === 'rollout')).rejects.toThrow(
      'a rollout: not seen within 0.01 s',
    )
  })
})

describe('screen', () => {
  const record = (
    isTTY: boolean,
    env: Record<string, string> = {},
  ): { readonly screen: Screen; readonly text: () => string } => {
    let written = ''
    return { screen: new Screen({ isTTY, write: text => (written += text) }, env), text: () => written }
  }

  it('writes plain lines into a pipe, and the table only where something changed', () => {
    const { screen, text } = record(false)
    screen.showTable(() => ['table'])
    screen.say(screen.paint('bad', 'one'))
    expect(text()).toBe('one\n')
    screen.tableNow()
    expect(text()).toContain('  table\n')
    expect(text()).not.toContain('\x1b')
  })

  it('draws the table anew below what is said on a terminal', () => {
    const { screen, text } = record(true)
    screen.showTable(() => ['table'])
    screen.say('one')
    expect(text().indexOf('one')).toBeLessThan(text().lastIndexOf('table'))
    expect(text()).toContain('\x1b[3A\r\x1b[J')
    screen.hideTable()
    expect(screen.paint('good', 'x')).toBe('\x1b[32mx\x1b[0m')
  })

  it('honours NO_COLOR', () => {
    expect(record(true, { NO_COLOR: '1' }).screen.paint('bad', 'x')).toBe('x')
    expect(record(true, { NO_COLOR: '' }).screen.paint('bad', 'x')).not.toBe('x')
  })
})

describe('summary', () => {
  it('shows figures and names what failed', () => {
    const checks = [
      { name: 'this', ok: true, detail: 'd' },
      { name: 'that', ok: false, detail: 'e' },
    ]
    const part = {
      part: 'bad',
      requests: 10,
      failures: 3,
      reasons: 'status 500 × 3',
      detectMs: 1234,
      rollBackMs: null,
      touched: [0],
      checks,
    } as const
    const text = renderSummary({ parts: [part], ok: false }, plain).join('\n')
    expect(text).toMatch(/a bad change +10 +3 +1\.2 s +- +1\n/)
    expect(text).toContain('  ok      this: d')
    expect(text).toContain('  FAILED  that: e')
    expect(text).toContain('1 checks FAILED.')
  })
})

describe('policy', () => {
  it('has thresholds, unless the gates are switched off', () => {
    const analysis = (gates: boolean): unknown => (policy(gates)['spec'] as { analysis: unknown }).analysis
    expect(analysis(true)).toMatchObject({ successRate: { min: 99 }, tlsFailureRate: { maxRise: 5 } })
    expect(analysis(false)).toMatchObject({ successRate: { min: 0 }, tlsFailureRate: { maxRise: 100 } })
    expect(analysis(false)).not.toHaveProperty('notFoundRate')
  })
})
