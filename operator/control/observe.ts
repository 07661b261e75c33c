/** What a rollout machine sees, put together from view, fleet and figures. Pure. */
import type { ObjectKind, Revision, ServiceKey } from '../../protocol/objects.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { parseObjectKey } from '../../protocol/ids.ts'
import { hashOf, releasedOf } from '../assign/revisions.ts'
import { closedBy } from '../compile/compile.ts'
import { hostsOf, namedHosts, referencesOf, routesOf } from '../compile/references.ts'
import { confirmed } from '../fleet/fleet.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { IngressRolloutSpec } from '../model/generated/crds.ts'
import type { Content } from '../model/types.ts'
import type { ObjectView } from '../pipeline/pipeline.ts'
import { BEFORE_MS } from '../rollout/analysis/window.ts'
import type { InSeconds, SideBySide } from '../rollout/analysis/window.ts'
import { joinBefore } from '../rollout/machine/figures.ts'
import type { Aggregate, Baseline, Before } from '../rollout/machine/figures.ts'
import { RECENT_MS } from '../rollout/machine/judge.ts'
import { isLeaving } from '../rollout/machine/outcome.ts'
import type { Sample } from '../rollout/machine/statistics.ts'
import type { Observation, ProbeSeen, State, WindowFigures } from '../rollout/machine/types.ts'
import type { Question } from '../rollout/analysis/probed.ts'
import { probeId, probeWords } from '../model/probes.ts'
import { contentOf } from './content.ts'
import { probesFor } from './probes.ts'
import type { Measure } from './taken-back.ts'

export interface FigureSource {
  serving(key: ObjectView['key'], revision: Revision | null, hosts: readonly string[], sinceMs: number): Aggregate
  sideBySide(question: SideBySide): Pick<WindowFigures, 'update' | 'stable'>
  bunched(...question: InSeconds): number
  calm(...question: InSeconds): Sample
  baseline(hosts: readonly string[], nowMs: number, sinceMs: number): Baseline | null
  before(hosts: readonly string[], nowMs: number, sinceMs: number): Before | null
  probed(question: Question): readonly ProbeSeen[]
  use(key: ObjectView['key'], pods: Iterable<string>, nowMs: number): number | null
}

export interface ObserveInput {
  readonly key: ObjectView['key']
  readonly spec: IngressRolloutSpec
  /** As the status of the rollout has it; null: nothing was released, or no status was written. */
  readonly stableBefore: Revision | null
  readonly state: State
  /** Null: the object is gone. */
  readonly view: ObjectView | null
  readonly pods: readonly FleetPod[]
  readonly figures: FigureSource
  readonly hosts: readonly string[]
  /** Who serves a Service now. */
  readonly endpointsOf: (service: ServiceKey) => readonly string[]
  readonly isItsTurn: boolean
  readonly lacksCertificates: Observation['lacksCertificates']
  readonly renewal: Observation['renewal']
  /** When pods last had something on these hosts that was taken back: what they showed before is no measure. Monotonic milliseconds. */
  readonly cleanSince: number
  /** What that was compared with; null: nothing of the kind. */
  readonly handedOn: Measure | null
  /** Others serve every path of the object; only asked when it is on its way out. */
  readonly isTakenOver: () => boolean
  /** The object as we know it has all that we wrote. */
  readonly upToDate: boolean
  readonly now: number
  readonly wall: number
}

