/** ACME challenges on top of whatever a pod serves: from objects as the API server has them to the proxy's table. */
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { adopt, advance, begin, create } from '../../operator/assign/records.ts'
import { challengesKey } from '../../operator/model/challenges.ts'
import { Replica, WEB, ingress, policy, type Raw } from '../../operator/pipeline/testing.ts'
import type { Fragment } from '../../protocol/objects.ts'
import { sharedTable, type Table } from '../../proxy/table/testing/one-thread.ts'
import { FakeClusters } from '../../proxy/table/testing/clusters.ts'
import { upsert } from '../../proxy/table/testing/fixtures.ts'

const FOLDER = '/.well-known/acme-challenge/'
const ORDINALS = [0, 1, 2, -1]
const HOSTS = ['a.x', 'b.x', '*.x', '']
const NAMES = ['a.x', 'b.x', 'c.x', 'd']
const TARGETS = ['/', '/p', '/p/q', '/.well-known', FOLDER, `${FOLDER}t1`, `${FOLDER}t1/x`, `${FOLDER}t2`, '/r']

interface Rule {
  readonly host: string
  readonly paths: readonly (readonly [type: string, path: string])[]
}

const rule: fc.Arbitrary<Rule> = fc.record({
  host: fc.constantFrom(...HOSTS),
  paths: fc.array(
    fc.tuple(
      fc.constantFrom('Exact', 'Prefix', 'ImplementationSpecific'),
      fc.constantFrom('/', '/p', '/p/q', '/.well-known', FOLDER),
    ),
    { minLength: 1, maxLength: 3 },
  ),
})
const rules = fc.array(rule, { minLength: 1, maxLength: 3 })
const challenges = fc.array(
  fc.record({
    host: fc.constantFrom('a.x', 'b.x', 'c.x'),
    token: fc.constantFrom('t1', 't2'),
    type: fc.constantFrom('Exact', 'ImplementationSpecific'),
  }),
  { minLength: 1, maxLength: 3 },
)
const state = fc.constantFrom('nobody governs it', 'released', 'on two pods', 'taken to none', 'never released')

type Challenge = { readonly host: string; readonly token: string; readonly type: string }

const backend = (name: string): object => ({ service: { name, port: { number: 80 } } })

function made(name: string, all: readonly Rule[], edits: readonly Challenge[] = []): Raw {
  const own = all.map(({ host, paths }) => ({
    host,
    http: { paths: paths.map(([pathType, path]) => ({ pathType, path, backend: backend(name) })) },
  }))
  // As cert-manager does it: before the paths of the host's rule, or in a rule of its own.
  for (const { host, token, type } of edits) {
    const path = { pathType: type, path: FOLDER + token, backend: backend('solver') }
    const there = own.find(one => one.host === host)
    if (there === undefined) own.push({ host, http: { paths: [path] } })
    else there.http.paths.unshift(path)
  }
  return { ...ingress({ name }), spec: { ingressClassName: 'sluice', rules: own } }
}

function tables(replica: Replica): readonly Table[] {
  return ORDINALS.map(ordinal => {
    const table = sharedTable(new FakeClusters())
    const payloads = [...replica.releases.entries(ordinal)].map(({ payload }) => payload)
    table.apply(upsert(...payloads.filter((one): one is Fragment => one !== null && 'hosts' in one)))
    return table
  })
}

/** `web` at this state, beside another Ingress, with challenges or without. */
function replicaOf(
  web: readonly Rule[],
  before: readonly Rule[],
  other: readonly Rule[],
  is: string,
  edits: readonly Challenge[],
): Replica {
  const replica = new Replica().put(made('other', other), made('web', before)).publish()
  if (is === 'nobody governs it') return replica.put(made('web', web, edits)).publish()
  const old = replica.source(WEB)
  replica.policies(policy()).store(adopt(replica.source('Ingress/shop/other')))
  const record = is === 'never released' ? create(old) : adopt(old)
  replica
    .store(record)
    .put(made('web', web, edits))
    .publish()
  if (is === 'released' || is === 'never released') return replica
  const begun = begin(record, replica.source(WEB))
  return replica.store(is === 'on two pods' ? advance(begun, 2) : begun).publish()
}

describe('challenges that come to an Ingress', () => {
  it('change no revision and no other route, on no pod, and are served by every pod', () => {
    let seen = 0
    fc.assert(
      fc.property(rules, rules, rules, state, challenges, (web, before, other, is, edits) => {
        const [without, with_] = [[], edits].map(list => replicaOf(web, before, other, is, list))
        const [a, b] = [without!, with_!]
        expect(b.source(WEB).revision).toBe(a.source(WEB).revision)
        expect(b.givenTo(WEB)).toEqual(a.givenTo(WEB))
        const known = new Set(edits.map(({ host, token }) => `${host} ${FOLDER}${token}`))
        const [plain, edited] = [tables(a), tables(b)]
        for (const [i, ordinal] of ORDINALS.entries()) {
          for (const name of NAMES) {
            for (const target of TARGETS) {
              const [was, is_] = [plain[i]!.route(name, target), edited[i]!.route(name, target)]
              const where = [ordinal, name, target]
              if (known.has(`${name} ${target}`)) {
                seen++
                expect([...where, is_?.object, is_?.cluster?.service]).toEqual([
                  ...where,
                  challengesKey(WEB),
                  'shop/solver:80',
                ])
              } else {
                expect([...where, is_?.object, is_?.path]).toEqual([...where, was?.object, was?.path])
              }
            }
          }
        }
        // And they go without a trace.
        b.put(made('web', web)).publish()
        expect(b.releases.checksums).toEqual(a.releases.checksums)
      }),
      { numRuns: 500 },
    )
    expect(seen).toBeGreaterThan(1_000)
  })
})
