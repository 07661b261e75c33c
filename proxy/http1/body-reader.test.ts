import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { BodyReader, MAX_BODY_EXTENSIONS, MAX_CHUNK_EXTENSION } from './body-reader.ts'
import { CHUNKED, UNTIL_CLOSE, type Fields } from './contract.ts'
import { CHUNK_END, chunkHead, lastChunk } from './write.ts'

const LIMIT = 100
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const single = (text: string): readonly Buffer[] => Array.from(text, char => bytes(char))

interface Read {
  readonly state: string
  readonly data: string
  readonly rest?: string
  readonly trailers?: Fields
}

function readIn(pieces: readonly Buffer[], length: number, reader = new BodyReader(length, LIMIT)): Read {
  let data = ''
  for (const [i, piece] of pieces.entries()) {
    const result = reader.read(piece, part => (data += part.toString('latin1')))
    if (result.state === 'refused') return { state: result.refusal.code, data: '' }
    if (result.state === 'end') {
      const rest = Buffer.concat([result.rest, ...pieces.slice(i + 1)]).toString('latin1')
      return { state: 'end', data, rest, trailers: reader.trailers }
    }
  }
  return { state: reader.ended ? 'ended' : 'more', data }
}

/** At once and byte by byte. */
function read(text: string, length = CHUNKED): Read {
  const whole = readIn([bytes(text)], length)
  expect(readIn(single(text), length)).toEqual(whole)
  return whole
}

const end = (data: string, rest = '', trailers: Fields = []): Read => ({ state: 'end', data, rest, trailers })

describe('a body of a length (RFC 9112 6.2)', () => {
  it('ends with its last byte', () => {
    expect(read('hello', 5)).toEqual(end('hello'))
    expect(read('helloGET', 5)).toEqual(end('hello', 'GET'))
    expect(read('hell', 5)).toEqual({ state: 'more', data: 'hell' })
  })

  it('of nothing has ended before anything is read', () => {
    const reader = new BodyReader(0, LIMIT)
    expect(reader.ended).toBe(true)
    expect(reader.finish()).toBe(true)
    expect(readIn([bytes('GET')], 0, reader)).toEqual(end('', 'GET'))
  })

  it('is given as views of what came', () => {
    const chunk = bytes('helloGET')
    const pieces: Buffer[] = []
    new BodyReader(5, LIMIT).read(chunk, piece => pieces.push(piece))
    expect(pieces.map(piece => [piece.buffer === chunk.buffer, piece.byteOffset - chunk.byteOffset])).toEqual([
      [true, 0],
    ])
  })

  it('is cut when its connection ends (RFC 9112 8)', () => {
    const reader = new BodyReader(5, LIMIT)
    readIn([bytes('hell')], 5, reader)
    expect(reader.finish()).toBe(false)
  })
})

it('a body that ends with its connection takes all (RFC 9112 6.3)', () => {
  const reader = new BodyReader(UNTIL_CLOSE, LIMIT)
  expect(readIn([bytes('0\r\n\r\n'), bytes('x')], UNTIL_CLOSE, reader)).toEqual({ state: 'more', data: '0\r\n\r\nx' })
  expect(reader.finish()).toBe(true)
  expect(reader.ended).toBe(true)
})

it('serves one message after the other', () => {
  const reader = new BodyReader(CHUNKED, LIMIT)
  expect(readIn([bytes('1\r\na\r\n0\r\nT: x\r\n\r\n')], CHUNKED, reader)).toEqual(end('a', '', ['T', 'x']))
  reader.reset(2)
  expect(readIn([bytes('abc')], 2, reader)).toEqual(end('ab', 'c'))
  reader.reset(CHUNKED)
  expect(readIn([bytes('1')], CHUNKED, reader)).toEqual({ state: 'more', data: '' })
  reader.reset(CHUNKED)
  expect(readIn([bytes('1\r\na\r\n0\r\n\r\n')], CHUNKED, reader)).toEqual(end('a'))
})

