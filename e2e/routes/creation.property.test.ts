/** What the operator says that a new Ingress takes, and what the proxy's table does when it comes. */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { takenBy, type Served } from '../../operator/compile/takes.ts'
import type { Fragment } from '../../protocol/objects.ts'
import type { Route } from '../../proxy/table/contract.ts'
import { sharedTable, type Table } from '../../proxy/table/testing/one-thread.ts'
import { FakeClusters } from '../../proxy/table/testing/clusters.ts'
import { certificate, certificates, fragment, host, path, tls, upsert } from '../../proxy/table/testing/fixtures.ts'

const HOSTS = ['a.x', 'b.x', '*.x', '*.y', '']
const NAMES = ['a.x', 'b.x', 'c.x', 'd.y', 'e.z', 'f']
const TARGETS = ['/', '/p', '/p/', '/p/q', '/p/q/r', '/pq', '/r']
const SECRETS = ['e', 'f']
const ALL = { weight: 100, total: 100 }

const paths = fc.array(
  fc.tuple(
    fc.constantFrom('Exact', 'Prefix', 'ImplementationSpecific'),
    fc.constantFrom('/', '/p', '/p/', '/p/q', '/r'),
  ),
  { minLength: 1, maxLength: 3 },
)
const hosts = fc.uniqueArray(
  fc.tuple(
    fc.constantFrom(...HOSTS),
    fc.oneof({ weight: 4, arbitrary: paths }, { weight: 1, arbitrary: fc.constant(null) }),
  ),
  { maxLength: 2, selector: ([name]) => name },
)
const claims = fc.array(fc.tuple(fc.constantFrom(...SECRETS), fc.constantFrom('a.x', 'b.x', '*.x')), { maxLength: 1 })

/** An Ingress that becomes ours by its class may be older than all others. Some are canaries, which take what they can. */
function made(name: string): fc.Arbitrary<Fragment> {
  return fc.tuple(hosts, claims, fc.integer({ min: 1, max: 3 }), fc.nat(3)).map(([list, names, createdAt, kind]) => {
    const own = list.map(([h, some]) =>
      host(h, ...(some === null ? [path('Default /', name)] : some.map(([type, p]) => path(`${type} ${p}`, name)))),
    )
    if (kind === 0) return fragment(name, [], { createdAt, canary: { rule: ALL, hosts: own } })
    return fragment(name, own, { createdAt, tls: names.map(([secret, of]) => tls(secret, of)) })
  })
}

const served = (all: readonly Fragment[]): Served => ({
  paths: name => all.flatMap(one => one.hosts.filter(h => h.host === name).flatMap(h => h.paths)),
  hasTls: name => all.some(one => one.tls.some(entry => entry.hosts.includes(name))),
})

function tableOf(...all: readonly Fragment[]): Table {
  const table = sharedTable(new FakeClusters())
  table.apply(certificates(SECRETS.map(name => certificate(name, 'ECDSA'))))
  table.apply(upsert(...all))
  return table
}

function canariesOf(route: Route | null): readonly string[] {
  return (route?.split?.canaries ?? []).map(one => one.route.object)
}

describe('a new Ingress of which the operator says that it takes nothing', () => {
  it('leaves every request and every handshake where they were', () => {
    let nothing = 0
    fc.assert(
      fc.property(made('i'), made('j'), made('new'), (one, two, comes) => {
        const others = [one, two]
        if (takenBy(comes, served(others)) !== null) return
        nothing++
        // What is on its way is on some pods alone.
        for (const there of [[one], [two], others]) {
          const [before, after] = [tableOf(...there), tableOf(...there, comes)]
          for (const name of NAMES) {
            for (const target of TARGETS) {
              const was = before.route(name, target)
              if (was === null) continue
              const is = after.route(name, target)
              expect([name, target, is?.object, is?.path]).toEqual([name, target, was.object, was.path])
              expect(canariesOf(is)).toEqual(canariesOf(was))
            }
            const certificatesWere = before.certificates(name)
            if (certificatesWere.length > 0) expect(after.certificates(name)).toEqual(certificatesWere)
          }
        }
      }),
      { numRuns: 3_000 },
    )
    expect(nothing).toBeGreaterThan(100)
  })
})
