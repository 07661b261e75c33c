import { describe, expect, it } from '@jest/globals'
import { readAnswers } from './answers.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('the judge of answers', () => {
  it('reads answers of every framing one after the other', () => {
    const text =
      `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n` +
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\n\r\n' +
      'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 \r\nConnection: close\r\n\r\nto the end'
    const { answers, fault } = readAnswers(text, ['GET', 'HEAD', 'POST', 'GET', 'GET'], true)
    expect(fault).toBeNull()
    expect(answers.map(a => [a.framing, a.body, a.complete])).toEqual([
      ['length', 'ok', true],
      ['none', '', true],
      ['chunked', 'abc', true],
      ['none', '', true],
      ['until-close', 'to the end', true],
    ])
    expect(answers[0]?.interim).toEqual([103])
  })

  it('takes every beginning of right answers for a beginning, never for a whole or a fault', () => {
    const second = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n'
    const text = OK + second
    for (let length = 0; length < text.length; length++) {
      const { answers, fault } = readAnswers(text.slice(0, length), ['GET', 'GET'], true)
      expect([length, fault]).toEqual([length, null])
      expect(answers.filter(a => a.complete)).toHaveLength(length < OK.length ? 0 : 1)
    }
    expect(readAnswers(text, ['GET', 'GET'], true).answers.filter(a => a.complete)).toHaveLength(2)
  })

  it('gives what follows a switch to the tunnel', () => {
    expect(readAnswers(`${OK}HTTP/1.1 101 Switching\r\n\r\nbytes`, ['GET', 'GET'], true)).toMatchObject({
      ...{ tunnel: 'bytes', fault: null },
    })
  })

  it.each([
    ['more answers than requests', OK + OK],
    ['bytes after close', `${OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}x`],
    ['garbage', 'nonsense'],
    ['a version', OK.replace('1.1', '1.0')],
    ['a bare LF', OK.replace('OK\r', 'OK')],
    ['a space before the colon', OK.replace('th:', 'th :')],
    ['two lengths', OK.replace('\r\n\r\n', '\r\nContent-Length: 2\r\n\r\n')],
    ['length and chunks', OK.replace('\r\n\r\n', '\r\nTransfer-Encoding: chunked\r\n\r\n')],
    ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a length of a 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
    ['a chunk size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n'],
    ['a trailer', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n'],
  ])('finds the fault: %s', (_name, text) => {
    expect(readAnswers(text, ['GET'], true).fault).not.toBeNull()
  })
})
