import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { isRefusal } from './refusals.ts'
import { parseRequestHead } from './request-head.ts'
import {
  LAST_CHUNK,
  chunkHead,
  fieldLines,
  keptLines,
  lastChunk,
  ownLine,
  requestHeadText,
  responseHeadText,
} from './write.ts'

describe('the writers', () => {
  it('write heads, names and values as they are', () => {
    const fields = ['Host', 'a', 'x-EMPTY', '', 'X', 'a\tb \u00e9\u00ff']
    expect(requestHeadText('FOO', '/\u00e9?x', fieldLines(fields))).toBe(
      'FOO /\u00e9?x HTTP/1.1\r\nHost: a\r\nx-EMPTY: \r\nX: a\tb \u00e9\u00ff\r\n\r\n',
    )
    expect(responseHeadText(404, 'Not Found', fieldLines(['X', 'y']))).toBe('HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n')
    // RFC 9112 4: the space stays.
    expect(responseHeadText(200, '', '')).toBe('HTTP/1.1 200 \r\n\r\n')
  })

  it('write chunks and trailers (RFC 9112 7.1)', () => {
    expect(chunkHead(26)).toBe('1a\r\n')
    expect(lastChunk([])).toBe(LAST_CHUNK)
    expect(lastChunk(['T', 'x'])).toBe('0\r\nT: x\r\n\r\n')
  })

  // U+010D and U+010A lose their upper byte in latin1 and would come out as CR and LF.
  const dangerous = ['\r', '\n', '\u0000', '\u007f', '\u001b', '\u010d', '\u010a', '\u2028']
  it.each(dangerous)('let no %j out', char => {
    const texts = [char, `a${char}`, `a${char}b`]
    for (const text of texts) {
      for (const write of [
        () => requestHeadText(text, '/', ''),
        () => requestHeadText('GET', text, ''),
        () => fieldLines([text, 'x']),
        () => fieldLines(['x', text]),
        () => responseHeadText(200, text, ''),
        () => fieldLines(['x', text]),
        () => ownLine('x', text),
        () => lastChunk(['x', text]),
      ]) {
        expect(write).toThrow(expect.objectContaining({ code: 'SLUICE_MESSAGE_UNSAFE' }))
      }
    }
  })

  it.each([
    ['a method that is empty', () => requestHeadText('', '/', '')],
    ['a method with a space', () => requestHeadText('A B', '/', '')],
    ['a target that is empty', () => requestHeadText('GET', '', '')],
    ['a target with a space', () => requestHeadText('GET', '/a b', '')],
    ['a target with a tab', () => requestHeadText('GET', '/\t', '')],
    ['a name that is empty', () => fieldLines(['', 'x'])],
    ['a name with a colon', () => fieldLines(['a:b', 'x'])],
    ['a name with a space', () => fieldLines(['a ', 'x'])],
    ['a name without a value', () => fieldLines(['a'])],
    ['a status below 100', () => responseHeadText(99, 'x', '')],
    ['a status of four digits', () => responseHeadText(1000, 'x', '')],
    ['a status that is no number', () => responseHeadText(Number.NaN, 'x', '')],
    ['a chunk of nothing', () => chunkHead(0)],
    ['a chunk of less', () => chunkHead(-1)],
    ['half a byte', () => chunkHead(1.5)],
  ])('refuse %s', (_what, write) => {
    expect(write).toThrow(expect.objectContaining({ code: 'SLUICE_MESSAGE_UNSAFE' }))
  })
})

describe('lines that are kept', () => {
  const fieldsOf = (lines: string): readonly string[] => {
    const head = parseRequestHead(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`)
    if (isRefusal(head)) throw new Error(`${head.code}: ${JSON.stringify(lines)}`)
    return head.fields.slice(2)
  }
  const space = fc.constantFrom(' ', ' ', ' ', ' ', ' ', '', '  ', '\t', ' \t ')
  const behind = fc.constantFrom('', '', '', '', '', '', ' ', '\t')
  const line = fc.tuple(
    fc.constantFrom('A', 'x-b', 'Cookie'),
    space,
    fc.constantFrom('', 'v', 'a  b', '\u00ff'),
    behind,
  )

  it('mean what they meant, without those that are left out, and with nothing of what comes behind the head', () => {
    const stated = fc.array(fc.tuple(line, fc.boolean()), { maxLength: 8 })
    fc.assert(
      fc.property(stated, fc.constantFrom('', 'body: x\r\n\r\n'), (all, more) => {
        const text = all.map(([[name, before, value, after]]) => `${name}:${before}${value}${after}\r\n`).join('')
        const whole = `GET / HTTP/1.1\r\nHost: a\r\n${text}\r\n`
        const head = parseRequestHead(whole + more, whole.length)
        if (isRefusal(head)) throw new Error(head.code)
        const left = [0, ...all.flatMap(([, out], i) => (out ? [i + 1] : []))]
        const expected = all.flatMap(([[name, , value], out]) => (out ? [] : [name, value]))
        const kept = keptLines(head, left)
        expect(fieldsOf(kept)).toEqual(expected)
        expect(kept).toBe(fieldLines(expected))
      }),
    )
  })

  it('are copied in as few pieces as there are gaps: also the first, the last, and none', () => {
    const head = parseRequestHead('GET / HTTP/1.0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n')
    if (isRefusal(head)) throw new Error(head.code)
    expect(head.plain).toBe(true)
    expect(keptLines(head, [])).toBe('A: 1\r\nB: 2\r\nC: 3\r\n')
    expect(keptLines(head, [0])).toBe('B: 2\r\nC: 3\r\n')
    expect(keptLines(head, [1])).toBe('A: 1\r\nC: 3\r\n')
    expect(keptLines(head, [2])).toBe('A: 1\r\nB: 2\r\n')
    expect(keptLines(head, [0, 1, 2])).toBe('')
    const none = parseRequestHead('GET / HTTP/1.0\r\n\r\n')
    if (isRefusal(none)) throw new Error(none.code)
    expect(keptLines(none, [])).toBe('')
  })
})
