import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { CHUNKED } from './contract.ts'
import { isRefusal } from './refusals.ts'
import { MAX_EMPTY_LINES, parseRequestHead } from './request-head.ts'
import { fieldLines, requestHeadText } from './write.ts'

const HOST = 'Host: a.example'
const head = (...lines: readonly string[]): string => [...lines, '', ''].join('\r\n')
const get = (...fields: readonly string[]): string => head('GET / HTTP/1.1', HOST, ...fields)
const old = (...fields: readonly string[]): string => head('GET / HTTP/1.0', ...fields)

function parsed(text: string) {
  const result = parseRequestHead(text)
  if (isRefusal(result)) throw new Error(`refused: ${result.code}`)
  return result
}

describe('parseRequestHead takes', () => {
  it('a plain request', () => {
    const text = head('GET /a?b=c HTTP/1.1', HOST, 'ACCEPT:  */* \t', 'accept: x', 'X-Request-ID: 1', 'x-request-id: 2')
    expect(parseRequestHead(text)).toEqual({
      minor: 1,
      method: 'GET',
      target: '/a?b=c',
      fields: ['Host', 'a.example', 'ACCEPT', '*/*', 'accept', 'x', 'X-Request-ID', '1', 'x-request-id', '2'],
      text,
      lines: [21, 38, 54, 65, 82, 99],
      plain: false,
      bodyLength: 0,
      bytes: text.length,
      http2: false,
      keepAlive: true,
      connectionOptions: null,
      host: 'a.example',
      expectsContinue: false,
      upgrade: null,
      requestId: '1',
    })
  })

  it.each([
    ['an unknown method, RFC 9110 9.1', head('FOO!# / HTTP/1.1', HOST), { method: 'FOO!#' }],
    [
      'raw bytes above 127 in the target',
      head('GET /\u00e9\u0080\u00ff HTTP/1.1', HOST),
      { target: '/\u00e9\u0080\u00ff' },
    ],
    ['any printable target, RFC 9112 3.2', head('OPTIONS !~ HTTP/1.1', HOST), { target: '!~' }],
    ['empty lines before it, RFC 9112 2.2', `\r\n\r\n${get()}`, { method: 'GET', bytes: get().length + 4 }],
    ['HTTP/1.0 without Host, RFC 9112 3.2', old(), { minor: 0, host: null }],
    ['HTTP/1.0 with Host', old(HOST), { minor: 0, host: 'a.example' }],
    ['an empty Host, RFC 9112 3.2', head('GET / HTTP/1.1', 'Host:'), { host: '' }],
    [
      'bytes above 127 in values, RFC 9110 5.5',
      get('X: \u0080\u00ff'),
      { fields: ['Host', 'a.example', 'X', '\u0080\u00ff'] },
    ],
    ['U+00A0 as a byte, not a space', get('X: \u00a0a\u00a0'), { fields: ['Host', 'a.example', 'X', '\u00a0a\u00a0'] }],
    ['a tab within a value, RFC 9110 5.5', get('X:\ta\tb\t'), { fields: ['Host', 'a.example', 'X', 'a\tb'] }],
    ['empty values, RFC 9110 5.5', get('X:', 'Y:  \t '), { fields: ['Host', 'a.example', 'X', '', 'Y', ''] }],
    ['a length, RFC 9112 6.2', get('Content-Length: 5'), { bodyLength: 5 }],
    ['a length with zeros, RFC 9110 8.6', get('content-length:  005 '), { bodyLength: 5 }],
    ['the longest length', get('Content-Length: 9007199254740991'), { bodyLength: 2 ** 53 - 1 }],
    ['chunked, RFC 9112 6.1', get('Transfer-Encoding: chunked'), { bodyLength: CHUNKED }],
    ['chunked in any case, RFC 9112 7', get('TRANSFER-ENCODING: \tChUnKeD '), { bodyLength: CHUNKED }],
  ])('%s', (_rule, text, expected) => {
    expect(parsed(text)).toMatchObject(expected)
  })
})

