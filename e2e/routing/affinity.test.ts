/** docs/sessions.md from outside: sessions that stay with an endpoint. Numbers are rows of the comparison with ingress-nginx. */
import { describe, expect, it, jest } from '@jest/globals'
import { ask, deadAddress, startBackend, type Answered } from '../../proxy/workers/testing/harness.ts'
import { endpoints, upsert } from '../../proxy/table/testing/fixtures.ts'
import { describeOnAll } from '../../proxy/workers/testing/ways.ts'
import { documented, ingress, planeForAll, serve, type Annotations } from './annotated.ts'

jest.setTimeout(20_000)

const AFFINITY = { affinity: 'cookie' }
const PERSISTENT = { ...AFFINITY, 'affinity-mode': 'persistent' }

describeOnAll('a session', () => {
  const { ends, rig } = planeForAll()

  const backend = (name: string): Promise<string> => startBackend(ends, (_request, response) => response.end(name))
  const backends = (count: number): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => backend(String(i))))
  const get = (cookie: string | null, headers: Record<string, string> = {}, path = '/'): Promise<Answered> =>
    ask(rig().http, { path, headers: { ...headers, ...(cookie === null ? {} : { Cookie: cookie }) } })
  const setCookie = ({ headers }: Answered): string | null => headers['set-cookie']?.[0] ?? null
  /** What a client sends back. */
  const sentBack = (answered: Answered): string => setCookie(answered)?.split(';')[0] ?? ''

  describe.each([
    ['balanced', AFFINITY],
    ['persistent', PERSISTENT],
  ])('affinity-mode %s', (_, set) => {
    it('stays, gets its cookie once, and shows no address (103, 104)', async () => {
      const all = await backends(3)
      serve(rig(), set, all)
      for (let client = 0; client < 10; client++) {
        const first = await get(null)
        expect(setCookie(first)).toMatch(/^INGRESSCOOKIE=[0-9a-f]+\|[0-9a-f]{16}; Path=\/; HttpOnly$/)
        for (const address of all) {
          const [ip = '', port = ''] = address.split(':')
          expect(setCookie(first)).not.toContain(ip)
          expect(setCookie(first)).not.toContain(port)
        }
        for (let i = 0; i < 4; i++) {
          const next = await get(`a=1; ${sentBack(first)}`)
          expect({ body: next.body, cookie: setCookie(next) }).toEqual({ body: first.body, cookie: null })
        }
      }
    })

    it('clients are spread', async () => {
      serve(rig(), set, await backends(3))
      const got = new Set<string>()
      for (let i = 0; i < 30; i++) got.add((await get(null)).body)
      expect(got).toEqual(new Set(['0', '1', '2']))
    })

    it('goes elsewhere where its endpoint is gone, and stays there', async () => {
      const all = await backends(3)
      serve(rig(), set, all)
      const first = await get(null)
      rig().apply(endpoints({ 'ns/web:80': all.filter((_address, i) => String(i) !== first.body) }))
      const moved = await get(sentBack(first))
      expect(moved.body).not.toBe(first.body)
      const cookie = setCookie(moved) === null ? sentBack(first) : sentBack(moved)
      for (let i = 0; i < 4; i++) expect((await get(cookie)).body).toBe(moved.body)
    })

    it('nobody sees a dead endpoint, and new clients are led to a good one (105)', async () => {
      serve(rig(), set, [await deadAddress(), await backend('a')])
      for (let i = 0; i < 10; i++) {
        const first = await get(null)
        expect(first.body).toBe('a')
        expect((await get(sentBack(first))).body).toBe('a')
      }
    })

    it.each([
      ['true', true],
      ['false', false],
    ])(
      'session-cookie-change-on-failure %s: another cookie where another endpoint answers: %s',
      async (change, gets) => {
        const [good = '', other = ''] = await backends(2)
        serve(rig(), { ...set, 'session-cookie-change-on-failure': change }, [good, other])
        let first = await get(null)
        while (first.body !== '1') first = await get(null)
        // The same address, and nobody there.
        await ends.all()
        const [, port = ''] = good.split(':')
        await startBackend(
          ends,
          (_request, response) => response.end('0'),
          server => {
            const listen = server.listen.bind(server)
            server.listen = ((_port: number, host: string) => listen(Number(port), host)) as typeof server.listen
          },
        )
        const moved = await get(sentBack(first))
        expect({ body: moved.body, changes: setCookie(moved) !== null }).toEqual({ body: '0', changes: gets })
        if (gets) expect((await get(sentBack(moved))).body).toBe('0')
      },
    )
  })

  it('balanced: an unknown cookie is served, stays, and gets no other one (104)', async () => {
    serve(rig(), AFFINITY, await backends(3))
    const first = await get('INGRESSCOOKIE=whatever')
    expect(setCookie(first)).toBeNull()
    for (let i = 0; i < 4; i++) expect((await get('INGRESSCOOKIE=whatever')).body).toBe(first.body)
  })

  it('balanced: an endpoint that comes gets some sessions, persistent: none', async () => {
    const all = await backends(3)
    for (const [set, moves] of [
      [AFFINITY, true],
      [PERSISTENT, false],
    ] as const) {
      serve(rig(), set, all.slice(0, 2))
      const clients: Answered[] = []
      for (let i = 0; i < 40; i++) clients.push(await get(null))
      rig().apply(endpoints({ 'ns/web:80': all }))
      const after: string[] = []
      for (const client of clients) after.push((await get(sentBack(client))).body)
      expect(after.every((body, i) => body === '2' || body === clients[i]?.body)).toBe(true)
      expect(after.includes('2')).toBe(moves)
    }
  })

  describe('its cookie (103, 106)', () => {
    const cookieOf = async (set: Annotations, headers: Record<string, string> = {}, path = '/'): Promise<string> => {
      rig().apply({
        ...endpoints({ 'ns/web:80': await backends(1) }),
        objects: upsert(ingress('web', { ...AFFINITY, ...set }, 'a.example', path)).objects,
        reset: true,
      })
      return (setCookie(await get(null, headers, path)) ?? '').replace(/=[^;]*/, '=<value>')
    }

    it('has all that is set', async () => {
      const set = {
        ...{ 'session-cookie-name': 'route', 'session-cookie-path': '/app', 'session-cookie-domain': 'a.example' },
        ...{ 'session-cookie-expires': '172800', 'session-cookie-max-age': '172800' },
        ...{ 'session-cookie-samesite': 'Strict', 'session-cookie-secure': 'true' },
      }
      expect(await cookieOf(set)).toMatch(
        /^route=<value>; Expires=\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; Max-Age=172800; Domain=a\.example; Path=\/app; Secure; HttpOnly; SameSite=Strict$/,
      )
    })

    it('is for the path of its rule', async () => {
      expect(await cookieOf({}, {}, '/shop')).toBe('INGRESSCOOKIE=<value>; Path=/shop; HttpOnly')
    })

    const none = { 'session-cookie-samesite': 'None', 'session-cookie-conditional-samesite-none': 'true' }
    it.each([
      ['Mozilla/5.0 (iPhone; CPU iPhone OS 12_0 like Mac OS X)', ''],
      ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/605 Version/12 Safari/605', ''],
      ['Mozilla/5.0 Chrome/51.0', ''],
      ['Mozilla/5.0 Chrome/120.0', '; SameSite=None'],
      ['curl/8', '; SameSite=None'],
    ])('SameSite=None for %s: "%s"', async (agent, attribute) => {
      const cookie = await cookieOf(none, { 'User-Agent': agent })
      expect(cookie).toBe(`INGRESSCOOKIE=<value>; Path=/; HttpOnly${attribute}`)
    })
  })

  describe('and canaries (15)', () => {
    const withCanary = async (canary: Annotations, set: Annotations = AFFINITY): Promise<void> => {
      rig().apply({
        ...endpoints({ 'ns/web:80': [await backend('main')], 'ns/next:80': [await backend('canary')] }),
        objects: upsert(ingress('web', set), ingress('next', { canary: 'true', ...canary })).objects,
        reset: true,
      })
    }
    const firstAt = async (where: string): Promise<Answered> => {
      for (let i = 0; i < 200; i++) {
        const first = await get(null)
        if (first.body === where) return first
      }
      throw new Error(`nobody came to ${where}`)
    }
    const seen = async (cookie: string, headers: Record<string, string> = {}): Promise<ReadonlySet<string>> => {
      const bodies = new Set<string>()
      for (let i = 0; i < 20; i++) bodies.add((await get(cookie, headers)).body)
      return bodies
    }

    it.each([
      ['balanced', AFFINITY],
      ['persistent', PERSISTENT],
    ])('stays where it was first, whatever weight and header say: %s', async (_, set) => {
      await withCanary({ 'canary-weight': '50', 'canary-by-header': 'X-Next' }, set)
      for (const where of ['main', 'canary']) {
        const first = await firstAt(where)
        expect(await seen(sentBack(first))).toEqual(new Set([where]))
        expect(await seen(sentBack(first), { 'X-Next': 'always' })).toEqual(new Set([where]))
        expect(await seen(sentBack(first), { 'X-Next': 'never' })).toEqual(new Set([where]))
      }
    })

    it('legacy: requests that a canary took set no cookie, and their client may move', async () => {
      await withCanary({ 'canary-weight': '50', 'affinity-canary-behavior': 'legacy' })
      expect(setCookie(await firstAt('canary'))).toBeNull()
      expect(await seen('other=1')).toEqual(new Set(['main', 'canary']))
      expect(await seen(sentBack(await firstAt('main')))).toEqual(new Set(['main']))
    })

    it('a canary without endpoints leaves its sessions to the main path', async () => {
      await withCanary({ 'canary-weight': '50' })
      const first = await firstAt('canary')
      rig().apply(endpoints({ 'ns/next:80': [] }))
      expect(await seen(sentBack(first))).toEqual(new Set(['main']))
    })
  })
})

it('the session of docs/sessions.md is served as it stands', () => {
  expect(documented('sessions.md')).toMatchObject([
    {
      problems: [],
      fragment: {
        settings: { affinity: { mode: 'balanced', name: 'INGRESSCOOKIE', maxAge: 86_400, sameSite: 'Lax' } },
      },
    },
  ])
})
