import { afterEach, describe, expect, it, jest } from '@jest/globals'
import type { Refusal } from '../../protocol/messages.ts'
import type { ProbedObject, Report } from '../../protocol/messages.ts'
import { parseReport } from '../../protocol/schemas.ts'
import type { Counts } from '../report/counter-source.ts'
import { fragment, upsert } from '../table/testing/fixtures.ts'
import { smallWriter } from '../table/testing/one-thread.ts'
import type { Address } from './address.ts'
import { Reporter } from './reporter.ts'
import { Served } from './served.ts'
import { FakeLog } from './testing/messages.ts'
import type { Answer } from './transport.ts'

const HASH = 'a'.repeat(64)
const CHECKSUMS = { ingress: 'b'.repeat(32), secret: null }
const A = '10.0.0.1:8443'
const B = '10.0.0.2:8443'

type Reply = Answer | 'hang' | 'error'
const OK: Answer = { status: 200, body: '{}' }

/** A leader that answers as it is told, and a clock that moves when it is told. */
class Rig {
  readonly sent: { readonly to: string; readonly report: Report; readonly at: number }[] = []
  readonly table = smallWriter()
  readonly served = new Served(this.table.objects())
  readonly log = new FakeLog()
  readonly refusals: Refusal[] = []
  readonly counted: Counts[] = []
  probed: Readonly<Record<string, ProbedObject>> = {}
  reply: (to: string) => Reply = () => OK
  takes = 0
  readonly reporter = new Reporter({
    ...{ pod: 'sluice-proxy-0', instance: 'i', served: this.served, log: this.log, refusals: () => this.refusals },
    probes: { take: () => this.probed },
    counters: { take: () => Promise.resolve(this.#take()) },
    transport: { report: (to, body, signal) => this.#report(to, body, signal) },
  })

  #take(): Counts {
    this.takes++
    const requests = this.takes
    return { hosts: {}, objects: { 'Ingress/ns/web': { revision: 'r1', requests, status: [0, requests, 0, 0, 0] } } }
  }

  #report(to: Address, body: string, signal: AbortSignal): Promise<Answer> {
    this.sent.push({ to: `${to.host}:${to.port}`, report: parseReport(body), at: performance.now() })
    const reply = this.reply(`${to.host}:${to.port}`)
    if (reply === 'error') return Promise.reject(new Error('connect refused'))
    if (reply !== 'hang') return Promise.resolve(reply)
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
  }

  get sequences(): readonly number[] {
    return this.sent.map(s => s.report.sequence)
  }
}

async function rig(): Promise<Rig> {
  jest.useFakeTimers()
  const made = new Rig()
  made.reporter.start()
  await jest.advanceTimersByTimeAsync(0)
  return made
}

const pass = (milliseconds: number): Promise<void> => jest.advanceTimersByTimeAsync(milliseconds)

afterEach(() => {
  jest.useRealTimers()
})

describe('reports', () => {
  it('say what probes came to, where there are any', async () => {
    const r = await rig()
    r.reporter.leader(A)
    await pass(50)
    expect(r.sent.at(-1)?.report).not.toHaveProperty('probes')
    const counters = { ok: 1, failed: 0, own: 1, failedInRow: 0, status: 200, error: null }
    r.probed = { 'Ingress/ns/web': { revision: 'r1', probes: { p: counters } } }
    await pass(10_000)
    expect(r.sent.at(-1)?.report.probes).toEqual(r.probed)
  })

  it('wait for a leader, and say all there is to say', async () => {
    const r = await rig()
    await pass(60_000)
    expect(r.sent).toEqual([])
    r.served.advance(r.table.apply(upsert(fragment('web', [])), 0).generation)
    r.served.acknowledge({ stateHash: HASH, checksums: CHECKSUMS }, 'disk')
    r.refusals.push({ reason: 'Held', object: null, message: 'm' })
    r.reporter.observe({ objects: ['Ingress/ns/web', 'Ingress/ns/new'], intervalMs: 10_000 })
    r.reporter.leader(A)
    await pass(50)
    expect(r.sent).toMatchObject([{ to: A }])
    expect(r.sent[0]?.report).toEqual({
      ...{ type: 'report', protocol: 1, pod: 'sluice-proxy-0', instance: 'i', sequence: 1, stateHash: HASH },
      ...{ source: 'disk', checksums: CHECKSUMS, refused: [{ reason: 'Held', object: null, message: 'm' }] },
      revisions: { 'Ingress/ns/web': 'r1', 'Ingress/ns/new': null },
      hosts: {},
      objects: { 'Ingress/ns/web': { revision: 'r1', requests: 1, status: [0, 1, 0, 0, 0] } },
    })
  })

  it('come every 10 s, and as often as the operator asks for', async () => {
    const r = await rig()
    r.reporter.leader(A)
    await pass(50)
    await pass(30_000)
    expect(r.sequences).toEqual([1, 2, 3, 4])
    r.reporter.observe({ objects: [], intervalMs: 2_000 })
    await pass(10_000)
    expect(r.sequences).toHaveLength(9)
  })

  it('come at once for what a rollout waits for, several changes in one', async () => {
    const r = await rig()
    r.reporter.observe({ objects: ['Ingress/ns/web'], intervalMs: 10_000 })
    r.reporter.leader(A)
    await pass(1_000)
    r.served.acknowledge({ stateHash: HASH, checksums: CHECKSUMS }, 'stream')
    r.reporter.served(new Map())
    await pass(1_000)
    expect(r.sequences).toEqual([1, 2])
    r.reporter.served(new Map([['Ingress/ns/else', 'r2']]))
    await pass(1_000)
    expect(r.sequences).toEqual([1, 2])
    r.reporter.served(new Map([['Ingress/ns/web', 'r2']]))
    await pass(20)
    r.reporter.refused()
    await pass(40)
    expect(r.sequences).toEqual([1, 2, 3])
    await pass(1_000)
    expect(r.sequences).toEqual([1, 2, 3])
  })

  it('come at once for an object that somebody begins to look at', async () => {
    const r = await rig()
    r.reporter.leader(A)
    await pass(1_000)
    r.reporter.observe({ objects: ['Ingress/ns/web'], intervalMs: 10_000 })
    await pass(50)
    expect(r.sent.at(-1)?.report.revisions).toEqual({ 'Ingress/ns/web': null })
    r.reporter.observe({ objects: ['Ingress/ns/web'], intervalMs: 10_000 })
    await pass(1_000)
    expect(r.sent).toHaveLength(2)
  })

  it('never come faster than five a second, however much changes', async () => {
    const r = await rig()
    r.reporter.leader(A)
    for (let i = 0; i < 200; i++) {
      r.reporter.refused()
      await pass(10)
    }
    expect(r.sent.length).toBeLessThanOrEqual(11)
    expect(r.sent.length).toBeGreaterThan(5)
  })
})

describe('a report that failed', () => {
  it('is sent again as it is; what was counted meanwhile comes with the next', async () => {
    const r = await rig()
    r.reply = () => 'error'
    r.reporter.leader(A)
    await pass(20_000)
    expect(r.sent.length).toBeGreaterThan(4)
    expect(new Set(r.sent.map(s => JSON.stringify(s.report))).size).toBe(1)
    expect(r.takes).toBe(1)
    r.reply = () => OK
    await pass(5_000)
    expect(r.sequences.at(-1)).toBe(2)
    expect(r.takes).toBe(2)
  })

  it('is retried with back-off', async () => {
    const r = await rig()
    r.reply = () => ({ status: 500, body: 'internal error' })
    r.reporter.leader(A)
    await pass(60_000)
    expect(r.sent.length).toBeLessThan(35)
    expect(r.log.lines.length).toBeLessThan(4)
    const gaps = r.sent.slice(1).map((s, i) => s.at - (r.sent[i]?.at ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_001)
  })

  it('is given up on when nobody answers in time', async () => {
    const r = await rig()
    r.reply = () => 'hang'
    r.reporter.leader(A)
    await pass(5_100)
    r.reply = () => OK
    await pass(1_000)
    expect(r.sequences).toEqual([1, 1])
  })

  it.each([400, 413])('is dropped when it can never be taken (%d), and those behind it are sent', async status => {
    const r = await rig()
    r.reply = () => ({ status, body: 'no' })
    r.reporter.leader(A)
    await pass(100)
    r.reply = () => OK
    await pass(10_000)
    expect(r.sequences).toEqual([1, 2])
    expect(r.log.lines).toContainEqual(expect.stringContaining('report dropped: no'))
  })
})

describe('the leader', () => {
  it('that is new gets a report at once', async () => {
    const r = await rig()
    r.reporter.leader(A)
    await pass(1_000)
    r.reporter.leader(A)
    await pass(1_000)
    expect(r.sent).toHaveLength(1)
    r.reporter.leader(B)
    await pass(50)
    expect(r.sent.map(s => s.to)).toEqual([A, B])
  })

  it('that is new gets what the old one did not take', async () => {
    const r = await rig()
    r.reply = to => (to === A ? 'hang' : OK)
    r.reporter.leader(A)
    await pass(100)
    r.reporter.leader(B)
    await pass(1)
    expect(r.sent.map(s => [s.to, s.report.sequence])).toEqual([
      [A, 1],
      [B, 1],
    ])
    await pass(250)
    expect(r.sequences).toEqual([1, 1, 2])
  })

  it('is who a 421 names', async () => {
    const r = await rig()
    r.reply = to => (to === A ? { status: 421, body: JSON.stringify({ leader: B }) } : OK)
    r.reporter.leader(A)
    await pass(100)
    expect(r.sent.map(s => [s.to, s.report.sequence])).toEqual([
      [A, 1],
      [B, 1],
    ])
    // The stream's replica has not noticed yet.
    r.reporter.leader(A)
    await pass(10_000)
    expect(r.sent.at(-1)).toMatchObject({ to: B, report: { sequence: 2 } })
  })

  it('is asked for again where the one that a 421 named is gone', async () => {
    const r = await rig()
    r.reply = to => (to === A ? { status: 421, body: JSON.stringify({ leader: B }) } : 'error')
    r.reporter.leader(A)
    await pass(100)
    r.reply = to => (to === A ? OK : 'error')
    await pass(1_000)
    expect(r.sent.map(s => s.to)).toEqual([A, B, A])
  })

  it('two replicas that name each other are not asked without end', async () => {
    const r = await rig()
    r.reply = to => ({ status: 421, body: JSON.stringify({ leader: to === A ? B : A }) })
    r.reporter.leader(A)
    await pass(60_000)
    expect(r.sent.length).toBeLessThan(300)
    expect(new Set(r.sequences)).toEqual(new Set([1]))
  })

  it.each(['{"leader":null}', '', '<html>'])('a 421 that names none (%s) is a failure like others', async body => {
    const r = await rig()
    r.reply = () => ({ status: 421, body })
    r.reporter.leader(A)
    await pass(10_000)
    expect(r.sent.length).toBeGreaterThan(2)
    expect(r.sent.length).toBeLessThan(20)
  })

  it('lost: reports wait, and none is lost', async () => {
    const r = await rig()
    r.reporter.leader(A)
    await pass(100)
    r.reporter.leader(null)
    await pass(60_000)
    expect(r.sent).toHaveLength(1)
    r.reporter.leader(A)
    await pass(100)
    expect(r.sequences).toEqual([1, 2])
  })

  it('with an address that is none is told and not asked', async () => {
    const r = await rig()
    r.reporter.leader('nowhere')
    await pass(60_000)
    expect(r.sent).toEqual([])
    expect(r.log.lines).toEqual(['warn report: not the address of a leader {"leader":"nowhere"}'])
  })
})

describe('the end', () => {
  it('sends a last report', async () => {
    const r = await rig()
    r.reporter.leader(A)
    await pass(100)
    const closed = r.reporter.close()
    await pass(0)
    await closed
    expect(r.sequences).toEqual([1, 2])
    await pass(60_000)
    expect(r.sent).toHaveLength(2)
  })

  it('waits for nobody who does not answer', async () => {
    const r = await rig()
    r.reply = () => 'hang'
    r.reporter.leader(A)
    await pass(100)
    let ended = false
    const closed = r.reporter.close().then(() => (ended = true))
    await pass(6_000)
    expect(ended).toBe(true)
    await closed
  })

  it('sends nothing where there is no leader', async () => {
    const r = await rig()
    await r.reporter.close()
    expect(r.sent).toEqual([])
    expect(r.takes).toBe(0)
  })
})
