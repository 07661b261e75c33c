import { describe, expect, it } from '@jest/globals'
import { verdictOf, type TlsEnding } from './certificate-evidence.ts'

const PATIENCE = 500
const opening: TlsEnding = { secured: false, resumed: false, spoken: false, by: 'left', lag: 0 }
const secured: TlsEnding = { ...opening, secured: true }

describe('what the end of a TLS connection says of the certificate', () => {
  it.each<[string, TlsEnding, string]>([
    ['an alert in the handshake', { ...opening, by: 'alert' }, 'failure'],
    ['an alert that we read late', { ...opening, by: 'alert', lag: 9_000 }, 'failure'],
    ['left in the handshake', opening, 'failure'],
    ['left while we were a little late', { ...opening, lag: 499 }, 'failure'],
    ['left while we were late', { ...opening, lag: 500 }, 'slow'],
    ['silent in the handshake', { ...opening, by: 'timeout' }, 'failure'],
    ['silent, as far as we could hear', { ...opening, by: 'timeout', lag: 500 }, 'slow'],
    ['ended by us in the handshake', { ...opening, by: 'ours' }, 'nothing'],
    ['left without a word after it', secured, 'failure'],
    ['the same after a handshake that took us long', { ...secured, lag: 500 }, 'slow'],
    ['an alert after it', { ...secured, by: 'alert', lag: 500 }, 'failure'],
    ['closed by us for want of a request, or for a limit', { ...secured, by: 'ours' }, 'nothing'],
    ['half a request, then gone', { ...secured, spoken: true }, 'nothing'],
    ['an alert after a request', { ...secured, spoken: true, by: 'alert' }, 'nothing'],
    ['a session of before, unused', { ...secured, resumed: true }, 'nothing'],
  ])('%s', (_, ending, verdict) => {
    expect(verdictOf(ending, PATIENCE)).toBe(verdict)
  })
})
