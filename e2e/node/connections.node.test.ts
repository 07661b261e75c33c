import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { WebSocket } from 'ws'
import type { Seen } from '../echo/answers.ts'
import { failuresOf } from './harness/load.ts'
import type { NodeLoad } from './harness/load.ts'
import { ingress, pointAt } from './harness/manifests.ts'
import { Space } from './harness/space.ts'

const CHANGES = 1_000
const OTHERS = 20
/** The default of KEEP_ALIVE_REQUESTS. */
const MOST_REQUESTS = 1_000
/** Changes a second: a rate that the API server of a small machine answers beside the load. */
const PER_SECOND = 25

/** One run under load; every test below looks at it. */
describe('1 000 changes under load', () => {
  let space: Space
  let load: NodeLoad
  let socket: WebSocket
  const messages: string[] = []
  const closed: string[] = []
  const headers = { authorization: 'Bearer of-the-client', host: '' }

  beforeAll(async () => {
    space = await Space.open('keepalive')
    const host = space.host()
    headers.host = host
    await space.backends({ version: 'v1', replicas: 2 }, { version: 'v2', replicas: 2 })
    const { api } = space.cluster
    await api.create('ingresses', ingress({ namespace: space.name, name: 'web', host, to: 'v1' }))
    for (let n = 0; n < OTHERS; n++) {
      await api.create(
        'ingresses',
        ingress({ namespace: space.name, name: `other-${n}`, host: space.host(`other-${n}`), to: 'v1' }),
      )
    }
    await space.serves(host, 'v1')
    socket = await open(space.cluster.http[0]?.address ?? '', headers, messages, closed)
    load = space.http({ host, perSecond: 300 })
    await sleep(1_000)
    for (let change = 1; change <= CHANGES; change++) {
      const started = performance.now()
      // Every fourth one is to the Ingress under load itself.
      const other = `other-${change % OTHERS}`
      // Each of them goes back and forth, so that every change is one.
      const [name, at, every] =
        change % 4 === 0 ? (['web', host, 4] as const) : ([other, space.host(other), OTHERS] as const)
      const to = Math.floor(change / every) % 2 === 0 ? 'v1' : 'v2'
      await api.patch('ingresses', name, space.name, pointAt(at, to))
      await sleep(Math.max(0, 1_000 / PER_SECOND - (performance.now() - started)))
    }
    await api.patch('ingresses', 'web', space.name, pointAt(host, 'v2'))
    await space.serves(host, 'v2')
    socket.send('still there')
    await sleep(1_000)
    await load.stop()
  }, 300_000)
  afterAll(async () => {
    socket.terminate()
    await space.close()
  }, 90_000)

  it('fail no request', () => {
    expect(failuresOf(load.records)).toEqual({})
    expect(load.records.length).toBeGreaterThan(8_000)
    // Otherwise the changes went past the load.
    expect(new Set(load.records.map(({ version }) => version))).toEqual(new Set(['v1', 'v2']))
  })

  it('close no connection of a client', () => {
    expect(load.connections.map(({ closedByPeer }) => closedByPeer)).toEqual([0, 0, 0, 0, 0])
    // But those that have had as many requests as one may (KEEP_ALIVE_REQUESTS): how many that are depends on how many were open.
    const ended = load.connections.flatMap(connection => connection.ended)
    expect(ended.filter(requests => requests !== MOST_REQUESTS)).toEqual([])
    for (const { opened, ended: replaced } of load.connections) expect(opened - replaced.length).toBeLessThanOrEqual(4)
  })

  it('leave the WebSocket open, and it still answers', () => {
    expect(closed).toEqual([])
    expect(socket.readyState).toBe(WebSocket.OPEN)
    expect(messages.slice(1)).toEqual(['hello', 'still there'])
  })

  it('show the WebSocket’s backend Host, Authorization, Origin and subprotocol as the client sent them', () => {
    const seen = JSON.parse(messages[0] ?? '{}') as Seen
    expect(seen.url).toBe('/chat?room=1')
    expect(seen.headers).toMatchObject({
      host: headers.host,
      authorization: headers.authorization,
      origin: 'https://page.example',
      'sec-websocket-protocol': 'chat.v2,chat.v1',
      upgrade: 'websocket',
    })
    expect(socket.protocol).toBe('chat.v2')
  })
})

/** Resolves when the backend has said what it saw and echoed a first message. */
function open(
  address: string,
  headers: Readonly<Record<string, string>>,
  messages: string[],
  closed: string[],
): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const options = { headers, origin: 'https://page.example' }
    const socket = new WebSocket(`ws://${address}/chat?room=1`, ['chat.v2', 'chat.v1'], options)
    socket.on('error', reject)
    socket.on('open', () => socket.send('hello'))
    socket.on('close', code => closed.push(String(code)))
    socket.on('message', (data: Buffer) => {
      messages.push(data.toString())
      if (messages.length === 2) resolve(socket)
    })
  })
}
