/** Row I: what it costs the relay to divide requests, beside the same table without canaries. */
import type { CanaryRule } from '../../protocol/objects.ts'
import { fragment, host, path } from '../../proxy/table/testing/fixtures.ts'
import { HOST, startUpstream } from './peers.ts'
import type { Server } from './peers.ts'
import { debian } from './programs.ts'
import { inRounds, oursFailed, ratiosOf } from './rounds.ts'
import type { Contender, Entrant } from './rounds.ts'
import { measureRequests } from './row-a.ts'
import type { Bench, Section } from './row.ts'
import { SERVICE, sluiceVersion, startSluice, writePayloads } from './sluice.ts'
import { spreadOf, spreadText } from './stats.ts'
import { table } from './table.ts'

const WARM_UP = 2

/** What is split may cost so much of the relay's rate. */
const LEAST_RATIO = 0.95

/** Sent with every request, to all of them alike. */
const HEADERS = ['X-Group: team-17', 'Cookie: theme=dark; session=8f14e45fceea167a; group=b', 'X-User: 1234567']

/** Of requests that meet each rule whole: none has an early way out. */
const RULES: readonly {
  readonly name: string
  readonly rule: Omit<CanaryRule, 'weight' | 'total'> & { weight?: number }
}[] = [
  { name: 'by weight', rule: { weight: 50 } },
  { name: 'by header, a value', rule: { header: { name: 'X-Group', values: ['team-18'] } } },
  { name: 'by header, a pattern', rule: { header: { name: 'X-Group', pattern: '^team-(1[0-6]|2[0-9])$' } } },
  { name: 'by cookie', rule: { cookie: { name: 'group', values: ['a'] } } },
  {
    name: 'by header, modulo',
    rule: { header: { name: 'X-User', modulo: { divisor: 100, operator: '<', remainder: 10 } } },
  },
  {
    name: 'by header, cookie and weight',
    rule: {
      ...{ header: { name: 'X-Group', values: ['team-18'] }, cookie: { name: 'group', values: ['a'] } },
      weight: 50,
    },
  },
]

const PLAIN = 'nothing is split'
const nameOf = (name: string): string => `Sluice, ${name}`

export async function rowI(bench: Bench): Promise<Section> {
  const { settings, ends, folder, proxyCore, loadCore } = bench
  const wrk = await debian('wrk', 'wrk')
  const upstream = await startUpstream({ ends, folder, core: loadCore })
  const entrant = (name: string, index: number, rule: CanaryRule | null): Entrant => ({
    name: nameOf(name),
    start: async () => {
      const hosts = [host(HOST, path('Prefix /', SERVICE))]
      const plain = fragment('web', hosts, { governed: false })
      const canary = rule === null ? [] : [fragment('canary', [], { governed: false, canary: { rule, hosts } })]
      const copy = await writePayloads({
        ...{ folder: `${folder}/split-${index}`, payloads: [plain, ...canary] },
        endpoints: [[SERVICE, [`127.0.0.1:${upstream.port}`]]],
      })
      return startSluice({ ends, folder, core: proxyCore, table: copy, probe: false, path: 'relay', io: 'direct' })
    },
  })
  const entrants = [
    entrant(PLAIN, 0, null),
    ...RULES.map(({ name, rule }, i) => entrant(name, i + 1, { weight: 0, total: 100, ...rule })),
  ]
  const contenders = await inRounds({
    ...{ entrants, unit: 'request', rounds: settings.rounds, warmUp: WARM_UP, duration: settings.duration },
    measure: (server: Server, seconds) =>
      measureRequests({ wrk, core: loadCore, folder, seconds, server, headers: HEADERS }),
  })
  return {
    title: `what dividing requests costs the relay, with ${HEADERS.length} more headers in each request`,
    versions: [`Sluice ${await sluiceVersion()}`, `upstream nginx ${upstream.version}`],
    text: renderRowI(contenders),
    failed: oursFailed(contenders),
  }
}

export function renderRowI(contenders: readonly Contender[]): string {
  const ratios = (name: string): readonly number[] => ratiosOf(contenders, nameOf(PLAIN), name)
  const rows = contenders.map(({ name, rounds, fault }) => {
    const words = name.replace(nameOf(''), '')
    if (fault !== null || rounds.length === 0) return [words, `not measured: ${fault ?? 'no round'}`, '', '']
    const ours = ratios(name)
    return [
      words,
      spreadText(rounds.map(({ cpu }) => cpu)),
      spreadText(
        rounds.map(({ rate }) => rate),
        0,
      ),
      ours.length === 0 ? 'not measured' : spreadText(ours, 2),
    ]
  })
  const judged = contenders.flatMap(({ name }) => {
    const ours = name === nameOf(PLAIN) ? [] : ratios(name)
    return ours.length === 0 ? [] : [{ words: name.replace(nameOf(''), ''), ratio: spreadOf(ours).median }]
  })
  const worst = judged.reduce<(typeof judged)[number] | null>((a, b) => (a === null || b.ratio < a.ratio ? b : a), null)
  const verdict =
    worst === null
      ? 'not measured'
      : `${worst.ratio.toFixed(2)}, ${worst.words}: ${worst.ratio >= LEAST_RATIO ? 'reached' : '**missed**'}`
  return [
    table(['requests are split', 'CPU µs/request', 'requests/s on one core', 'ratio'], rows),
    '',
    'Ratio: CPU time of a request where nothing is split, by that of this row, in the same round; more is better.',
    `Target: each ${LEAST_RATIO} or more; this build, the least: ${verdict}.`,
  ].join('\n')
}
