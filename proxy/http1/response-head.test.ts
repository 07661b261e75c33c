import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { CHUNKED, UNTIL_CLOSE } from './contract.ts'
import { isRefusal } from './refusals.ts'
import { parseResponseHead } from './response-head.ts'
import { fieldLines, responseHeadText } from './write.ts'

const head = (...lines: readonly string[]): string => [...lines, '', ''].join('\r\n')
const ok = (...fields: readonly string[]): string => head('HTTP/1.1 200 OK', ...fields)

function parsed(text: string, method = 'GET') {
  const result = parseResponseHead(text, method)
  if (isRefusal(result)) throw new Error(`refused: ${result.code}`)
  return result
}

describe('parseResponseHead takes', () => {
  it('a plain answer', () => {
    const text = ok('Content-Length: 5', 'X: y', 'Connection: x-a')
    expect(parseResponseHead(text, 'GET')).toEqual({
      minor: 1,
      status: 200,
      reason: 'OK',
      fields: ['Content-Length', '5', 'X', 'y', 'Connection', 'x-a'],
      text,
      lines: [17, 36, 42, 59],
      plain: true,
      bodyLength: 5,
      bytes: text.length,
      keepAlive: true,
      connectionOptions: new Set(['x-a']),
      upgrade: null,
    })
  })

  it.each([
    ['no reason, RFC 9112 4', 'HTTP/1.1 200 ', { status: 200, reason: '' }],
    ['no space either', 'HTTP/1.1 200', { status: 200, reason: '' }],
    ['any reason, RFC 9112 4', 'HTTP/1.0 404  a\t\u00e9\u0080', { minor: 0, reason: ' a\t\u00e9\u0080' }],
    ['an unknown status, RFC 9110 15', 'HTTP/1.1 999 x', { status: 999 }],
    ['the lowest status, RFC 9110 15', 'HTTP/1.1 100 x', { status: 100 }],
  ])('%s', (_rule, line, expected) => {
    expect(parsed(head(line))).toMatchObject(expected)
  })

  it.each([
    ['to HEAD, RFC 9112 6.3', ok('Content-Length: 5'), 'HEAD', 0],
    ['to HEAD, chunked', ok('Transfer-Encoding: chunked'), 'HEAD', 0],
    ['to HEAD, without a length', ok(), 'HEAD', 0],
    ['100, RFC 9112 6.3', head('HTTP/1.1 100 Continue'), 'GET', 0],
    ['103 with a length', head('HTTP/1.1 103 Early Hints', 'Content-Length: 5'), 'GET', 0],
    ['101, RFC 9110 15.2.2', head('HTTP/1.1 101 x'), 'GET', 0],
    ['204 with a length, RFC 9110 8.6', head('HTTP/1.1 204 x', 'Content-Length: 5'), 'GET', 0],
    ['204, chunked', head('HTTP/1.1 204 x', 'Transfer-Encoding: chunked'), 'GET', 0],
    ['304 with a length, RFC 9110 15.4.5', head('HTTP/1.1 304 x', 'Content-Length: 5'), 'GET', 0],
    ['to CONNECT, RFC 9112 6.3', ok('Content-Length: 5'), 'CONNECT', 0],
    ['no to CONNECT', head('HTTP/1.1 403 x', 'Content-Length: 5'), 'CONNECT', 5],
    ['chunked, RFC 9112 6.3', ok('Transfer-Encoding: Chunked'), 'GET', CHUNKED],
    ['a length, RFC 9112 6.3', ok('Content-Length: 0'), 'GET', 0],
    ['neither, RFC 9112 6.3', ok(), 'GET', UNTIL_CLOSE],
    ['neither, of HTTP/1.0', head('HTTP/1.0 200 OK'), 'GET', UNTIL_CLOSE],
  ])('the body of %s', (_rule, text, method, length) => {
    expect(parsed(text, method).bodyLength).toBe(length)
  })

  it.each([
    ['HTTP/1.1', 'HTTP/1.1 200 OK', ['Content-Length: 0'], true],
    ['HTTP/1.1 that closes', 'HTTP/1.1 200 OK', ['Content-Length: 0', 'Connection: close'], false],
    ['HTTP/1.0', 'HTTP/1.0 200 OK', ['Content-Length: 0'], false],
    ['HTTP/1.0 that stays', 'HTTP/1.0 200 OK', ['Content-Length: 0', 'Connection: keep-alive'], true],
    ['a body that ends with it', 'HTTP/1.1 200 OK', ['Connection: keep-alive'], false],
  ])('the connection of %s (RFC 9112 9.3)', (_rule, line, fields, keepAlive) => {
    expect(parsed(head(line, ...fields)).keepAlive).toBe(keepAlive)
  })

  it('Upgrade of a 101 alone (RFC 9110 15.2.2)', () => {
    const fields = ['Upgrade: a', 'Connection: upgrade', 'upgrade: b']
    expect(parsed(head('HTTP/1.1 101 Switching', ...fields)).upgrade).toBe('a, b')
    expect(parsed(head('HTTP/1.1 426 x', ...fields)).upgrade).toBeNull()
  })
})

