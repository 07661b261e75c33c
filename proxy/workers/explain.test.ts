/** What /route says beside what the gateway does, of one data plane. */
import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Fragment } from '../../protocol/objects.ts'
import {
  certificate,
  certificates,
  closed,
  endpoints,
  fragment,
  host,
  path,
  remove,
  tls,
  upsert,
} from '../table/testing/fixtures.ts'
import { mergeExplanations, type Explanation } from './explain.ts'
import { Ends, ask, deadAddress, startBackend, startPlane, type Rig } from './testing/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

function explained({ plane }: Rig, name: string, target: string): Explanation {
  const answer = plane.explain({ host: name, path: target, fields: [] })
  if (!answer.ok) throw new Error(answer.reason)
  return answer.explanation
}

describe('explain', () => {
  it('says what the gateway does: the same answer for every request', async () => {
    const rig = await startPlane(ends)
    const address = await startBackend(ends, (_request, response) => response.end('ok'))
    rig.apply(endpoints({ 'ns/web:80': [address] }))
    rig.apply(
      upsert(
        fragment('web', [
          host('a.example', path('Prefix /open'), closed('Prefix /closed'), path('Exact /none', 'ns/none:80')),
          host('*.example', path('Prefix /wild')),
        ]),
        fragment('any', [host('', path('Default /'))]),
      ),
    )
    const names = ['a.example', 'A.example:8080', 'b.example.', 'other.test', 'a b']
    const targets = ['/open', '/open/x?y', '/closed', '/none', '/wild', '/%zz', '/open%2f..%2fclosed', '/']
    for (const name of names) {
      for (const target of targets) {
        const { status } = await ask(rig.http, { host: name, path: target })
        const answer = rig.plane.explain({ host: name, path: target, fields: [] })
        const said = answer.ok ? answer.explanation.answer : { kind: 'answer', status: 400 }
        expect([name, target, said.kind === 'forward' ? 200 : said]).toEqual([
          name,
          target,
          status === 200 ? 200 : expect.objectContaining({ status }),
        ])
      }
    }
  })

  it('says which canary a request goes to, and why', async () => {
    const rig = await startPlane(ends)
    rig.apply(endpoints({ 'ns/web:80': ['127.0.0.1:1'], 'ns/next:80': ['127.0.0.1:2'] }))
    const canary = (name: string, rule: object): Fragment =>
      fragment(name, [], {
        ...{ createdAt: 2_000 },
        canary: {
          rule: { weight: 0, total: 100, ...rule },
          hosts: [host('a.example', path('Prefix /', `ns/${name}:80`))],
        },
      })
    rig.apply(
      upsert(
        fragment('web', [host('a.example', path('Prefix /'))]),
        canary('gone', { query: { name: 'q' } }),
        canary('next', { header: { name: 'X-Next' }, weight: 5 }),
      ),
    )
    const told = (target: string, ...fields: readonly string[]): unknown => {
      const answer = rig.plane.explain({ host: 'a.example', path: target, fields })
      if (!answer.ok) throw new Error(answer.reason)
      return answer.explanation.canaries.map(({ ingress, service, outcome, reason }) => [
        ...[ingress, service, outcome, reason],
      ])
    }
    expect(told('/?q=always', 'x-next', 'always')).toEqual([
      [
        'ns/gone',
        'ns/gone:80',
        'not chosen',
        'query q fits, but header of Ingress/ns/next goes before it; it has no endpoints: requests stay on the main path',
      ],
      ['ns/next', 'ns/next:80', 'chosen', 'header X-Next fits'],
    ])
    expect(told('/?q=always')).toEqual([
      ['ns/gone', 'ns/gone:80', 'not chosen', 'query q fits; it has no endpoints: requests stay on the main path'],
      [
        'ns/next',
        'ns/next:80',
        'not chosen',
        'there is no header X-Next; takes 5 of 100 requests that nothing else decides',
      ],
    ])
    expect(explained(rig, 'b.example', '/').canaries).toEqual([])
  })

  it('names host entry, rule, Ingress, Service, policy, and the certificate of the name', async () => {
    const rig = await startPlane(ends)
    const ca = await Authority.root('test')
    const leaf = await ca.issue({ hosts: ['*.example'] })
    rig.apply(certificates([certificate('s', 'ECDSA', leaf)]))
    rig.apply(endpoints({ 'ns/web:80': ['127.0.0.1:1', '127.0.0.1:2'] }))
    rig.apply(
      upsert(
        fragment('web', [host('*.example', path('Prefix /p'), closed('Prefix /p/q'))], {
          tls: [tls('s', '*.example')],
        }),
      ),
    )
    expect(explained(rig, 'a.example', '/p/./x')).toMatchObject({
      request: { host: 'a.example', path: '/p/x', otherReadings: [], countedAs: '*.example' },
      answer: { kind: 'forward' },
      host: { matched: '*.example', by: 'wildcard' },
      route: {
        type: 'Prefix',
        path: '/p',
        ingress: 'ns/web',
        revision: 'r1',
        service: 'ns/web:80',
        policy: { closed: null },
      },
      endpoints: [
        { address: '127.0.0.1:1', suspect: false, restsFor: 0, share: 1, open: 0, idle: 0 },
        { address: '127.0.0.1:2' },
      ],
      candidates: [
        { outcome: 'chosen', rule: '*.example Prefix /p', ingress: 'ns/web', revision: 'r1' },
        { outcome: 'does not fit', rule: '*.example Prefix /p/q' },
      ],
      moreCandidates: 0,
      certificate: {
        serverName: 'a.example',
        from: 'Ingress',
        certificates: [{ secret: 'ns/s', revision: 'r1', keyType: 'ECDSA', names: 'DNS:*.example' }],
      },
    })
    expect(JSON.stringify(explained(rig, 'a.example', '/p'))).not.toMatch(/PRIVATE|BEGIN/)
    expect(explained(rig, 'a.example', '/p/q')).toMatchObject({
      answer: { status: 503, cause: 'closed' },
      route: { service: null, policy: { closed: { reason: 'authentication is not supported' } } },
      endpoints: [],
    })
    expect(explained(rig, 'b.test', '/')).toMatchObject({
      answer: { status: 404, cause: 'no-route' },
      ...{ host: null, route: null, candidates: [] },
      certificate: { from: 'self-signed', certificates: [] },
    })
    rig.apply(certificates([certificate('d', 'RSA', { isDefault: true })]))
    expect(explained(rig, 'b.test', '/').certificate).toMatchObject({
      from: 'default certificate',
      certificates: [{ secret: 'ns/d', names: null, notAfter: null }],
    })
  })

  it('shows other readings of a path, and why it is refused', async () => {
    const rig = await startPlane(ends)
    rig.apply(upsert(fragment('web', [host('a.example', path('Prefix /'), closed('Prefix /admin'))])))
    expect(explained(rig, 'a.example', '/x%2f..%2fadmin')).toMatchObject({
      answer: { status: 400, cause: 'bad-request' },
      request: { otherReadings: expect.arrayContaining([{ path: '/admin', route: 'a.example Prefix /admin' }]) },
    })
  })

  it('shows what became of endpoints: one that rests, and one with a connection kept', async () => {
    const rig = await startPlane(ends)
    const good = await startBackend(ends, (_request, response) => response.end('ok'))
    const dead = await deadAddress()
    rig.apply(endpoints({ 'ns/web:80': [good, dead] }))
    rig.apply(upsert(fragment('web', [host('a.example', path('Prefix /'))])))
    const state = (): Explanation['endpoints'] => explained(rig, 'a.example', '/').endpoints
    while (state().every(({ suspect }) => !suspect)) await ask(rig.http, {})
    await ask(rig.http, {})
    const [first, second] = state()
    expect(first).toMatchObject({ address: good, suspect: false, idle: 1 })
    expect(second).toMatchObject({ address: dead, suspect: true, idle: 0 })
    expect(second?.restsFor).toBeGreaterThan(0)
  })

  it('leaves out candidates beyond a hundred', async () => {
    const rig = await startPlane(ends)
    const many = Array.from({ length: 150 }, (_, i) => path(`Prefix /p${i}`))
    rig.apply(upsert(fragment('web', [host('a.example', ...many)])))
    const { candidates, moreCandidates } = explained(rig, 'a.example', '/p149')
    expect([candidates.length, candidates[0]?.rule, moreCandidates]).toEqual([100, 'a.example Prefix /p149', 50])
  })
})

