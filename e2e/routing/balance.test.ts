/** docs/balancing.md from outside: which endpoint gets which request. */
import { describe, expect, it, jest } from '@jest/globals'
import { ask, deadAddress, startBackend } from '../../proxy/workers/testing/harness.ts'
import { endpoints } from '../../proxy/table/testing/fixtures.ts'
import { describeOnAll } from '../../proxy/workers/testing/ways.ts'
import { documented, planeForAll, serve } from './annotated.ts'

jest.setTimeout(20_000)

describeOnAll('how an endpoint is chosen', () => {
  const { ends, rig } = planeForAll()

  /** Each answers with its number. */
  const backends = (count: number): Promise<string[]> =>
    Promise.all(
      Array.from({ length: count }, (_, i) => startBackend(ends, (_request, response) => response.end(String(i)))),
    )
  const asked = async (path: string, headers: Record<string, string> = {}): Promise<string> =>
    (await ask(rig().http, { path, headers })).body
  const paths = Array.from({ length: 40 }, (_, i) => `/page/${i}?a=${i}`)
  const owners = async (): Promise<string[]> => {
    const all: string[] = []
    for (const path of paths) all.push(await asked(path))
    return all
  }

  it('load-balance: round_robin gives each the same (108)', async () => {
    serve(rig(), { 'load-balance': 'round_robin' }, await backends(3))
    const got: string[] = []
    for (let i = 0; i < 12; i++) got.push(await asked('/'))
    expect(['0', '1', '2'].map(name => got.filter(one => one === name).length)).toEqual([4, 4, 4])
  })

  it('load-balance: ewma leaves one alone that answers late (108)', async () => {
    const late = await startBackend(ends, (_request, response) => setTimeout(() => response.end('late'), 60))
    const [quick = ''] = await backends(1)
    serve(rig(), { 'load-balance': 'ewma' }, [late, quick])
    const got: string[] = []
    for (let i = 0; i < 30; i++) got.push(await asked('/'))
    // Until both are known it is taken by chance.
    expect(got.slice(15)).not.toContain('late')
  })

  describe('upstream-hash-by (107)', () => {
    it('the same URI stays, and many of them are spread', async () => {
      serve(rig(), { 'upstream-hash-by': '$request_uri' }, await backends(3))
      const before = await owners()
      expect(await owners()).toEqual(before)
      expect(new Set(before)).toEqual(new Set(['0', '1', '2']))
    })

    it('an endpoint that goes moves only what it had, and all comes back with it', async () => {
      const all = await backends(4)
      serve(rig(), { 'upstream-hash-by': '$request_uri' }, all)
      const before = await owners()
      rig().apply(endpoints({ 'ns/web:80': all.slice(1) }))
      const after = await owners()
      for (const [i, name] of before.entries()) {
        if (name === '0') expect(after[i]).not.toBe('0')
        else expect(after[i]).toBe(name)
      }
      rig().apply(endpoints({ 'ns/web:80': all.toReversed() }))
      expect(await owners()).toEqual(before)
    })

    it('nobody sees an endpoint that is dead', async () => {
      serve(rig(), { 'upstream-hash-by': '$request_uri' }, [await deadAddress(), ...(await backends(1))])
      expect(new Set(await owners())).toEqual(new Set(['0']))
    })

    it('a constant is one endpoint, and so is what a request has not', async () => {
      serve(rig(), { 'upstream-hash-by': 'constant' }, await backends(3))
      expect(new Set(await owners()).size).toBe(1)
      serve(rig(), { 'upstream-hash-by': '$http_x_user' }, await backends(3))
      expect(new Set(await owners()).size).toBe(1)
    })

    it.each<[string, (i: number) => readonly [string, Record<string, string>]]>([
      ['$http_x_user', i => ['/', { 'X-User': `u${i}` }]],
      ['$cookie_sid', i => ['/', { Cookie: `a=1; sid=${i}` }]],
      ['$arg_x', i => [`/?y=1&x=${i}`, {}]],
      ['$uri', i => [`/${i}?z=1`, {}]],
      ['$host$uri', i => [`/${i}`, {}]],
    ])('%s spreads by it, and by nothing else', async (by, request) => {
      serve(rig(), { 'upstream-hash-by': by }, await backends(3))
      const got = new Map<string, Set<string>>()
      for (let i = 0; i < 24; i++) {
        const [path, headers] = request(i % 12)
        const other = path.includes('?') ? `${path}&other=${i}` : `${path}?other=${i}`
        const key = String(i % 12)
        got.set(key, (got.get(key) ?? new Set()).add(await asked(other, { ...headers, 'X-Other': String(i) })))
      }
      expect([...got.values()].map(({ size }) => size)).toEqual(Array.from({ length: 12 }, () => 1))
      expect(new Set([...got.values()].flatMap(one => [...one])).size).toBeGreaterThan(1)
    })

    it('by client everything of one is one endpoint', async () => {
      serve(rig(), { 'upstream-hash-by': '$binary_remote_addr' }, await backends(3))
      expect(new Set(await owners()).size).toBe(1)
    })

    it('with subsets a value has so many endpoints', async () => {
      const set = {
        'upstream-hash-by': 'constant',
        'upstream-hash-by-subset': 'true',
        'upstream-hash-by-subset-size': '2',
      }
      serve(rig(), set, await backends(5))
      expect(new Set(await owners()).size).toBe(2)
    })
  })
})

it('the Ingress of docs/balancing.md is served as it stands', () => {
  expect(documented('balancing.md')).toMatchObject([
    {
      problems: [],
      fragment: { settings: { balance: { by: 'hash', parts: [{ of: 'header', name: 'x_tenant' }, { of: 'uri' }] } } },
    },
  ])
})
