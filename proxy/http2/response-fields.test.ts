import { expect, it } from '@jest/globals'
import { asRecord, http2ResponseFields } from './response-fields.ts'

it('has names in lower case and values as they are, repeated ones apart, none of a connection', () => {
  const lines =
    'Set-Cookie: a=1\r\nX-Empty: \r\nUpgrade: h2c\r\nSET-COOKIE: b: 2\r\nHTTP2-Settings: x\r\nTE: trailers\r\n'
  const expected = [':status', '200', 'set-cookie', 'a=1', 'x-empty', '', 'set-cookie', 'b: 2']
  expect(http2ResponseFields(200, lines)).toEqual(expected)
  expect(http2ResponseFields(204, '')).toEqual([':status', '204'])
})

it('as a record has a list for each name, whatever the name is', () => {
  const record = asRecord(['X-A', '1', '__proto__', '2', 'x-a', '3', 'Connection', 'x'])
  expect(Object.entries(record)).toEqual([
    ['x-a', ['1', '3']],
    ['__proto__', ['2']],
  ])
})
