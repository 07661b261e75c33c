import { afterEach, describe, expect, it } from '@jest/globals'
import { WebSocket } from 'ws'
import { burst } from './answers.ts'
import type { SeenRequest } from './answers.ts'
import { echoConfig } from './config.ts'
import { EchoServer } from './server.ts'

const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function start(env: Readonly<Record<string, string>> = {}): Promise<string> {
  const server = new EchoServer(echoConfig({ ECHO_PORT: '0', ECHO_DRAIN_MS: '0', POD_NAME: 'echo-0', ...env }))
  ends.push(() => server.close())
  return `127.0.0.1:${await server.listen('127.0.0.1')}`
}

/** The first messages of a WebSocket, until there are `count`. */
function messages(address: string, protocols: string[], say: string, count: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const got: string[] = []
    const socket = new WebSocket(`ws://${address}/chat`, protocols, { headers: { authorization: 'Bearer x' } })
    socket.on('error', reject)
    socket.on('open', () => socket.send(say))
    socket.on('message', (data: Buffer) => {
      got.push(data.toString())
      if (got.length < count) return
      got.push(socket.protocol)
      socket.close()
      resolve(got)
    })
  })
}

describe('echo backend', () => {
  it('says what it saw', async () => {
    const address = await start({ ECHO_VERSION: 'v2' })
    const response = await fetch(`http://${address}/a?b=c`, {
      method: 'PUT',
      body: 'four',
      headers: { 'x-test': 'yes' },
    })
    const body = (await response.json()) as SeenRequest
    expect(response.headers.get('x-echo-version')).toBe('v2')
    expect(body).toMatchObject({ version: 'v2', pod: 'echo-0', method: 'PUT', url: '/a?b=c', bodyLength: 4 })
    expect(body.headers).toMatchObject({ 'x-test': 'yes', host: address })
  })

  it('answers everything but its health check with ECHO_STATUS', async () => {
    const address = await start({ ECHO_STATUS: '500' })
    for (const path of ['/', '/upload', '/stream']) expect((await fetch(`http://${address}${path}`)).status).toBe(500)
    expect((await fetch(`http://${address}/healthz`)).status).toBe(200)
  })

  it('answers with the status of the path', async () => {
    const address = await start()
    for (const status of [201, 204, 404, 503]) {
      const response = await fetch(`http://${address}/status/${status}`)
      await response.text()
      expect(response.status).toBe(status)
    }
  })

  it('streams events and ends after the count', async () => {
    const address = await start()
    const response = await fetch(`http://${address}/stream?count=2`)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect((await response.text()).match(/^data: /gm)).toHaveLength(2)
  })

  it('sends what it saw first on a WebSocket, then every message back, and selects a subprotocol', async () => {
    const address = await start()
    const [first, second, protocol] = await messages(address, ['chat.v2', 'chat.v1'], 'hello', 2)
    expect(JSON.parse(first!)).toMatchObject({ url: '/chat', headers: { authorization: 'Bearer x', host: address } })
    expect(second).toBe('hello')
    expect(protocol).toBe('chat.v2')
  })

  it('is not ready while it drains, and finishes what is under way', async () => {
    const server = new EchoServer(echoConfig({ ECHO_PORT: '0', ECHO_DRAIN_MS: '150' }))
    const address = `127.0.0.1:${await server.listen('127.0.0.1')}`
    const slow = fetch(`http://${address}/slow?ms=300`)
    await fetch(`http://${address}/healthz`)
    const closed = server.close()
    expect((await fetch(`http://${address}/healthz`)).status).toBe(503)
    expect((await slow).status).toBe(200)
    await closed
    await expect(fetch(`http://${address}/`)).rejects.toThrow()
  })

  it('redirects to what was asked for, as a loop does', async () => {
    const address = await start({ ECHO_STATUS: '302' })
    const response = await fetch(`http://${address}/a?b=c`, { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([302, '/a?b=c'])
  })

  it('fails a share of its answers', async () => {
    const statuses = async (perMille: string): Promise<number[]> => {
      const address = await start({ ECHO_ERRORS_PER_MILLE: perMille })
      return Promise.all(Array.from({ length: 50 }, async () => (await fetch(`http://${address}/`)).status))
    }
    expect(new Set(await statuses('0'))).toEqual(new Set([200]))
    expect(new Set(await statuses('1000'))).toEqual(new Set([500]))
    expect(new Set(await statuses('500'))).toEqual(new Set([200, 500]))
  })

  it('breaks off instead of an answer, or in the middle of one', async () => {
    const [head, body] = [await start({ ECHO_BREAKS_OFF: 'head' }), await start({ ECHO_BREAKS_OFF: 'body' })]
    await expect(fetch(`http://${head}/`)).rejects.toThrow()
    const response = await fetch(`http://${body}/`)
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
  })

  it('sends a header as long as it is told', async () => {
    const address = await start({ ECHO_HEADER_BYTES: '5000' })
    expect((await fetch(`http://${address}/`)).headers.get('x-echo-long')).toHaveLength(5_000)
  })

  it('is slow at the same moment as every other pod, until the burst is over', () => {
    expect([0, 100, 300, 301, 9_999, 10_000].map(wall => burst(300, wall))).toEqual([300, 200, 0, 0, 0, 300])
    expect(burst(0, 10_000)).toBe(0)
  })

  it('refuses settings that are wrong', () => {
    expect(() => echoConfig({ ECHO_BREAKS_OFF: 'foot' })).toThrow('ECHO_BREAKS_OFF="foot": set one of no, head, body')
    expect(() => echoConfig({ ECHO_STATUS: '99' })).toThrow('ECHO_STATUS="99": set a whole number from 200 to 599')
  })
})
