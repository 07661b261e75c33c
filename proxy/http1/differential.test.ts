/**
 * Differential fuzzing against llhttp: what we take, a strict parser takes as well, and reads the same from it. We may refuse
 * more. SLUICE_FUZZ_CASES sets how many cases there are, SLUICE_FUZZ_SEED repeats a run.
 */
import { afterAll, describe, expect, it } from '@jest/globals'
import { difference, type Tally } from './testing/difference.ts'
import { readOurs, type Kind, type Reader } from './testing/message.ts'
import { Dice, answers, requests } from './testing/messages.ts'

const CASES = Number(process.env['SLUICE_FUZZ_CASES'] ?? 200_000)
const SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? Date.now() % 0x7fff_ffff)
const PROGRESS = 500_000
const ANSWER_TO = ['GET', 'GET', 'GET', 'HEAD']

interface Found {
  readonly fault: string
  readonly index: number
  readonly bytes: string
}

/** @returns the first difference, null: none */
function fuzz(kind: 'request' | 'answer', cases: number, read: Reader, tally: Tally): Found | null {
  for (let index = 0; index < cases; index++) {
    const seed = Math.imul(SEED + index, 0x9e37_79b1) ^ (SEED + index)
    const dice = new Dice(seed ^ 0x5bd1_e995)
    const bytes = kind === 'request' ? requests(seed) : answers(seed)
    const what: Kind = kind === 'request' ? 'request' : { answerTo: dice.pick(ANSWER_TO, [], 1) }
    const cut = dice.chance(4) ? (all: Buffer) => pieces(all, dice) : (all: Buffer) => [all]
    const fault = difference(what, Buffer.from(bytes, 'latin1'), read, cut, tally)
    if (fault !== null) return { fault, index, bytes }
    if ((index + 1) % PROGRESS === 0) console.log(`${kind}: ${index + 1} of ${cases} cases, seed ${SEED}`)
  }
  return null
}

function pieces(bytes: Buffer, dice: Dice): readonly Buffer[] {
  const cut: Buffer[] = []
  const size = dice.pick([1, 3, 20, 100], [], 1)
  for (let at = 0; at < bytes.length;) {
    const length = 1 + dice.below(size)
    cut.push(bytes.subarray(at, at + length))
    at += length
  }
  return cut
}

const described = ({ fault, index, bytes }: Found): string =>
  `seed ${SEED}, case ${index}: ${fault}\n${JSON.stringify(bytes).replace(/[\u007f-\u00ff]/g, byte => `\\u00${byte.charCodeAt(0).toString(16)}`)}`

const lines = (kind: string, tally: Tally): string =>
  [...tally]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .reduce((all, [what, times]) => `${all}\n  ${what}: ${times}`, `${kind}s, ours/llhttp:`)

describe(`differential fuzzing, seed ${SEED}`, () => {
  const report: string[] = [`seed ${SEED}`]
  afterAll(() => console.log(report.join('\n')))

  it.each([
    ['request', Math.ceil(CASES * 0.75)],
    ['answer', Math.ceil(CASES * 0.25)],
  ] as const)(
    'no %s that we take is refused or read differently by llhttp',
    (kind, cases) => {
      const tally: Tally = new Map()
      const found = fuzz(kind, cases, readOurs, tally)
      report.push(lines(kind, tally))
      if (found !== null) throw new Error(described(found))
      const total = [...tally].reduce((sum, [what, times]) => (what.startsWith(' ') ? sum : sum + times), 0)
      // Else the generator would only show that rubbish is refused.
      expect((tally.get('message/message') ?? 0) / total).toBeGreaterThan(0.2)
    },
    Math.max(120_000, CASES),
  )
})

describe('the fuzzer notices a reader that', () => {
  const rewritten =
    (rewrite: (text: string) => string): Reader =>
    (kind, chunks) =>
      readOurs(kind, [Buffer.from(rewrite(Buffer.concat([...chunks]).toString('latin1')), 'latin1')])

  const cases: readonly [string, Reader][] = [
    ['lets a space stand before a colon', rewritten(text => text.replace(/ :/g, '_:'))],
    ['takes a bare LF for a line end', rewritten(text => text.replace(/[^\r]\n(?=[A-Z])/, '\r\n'))],
    [
      'prefers Transfer-Encoding to Content-Length',
      rewritten(text => (/transfer-encoding/i.test(text) ? text.replace(/content-length/gi, 'x-nothing-here') : text)),
    ],
    ['lets a chunk size end in a space', rewritten(text => text.replace(/\r\n([0-9]) \r\n/, '\r\n0$1\r\n'))],
    [
      'ends a body one byte early',
      (kind, chunks) => {
        const outcome = readOurs(kind, chunks)
        if (outcome.state !== 'message' || outcome.message.body === '') return outcome
        return { state: 'message', message: { ...outcome.message, end: outcome.message.end - 1 } }
      },
    ],
  ]
  it.each(cases)('%s', (_name, broken) => {
    expect(fuzz('request', 50_000, broken, new Map())).not.toBeNull()
  })
})