describe('counters', () => {
  it('give the number of a route that is gone to another one once its counts were handed over', async () => {
    const rig = await startPlane(ends)
    const slots = new Set<number | undefined>()
    for (let i = 0; i < 10; i++) {
      rig.apply(upsert(fragment(`web-${i}`, [host(`${i}.example`, path('Prefix /'))])))
      slots.add(explained(rig, `${i}.example`, '/').route?.slot)
      rig.apply(remove(`web-${i}`))
      expect(explained(rig, `${i}.example`, '/').route).toBeNull()
      rig.plane.flushCounts()
    }
    expect([...slots]).toEqual([0])
  })
})

describe('mergeExplanations', () => {
  const one = (status: number, ...seen: readonly Explanation['endpoints'][number][]): Explanation => ({
    request: { host: 'a', path: '/', otherReadings: [], countedAs: 'a' },
    answer: { kind: 'answer', status, reason: '', cause: '' },
    canaries: [],
    ...{ host: null, route: null, candidates: [], moreCandidates: 0, endpoints: seen },
    certificate: { serverName: 'a', from: 'self-signed', certificates: [] },
  })
  const state = { suspect: false, restsFor: 0, share: 1, open: 1, idle: 2 }

  it('adds up what workers see of an endpoint, and says where they do not agree', () => {
    const first = one(404, { address: 'x', ...state }, { address: 'y', ...state })
    const second = one(404, { address: 'x', ...state, suspect: true, restsFor: 1_500.4, share: 0.5 })
    const merged = mergeExplanations([first, second], 3)
    expect(merged.endpoints).toEqual([
      { address: 'x', restsIn: 1, nextProbeMs: 1_500, share: 0.5, open: 2, idle: 4 },
      { address: 'y', restsIn: 0, nextProbeMs: 0, share: 1, open: 1, idle: 2 },
    ])
    expect(merged.workers).toEqual({ asked: 3, answered: 2, agree: true })
    expect(mergeExplanations([first, one(503)], 2).workers).toEqual({ asked: 2, answered: 2, agree: false })
  })
})

describe('the documentation', () => {
  it('shows what /route answers', async () => {
    const rig = await startPlane(ends)
    rig.apply(endpoints({ 'shop/cart:80': ['10.0.0.7:8080'] }))
    const cart = [path('Prefix /', 'shop/front:80'), path('Prefix /cart', 'shop/cart:80')]
    rig.apply(
      upsert(
        fragment('cart', [host('shop.example', ...cart)], { key: 'Ingress/shop/cart', revision: '5080rb16bl' }),
        fragment('old', [host('*.example', path('Exact /cart'))], { key: 'Ingress/shop/old', revision: 'lbj024a5qj' }),
      ),
    )
    const docs = readFileSync('docs/proxy.md', 'utf8')
    const [, query = '', example = ''] = /\/route\?(host=shop\.example[^']*)'\n(\{\n[^]*?\n\})\n```/.exec(docs) ?? []
    const { host: name = '', path: target = '' } = Object.fromEntries(new URLSearchParams(query))
    const one = explained(rig, name, target)
    const merged = mergeExplanations([one, one], 2)
    // Policies may come to hold more than the example shows.
    expect(JSON.parse(JSON.stringify(merged))).toMatchObject(JSON.parse(example) as object)
  })
})
