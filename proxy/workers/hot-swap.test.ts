import { Agent } from 'node:http'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, expect, it } from '@jest/globals'
import { describeOnAll } from './testing/ways.ts'
import { WebSocket } from 'ws'
import { echoConfig } from '../../e2e/echo/config.ts'
import { EchoServer } from '../../e2e/echo/server.ts'
import { Authority } from '../../e2e/pki/pki.ts'
import {
  certificate,
  certificates,
  endpoints,
  fragment,
  host,
  path,
  remove,
  tls,
  upsert,
} from '../table/testing/fixtures.ts'
import type { TableUpdate } from '../table/update.ts'
import {
  Ends,
  RawClient,
  ask,
  eventually,
  exchangeRaw,
  site,
  startBackend,
  startPlane,
  summed,
  type Answered,
} from './testing/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

async function echoServer(): Promise<string> {
  const server = new EchoServer(echoConfig({ ECHO_PORT: '0', ECHO_DRAIN_MS: '0' }))
  ends.add(() => server.close())
  return `127.0.0.1:${await server.listen('127.0.0.1')}`
}

describeOnAll('table updates under load', () => {
  it('300 of them fail no request, close no connection and leave a WebSocket alone', async () => {
    const rig = await startPlane(ends)
    const addresses = await Promise.all([0, 1].map(n => startBackend(ends, (_, response) => response.end(`v${n}`))))
    const revision = (n: number): TableUpdate =>
      upsert(
        fragment('web', [host('a.example', path('Prefix /', `ns/v${n % 2}:80`))], {
          ...{ revision: `r${n}`, tls: [tls('s', 'a.example')] },
        }),
      )
    rig.apply(endpoints({ 'ns/v0:80': [addresses[0]!], 'ns/v1:80': [addresses[1]!] }))
    rig.apply(revision(0))
    for (const update of site('ws.example', [await echoServer()])) rig.apply(update)
    const ca = await Authority.root('test')
    const leafs = await Promise.all([0, 1].map(() => ca.issue({ hosts: ['a.example'] })))

    const socket = new WebSocket(`ws://127.0.0.1:${rig.http}/`, { headers: { host: 'ws.example' } })
    ends.add(() => socket.terminate())
    await once(socket, 'message')
    const back: string[] = []
    socket.on('message', (data: Buffer) => back.push(data.toString()))

    const used = new Set<Socket>()
    const agents = Array.from({ length: 8 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    for (const agent of agents) {
      agent.on('free', (s: Socket) => used.add(s))
      ends.add(() => agent.destroy())
    }
    let running = true
    const answers: Answered[] = []
    const load = agents.map(async agent => {
      while (running) answers.push(await ask(rig.http, { agent }))
    })
    for (let n = 1; n <= 300; n++) {
      rig.apply(revision(n))
      rig.apply(certificates([certificate('s', 'ECDSA', { ...leafs[n % 2]!, revision: `r${n}` })]))
      rig.apply(upsert(fragment(`other${n}`, [host(`h${n}.example`, path('Prefix /'))])))
      if (n > 10) rig.apply(remove(`other${n - 10}`))
      // Endpoints move as well: the order of the list, and one that comes and goes.
      rig.apply(endpoints(n % 3 === 0 ? { 'ns/x:80': [addresses[0]!] } : {}, n % 3 === 1 ? ['ns/x:80'] : []))
      socket.send(String(n))
      await new Promise(resolve => setImmediate(resolve))
      if (n % 20 === 0) await new Promise(resolve => setTimeout(resolve, 5))
    }
    running = false
    await Promise.all(load)
    await eventually(() => back.length === 300)

    expect(answers.length).toBeGreaterThan(50)
    expect(answers.filter(a => a.status !== 200 || !/^v[01]$/.test(a.body))).toEqual([])
    expect(new Set(answers.map(a => a.body))).toEqual(new Set(['v0', 'v1']))
    expect(used.size).toBe(8)
    expect(back.at(-1)).toBe('300')
    expect(summed(rig.totals())).toMatchObject({ requests: answers.length + 1, upstreamErrors: 0 })
    expect(summed(rig.totals()).status).toEqual([1, answers.length, 0, 0, 0])
  }, 20_000)

  it('a request under way finishes on the route that it had', async () => {
    const rig = await startPlane(ends)
    let answer = (): void => undefined
    let waiting = false
    const before = await startBackend(ends, (_request, response) => {
      waiting = true
      response.write('begun ')
      answer = () => response.end('before')
    })
    const after = await startBackend(ends, (_request, response) => response.end('after'))
    for (const update of site('a.example', [before], 'ns/before:80')) rig.apply(update)
    const slow = ask(rig.http, {})
    await eventually(() => waiting)
    for (const update of site('a.example', [after], 'ns/after:80')) rig.apply(update)
    rig.apply(endpoints({}, ['ns/before:80']))
    expect((await ask(rig.http, {})).body).toBe('after')
    answer()
    expect((await slow).body).toBe('begun before')
  })
})

describeOnAll('drain', () => {
  it('announces itself, closes idle connections, lets requests finish, and gives tunnels their time', async () => {
    const rig = await startPlane(ends)
    for (const update of site('a.example', [await echoServer()])) rig.apply(update)
    const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`
    const idle = new RawClient(rig.http)
    idle.send(get('/'))
    expect(await idle.until(/\}\n/)).toMatch(/\r\nConnection: keep-alive\r\n/)
    const socket = new WebSocket(`ws://127.0.0.1:${rig.http}/`, { headers: { host: 'a.example' } })
    ends.add(() => socket.terminate())
    await once(socket, 'message')
    rig.plane.announceDrain()
    expect(await exchangeRaw(rig.http, get('/status/204'))).toMatch(/\r\nConnection: close\r\n/)
    expect(await exchangeRaw(rig.http, get('/').replace('a.', 'b.'))).toMatch(
      /^HTTP\/1\.1 404 [^]*\r\nConnection: close\r\n/i,
    )

    const slow = new RawClient(rig.http)
    slow.send(get('/slow?ms=400'))
    await eventually(() => rig.plane.connections.size === 3)
    let drained = false
    const drain = rig.plane.drain().then(() => (drained = true))
    await idle.ended()
    await expect(ask(rig.http, {})).rejects.toThrow('ECONNREFUSED')
    expect(await slow.ended()).toMatch(/^HTTP\/1\.1 200 [^]*"url":"\/slow\?ms=400"/)
    socket.send('still here')
    expect(String((await once(socket, 'message'))[0])).toBe('still here')
    expect(drained).toBe(false)
    socket.close()
    await drain
    expect(drained).toBe(true)
  })

  it('hears out a client in the middle of its head (finding 27)', async () => {
    const rig = await startPlane(ends)
    for (const update of site('a.example', [await echoServer()])) rig.apply(update)
    const client = new RawClient(rig.http)
    client.send('GET / HTTP/1.1\r\nHost: a.exa')
    await eventually(() => rig.plane.connections.size === 1 && rig.plane.connections.counts.idle === 0)
    const drained = rig.plane.drain()
    client.send('mple\r\n\r\n')
    expect(await client.ended()).toMatch(/^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/)
    await drained
  })

  it('ends at once without connections, and close cuts what is left', async () => {
    const rig = await startPlane(ends)
    await rig.plane.drain()
    const other = await startPlane(ends)
    const silent = await startBackend(ends, () => undefined)
    for (const update of site('a.example', [silent])) other.apply(update)
    const client = new RawClient(other.http)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await eventually(() => other.plane.connections.size === 1)
    await other.plane.close()
    expect(await client.ended()).toBe('')
  })
})