describe('parseResponseHead refuses', () => {
  it.each([
    ['another version, RFC 9112 2.3', 'HTTP/1.2 200 OK', 505, 'bad-version'],
    ['HTTP/2, RFC 9112 2.3', 'HTTP/2.0 200 OK', 505, 'bad-version'],
    ['another protocol', 'ICY 200 OK', 400, 'bad-line'],
    ['two digits, RFC 9112 4', 'HTTP/1.1 20 OK', 400, 'bad-line'],
    ['four digits, RFC 9112 4', 'HTTP/1.1 2000 OK', 400, 'bad-line'],
    ['a status below 100, RFC 9110 15', 'HTTP/1.1 099 OK', 400, 'bad-line'],
    ['a status with a sign', 'HTTP/1.1 +20 OK', 400, 'bad-line'],
    ['two spaces, RFC 9112 4', 'HTTP/1.1  200 OK', 400, 'bad-line'],
    ['a tab behind the status, RFC 9112 4', 'HTTP/1.1 200\tOK', 400, 'bad-line'],
    ['a control in the reason, RFC 9112 4', 'HTTP/1.1 200 a\u0000', 400, 'bad-line'],
    ['a bare CR in the reason, RFC 9112 2.2', 'HTTP/1.1 200 a\rb', 400, 'bad-line'],
    ['a bare LF behind it, RFC 9112 2.2', 'HTTP/1.1 200 OK\nX: y', 400, 'bad-line'],
    ['an empty line before it, RFC 9112 2.2', '\r\nHTTP/1.1 200 OK', 400, 'bad-line'],
    ['a space before the colon, RFC 9112 5.1', 'HTTP/1.1 200 OK\r\nX : y', 400, 'bad-header'],
    ['a folded line, RFC 9112 5.2', 'HTTP/1.1 200 OK\r\nX: y\r\n z', 400, 'bad-header'],
    ['a bare LF between fields, RFC 9112 2.2', 'HTTP/1.1 200 OK\r\nX: y\nZ: a', 400, 'bad-header'],
    ['equal lengths, RFC 9112 6.3', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5', 400, 'two-lengths'],
    ['other lengths, to HEAD as well', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6', 400, 'two-lengths'],
    [
      'length and coding',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked',
      400,
      'length-and-coding',
    ],
    ['another coding, RFC 9112 6.1', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked', 501, 'coding'],
    ['a coding of HTTP/1.0, RFC 9112 6.1', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked', 400, 'old-coding'],
  ])('%s', (_rule, text, status, code) => {
    for (const method of ['GET', 'HEAD']) expect(parseResponseHead(head(text), method)).toMatchObject({ status, code })
  })
})

it('reads what was written', () => {
  const reason = fc.string({ unit: fc.constantFrom(...Array.from('aZ \t\u0080\u00ff')), maxLength: 10 })
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 999 }), reason, (status, sent) => {
      const fields = ['X', 'y', 'Content-Length', '5']
      expect(parsed(responseHeadText(status, sent, fieldLines(fields)))).toMatchObject({ status, reason: sent, fields })
    }),
  )
})