describe('a chunked body (RFC 9112 7.1)', () => {
  it.each([
    ['nothing', '0\r\n\r\n', end('')],
    ['chunks', '5\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n', end('helloabcdefghijklmnopqrstuvwxyz')],
    ['small letters and zeros', '00a\r\n0123456789\r\n000\r\n\r\n', end('0123456789')],
    ['line ends in data', '4\r\n\r\n\r\n\r\n0\r\n\r\n', end('\r\n\r\n')],
    ['what is behind it', '0\r\n\r\nGET', end('', 'GET')],
    ['extensions, RFC 9112 7.1.1', '1;a;b=c;d="e;\\"\u00e9\t"\r\nx\r\n0;z=""\r\n\r\n', end('x')],
    ['16 digits', '0000000000000001\r\nx\r\n0\r\n\r\n', end('x')],
    ['trailers, RFC 9112 7.1.2', '0\r\nA: b\r\nC:  d \r\n\r\nx', end('', 'x', ['A', 'b', 'C', 'd'])],
    [
      'no trailers for one connection, RFC 9110 6.5.1',
      '0\r\nHOST: b\r\nTrailer: x\r\nConnection: close\r\nTE: x\r\nA: b\r\nUpgrade: x\r\nContent-Type: x\r\n\r\n',
      end('', '', ['A', 'b']),
    ],
  ])('takes %s', (_what, text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  it.each([
    '',
    '5',
    '5\r',
    '5\r\n',
    '5\r\nhello',
    '5\r\nhello\r',
    '5\r\nhello\r\n',
    '0\r\n',
    '0\r\n\r',
    '0\r\nA: b\r\n',
  ])('waits for the rest of %j', text => {
    expect(read(text).state).toBe('more')
    const reader = new BodyReader(CHUNKED, LIMIT)
    readIn([bytes(text)], CHUNKED, reader)
    expect(reader.finish()).toBe(false)
  })

  it.each([
    ['no size', '\r\n'],
    ['a sign', '+1\r\na'],
    ['0x', '0x1\r\na'],
    ['a space before the size', ' 1\r\na'],
    ['a space behind the size', '1 \r\na'],
    ['no digit', 'g\r\n'],
    ['a bare LF behind the size, RFC 9112 2.2', '1\na'],
    ['a bare CR behind the size, RFC 9112 2.2', '1\ra'],
    ['more data than the size', '1\r\nab\r\n'],
    ['a bare LF behind the data', '1\r\na\n'],
    ['a bare CR behind the data', '1\r\na\rx'],
    ['a size beyond safe numbers, RFC 9112 7.1', '20000000000000\r\n'],
    ['a size of 17 digits', '00000000000000000\r\n'],
    ['a bare LF in an extension, RFC 9112 2.2', '1;a\n'],
    ['a bare LF in a quoted extension', '1;a="\n'],
    ['an escaped CR', '1;a="\\\r'],
    ['an extension without a name, RFC 9112 7.1.1', '1;\r\n'],
    ['an extension with a value alone', '1;=a\r\n'],
    ['an extension without the value', '1;a=\r\n'],
    ['white space before an extension', '1 ;a\r\n'],
    ['white space in an extension', '1; a\r\n'],
    ['something behind a quoted value', '1;a="b"c\r\n'],
    ['a quote within a value', '1;a=b"c"\r\n'],
  ])('refuses %s', (_what, text) => {
    expect(read(text).state).toBe('bad-chunk')
  })

  it.each([
    ['a space before the colon, RFC 9112 5.1', 'A : b\r\n'],
    ['a folded line, RFC 9112 5.2', 'A: b\r\n c\r\n'],
    ['a folded first line', ' A: b\r\n'],
    ['no colon', 'A\r\n'],
    ['a bare LF, RFC 9112 2.2', 'A: b\n'],
    ['a control', 'A: \u0000\r\n'],
    ['a length, RFC 9110 6.5.1', 'Content-Length: 5\r\n'],
    ['a coding, RFC 9110 6.5.1', 'Transfer-Encoding: chunked\r\n'],
  ])('refuses trailers with %s', (_what, lines) => {
    expect(read(`0\r\n${lines}\r\n`).state).toBe('bad-trailer')
  })

  it('refuses long trailers, also before their end', () => {
    const field = (length: number): string => `0\r\nA: ${'b'.repeat(length)}`
    expect(read(`${field(LIMIT - 7)}\r\n\r\n`).state).toBe('end')
    expect(read(`${field(LIMIT - 6)}\r\n\r\n`).state).toBe('long-trailer')
    expect(read(field(LIMIT)).state).toBe('long-trailer')
  })

  it('refuses long extensions, of one chunk and of all', () => {
    const one = (length: number): string => `1;${'a'.repeat(length)}\r\nx\r\n`
    expect(read(one(MAX_CHUNK_EXTENSION)).state).toBe('more')
    expect(read(one(MAX_CHUNK_EXTENSION + 1)).state).toBe('long-extension')
    const many = one(MAX_CHUNK_EXTENSION).repeat(MAX_BODY_EXTENSIONS / MAX_CHUNK_EXTENSION)
    expect(read(many).state).toBe('more')
    expect(read(`${many}1;a\r\n`).state).toBe('long-extension')
  })

  it('reads what was written, however it is cut', () => {
    const data = fc.string({ unit: fc.constantFrom(...Array.from('\r\n0;a\u0000\u00ff')), minLength: 1, maxLength: 40 })
    const trailers = fc
      .array(fc.constantFrom('X', 'y', 'long-value'), { maxLength: 6 })
      .map(parts => parts.flatMap(part => ['T', part]))
    fc.assert(
      fc.property(fc.array(data), trailers, fc.array(fc.nat(200)), (chunks, fields, cuts) => {
        const text = chunks.map(chunk => `${chunkHead(chunk.length)}${chunk}${CHUNK_END}`).join('') + lastChunk(fields)
        const all = bytes(`${text}rest`)
        const at = [0, ...cuts.filter(cut => cut < all.length).sort((a, b) => a - b), all.length]
        const pieces = at.slice(1).map((until, i) => all.subarray(at[i], until))
        expect(readIn(pieces, CHUNKED)).toEqual(end(chunks.join(''), 'rest', fields))
      }),
    )
  })
})
