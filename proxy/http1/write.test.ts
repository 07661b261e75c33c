import { describe, expect, it } from '@jest/globals'
import { LAST_CHUNK, chunkHead, lastChunk, requestHeadText, responseHeadText } from './write.ts'

describe('the writers', () => {
  it('write heads, names and values as they are', () => {
    const fields = ['Host', 'a', 'x-EMPTY', '', 'X', 'a\tb \u00e9\u00ff']
    expect(requestHeadText('FOO', '/\u00e9?x', fields)).toBe(
      'FOO /\u00e9?x HTTP/1.1\r\nHost: a\r\nx-EMPTY: \r\nX: a\tb \u00e9\u00ff\r\n\r\n',
    )
    expect(responseHeadText(404, 'Not Found', ['X', 'y'])).toBe('HTTP/1.1 404 Not Found\r\nX: y\r\n\r\n')
    // RFC 9112 4: the space stays.
    expect(responseHeadText(200, '', [])).toBe('HTTP/1.1 200 \r\n\r\n')
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
        () => requestHeadText(text, '/', []),
        () => requestHeadText('GET', text, []),
        () => requestHeadText('GET', '/', [text, 'x']),
        () => requestHeadText('GET', '/', ['x', text]),
        () => responseHeadText(200, text, []),
        () => responseHeadText(200, 'OK', ['x', text]),
        () => lastChunk(['x', text]),
      ]) {
        expect(write).toThrow(expect.objectContaining({ code: 'SLUICE_MESSAGE_UNSAFE' }))
      }
    }
  })

  it.each([
    ['a method that is empty', () => requestHeadText('', '/', [])],
    ['a method with a space', () => requestHeadText('A B', '/', [])],
    ['a target that is empty', () => requestHeadText('GET', '', [])],
    ['a target with a space', () => requestHeadText('GET', '/a b', [])],
    ['a target with a tab', () => requestHeadText('GET', '/\t', [])],
    ['a name that is empty', () => requestHeadText('GET', '/', ['', 'x'])],
    ['a name with a colon', () => requestHeadText('GET', '/', ['a:b', 'x'])],
    ['a name with a space', () => requestHeadText('GET', '/', ['a ', 'x'])],
    ['a name without a value', () => requestHeadText('GET', '/', ['a'])],
    ['a status below 100', () => responseHeadText(99, 'x', [])],
    ['a status of four digits', () => responseHeadText(1000, 'x', [])],
    ['a status that is no number', () => responseHeadText(Number.NaN, 'x', [])],
    ['a chunk of nothing', () => chunkHead(0)],
    ['a chunk of less', () => chunkHead(-1)],
    ['half a byte', () => chunkHead(1.5)],
  ])('refuse %s', (_what, write) => {
    expect(write).toThrow(expect.objectContaining({ code: 'SLUICE_MESSAGE_UNSAFE' }))
  })
})
