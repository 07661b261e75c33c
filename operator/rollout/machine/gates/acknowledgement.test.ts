import { describe, expect, it } from '@jest/globals'
import { NEW, OLD, pod } from '../testing.ts'
import type { PodObservation } from '../types.ts'
import { acknowledgement, cut, owed, readyBelow, saysOf, serves } from './acknowledgement.ts'
import { inPercent, podsInWords } from './gate.ts'

const names = (pods: readonly PodObservation[]): readonly string[] => pods.map(one => one.name)
const ask = (pods: readonly PodObservation[], owing: Readonly<Record<string, number>>, now = 10_000): string => {
  const { verdict, reason, message } = acknowledgement({ pods, index: 2, owing, deadlineMs: 5_000, now })
  return `${verdict} ${reason}: ${message}`
}

describe('serves', () => {
  it.each<[boolean, string, PodObservation, string | null]>([
    [true, 'the revision', pod(0, NEW), NEW],
    [false, 'another', pod(0, OLD), NEW],
    [false, 'a pod that has not said', pod(0, undefined as never, { serves: undefined }), NEW],
    [false, 'a pod that was never heard', pod(0, NEW, { lastReportAgeMs: null }), NEW],
    [false, 'a pod that is silent', pod(0, NEW, { lastReportAgeMs: 15_001 }), NEW],
    [true, 'nothing, which is what a deletion wants', pod(0, null), 'absent'],
    [true, 'nothing, which is what an object never released wants', pod(0, null), null],
    [false, 'not known whether nothing', pod(0, null, { serves: undefined }), 'absent'],
  ])('%s: %s', (expected, _, one, revision) => {
    expect(serves(one, revision)).toBe(expected)
  })
})

describe('readyBelow', () => {
  const pods = [pod(0, NEW), pod(1, NEW, { ready: false }), pod(2, NEW), pod(-1, NEW)]
  it('leaves out pods that are not ready, and those without an ordinal until the release', () => {
    expect(names(readyBelow(pods, 2))).toEqual(['proxy-0'])
    expect(names(readyBelow(pods, 9))).toEqual(['proxy-0', 'proxy-2'])
    expect(names(readyBelow(pods, -1))).toEqual(['proxy-0', 'proxy-2', 'proxy--1'])
  })
})

describe('owed', () => {
  it('keeps the beginning of every debt, begins new ones now, and forgets the paid', () => {
    const pods = [pod(0, OLD), pod(1, OLD), pod(2, NEW), pod(3, OLD)]
    expect(owed(pods, 3, NEW, { 'proxy-0': 5, 'proxy-2': 5, gone: 5 }, 70)).toEqual({ 'proxy-0': 5, 'proxy-1': 70 })
  })
})

describe('acknowledgement', () => {
  const pods = [pod(0, NEW), pod(1, OLD)]
  it('passes when nothing is owed', () => {
    expect(ask(pods, {})).toBe('pass Acknowledged: 2 ready pods confirmed')
    expect(ask(pods.slice(0, 1), {})).toBe('pass Acknowledged: 1 ready pod confirmed')
  })

  it('waits until the deadline, and names who is late and what they say; that is nothing against the revision', () => {
    expect(ask(pods, { 'proxy-1': 5_001 })).toBe('inconclusive AckPending: waiting for proxy-1 to confirm')
    expect(ask(pods, { 'proxy-1': 5_000 })).toBe(
      'inconclusive AckTimeout: not confirmed within 5 s by proxy-1 (serves r1)',
    )
  })

  it('fails where a pod that owes it says that it cannot serve it, and was heard just now', () => {
    const refuses = 'its content did not come'
    const says = (change: Partial<PodObservation>): string =>
      ask([pod(0, NEW), pod(1, OLD, { refuses, ...change })], { 'proxy-1': 9_000 })
    expect(says({})).toBe('fail Refused: refused by proxy-1 (its content did not come)')
    expect(says({ lastReportAgeMs: 60_000 })).toBe('inconclusive AckPending: waiting for proxy-1 to confirm')
    expect(ask([pod(0, NEW), pod(1, NEW, { refuses })], {})).toBe('pass Acknowledged: 2 ready pods confirmed')
  })

  it('does not pass where no pod is ready', () => {
    expect(ask([pod(0, OLD, { ready: false })], {})).toBe('inconclusive NoPodReady: no pod of the batch is ready')
  })
})

describe('words', () => {
  it.each([
    ['gone', undefined],
    ['no report', pod(0, NEW, { lastReportAgeMs: null })],
    ['silent for 60 s', pod(0, NEW, { lastReportAgeMs: 60_000 })],
    ['says nothing of this object', pod(0, null, { serves: undefined })],
    ['serves none', pod(0, null)],
    ['serves r1', pod(0, OLD)],
  ])('%s', (expected, one) => {
    expect(saysOf(one)).toBe(expected)
  })

  it('lists are cut', () => {
    expect(cut(['a', 'b'])).toBe('a, b')
    expect(cut(['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toBe('a, b, c, d, e and 2 more')
  })

  it.each([
    [[], 'no pod'],
    [[3], 'pod 3'],
    [[2, 0, 1], 'pods 0-2'],
    [[0, 1, 3, 5, 6], 'pods 0-1, 3, 5-6'],
    [[0, 2, 4, 6, 8, 10, 12, 14, 16], 'pods 0, 2, 4, 6, 8, 10, 12, 14, …'],
  ])('ordinals %j are %s', (ordinals, expected) => {
    expect(podsInWords(ordinals)).toBe(expected)
  })

  it.each([
    [99.5, '99.5 %'],
    [100, '100.0 %'],
    [99.97, '99.97 %'],
    [0.04, '0.04 %'],
    [0, '0.0 %'],
  ])('%d is %s', (value, expected) => {
    expect(inPercent(value)).toBe(expected)
  })
})