export function observe(input: ObserveInput): Observation {
  const { key, spec, state, view, pods, figures, hosts, endpointsOf, now, wall, isItsTurn, cleanSince } = input
  const record = view?.record ?? null
  const source = view?.source ?? null
  const { revision } = spec
  const stable = stableOf(input)
  const since = state.batchSince
  const untilMs = stableHeardUntil(pods, state.index, now)
  const window = (from: number): Observation['figures'] => ({
    update: figures.serving(key, revision, hosts, from),
    stable: figures.serving(key, stable, hosts, from),
    sideBySide: events => figures.sideBySide({ key, update: revision, stable, hosts, sinceMs: from, untilMs, events }),
    bunched: slowerThanMs => figures.bunched(key, revision, hosts, from, slowerThanMs),
    calm: slowerThanMs => figures.calm(key, revision, hosts, from, slowerThanMs),
  })
  const content = contentOf(revision, view)
  const closed = content === null ? null : closedBy(key, content)
  const mine = source !== null && source.uid === spec.objectRef.uid
  return {
    now,
    wall,
    kind: spec.objectRef.kind,
    revision,
    stable,
    deletion: revision === ABSENT_REVISION && source?.deleting === true,
    use: isLeaving(spec) ? figures.use(key, ready(pods), now) : null,
    takenOver: isLeaving(spec) && input.isTakenOver(),
    closed,
    pods: pods.map(pod => ({
      name: pod.name,
      ordinal: pod.ordinal,
      ready: pod.ready,
      serves: confirmed(pod, key),
      lastReportAgeMs: pod.reportedAt === null ? null : Math.max(0, now - pod.reportedAt),
      refuses: refusalOf(pod, key),
    })),
    figures: window(since),
    recent: now - since > RECENT_MS ? window(now - RECENT_MS) : null,
    ...probedIn(input, stable),
    baseline:
      state.baseline === null
        ? richer(figures.baseline(hosts, now, cleanSince), input.handedOn?.baseline ?? null)
        : null,
    // Only the look at which it begins needs it, and it is the dearest of all: every pod, a quarter of an hour.
    before:
      state.phase === 'Pending' && isItsTurn && state.before === null
        ? joined(figures.before(hosts, now, cleanSince), input.handedOn?.before ?? null)
        : null,
    commands: {
      paused: spec.paused,
      approvedBatches: spec.approvedBatches,
      abort: spec.abort,
      // What is not the object's content any more cannot be released on its behalf.
      promote: spec.promote && mine && (source.revision === revision || record?.update === revision),
      retry: mine && source.revision === revision ? spec.retry : state.observedRetry,
    },
    superseded: supersededBy(spec, view),
    moves: movesOf(key, view, revision),
    endpoints: {
      // Closed: no Service is asked.
      update: closed !== null || serves(key, content, endpointsOf),
      stable: serves(key, contentOf(stable, view), endpointsOf),
      missing: closed !== null || content === null ? [] : servicesWithout(key, content, endpointsOf),
    },
    lacksCertificates: input.lacksCertificates,
    renewal: input.renewal,
    manualIndex: manualIndexOf(input),
    isItsTurn,
  }
}

/**
 * Since when at least one of the stable pods has not been heard of: what others counted later has nothing to stand beside yet. Infinity:
 * there is none that is waited for. Not waited for: what is not ready, has never said anything, or is silent.
 */
function stableHeardUntil(pods: readonly FleetPod[], index: number, now: number): number {
  const heard = pods.flatMap(({ ready, ordinal, reportedAt }) => {
    const isStable = index !== -1 && (ordinal < 0 || ordinal >= index)
    return ready && isStable && reportedAt !== null && now - reportedAt < SILENT_MS ? [reportedAt] : []
  })
  return Math.min(...heard)
}

function probedIn(
  { key, spec, state, view, figures, now }: ObserveInput,
  stable: Revision | null,
): Partial<Observation> {
  const { revision } = spec
  const probes = probesFor(state.settings, [contentOf(revision, view), contentOf(stable, view)])
  if (probes.length === 0) return {}
  const asked = probes.map(probe => ({ ...probe, id: probeId(probe), words: probeWords(probe) }))
  const question = { key, update: revision, stable, probes: asked, sinceMs: state.batchSince, nowMs: now }
  return { probes: figures.probed(question) }
}

/** A few seconds since something was taken back say less than what that was compared with. */
function richer(own: Baseline | null, handedOn: Baseline | null): Baseline | null {
  const amount = (of: Baseline | null): number => (of === null ? 0 : of.requests + of.tlsHandshakes)
  return amount(handedOn) > amount(own) ? handedOn : own
}

/** What was clean before something was on pods, and what is since: together up to what anybody looks back. */
function joined(own: Before | null, handedOn: Before | null): Before | null {
  if (own === null || handedOn === null) return own ?? handedOn
  if (own.ms + handedOn.ms > BEFORE_MS) return handedOn.ms > own.ms ? handedOn : own
  return joinBefore(handedOn, own)
}

/**
 * Pods report every one or two seconds of what is rolled out: who is later than this is not waited for. No sooner: when the operator stood
 * still all of them are late, and the first that is heard of then may be one with the update. Milliseconds.
 */
const SILENT_MS = 5_000

function ready(pods: readonly FleetPod[]): readonly string[] {
  return pods.filter(pod => pod.ready).map(({ name }) => name)
}

/** What was published, or is on its way, is no fault of the object. */
const OF_CONTENT: ReadonlySet<string> = new Set(['AssignmentInvalid', 'DigestMismatch', 'SchemaViolation'])

function refusalOf({ report }: FleetPod, key: ObjectView['key']): string | null {
  const found = report?.refused.find(({ object, reason }) => object === key && OF_CONTENT.has(reason))
  return found?.message ?? null
}

