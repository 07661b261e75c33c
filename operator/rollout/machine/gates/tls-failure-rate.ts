/**
 * TLS failures: what clients do with a certificate that they refuse. Never judged as an absolute: scanners and clients
 * that give up make failures at all times, on every pod alike.
 */
import { riseGate } from './rise-gate.ts'

export const TLS_FAILURE_RATE = 'tlsFailureRate'

export const tlsFailureRate = riseGate({
  name: TLS_FAILURE_RATE,
  what: 'TLS failures',
  unit: 'handshakes',
  tooFew: 'TooFewHandshakes',
  threshold: ({ gates }) =>
    gates.tlsFailureRate === null
      ? null
      : { maxRise: gates.tlsFailureRate.maxRise, enough: gates.tlsFailureRate.minHandshakes },
  share: 'tlsFailures',
  before: baseline => ({
    count: (baseline.tlsFailureRate / 100) * baseline.tlsHandshakes,
    total: baseline.tlsHandshakes,
  }),
})
