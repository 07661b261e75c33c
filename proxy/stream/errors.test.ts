import { describe as suite, expect, it } from '@jest/globals'
import { describe } from '../errors.ts'
import { StreamError } from './errors.ts'

suite('describe', () => {
  it.each([
    ['a message', new Error('refused'), 'refused'],
    [
      'its causes',
      new StreamError('SLUICE_STREAM_FILE', 'no token', { cause: new Error('ENOENT') }),
      'no token: ENOENT',
    ],
    [
      'every address that was tried',
      new AggregateError([new Error('a: refused'), new Error('b: refused')]),
      'a: refused; b: refused',
    ],
    ['what is no error', 'text', 'text'],
    ['nothing', undefined, 'undefined'],
  ])('gives %s', (_name, error, text) => {
    expect(describe(error)).toBe(text)
  })
})