/** Hosts whose figures judge the rollout: those of both revisions. */
export function hostsOfRollout(view: ObjectView, revision: Revision, ofSecret: readonly string[]): readonly string[] {
  if (view.key.startsWith('Secret/')) return ofSecret
  const contents = [contentOf(revision, view), contentOf(view.record === null ? null : view.record.current, view)]
  const hosts = new Set<string>()
  for (const content of contents) {
    if (content?.kind !== 'Ingress') continue
    for (const host of namedHosts(content)) hosts.add(host)
    for (const host of (content.spec.tls ?? []).flatMap(tls => tls.hosts ?? [])) hosts.add(host.toLowerCase())
  }
  return [...hosts]
}

/**
 * What a change can have moved. A certificate moves handshakes; an Ingress requests, and handshakes only where it names other hosts,
 * certificates or settings. What is not known, or comes or goes as a whole, may move both.
 */
export function movesOf(key: ObjectView['key'], view: ObjectView | null, revision: Revision): Observation['moves'] {
  if (key.startsWith('Secret/')) return { requests: false, handshakes: true }
  const tlsOf = (of: Revision | null): string | null => {
    const content = contentOf(of, view)
    if (content?.kind !== 'Ingress') return null
    const { annotations, spec } = content
    return JSON.stringify([annotations, spec.tls ?? [], [...hostsOf(content)].sort()])
  }
  const update = tlsOf(revision)
  return { requests: true, handshakes: update === null || update !== tlsOf(view?.record?.current ?? null) }
}

/** It takes away a host or a path that the object has on all pods. */
export function shrinks(view: ObjectView | null, revision: Revision): boolean {
  const routes = (of: Revision | null): ReadonlySet<string> => {
    const content = contentOf(of, view)
    return new Set(content?.kind === 'Ingress' ? routesOf(content) : [])
  }
  const update = routes(revision)
  return [...routes(view?.record?.current ?? null)].some(route => !update.has(route))
}

function stableOf({ spec, view, stableBefore }: ObserveInput): Revision | null {
  const record = view?.record ?? null
  if (record === null) return stableBefore
  if (record.update !== spec.revision) return releasedOf(record)
  // Released: what was stable before is known from the rollout alone.
  return record.current === spec.revision ? stableBefore : record.current
}

function supersededBy({ objectRef, revision }: IngressRolloutSpec, view: ObjectView | null): Observation['superseded'] {
  if (view === null || view.source?.uid !== objectRef.uid || view.namespaceTerminating) return 'gone'
  const { source, record, governance, invalid } = view
  if (governance.by !== 'policy') return 'ungoverned'
  if (source.revision === revision || record === null) return null
  // Under the name that it had with its ACME challenges, or that a person gave it.
  if (record.update === revision && hashOf(record, revision) === source.revision && record.current !== revision) {
    return null
  }
  if (hashOf(record, record.current) === source.revision) return 'reverted'
  // Content that cannot be served, or was taken back before, takes over from nobody.
  if (record.refused.includes(source.revision)) return 'reverted'
  // It goes on with what is recorded; of what has not begun nothing is.
  if (invalid) return record.update === revision ? null : 'newer'
  return source.deleting ? 'deleted' : 'newer'
}

function manualIndexOf({ state, view, upToDate, spec }: ObserveInput): number | null {
  const source = view?.source ?? null
  const record = view?.record ?? null
  const driven = view?.governance.by === 'policy' && !view.governance.manual
  if (driven || source === null || record === null || !upToDate || record.update !== spec.revision) return null
  const { update, index } = source.stamp
  const ours = update.state === 'valid' && update.value === spec.revision
  if (!ours || index.state !== 'valid') return null
  // A write of ours whose answer was lost is in the record, too.
  return index.value === state.index || index.value === record.index ? null : index.value
}

function servicesWithout(
  key: ObjectView['key'],
  content: Content,
  endpointsOf: ObserveInput['endpointsOf'],
): readonly ServiceKey[] {
  const { services } = referencesOf(parseObjectKey(key).namespace, content)
  return services.filter(service => endpointsOf(service).length === 0)
}

/** At least one endpoint serves; true where there is nothing to ask. */
function serves(key: ObjectView['key'], content: Content | null, endpointsOf: ObserveInput['endpointsOf']): boolean {
  const { kind, namespace }: { kind: ObjectKind; namespace: string } = parseObjectKey(key)
  if (kind === 'Secret' || content === null) return true
  const { services } = referencesOf(namespace, content)
  return services.length === 0 || services.some(service => endpointsOf(service).length > 0)
}