describe('parseRequestHead refuses', () => {
  it.each([
    ['no method, RFC 9112 3', ' / HTTP/1.1', 'bad-line'],
    ['a method that is no token, RFC 9110 9.1', 'G(T / HTTP/1.1', 'bad-line'],
    ['a byte above 127 in the method', 'G\u00e9T / HTTP/1.1', 'bad-line'],
    ['two spaces before the target, RFC 9112 3', 'GET  / HTTP/1.1', 'bad-line'],
    ['two spaces behind the target, RFC 9112 3', 'GET /  HTTP/1.1', 'bad-line'],
    ['a tab for a space, RFC 9112 3', 'GET\t/ HTTP/1.1', 'bad-line'],
    ['a space at the end, RFC 9112 3', 'GET / HTTP/1.1 ', 'bad-line'],
    ['a space in the target, RFC 9112 3.2', 'GET /a b HTTP/1.1', 'bad-line'],
    ['a control in the target, RFC 9112 3.2', 'GET /\u0001 HTTP/1.1', 'bad-line'],
    ['DEL in the target, RFC 9112 3.2', 'GET /\u007f HTTP/1.1', 'bad-line'],
    ['a NUL in the target, RFC 9112 3.2', 'GET /\u0000 HTTP/1.1', 'bad-line'],
    ['HTTP/0.9, RFC 9112 C.1', 'GET /', 'bad-line'],
    ['a version in small letters, RFC 9112 2.3', 'GET / http/1.1', 'bad-line'],
    ['a version of two digits, RFC 9112 2.3', 'GET / HTTP/1.10', 'bad-line'],
    ['another protocol, RFC 9112 2.3', 'GET / RTSP/1.0', 'bad-line'],
    ['an empty version', 'GET / ', 'bad-line'],
    ['an unknown minor version, RFC 9110 15.6.6', 'GET / HTTP/1.2', 'bad-version'],
    ['HTTP/0.9 in so many words, RFC 9110 15.6.6', 'GET / HTTP/0.9', 'bad-version'],
    ['the preface of HTTP/2, RFC 9113 3.4', 'PRI * HTTP/2.0', 'bad-version'],
  ])('%s', (_rule, line, code) => {
    expect(parseRequestHead(head(line, HOST))).toMatchObject({ code, status: code === 'bad-version' ? 505 : 400 })
  })

  it.each([
    ['a space before the colon, RFC 9112 5.1', 'X : a'],
    ['a tab before the colon, RFC 9112 5.1', 'X\t: a'],
    ['a folded line, RFC 9112 5.2', 'X: a\r\n b'],
    ['a folded line of nothing, RFC 9112 5.2', 'X: a\r\n '],
    ['no name, RFC 9112 5', ': a'],
    ['no colon, RFC 9112 5', 'nothing'],
    ['a name that is no token, RFC 9110 5.1', 'X(Y): a'],
    ['a byte above 127 in a name, RFC 9110 5.1', 'X\u00e9: a'],
    ['a NUL in a name, RFC 9110 5.1', 'X\u0000: a'],
    ['a NUL in a value, RFC 9110 5.5', 'X: \u0000'],
    ['a control in a value, RFC 9110 5.5', 'X: a\u001bb'],
    ['DEL in a value, RFC 9110 5.5', 'X: \u007f'],
    ['a bare CR in a value, RFC 9112 2.2', 'X: a\rb'],
    ['a bare CR at the end, RFC 9112 2.2', 'X: a\r'],
    ['a bare LF, RFC 9112 2.2', 'X: a\nY: b'],
  ])('%s', (_rule, field) => {
    expect(parseRequestHead(get(field))).toMatchObject({ status: 400, code: 'bad-header' })
  })

  it.each([
    ['no Host, RFC 9112 3.2', head('GET / HTTP/1.1'), 400, 'no-host'],
    ['two Hosts, RFC 9112 3.2', get('Host: b.example'), 400, 'two-hosts'],
    ['two equal Hosts, RFC 9112 3.2', get('hOST: a.example'), 400, 'two-hosts'],
    ['two Hosts of HTTP/1.0, RFC 9112 3.2', old(HOST, HOST), 400, 'two-hosts'],
    ['two lengths, RFC 9112 6.3', get('Content-Length: 4', 'Content-Length: 5'), 400, 'two-lengths'],
    ['two equal lengths, RFC 9112 6.3', get('Content-Length: 4', 'content-length: 4'), 400, 'two-lengths'],
    ['a list of lengths, RFC 9112 6.3', get('Content-Length: 4, 4'), 400, 'bad-length'],
    ['a length with a sign, RFC 9110 8.6', get('Content-Length: +4'), 400, 'bad-length'],
    ['a negative length, RFC 9110 8.6', get('Content-Length: -4'), 400, 'bad-length'],
    ['a hexadecimal length, RFC 9110 8.6', get('Content-Length: 0x4'), 400, 'bad-length'],
    ['a length with an exponent, RFC 9110 8.6', get('Content-Length: 1e1'), 400, 'bad-length'],
    ['an empty length, RFC 9110 8.6', get('Content-Length:'), 400, 'bad-length'],
    ['a length beyond safe numbers, RFC 9110 8.6', get('Content-Length: 9007199254740992'), 400, 'bad-length'],
    ['a length beyond all numbers', get(`Content-Length: ${'9'.repeat(400)}`), 400, 'bad-length'],
    ['a tab behind a length (as llhttp)', get('Content-Length: 5\t'), 400, 'bad-length'],
    ['U+00A0 behind a length', get('Content-Length: 5\u00a0'), 400, 'bad-length'],
    [
      'length and coding, RFC 9112 6.3',
      get('Content-Length: 4', 'Transfer-Encoding: chunked'),
      400,
      'length-and-coding',
    ],
    ['coding and length, RFC 9112 6.3', get('Transfer-Encoding: x', 'Content-Length: 4'), 400, 'length-and-coding'],
    ['a coding of HTTP/1.0, RFC 9112 6.1', old('Transfer-Encoding: chunked'), 400, 'old-coding'],
    ['two codings, RFC 9112 6.1', get('Transfer-Encoding: gzip, chunked'), 501, 'coding'],
    ['chunked twice, RFC 9112 6.1', get('Transfer-Encoding: chunked, chunked'), 501, 'coding'],
    ['chunked in two fields', get('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), 501, 'coding'],
    ['chunked not last, RFC 9112 6.3', get('Transfer-Encoding: chunked', 'Transfer-Encoding: identity'), 501, 'coding'],
    ['identity, RFC 9112 7', get('Transfer-Encoding: identity'), 501, 'coding'],
    ['an unknown coding, RFC 9112 6.1', get('Transfer-Encoding: xchunked'), 501, 'coding'],
    ['no coding', get('Transfer-Encoding:'), 501, 'coding'],
    ['a coding with a parameter', get('Transfer-Encoding: chunked;q=1'), 501, 'coding'],
    ['a tab behind a coding (as llhttp)', get('Transfer-Encoding: chunked\t'), 501, 'coding'],
    ['U+00A0 before a coding', get('Transfer-Encoding: \u00a0chunked'), 501, 'coding'],
    ['too many empty lines, RFC 9112 2.2', '\r\n'.repeat(MAX_EMPTY_LINES + 1) + get(), 400, 'empty-lines'],
    ['an empty line that ends in LF', `\n${get()}`, 400, 'bad-line'],
    ['a text without its end', 'GET / HTTP/1.1\r\nHost: a\r\n', 400, 'bad-header'],
    ['bytes behind the end', `${get()}x`, 400, 'bad-header'],
    ['nothing', '', 400, 'bad-line'],
  ])('%s', (_rule, text, status, code) => {
    expect(parseRequestHead(text)).toMatchObject({ status, code })
  })
})

describe('the connection (RFC 9112 9.3, RFC 9110 7.6.1)', () => {
  const none: readonly string[] = []
  it.each([
    [1, none, true, null],
    [0, none, false, null],
    [1, ['close'], false, null],
    [1, ['CLOSE'], false, null],
    [1, ['keep-alive'], true, null],
    [0, ['Keep-Alive'], true, null],
    [0, ['keep-alive', 'close'], false, null],
    [1, [' , x-a ,close,\tX-B\t'], false, ['x-a', 'x-b']],
    [1, ['x-a', 'keep-alive'], true, ['x-a']],
    [1, ['host, Content-Length, transfer-encoding, x-a'], true, ['x-a']],
    [1, ['host'], true, null],
    [1, ['closed, keep-alive2'], true, ['closed', 'keep-alive2']],
    [1, [''], true, null],
    // U+00C0 is a byte of some name here: it has no small letter, and U+00A0 is no space.
    [1, ['\u00c0\u00a0'], true, ['\u00c0\u00a0']],
  ] as const)('HTTP/1.%d, Connection: %j', (minor, values, keepAlive, options) => {
    const connection = values.map(value => `Connection: ${value}`)
    const result = parsed(head(`GET / HTTP/1.${minor}`, HOST, ...connection))
    expect([result.keepAlive, result.connectionOptions && [...result.connectionOptions]]).toEqual([keepAlive, options])
  })

  it.each([
    ['RFC 9110 7.8', get('Connection: Upgrade', 'Upgrade: websocket'), 'websocket'],
    ['several', get('Upgrade: a', 'Connection: x, upgrade', 'UPGRADE: b'), 'a, b'],
    ['not listed by Connection', get('Upgrade: websocket'), null],
    ['listed alone', get('Connection: upgrade'), null],
    ['of HTTP/1.0, RFC 9110 7.8', old('Connection: upgrade', 'Upgrade: websocket'), null],
  ])('Upgrade: %s', (_rule, text, upgrade) => {
    expect(parsed(text).upgrade).toBe(upgrade)
  })

  it.each([
    ['RFC 9110 10.1.1', get('Expect: 100-Continue'), true],
    ['in a list', get('Expect: x, 100-continue'), true],
    ['another expectation', get('Expect: 200-ok'), false],
    ['of HTTP/1.0', old('Expect: 100-continue'), false],
  ])('Expect: %s', (_rule, text, expected) => {
    expect(parsed(text).expectsContinue).toBe(expected)
  })
})

describe('parseRequestHead, for all messages', () => {
  const characters = (set: string) => fc.string({ unit: fc.constantFrom(...Array.from(set)), maxLength: 20 })
  const range = (from: number, to: number): string =>
    Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i)).join('')
  const printable = range(0x21, 0x7e) + range(0x80, 0xff)
  const token = characters("!#$%&'*+-.^_`|~0123456789abcXYZ").filter(text => text !== '')
  const value = characters(`${printable} \t`).map(text => text.replace(/^[ \t]+|[ \t]+$/g, ''))
  const names = token.filter(name => !/^(?:host|content-length|transfer-encoding)$/i.test(name))

  it('reads what was written', () => {
    fc.assert(
      fc.property(
        token,
        characters(printable).filter(text => text !== ''),
        fc.array(fc.tuple(names, value)),
        (method, target, pairs) => {
          const fields = ['Host', 'a.example', ...pairs.flat()]
          const text = requestHeadText(method, target, fieldLines(fields))
          expect(parsed(text)).toMatchObject({ method, target, fields, bytes: text.length, bodyLength: 0 })
        },
      ),
    )
  })

  it('takes nothing with a stray control', () => {
    // HTAB may stand in values and around them.
    const controls = fc.integer({ min: 0, max: 0x1f }).filter(code => code !== 0x09)
    fc.assert(
      fc.property(fc.nat(get('X: y').length), controls, (at, code) => {
        const text = get('X: y')
        expect(isRefusal(parseRequestHead(text.slice(0, at) + String.fromCharCode(code) + text.slice(at)))).toBe(true)
      }),
    )
  })
})
