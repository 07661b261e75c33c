/** Gates on a share that may not rise: same comparison, other counters. */
import { SHARES, percent } from '../figures.ts'
import type { Baseline, Share } from '../figures.ts'
import type { Sample } from '../statistics.ts'
import { ALARMING, NOT_SIGNIFICANT, inPercent, verdict } from './gate.ts'
import type { Gate, GateInput } from './gate.ts'
import { compareRise, evidenceOf, ownOf, reference, rise } from './rise.ts'
import { round } from './success-rate.ts'

export interface RiseGate {
  readonly name: string
  /** `404 without a route`, `TLS failures`. */
  readonly what: string
  /** `requests`, `handshakes`. */
  readonly unit: string
  readonly tooFew: string
  readonly threshold: (input: GateInput) => { readonly maxRise: number; readonly enough: number } | null
  readonly share: Share
  /** More than that is not let pass where there is nothing to compare it with. */
  readonly alarmingPercent?: number
  /** Null: the baseline does not say. */
  readonly before: (baseline: Baseline) => Sample | null
}

export function riseGate(gate: RiseGate): Gate {
  return input => {
    const threshold = gate.threshold(input)
    if (threshold === null) return null
    const { maxRise, enough } = threshold
    const sample = SHARES[gate.share]
    const before = input.baseline === null ? null : gate.before(input.baseline)
    const past = input.past === null ? null : sample(input.past.update)
    const own = ownOf(input, sample)
    const against = reference(sample(input.update), sample(input.stable), before, enough, own, past, input.sameTime)
    // The figures from before know nothing of answers of closed paths; a revision that closes all had none of them then.
    const like = against?.name === 'before the rollout' && input.closed === null
    const update = sample(like ? { ...input.update, closed: 0 } : input.update)
    const share = percent(update.count, update.total)
    const seen = `${gate.what} ${inPercent(share)} of ${update.total} ${gate.unit} on ${input.pods}`
    const figures = { [gate.unit]: update.total, count: update.count, rate: round(share) }
    if (against === null) {
      if (update.total < enough) {
        const message = `${update.total} of ${enough} ${gate.unit} seen on ${input.pods}`
        return verdict(gate.name, 'inconclusive', gate.tooFew, message, figures)
      }
      const message = `${seen}; nothing to compare it with: too few ${gate.unit} on the stable revision`
      const isAlarming = gate.alarmingPercent !== undefined && share > gate.alarmingPercent
      return verdict(gate.name, 'inconclusive', isAlarming ? ALARMING : 'NoReference', message, figures)
    }
    const referenceShare = percent(against.count, against.total)
    const all = { ...figures, referenceTotal: against.total, referenceRate: round(referenceShare) }
    const compared = `${against.name}: ${inPercent(referenceShare)} of ${against.total}`
    switch (compareRise(update, against, maxRise, evidenceOf(input, gate.name, gate.share, update.total, enough))) {
      case 'above': {
        const points = rise(update, against).toFixed(2)
        const message = `${seen}: ${points} points above ${maxRise === 0 ? 'the reference, no rise is' : `the reference, ${maxRise} are`} allowed (${compared})`
        return verdict(gate.name, 'fail', 'Rose', message, all)
      }
      case 'unsure':
        if (update.total < enough) break
        return verdict(
          gate.name,
          'inconclusive',
          NOT_SIGNIFICANT,
          `${seen} is too high, but chance may have done that (${compared})`,
          all,
        )
      case 'within':
        if (update.total < enough) break
        if (against.isThin) {
          const message = `${seen}; too little to compare it with (${compared})`
          return verdict(gate.name, 'inconclusive', 'NoReference', message, all)
        }
        return verdict(gate.name, 'pass', 'WithinLimits', `${seen} (${compared})`, all)
    }
    const message = `${update.total} of ${enough} ${gate.unit} seen on ${input.pods}`
    return verdict(gate.name, 'inconclusive', gate.tooFew, message, all)
  }
}
