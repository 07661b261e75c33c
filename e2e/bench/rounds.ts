/** Proxies side by side: one after the other in every round, and each compared with the others of the same round. */
import type { Server } from './peers.ts'
import { messageOf, progress } from './row.ts'
import { spreadOf, spreadText } from './stats.ts'
import { table } from './table.ts'

export interface Round {
  /** Microseconds of CPU time for each unit of work. */
  readonly cpu: number
  /** Units a second. */
  readonly rate: number
}

/** A proxy and its rounds, or why there are none. */
export interface Contender {
  readonly name: string
  readonly version: string
  readonly rounds: readonly Round[]
  readonly fault: string | null
}

export interface Entrant {
  readonly name: string
  readonly start: () => Promise<Server>
}

export interface Contest {
  readonly entrants: readonly Entrant[]
  readonly rounds: number
  /** What is measured, for the progress: `request`. */
  readonly unit: string
  /** Of load before the first round, in seconds: compilers and pools are as they will be then. */
  readonly warmUp: number
  readonly duration: number
  /** @throws Error why what it measured does not count */
  readonly measure: (server: Server, seconds: number) => Promise<Round>
}

interface Running {
  readonly name: string
  server: Server | null
  readonly rounds: Round[]
  fault: string | null
}

/** All of them run at the same time; whoever fails once has no figures, and the others go on. */
export async function inRounds(contest: Contest): Promise<readonly Contender[]> {
  const { entrants, rounds, unit, warmUp, duration, measure } = contest
  const running: Running[] = []
  for (const { name, start } of entrants) {
    const one: Running = { name, server: null, rounds: [], fault: null }
    running.push(one)
    await attempt(one, async () => {
      one.server = await start()
      await measure(one.server, warmUp)
    })
  }
  for (let round = 0; round < rounds; round++) {
    // Each is first once: whoever disturbs the machine does not always meet the same one.
    for (let i = 0; i < running.length; i++) {
      const one = running[(round + i) % running.length]
      if (one === undefined || one.server === null || one.fault !== null) continue
      const { server } = one
      await attempt(one, async () => {
        const figures = await measure(server, duration)
        one.rounds.push(figures)
        const [cpu, rate] = [figures.cpu.toFixed(1), figures.rate.toFixed(0)]
        progress(`round ${round + 1} of ${rounds}, ${one.name}: ${cpu} µs a ${unit}, ${rate} a second`)
      })
    }
  }
  return running.map(({ name, server, rounds: figures, fault }) => {
    return { name, version: server?.version ?? '', rounds: figures, fault }
  })
}

async function attempt(one: Running, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    one.fault = messageOf(error)
    progress(`${one.name}: ${error instanceof Error ? error.message : one.fault}`)
  }
}

/** What a proxy has to reach of nginx. */
export interface Target {
  readonly name: string
  readonly ratio: number
}

export interface Words {
  readonly unit: string
  /** Rates are of a machine that is used to the full. */
  readonly showsRate: boolean
  readonly targets: readonly Target[]
}

/** With whom all are compared, in the order of the columns. */
const MEASURES = ['nginx', 'Traefik'] as const

/**
 * The peer's CPU time by that of the other one, of each round: figures of different rounds drift apart with the machine. None where one of
 * them was not measured.
 */
export function ratiosOf(contenders: readonly Contender[], peer: string, name: string): readonly number[] {
  const roundsOf = (wanted: string): readonly Round[] =>
    contenders.find(one => one.name === wanted && one.fault === null)?.rounds ?? []
  const theirs = roundsOf(peer)
  return roundsOf(name).flatMap(({ cpu }, i) => (theirs[i] === undefined ? [] : theirs[i].cpu / cpu))
}

export function renderRounds(contenders: readonly Contender[], { unit, showsRate, targets }: Words): string {
  const ratio = (peer: string, name: string): string => {
    const ratios = ratiosOf(contenders, peer, name)
    return ratios.length === 0 ? 'not measured' : spreadText(ratios, 2)
  }
  const rates = showsRate ? [`${unit}s/s on one core`] : []
  const head = ['proxy', `CPU µs/${unit}`, ...rates, ...MEASURES.map(peer => `ratio to ${peer}`)]
  const rows = contenders.map(({ name, version, rounds, fault }) => {
    if (fault !== null) return [name, `not measured: ${fault}`, ...head.slice(2).map(() => '')]
    const rate = rounds.map(one => one.rate)
    return [
      `${name} ${version}`,
      spreadText(rounds.map(({ cpu }) => cpu)),
      ...(showsRate ? [spreadText(rate, 0)] : []),
      ...MEASURES.map(peer => ratio(peer, name)),
    ]
  })
  const reached = targets.map(({ name, ratio: wanted }) => {
    const ours = ratiosOf(contenders, 'nginx', name)
    const figure = ours.length === 0 ? 'not measured' : spreadOf(ours).median.toFixed(2)
    return `${name.replace('Sluice, ', '')} ${wanted.toFixed(2)} of nginx or more; this build: ${figure}`
  })
  return [
    table(head, rows),
    '',
    `Ratio: the peer's CPU time per ${unit} divided by that of this proxy; more is better.`,
    `Targets: ${reached.join('. ')}.`,
  ].join('\n')
}

/** `nginx 1.22.1`, of each that could be started. */
export function versionsOf(contenders: readonly Contender[]): readonly string[] {
  return contenders.flatMap(({ name, version }) => (version === '' ? [] : [`${name} ${version}`]))
}

/** One of ours has no figures. */
export function oursFailed(contenders: readonly Contender[]): boolean {
  return contenders.some(({ name, fault }) => fault !== null && name.startsWith('Sluice'))
}
