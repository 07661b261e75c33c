import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import type { HeadResult, RequestHead } from './contract.ts'
import { RequestHeadReader, ResponseHeadReader } from './head-reader.ts'
import { MAX_EMPTY_LINES } from './request-head.ts'
import { requests } from './testing/messages.ts'

const LIMITS = { head: 200, line: 50 }
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** As [state, head or code, what is left of all bytes], the reading stopped at the first result. */
function readIn(pieces: readonly Buffer[], reader = new RequestHeadReader(LIMITS)): readonly unknown[] {
  for (const [i, piece] of pieces.entries()) {
    const result: HeadResult<RequestHead> = reader.read(piece)
    const left = (rest: Buffer): string => Buffer.concat([rest, ...pieces.slice(i + 1)]).toString('latin1')
    if (result.state === 'head') {
      const { text, bytes } = result.head
      return ['head', { ...result.head, text: text.slice(0, bytes) }, left(result.rest)]
    }
    if (result.state === 'refused') return ['refused', result.refusal.code]
  }
  return ['more', reader.started]
}

const single = (text: string): readonly Buffer[] => Array.from(text, char => bytes(char))

describe('RequestHeadReader', () => {
  it('gives the head and what is behind it, as a view', () => {
    const chunk = bytes(`${GET}body`)
    const result = new RequestHeadReader(LIMITS).read(chunk)
    expect(result).toMatchObject({ state: 'head', head: { method: 'GET', bytes: GET.length } })
    expect(result.state === 'head' && result.rest.toString()).toBe('body')
    expect(result.state === 'head' && result.rest.buffer).toBe(chunk.buffer)
  })

  it('reads one head after the other, at once and in pieces', () => {
    const reader = new RequestHeadReader(LIMITS)
    for (const pieces of [[bytes(GET)], single(GET), [bytes(GET.slice(0, 9)), bytes(GET.slice(9))], [bytes(GET)]]) {
      expect(readIn(pieces, reader)).toEqual(['head', expect.objectContaining({ target: '/' }), ''])
      expect(reader.started).toBe(false)
    }
  })

  it('knows whether a head has begun', () => {
    const reader = new RequestHeadReader(LIMITS)
    expect(reader.started).toBe(false)
    reader.read(bytes(''))
    reader.read(bytes('\r\n'))
    reader.read(bytes('\r'))
    expect(reader.started).toBe(false)
    reader.read(bytes('\nG'))
    expect(reader.started).toBe(true)
  })

  it.each([
    ['a request line of the limit', `GET /${'a'.repeat(36)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'head'],
    ['a longer one, RFC 9110 15.5.15', `GET /${'a'.repeat(37)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'long-line'],
    ['one without an end', `GET /${'a'.repeat(46)}`, 'long-line'],
    ['a beginning of the limit', `GET /${'a'.repeat(45)}`, 'more'],
    ['a head of the limit', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(168)}\r\n\r\n`, 'head'],
    ['a longer one, RFC 6585 5', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(169)}\r\n\r\n`, 'long-head'],
    ['one without an end', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(173)}`, 'long-head'],
    ['a beginning of the limit', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(172)}`, 'more'],
    ['empty lines, RFC 9112 2.2', '\r\n'.repeat(MAX_EMPTY_LINES) + GET, 'head'],
    ['too many of them', '\r\n'.repeat(MAX_EMPTY_LINES + 1), 'empty-lines'],
    ['what is wrong already, RFC 9112 2.2', 'GET / HTTP/1.0\n', 'bad-line'],
    ['no HTTP at all', '\u0016\u0003\u0001\u0002', 'bad-line'],
    ['a bare CR', 'GET / HTTP/1.1\r\nX: a\rb', 'bad-header'],
    ['a control in a field', 'GET / HTTP/1.1\r\nX: a\u0000', 'bad-header'],
    ['the first of two faults', 'GET / HTTP/1.1\r\ncolonless\r\nX: a\u0000', 'bad-header'],
  ])('%s', (_what, text, expected) => {
    for (const pieces of [[bytes(text)], single(text)]) expect(readIn(pieces)).toContain(expected)
  })

  it('counts empty lines against the limit of the head', () => {
    const reader = new RequestHeadReader({ head: GET.length + 1, line: 50 })
    expect(readIn([bytes(`\r\n${GET}`)], reader)).toEqual(['refused', 'long-head'])
  })

  it('takes time in proportion to the bytes, however they drip', () => {
    // A million bytes in pieces of one: copying all for each would be 500 gigabytes.
    const text = bytes(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(1_000_000)}\r\n\r\n`)
    const reader = new RequestHeadReader({ head: text.length, line: 50 })
    let result: HeadResult<RequestHead> = { state: 'more' }
    for (let i = 0; i < text.length; i++) result = reader.read(text.subarray(i, i + 1))
    expect(result.state).toBe('head')
  }, 20_000)

  it('comes to the same result however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.nat(300), { maxLength: 8 }), (seed, cuts) => {
        const all = bytes(requests(seed))
        const at = [0, ...cuts.filter(cut => cut < all.length).sort((a, b) => a - b), all.length]
        const pieces = at.slice(1).map((end, i) => all.subarray(at[i], end))
        const whole = readIn([all])
        expect(readIn(pieces)).toEqual(whole)
        expect(readIn(single(all.toString('latin1')))).toEqual(whole)
      }),
      { numRuns: 1_000 },
    )
  }, 30_000)
})

describe('ResponseHeadReader', () => {
  it('gives interim answers as heads, and the final one behind them (RFC 9110 15.2)', () => {
    const reader = new ResponseHeadReader(1_000)
    const first = reader.read(bytes('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    expect(first).toMatchObject({ state: 'head', head: { status: 100, bodyLength: 0 } })
    const second = first.state === 'head' ? reader.read(first.rest) : first
    expect(second).toMatchObject({ state: 'head', head: { status: 200, bodyLength: 2 }, rest: bytes('ok') })
  })

  it('knows the method of the request', () => {
    const reader = new ResponseHeadReader(1_000)
    reader.requestMethod = 'HEAD'
    const result = reader.read(bytes('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'))
    expect(result).toMatchObject({ state: 'head', head: { bodyLength: 0 } })
  })

  it.each([
    ['a head beyond the limit', `HTTP/1.1 200 ${'a'.repeat(100)}`, 'long-head'],
    ['an empty line before it', '\r\n', 'bad-line'],
    ['a bare LF', 'HTTP/1.1 200 OK\n', 'bad-line'],
  ])('refuses %s', (_what, text, code) => {
    expect(new ResponseHeadReader(100).read(bytes(text))).toMatchObject({ state: 'refused', refusal: { code } })
  })
})
