import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { Fragment, ServiceKey } from '../../protocol/objects.ts'
import { fragment, host, path } from '../table/testing/fixtures.ts'
import { addNeeds } from './changes.ts'
import { atOnce, type Steps } from '../turns.ts'
import { Endpoints } from './endpoints.ts'

const SERVICES = ['ns/a:80', 'ns/b:80', 'ns/c:80', 'ns/d:80'] as const
const service = fc.constantFrom(...SERVICES)
const addresses = fc.subarray(['10.0.0.1:80', '10.0.0.2:80'])

function needing(services: readonly ServiceKey[]): Fragment {
  return fragment('x', [host('x.test', ...services.map(s => path('Prefix /', s)))])
}

function changed(before: readonly Fragment[], after: readonly Fragment[]): ReadonlyMap<ServiceKey, number> {
  const needs = new Map<ServiceKey, number>()
  for (const one of after) addNeeds(needs, one, 1)
  for (const one of before) addNeeds(needs, one, -1)
  return needs
}

/** @returns Services that went */
function serve(endpoints: Endpoints, needs: ReadonlyMap<ServiceKey, number>): readonly ServiceKey[] {
  const plan = atOnce(endpoints.plan(needs))
  endpoints.serve(plan)
  return plan.free
}

function stepsOf(work: Steps<unknown>): number {
  let steps = 0
  while (work.next().done !== true) steps++
  return steps
}

type Step =
  | { readonly do: 'upsert'; readonly service: ServiceKey; readonly addresses: readonly string[] }
  | { readonly do: 'remove'; readonly service: ServiceKey }
  | { readonly do: 'serve'; readonly services: readonly ServiceKey[] }
  | { readonly do: 'list'; readonly services: readonly ServiceKey[] }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('upsert' as const), service, addresses }),
  fc.record({ do: fc.constant('remove' as const), service }),
  fc.record({ do: fc.constant('serve' as const), services: fc.array(service, { maxLength: 4 }) }),
  fc.record({ do: fc.constant('list' as const), services: fc.subarray([...SERVICES]) }),
)

describe('Endpoints', () => {
  it('what workers were told is what is kept: what the operator lists, and what the served fragments need', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), steps => {
        const endpoints = new Endpoints()
        const told = new Map<ServiceKey, readonly string[]>()
        const listed = new Map<ServiceKey, readonly string[]>()
        const ever = new Map<ServiceKey, readonly string[]>()
        let served = needing([])
        const tell = ({ upsert, remove }: ReturnType<Endpoints['change']>): void => {
          for (const [key, value] of upsert) told.set(key, value)
          for (const key of remove) told.delete(key)
        }
        for (const s of steps) {
          if (s.do === 'upsert') {
            tell(endpoints.change([[s.service, s.addresses]], []))
            listed.set(s.service, s.addresses)
            ever.set(s.service, s.addresses)
          } else if (s.do === 'remove') {
            tell(endpoints.change([], [s.service]))
            listed.delete(s.service)
          } else if (s.do === 'serve') {
            const next = needing(s.services)
            tell({ upsert: new Map(), remove: serve(endpoints, changed([served], [next])) })
            served = next
          } else {
            endpoints.beginListing()
            const known = s.services.filter(key => listed.has(key))
            for (const key of known) tell(endpoints.change([[key, listed.get(key) ?? []]], []))
            tell(endpoints.endListing())
            for (const key of [...listed.keys()]) if (!known.includes(key)) listed.delete(key)
          }
          const needed = new Set(
            served.hosts.flatMap(h => h.paths.map(p => (p.backend as { service: string }).service)),
          )
          expect(told).toEqual(atOnce(endpoints.all()))
          for (const [key, value] of listed) expect(told.get(key)).toEqual(value)
          // What is kept beyond the list is needed, and has the addresses that were listed last.
          for (const [key, value] of told) {
            if (listed.has(key)) continue
            expect(needed.has(key)).toBe(true)
            expect(value).toEqual(ever.get(key))
          }
        }
      }),
    )
  })

  it('says nothing of addresses that stay the same', () => {
    const endpoints = new Endpoints()
    endpoints.change([['ns/a:80', ['10.0.0.1:80']]], [])
    expect(endpoints.change([['ns/a:80', ['10.0.0.1:80']]], ['ns/b:80'])).toEqual({ upsert: new Map(), remove: [] })
  })

  it('an empty list is a list: known, nobody serves', () => {
    const endpoints = new Endpoints()
    endpoints.change([['ns/a:80', []]], [])
    expect(atOnce(endpoints.all())).toEqual(new Map([['ns/a:80', []]]))
  })

  it('a needed Service goes with the last fragment that needs it', () => {
    const endpoints = new Endpoints()
    const [one, two] = [needing(['ns/a:80']), needing(['ns/a:80', 'ns/a:80'])]
    endpoints.change([['ns/a:80', ['10.0.0.1:80']]], [])
    serve(endpoints, changed([], [one, two]))
    expect(endpoints.change([], ['ns/a:80'])).toEqual({ upsert: new Map(), remove: [] })
    expect(serve(endpoints, changed([two], []))).toEqual([])
    expect(serve(endpoints, changed([one], []))).toEqual(['ns/a:80'])
    expect(endpoints.size).toBe(0)
  })

  it('of thousands: found out in small steps, and nothing changes before it is made', () => {
    const many = Array.from({ length: 2_000 }, (_, i) => `ns/s${i}:80`)
    const endpoints = new Endpoints()
    endpoints.change(
      many.map(key => [key, ['10.0.0.1:80']] as const),
      [],
    )
    expect(stepsOf(endpoints.all())).toBeGreaterThan(10)
    const first = changed([], [needing(many)])
    // Nothing of the first plan was made: the second one says the same.
    expect(stepsOf(endpoints.plan(first))).toBeGreaterThan(10)
    expect(serve(endpoints, first)).toEqual([])
    endpoints.change([], many)
    expect(endpoints.size).toBe(2_000)
    const second = changed([needing(many)], [needing(['ns/s7:80'])])
    // The counts are copied, changed, and compared with what is kept.
    expect(stepsOf(endpoints.plan(second))).toBeGreaterThan(40)
    expect(endpoints.size).toBe(2_000)
    expect(serve(endpoints, second)).toEqual(many.filter(key => key !== 'ns/s7:80'))
    expect([...atOnce(endpoints.all()).keys()]).toEqual(['ns/s7:80'])
    expect(serve(endpoints, changed([needing(['ns/s7:80'])], []))).toEqual(['ns/s7:80'])
  })

  it('a listing that was abandoned takes nothing away', () => {
    const endpoints = new Endpoints()
    endpoints.change([['ns/a:80', ['10.0.0.1:80']]], [])
    endpoints.beginListing()
    endpoints.abandonListing()
    expect(endpoints.endListing()).toEqual({ upsert: new Map(), remove: [] })
    expect(endpoints.size).toBe(1)
  })
})
