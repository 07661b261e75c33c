/**
 * Requests that the pods send themselves (docs/adr/0033-probes.md). No statistics: the same request goes the same way again and
 * again, so three failures in a row that only the update shows are no chance. What fails without the update, too, is no evidence.
 */
import type { PodProbe, ProbeSeen, Verdict } from '../types.ts'
import { FAILS_EVERYWHERE, verdict } from './gate.ts'
import type { Gate } from './gate.ts'

export const PROBES_NAME = 'probes'

/** Reason of the verdict that the last answer failed, and it is not known yet whether more will. */
export const FAILING = 'Failing'
/** Reason of the verdict that some pod with the update has not answered often enough. */
export const NOT_PROBED = 'NotProbed'

/** So many failures in a row are no accident, and so many answers are needed of each pod. */
export const IN_ROW = 3
/** Of all answers; more than that is no word for the update. */
const STEADY_SHARE = 0.1

type Said = Pick<Verdict, 'verdict' | 'reason' | 'message'>

/** What of several probes is said: the worst. */
const ORDER = [
  ...['ProbeFailed', FAILING, FAILS_EVERYWHERE, 'FailsUncompared', 'NotOnAllPods', 'Unsteady', NOT_PROBED],
  'ProbesPass',
]

export const probes: Gate = ({ probes: asked, late, closed }) => {
  if (asked === null || late || closed !== null) return null
  const { seen, ready } = asked
  // All of them lead to other objects: nothing is asked of this one.
  if (seen.length === 0) return null
  const said = seen.map(probe => judged(probe, ready))
  const [worst] = said.toSorted((a, b) => ORDER.indexOf(a.reason) - ORDER.indexOf(b.reason))
  if (worst === undefined) return null
  const counted = seen.flatMap(({ update }) => update)
  const figures = { probes: seen.length, passed: sum(counted, 'ok'), failed: sum(counted, 'failed') }
  return verdict(PROBES_NAME, worst.verdict, worst.reason, worst.message, figures)
}

function judged({ words, update, stable, passed }: ProbeSeen, ready: readonly string[]): Said {
  const say = (reason: string, what: string): Said => ({
    verdict: 'inconclusive',
    reason,
    message: `${words}: ${what}`,
  })
  const pods = update.filter(({ pod }) => ready.includes(pod))
  // What a pod showed without the update, too, is its own.
  const failing = pods.filter(({ failedInRow, before }) => failedInRow > 0 && before !== 'failed')
  const alike = pods.filter(({ failedInRow, before }) => failedInRow > 0 && before === 'failed')
  const certain = failing.filter(({ failedInRow }) => failedInRow >= IN_ROW)
  const badStable = stable.filter(({ failedInRow }) => failedInRow > 0)
  const everywhere = stable.length > 0 && badStable.length * 2 >= stable.length
  const [first] = certain.length > 0 ? certain : [...failing, ...alike]
  if (first !== undefined) {
    const seen = `fails on ${names([...failing, ...alike])} (${first.last})`
    if (everywhere) return say(FAILS_EVERYWHERE, `${seen}, and without the update on ${names(badStable)}`)
    if (alike.length === pods.length) return say(FAILS_EVERYWHERE, `${seen}, and did before the update`)
    if (certain.length === 0 && failing.length > 0) return say(FAILING, seen)
    if (certain.length * 2 <= pods.length - alike.length)
      return say('NotOnAllPods', `${seen}, and not on others with the update`)
    if (stable.length > 0) return failed(words, `${seen} and not on ${stable.length} without the update`)
    if (passed) return say(FAILS_EVERYWHERE, `${seen}, after the update had passed it, and no pod is without it`)
    if (certain.every(({ before }) => before === 'passed'))
      return failed(words, `${seen} and did not before the update`)
    return say('FailsUncompared', `${seen}, and it is not known what it did without the update`)
  }
  const lacking = ready.filter(name => (pods.find(({ pod }) => pod === name)?.ok ?? 0) < IN_ROW)
  if (lacking.length > 0 || ready.length === 0) {
    return say(NOT_PROBED, `fewer than ${IN_ROW} answers of ${lacking.length} of ${ready.length} pods with the update`)
  }
  const [ok, bad] = [sum(pods, 'ok'), sum(pods, 'failed')]
  if (bad > STEADY_SHARE * (ok + bad)) return say('Unsteady', `${bad} of ${ok + bad} failed, none of the last`)
  return { verdict: 'pass', reason: 'ProbesPass', message: `${words}: ${ok} of ${ok + bad} passed on every pod` }
}

function failed(words: string, what: string): Said {
  return { verdict: 'fail', reason: 'ProbeFailed', message: `${words}: ${what}` }
}

function names(pods: readonly PodProbe[]): string {
  const shown = pods.slice(0, 3).map(({ pod }) => pod)
  return `${shown.join(', ')}${pods.length > shown.length ? ` and ${pods.length - shown.length} more` : ''}`
}

function sum(pods: readonly PodProbe[], of: 'ok' | 'failed'): number {
  return pods.reduce((all, one) => all + one[of], 0)
}
