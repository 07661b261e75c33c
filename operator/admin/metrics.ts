/** The operator's Prometheus metrics, read off at each scrape (docs/operations.md lists them). */
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKey, ObjectKind } from '../../protocol/objects.ts'
import type { ReflectorErrorReason } from '../kube/handler.ts'
import type { QueueStatus } from '../kube/queue.ts'

export interface MetricSources {
  readonly leading: () => boolean
  readonly synced: () => boolean
  readonly objects: () => Readonly<Record<ObjectKind, number>>
  readonly gates: () => Readonly<Record<ObjectKind, boolean>>
  readonly problems: () => number
  readonly governed: () => number
  readonly gone: () => number
  readonly supersededAgain: () => number
  /** How many Ingresses have a field of spec that is not known, by its name. */
  readonly unknownFields: () => Readonly<Record<string, number>>
  readonly open: () => Readonly<Record<string, number>>
  readonly unreadable: () => number
  readonly locked: () => number
  readonly stale: () => number
  readonly streams: () => number
  /** Of every certificate that is given out: its Secret, and when it ends, in milliseconds since the epoch. */
  readonly certificateEnds: () => Iterable<{ readonly secret: ObjectKey; readonly notAfter: number }>
  readonly queues: () => Readonly<Record<string, QueueStatus>>
  readonly events: () => { readonly sent: number; readonly dropped: number }
}

export interface Metrics {
  readonly registry: Registry
  readonly rolloutEnded: (phase: string) => void
  readonly watchFailed: (kind: string, reason: ReflectorErrorReason) => void
  readonly reportReceived: () => void
}

const PREFIX = 'sluice_operator_'
const ENDINGS = ['Complete', 'RolledBack', 'Superseded', 'Held'] as const

export function createMetrics(from: MetricSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      ...{ name: PREFIX + name, help, registers },
      collect() {
        this.set(read())
      },
    })
  }
  const labelled = (name: string, help: string, label: string, read: () => Readonly<Record<string, number>>): void => {
    new Gauge({
      ...{ name: PREFIX + name, help, registers, labelNames: [label] },
      collect() {
        this.reset()
        for (const [value, number] of Object.entries(read())) this.set({ [label]: value }, number)
      },
    })
  }
  gauge('leading', '1 on the replica that leads', () => Number(from.leading()))
  gauge('synced', '1 when every watch has handed over all that existed', () => Number(from.synced()))
  gauge('problem_objects', 'Ingresses and Secrets with something that a person should mend', from.problems)
  gauge('governed_objects', 'Ingresses and Secrets whose changes are rolled out', from.governed)
  gauge('gone_objects', 'Ingresses that were deleted and are served until nobody asks for them', from.gone)
  gauge(
    'superseded_again_objects',
    'Objects with three or more rollouts in a row that newer content superseded',
    from.supersededAgain,
  )
  gauge('unreadable_shards', 'Secrets of the store that cannot be read and never were', from.unreadable)
  gauge('locked_shards', 'Secrets of the store with private keys that no key at hand decrypts', from.locked)
  gauge('stale_shards', 'Secrets of the store that are not encrypted with the newest key yet', from.stale)
  gauge('streams', 'Proxy pods with an open stream to this replica', from.streams)
  new Gauge({
    ...{ name: `${PREFIX}certificate_not_after_seconds`, registers, labelNames: ['namespace', 'secret'] },
    help: 'When each certificate that pods serve ends, in seconds since the epoch',
    collect() {
      this.reset()
      for (const { secret, notAfter } of from.certificateEnds()) {
        const { namespace, name } = parseObjectKey(secret)
        this.set({ namespace, secret: name }, notAfter / 1000)
      }
    },
  })
  labelled('objects', 'Objects that are given out to proxies', 'kind', from.objects)
  labelled(
    'unknown_field_objects',
    'Ingresses with a field of spec that this version does not know',
    'field',
    from.unknownFields,
  )
  labelled('rollouts', 'Rollouts that have not ended, by phase', 'phase', from.open)
  labelled('checksum_consistent', '1 while the own checksum is the published one', 'kind', () => numbers(from.gates()))
  labelled('queue_depth', 'Keys that wait or are worked on', 'queue', () =>
    Object.fromEntries(Object.entries(from.queues()).map(([name, q]) => [name, q.queued + q.active])),
  )
  labelled('queue_failing', 'Keys whose last attempt failed', 'queue', () =>
    Object.fromEntries(Object.entries(from.queues()).map(([name, q]) => [name, q.failing])),
  )
  labelled('events', 'Events that were written or dropped', 'outcome', () => ({ ...from.events() }))
  const ended = new Counter({
    ...{ name: `${PREFIX}rollouts_ended_total`, help: 'Rollouts that ended, by how', registers },
    labelNames: ['phase'],
  })
  for (const phase of ENDINGS) ended.inc({ phase }, 0)
  const watches = new Counter({
    ...{ name: `${PREFIX}watch_failures_total`, help: 'Failures of list and watch, by kind and reason', registers },
    labelNames: ['kind', 'reason'],
  })
  const reports = new Counter({ name: `${PREFIX}reports_total`, help: 'Reports of proxies', registers })
  return {
    registry,
    rolloutEnded: phase => ended.inc({ phase }),
    watchFailed: (kind, reason) => watches.inc({ kind, reason }),
    reportReceived: () => reports.inc(),
  }
}

function numbers(flags: Readonly<Record<string, boolean>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, Number(flag)]))
}
