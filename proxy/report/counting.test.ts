/** Recorder, table and totals together: whatever the table does meanwhile, every request is counted once, under its own name. */
import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { Route } from '../table/contract.ts'
import { fragment, host, path, remove, upsert } from '../table/testing/fixtures.ts'
import { sharedTable } from '../table/testing/one-thread.ts'
import { FakeClusters } from '../table/testing/clusters.ts'
import { ReportCounts } from './aggregate.ts'
import { Recorder } from './recorder.ts'
import { readRow } from './columns.ts'
import { TotalCounts } from './totals.ts'

const HOSTS = ['a.example', 'b.example', 'c.example'] as const

/** Requests begin, and end much later, with the table and the numbers of its routes changing between. */
type Step =
  | { readonly do: 'apply'; readonly name: string; readonly revision: string; readonly hosts: readonly string[] }
  | { readonly do: 'remove'; readonly name: string }
  | { readonly do: 'begin'; readonly host: string; readonly path: string }
  | { readonly do: 'end'; readonly which: number }
  | { readonly do: 'flush' }

const names = fc.constantFrom('i', 'j', 'k')
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('apply' as const),
    name: names,
    revision: fc.constantFrom('r1', 'r2', 'r3'),
    hosts: fc.uniqueArray(fc.constantFrom(...HOSTS, ''), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ do: fc.constant('remove' as const), name: names }),
  fc.record({
    do: fc.constant('begin' as const),
    host: fc.constantFrom(...HOSTS, 'nobody.example'),
    path: fc.constantFrom('/', '/p'),
  }),
  fc.record({ do: fc.constant('end' as const), which: fc.nat(20) }),
  fc.record({ do: fc.constant('flush' as const) }),
)

interface Pending {
  readonly host: string | null
  readonly route: Route | null
}

function add(into: Map<string, number>, key: string, count: number): void {
  into.set(key, (into.get(key) ?? 0) + count)
}

describe('counting across changes of the table', () => {
  it('counts every request once, for the host, object and revision that it had, and numbers are given anew', async () => {
    let reused = 0
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 30, maxLength: 200, size: 'max' }), async script => {
        const table = sharedTable(new FakeClusters())
        const recorder = new Recorder()
        const totals = new TotalCounts(() => true, { hosts: 100 })
        let served = 'r1'
        const reports = new ReportCounts({
          ...{ flush: () => Promise.resolve(), reports: () => true, revision: () => served },
        })
        const expected = new Map<string, number>()
        const counted = new Map<string, number>()
        const seen = new Map<number, string>()
        const pending: Pending[] = []
        const finish = ({ host: name, route }: Pending): void => {
          recorder.request({
            ...{
              host: name,
              route,
              status: 200,
              notFound: false,
              upstreamError: false,
              internal: false,
              closed: false,
            },
            ...{ milliseconds: 1, connectMs: null, firstByteMs: null, attempts: 1, requestBytes: 1, responseBytes: 2 },
          })
          add(expected, `${name} ${route?.object} ${route?.revision ?? ''}`, 1)
        }
        const flush = (): void => {
          const delta = recorder.flush()
          table.reclaim()
          if (delta === null) return
          totals.add(delta)
          reports.add(delta)
          delta.requests.names.forEach(({ host: name, object, revision }, i) => {
            const { requests, latency, responseBytes } = readRow(delta.requests.figures, i)
            expect([latency.sum, responseBytes]).toEqual([requests, 2 * requests])
            add(counted, `${name} ${object ?? undefined} ${revision}`, requests)
          })
        }
        for (const step of script) {
          if (step.do === 'apply') {
            const hosts = step.hosts.map(name => host(name, path('Prefix /'), path('Prefix /p')))
            table.apply(upsert(fragment(step.name, hosts, { revision: step.revision })))
            served = step.revision
          } else if (step.do === 'remove') table.apply(remove(step.name))
          else if (step.do === 'begin') {
            const route = table.route(step.host, step.path)
            if (route !== null) {
              const owner = `${route.object} ${route.revision}`
              if ((seen.get(route.id) ?? owner) !== owner) reused++
              seen.set(route.id, owner)
            }
            pending.push({ host: table.requestHost(step.host), route })
          } else if (step.do === 'end') pending.splice(step.which % (pending.length + 1), 1).forEach(finish)
          else flush()
        }
        pending.forEach(finish)
        flush()
        expect(counted).toEqual(expected)
        const sum = [...expected.values()].reduce((a, b) => a + b, 0)
        expect(totals.requests().reduce((n, { requests }) => n + requests, 0)).toBe(sum)
        const { hosts } = await reports.take()
        const named = [...expected].filter(([key]) => !key.startsWith('null '))
        expect(Object.values(hosts).reduce((n, { requests }) => n + requests, 0)).toBe(
          named.reduce((n, [, count]) => n + count, 0),
        )
      }),
      { numRuns: 100 },
    )
    expect(reused).toBeGreaterThan(0)
  })

  it('gives no number anew before what was counted under it was read', () => {
    const table = sharedTable(new FakeClusters())
    const web = (name: string): Route => {
      table.apply(upsert(fragment(name, [host(`${name}.example`, path('Prefix /'))])))
      return table.route(`${name}.example`, '/')!
    }
    const first = web('a')
    table.apply(remove('a'))
    expect(table.route('a.example', '/')).toBeNull()
    expect(web('b').id).not.toBe(first.id)
    table.reclaim()
    expect(web('c').id).toBe(first.id)
  })
})

describe('Recorder', () => {
  const request = (host: string, route: Route) => ({
    ...{ host, route, status: 200, notFound: false, upstreamError: false, internal: false, closed: false },
    ...{ milliseconds: 1, connectMs: null, firstByteMs: null, attempts: 1, requestBytes: 0, responseBytes: 0 },
  })

  it('starts from nothing after each flush, however many hosts there were', () => {
    const table = sharedTable(new FakeClusters())
    const recorder = new Recorder()
    const names = Array.from({ length: 3_000 }, (_, i) => `h${i}.example`)
    table.apply(upsert(...names.map((name, i) => fragment(`web-${i}`, [host(name, path('Prefix /'))]))))
    for (let round = 0; round < 3; round++) {
      for (const name of names) recorder.request(request(name, table.route(name, '/')!))
      const { names: rows, figures } = recorder.flush()!.requests
      expect(rows.map(row => row.host)).toEqual(names)
      expect(rows.every((_, i) => readRow(figures, i).requests === 1)).toBe(true)
    }
  })
})
