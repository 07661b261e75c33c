/** What is kept between requests of a client. Header rules are tested from outside (gateway/). */
import { describe, expect, it } from '@jest/globals'
import { ClientLines } from './headers.ts'

const linesOf = (client: string, scheme: string, port: string): string =>
  `X-Real-IP: ${client}\r\nX-Forwarded-For: ${client}\r\nX-Forwarded-Port: ${port}\r\n` +
  `X-Forwarded-Proto: ${scheme}\r\nX-Forwarded-Scheme: ${scheme}\r\nX-Scheme: ${scheme}\r\n`

describe('what a backend is told of a client', () => {
  it('is that of this request, whoever asked before', () => {
    const lines = new ClientLines()
    for (const client of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) {
      for (const [scheme, port] of [
        ['http', '80'],
        ['https', '443'],
        ['https', '80'],
        ['http', '80'],
      ] as const) {
        expect(lines.of({ client, scheme, port })).toBe(linesOf(client, scheme, port))
      }
    }
  })

  it('stays right when there are more clients than are kept', () => {
    const lines = new ClientLines()
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5_000; i++) {
        const client = `2001:db8::${i.toString(16)}`
        expect(lines.of({ client, scheme: 'http', port: '80' })).toBe(linesOf(client, 'http', '80'))
      }
    }
  })

  it.each([{ client: 'a\r\nX: y' }, { scheme: 'a\r\n' }, { port: '1\n' }])('holds no line of others: %j', change => {
    expect(() => new ClientLines().of({ client: '192.0.2.1', scheme: 'http', port: '80', ...change })).toThrow()
  })
})
