import fc from 'fast-check'
import { describe, expect, it } from '@jest/globals'
import { CHUNKED } from '../http1/contract.ts'
import { parseRequestHead } from '../http1/request-head.ts'
import { http2RequestHead } from './request-head.ts'

const LIMITS = { head: 32_768, line: 16_384 }
const GET = [':method', 'GET', ':scheme', 'https', ':authority', 'a.example', ':path', '/x?y']

function read(raw: readonly string[], endStream = true, limits = LIMITS): ReturnType<typeof http2RequestHead> {
  return http2RequestHead(raw, endStream, limits)
}

/** What it is as a request of HTTP/1.1, or why it is none. */
function meaning(raw: readonly string[], endStream = true, limits = LIMITS): unknown {
  const head = read(raw, endStream, limits)
  return 'code' in head ? head.code : { fields: head.fields, bodyLength: head.bodyLength }
}

describe('the head of a request', () => {
  it('is the one of HTTP/1.1 that it means', () => {
    expect(read([...GET, 'accept', '*/*', 'x-request-id', 'i'])).toMatchObject({
      ...{ method: 'GET', target: '/x?y', host: 'a.example', minor: 1, http2: true, upgrade: null, requestId: 'i' },
      text: 'GET /x?y HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\nx-request-id: i\r\n\r\n',
    })
  })

  const post = (length: string): readonly string[] => [...GET, 'content-length', length]
  it.each<[string, readonly string[], boolean, unknown]>([
    ['nothing follows', GET, true, { bodyLength: 0 }],
    ['of no length that it says', GET, false, { bodyLength: CHUNKED }],
    ['of the length that it says', post('3'), false, { bodyLength: 3 }],
    ['of no length, and it says so', post('0'), true, { bodyLength: 0 }],
    ['of a length that cannot follow', post('3'), true, 'wrong-length'],
    ['of no length at all', post('3a'), false, 'bad-length'],
    ['of two lengths', [...post('3'), 'content-length', '3'], false, 'two-lengths'],
  ])('and its body: %s', (_, raw, endStream, expected) => {
    const got = meaning(raw, endStream)
    if (typeof expected === 'string') expect(got).toBe(expected)
    else expect(got).toMatchObject(expected as object)
  })

  it('has its cookies in one field, behind the others (RFC 9113 8.2.3)', () => {
    const raw = [...GET, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2']
    expect(meaning(raw)).toMatchObject({ fields: ['host', 'a.example', 'x', 'y', 'cookie', 'a=1; b=2'] })
  })

  it('names its host once: by :authority, else by Host (8.3.1)', () => {
    const without = [':method', 'GET', ':scheme', 'https', ':path', '/']
    expect(meaning([...without, 'host', 'b.example'])).toMatchObject({ fields: ['host', 'b.example'] })
    expect(meaning([...GET, 'host', 'A.EXAMPLE'])).toMatchObject({ fields: ['host', 'a.example'] })
    expect(meaning([...GET, 'host', 'b.example'])).toBe('other-host')
    expect(meaning([...GET, 'host', 'a.example', 'host', 'a.example'])).toBe('two-hosts')
    expect(meaning(without)).toBe('no-host')
    expect(meaning([...without, ':authority', ''])).toBe('no-host')
  })

  it('of CONNECT names where to, and nothing else (8.5)', () => {
    const connect = [':method', 'CONNECT', ':authority', 'a.example:443']
    expect(read(connect, false)).toMatchObject({ method: 'CONNECT', target: 'a.example:443' })
    expect(meaning([...connect, ':path', '/'])).toBe('bad-pseudo-header')
  })

  it.each<[string, readonly string[], string]>([
    ['an unknown pseudo-header', [...GET, ':protocol', 'websocket'], 'bad-pseudo-header'],
    ['one twice', [...GET, ':path', '/'], 'bad-pseudo-header'],
    ['one behind a field', [...GET.slice(0, 6), 'x', 'y', ':path', '/'], 'bad-header'],
    ['no path', GET.slice(0, 6), 'bad-pseudo-header'],
    ['another scheme', [':method', 'GET', ':scheme', 'ftp', ':authority', 'a', ':path', '/'], 'bad-pseudo-header'],
    ['a path that is an URL', [...GET.slice(0, 6), ':path', 'http://b.example/'], 'bad-path'],
    ['* of another method than OPTIONS', [...GET.slice(0, 6), ':path', '*'], 'bad-path'],
    ['a line end in the path', [...GET.slice(0, 6), ':path', '/ HTTP/1.1\r\nx: y'], 'bad-line'],
    ['a line end in the method', [':method', 'GET\r\n', ...GET.slice(2)], 'bad-line'],
    ['a line end in the authority', [...GET.slice(0, 4), ':authority', 'a\r\nx: y', ':path', '/'], 'bad-header'],
    ['a line end in a value', [...GET, 'x', 'y\r\nz: a'], 'bad-header'],
    ['white space around a value', [...GET, 'x', ' y'], 'bad-header'],
    ['a capital letter in a name', [...GET, 'X', 'y'], 'bad-header'],
    ['a colon in a name', [...GET, 'x:y', 'z'], 'bad-header'],
    ['an empty name', [...GET, '', 'z'], 'bad-header'],
    ['Connection', [...GET, 'connection', 'x'], 'connection-field'],
    ['Transfer-Encoding', [...GET, 'transfer-encoding', 'chunked'], 'connection-field'],
    ['Upgrade', [...GET, 'upgrade', 'websocket'], 'connection-field'],
    ['TE of more than trailers', [...GET, 'te', 'gzip'], 'connection-field'],
  ])('with %s is refused', (_, raw, code) => expect(meaning(raw)).toBe(code))

  it('is no longer than one of HTTP/1.1 may be', () => {
    expect(meaning([...GET, 'x', 'y'.repeat(200)], true, { head: 200, line: 100 })).toBe('long-head')
    expect(meaning([...GET.slice(0, 7), `/${'y'.repeat(100)}`], true, { head: 200, line: 100 })).toBe('long-line')
  })
})

describe('of any fields', () => {
  const text = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code)),
    maxLength: 12,
  })
  const plain = fc.string({
    unit: fc.constantFrom('a', 'b', 'z', '0', '9', '-', '_', '.', '/', '=', ';', ' '),
    maxLength: 12,
  })
  const name = fc.oneof(
    fc.constantFrom('host', 'cookie', 'content-length', 'expect', 'te', 'x-request-id'),
    plain,
    text,
  )
  const value = fc.oneof(fc.constantFrom('a.example', '3', '100-continue', 'trailers'), plain, text)
  const pseudo = fc.constantFrom(':method', ':scheme', ':authority', ':path', ':protocol')
  const raws = fc.oneof(
    fc.array(fc.tuple(name, value)).map(fields => [...GET, ...fields.flat()]),
    fc.array(fc.tuple(fc.oneof(pseudo, name), value)).map(fields => fields.flat()),
  )

  it('what is taken is, written down, the same request to the strict reader of HTTP/1.1', () => {
    fc.assert(
      fc.property(raws, fc.boolean(), (raw, endStream) => {
        const head = read(raw, endStream)
        if ('code' in head) return
        const again = parseRequestHead(head.text)
        if ('code' in again) throw new Error(`refused: ${again.code}`)
        const bodyLength = head.bodyLength === CHUNKED ? 0 : head.bodyLength
        expect({ ...again, http2: true }).toEqual({ ...head, bodyLength })
      }),
    )
  })
})
