/** What clients make of a proxy that does wrong. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { randomOf } from '../../protocol/testing/random.ts'
import { Ends } from '../bench/ends.ts'
import { until } from '../stream/rig.ts'
import { parseRequest } from './backend.ts'
import { Clients } from './clients.ts'
import type { ClientFigures, Faults } from './clients.ts'
import { Truth, answerOf } from './truth.ts'
import type { Fact } from './truth.ts'

const HOST = 'a.example'
const WITHIN_MS = 20_000

const ends = new Ends()
afterEach(() => ends.all())

/** What came once `kind` of fault was seen, or, without one, some answers. */
async function seen(answer: (whole: string) => string | null, kind: keyof Faults | null): Promise<ClientFigures> {
  const server = createServer(socket => {
    let received = ''
    socket.on('error', () => undefined)
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      received += chunk
      const request = parseRequest(received)
      if (request === null) return
      received = ''
      const body = answerOf('here', request)
      const text = answer(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      if (text === null) socket.destroy()
      else if (text.endsWith('\n')) socket.end(text.trimEnd())
      else socket.write(text)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const truth = new Truth()
  const facts: readonly Fact[] = [
    { kind: 'route', host: HOST, route: { service: 's', extra: null } },
    { kind: 'endpoint', service: 's', address: 'here' },
  ]
  const { port } = server.address() as AddressInfo
  const clients = new Clients(truth, { http: port, https: port }, '', randomOf(1))
  for (const fact of facts) {
    truth.allow(fact)
    clients.notice(fact)
  }
  truth.forbid({ kind: 'route', host: HOST, route: null }, 0)
  let figures: ClientFigures | null = null
  ends.add(() => {
    clients.end()
    server.close()
  })
  clients.pace = 200
  await until(
    'seen',
    () => {
      const some = clients.figures()
      if (kind === null ? some.requests.plain > 0 : some.faults[kind] > 0) figures = some
      return figures !== null
    },
    WITHIN_MS,
  )
  return figures as unknown as ClientFigures
}

describe('clients', () => {
  it('find nothing where every answer is right', async () => {
    expect((await seen(whole => whole, null)).faults).toEqual({ wrong: 0, cut: 0, closed: 0 })
  })

  it.each([
    ['another status', (whole: string) => whole.replace('200 OK', '502 Bad Gateway'), 'wrong', 'status 502'],
    ['another body', (whole: string) => whole.replace('\nGET', '\nPUT').replace('\nPOST', '\nPUT'), 'wrong', 'a body'],
    ['another endpoint', (whole: string) => whole.replace(/here/, 'away'), 'wrong', 'answered by away'],
    ['404 of a host that is there', () => 'HTTP/1.1 404 x\r\nContent-Length: 1\r\n\r\nx', 'wrong', 'status 404'],
    ['no answer', () => null, 'cut', 'closed'],
    ['half an answer', (whole: string) => `${whole.slice(0, 500)}\n`, 'cut', 'closed'],
    ['an answer and an end', (whole: string) => `${whole}\n`, 'closed', 'after 1 requests'],
    ['a last answer', (whole: string) => whole.replace('OK', 'OK\r\nConnection: close'), 'closed', 'with the answer'],
  ] as const)('count %s', async (_, answer, kind, text) => {
    expect((await seen(answer, kind)).examples.join()).toContain(text)
  })
})
