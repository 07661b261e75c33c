/**
 * The thin shell around the rollout machine: lets it look, does what it says, writes down where it is.
 * A new state is adopted only when every command took effect; else the machine steps again from the old one.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import type { Report } from '../../protocol/messages.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import { isSecret } from '../assign/left.ts'
import { withdraw } from '../assign/records.ts'
import { stampFor } from '../assign/stamps.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import type { KubeClient } from '../kube/client.ts'
import type { Clock } from '../kube/clock.ts'
import { NotLeaderError, isKubeError } from '../kube/errors.ts'
import type { EventRecorder } from '../kube/events.ts'
import type { ObjectReference } from '../kube/objects.ts'
import { resources } from '../kube/resources.ts'
import type { ReconcileResult } from '../kube/queue.ts'
import type { IngressRolloutStatus } from '../model/generated/crds.ts'
import { NO_GATES } from '../model/settings.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import type { ObjectView, Pipeline } from '../pipeline/pipeline.ts'
import { BEFORE_MS } from '../rollout/analysis/window.ts'
import { resume } from '../rollout/machine/resume.ts'
import { ENDED } from '../rollout/machine/state.ts'
import { step } from '../rollout/machine/step.ts'
import type { Command, Observation, Settings, State } from '../rollout/machine/types.ts'
import { fromStatus, toStatus } from '../rollout/status.ts'
import { resetForAttempt } from './attempt.ts'
import { effectOf } from './effect.ts'
import type { Records } from './keeper.ts'
import type { Maker } from './maker.ts'
import type { ObjectWriter } from './object-writer.ts'
import { hostsOfRollout, movesOf, observe, shrinks } from './observe.ts'
import type { FigureSource } from './observe.ts'
import { isMade, isTerminal } from './rollouts.ts'
import type { Rollout, Rollouts } from './rollouts.ts'
import { newsOf } from './status-news.ts'
import type { Written } from './status-news.ts'
import { TakenBack } from './taken-back.ts'
import type { Stand, Turns } from './turns.ts'

export interface DriverOptions {
  readonly client: Pick<KubeClient, 'applyStatus' | 'mergePatch'>
  readonly rollouts: Rollouts
  readonly maker: Pick<Maker, 'begin' | 'failure' | 'forget' | 'make' | 'start'>
  readonly records: Records
  readonly writer: ObjectWriter
  readonly pipeline: Pick<
    Pipeline,
    'view' | 'endpointsOf' | 'hostsOfSecret' | 'isTakenOver' | 'renewal' | 'lacksCertificates'
  >
  readonly pods: () => readonly FleetPod[]
  readonly figures: FigureSource
  readonly turns: Turns
  readonly events: EventRecorder
  readonly clock: Clock
  readonly annotationPrefix: string
  /** So long what takes paths away lets others go first that were changed with it. Milliseconds. */
  readonly settleMs: number
  readonly mayWrite: () => boolean
  /** Resolves when what a record that was just stored releases is on its way to pods, soon in any case. */
  readonly published: (key: ObjectKey) => Promise<void>
  /** Rollouts that waited for this one's turn may begin. */
  readonly turnFree: () => void
  /** For metrics. */
  readonly ended: (phase: State['phase']) => void
}

interface Driven {
  state: State
  /** By which it is judged, as they were when it was looked at last. */
  hosts: readonly string[]
  /** When a report last counted something on them, or probed for it. Monotonic milliseconds. */
  countedAt: number
  /** Of its policy as it is now: what it begins with. */
  policy: Settings
  /** When this process first looked at it, in monotonic milliseconds. */
  readonly since: number
  /** What was last written. */
  written: Written | null
  /** Since when a landmark of its status waits to be written (monotonic milliseconds); null: none does. */
  landmarkSince: number | null
  /** Of steps that were taken while it was made. */
  readonly unsaid: Said[]
}

type Said = Extract<Command, { type: 'event' }>

/** Where no policy says anything: only to end what is under way in good order. */
const NO_POLICY: Settings = {
  batches: [{ pods: { percent: 100 }, pause: { type: 'none' } }],
  bakeMs: 30_000,
  ackDeadlineMs: 30_000,
  intervalMs: 5_000,
  minRequests: 100,
  gates: NO_GATES,
  onInconclusive: 'Pause',
  deadlineMs: 600_000,
  automaticRollback: true,
}
/** So long after something was counted, all pods that it is compared with have been heard of, or are silent. */
const COMPARED_MS = 10_000
/** Its watch event comes before that. */
const UNMADE_MS = 1_000
const SETTLES = 'it takes paths away, and lets first go what was changed with it'

export class Driver {
  readonly #options: DriverOptions
  readonly #driven = new Map<string, Driven>()
  readonly #takenBack = new TakenBack(BEFORE_MS)
  /** What pods showed before this replica led, nobody here judged. Monotonic milliseconds. */
  #began = -Infinity

  constructor(options: DriverOptions) {
    this.#options = options
  }

  /** A new leader: what is under way holds its turn before anything that waits is looked at, and the oldest stands first. */
  start(): void {
    this.#began = this.#options.clock.now()
    this.#driven.clear()
    this.#options.turns.clear()
    this.#options.rollouts.dropUnmade()
    this.#options.maker.start()
    for (const rollout of this.#options.rollouts.open()) {
      const view = this.#options.pipeline.view(rollout.object)
      const { phase, settings } = this.#of(rollout, view).state
      const stand = phase === 'Pending' ? 'waits' : phase === 'Paused' ? 'rests' : 'runs'
      this.#claim(rollout, view, stand, settings?.renewal === 'plain')
    }
  }

  stop(): void {
    this.#options.rollouts.dropUnmade()
    this.#driven.clear()
    this.#options.turns.clear()
  }

  forget(id: string): void {
    const { clock } = this.#options
    const driven = this.#driven.get(id)
    if (driven !== undefined && isOut(driven.state))
      this.#takenBack.note(noteOf(id, driven.state, true), driven.hosts, clock.now(), driven.state)
    this.#driven.delete(id)
    this.#options.maker.forget({ id })
    if (this.#options.turns.release(id)) this.#options.turnFree()
  }

  /**
   * Whether a report may change what is concluded of the object's rollouts: it counted something on their hosts, or another one did a
   * moment ago, and what that was to be compared with is heard of now.
   */
  isMovedBy(key: ObjectKey, { hosts, probes }: Pick<Report, 'hosts' | 'probes'>): boolean {
    const now = this.#options.clock.now()
    let isMoved = false
    for (const rollout of this.#options.rollouts.of(key)) {
      if (isTerminal(rollout)) continue
      const driven = this.#driven.get(rollout.id)
      if (driven === undefined) isMoved = true
      else {
        if (probes?.[key] !== undefined || driven.hosts.some(host => host in hosts)) driven.countedAt = now
        isMoved ||= now - driven.countedAt < COMPARED_MS
      }
    }
    return isMoved
  }

  /** Steps every rollout of the object, older ones first: an old one ends before a new one begins. @throws KubeError */
  async drive(key: ObjectKey): Promise<ReconcileResult> {
    let soonest = Infinity
    for (const rollout of this.#options.rollouts.of(key)) {
      const after = await this.#step(rollout)
      soonest = Math.min(soonest, after)
    }
    return Number.isFinite(soonest) ? { requeueAfterMs: soonest } : {}
  }

  /** Milliseconds until the next look; Infinity: none is due. */
  async #step(rollout: Rollout): Promise<number> {
    const { pipeline, clock, pods, figures, writer, rollouts, maker } = this.#options
    // Deleted while an older one of its object was looked at.
    if (rollouts.get(rollout.namespace, rollout.name)?.id !== rollout.id) return Infinity
    const view = pipeline.view(rollout.object)
    if (isMade(rollout)) maker.forget(rollout)
    else await this.#endUnmakeable(rollout, view)
    const driven = this.#of(rollout, view)
    if (view?.policy) driven.policy = view.policy.settings
    const { state, policy } = driven
    if (ENDED.has(state.phase) && !asksForMore(rollout, state) && isShown(rollout, driven)) {
      this.#stand(rollout, view, state)
      await this.#observeSpec(rollout, driven)
      return Infinity
    }
    const source = view?.source ?? null
    const renewal = view?.source?.revision === rollout.spec.revision ? renewalIn(pipeline, view) : null
    const settlesMs = state.phase === 'Pending' ? this.#settlesMs(rollout, view, driven) : 0
    const obstacle = this.#obstacle(rollout, view, state, renewal) ?? (settlesMs > 0 ? SETTLES : null)
    const hosts = view === null ? driven.hosts : this.#hosts(view, rollout)
    driven.hosts = hosts
    const observation = observe({
      ...{ key: rollout.object, spec: rollout.spec, state, view, figures },
      stableBefore: rollout.status?.stableRevision ?? null,
      pods: pods(),
      hosts,
      cleanSince: Math.max(this.#began, this.#takenBack.lastOn(hosts)),
      handedOn: this.#takenBack.measureOf(hosts, clock.now()),
      endpointsOf: service => pipeline.endpointsOf(service),
      isTakenOver: () => pipeline.isTakenOver(rollout.object),
      isItsTurn: obstacle === null,
      renewal,
      // What has begun has had them.
      lacksCertificates:
        view === null || state.step.name !== 'raising' ? null : pipeline.lacksCertificates(view, rollout.spec.revision),
      upToDate: source !== null && !writer.stale(source),
      now: clock.now(),
      wall: clock.wall().getTime(),
    })
    const made = step(state, observation, policy)
    const next = made.state
    if (!ENDED.has(next.phase)) this.#stand(rollout, view, next)
    try {
      await this.#act(rollout, view, state, next, made.commands)
    } finally {
      // Pods come first; but where nothing could be written it is all that there is to see.
      this.#make(rollout)
    }
    driven.state = next
    if (!ENDED.has(state.phase) && ENDED.has(next.phase)) this.#options.ended(next.phase)
    const hasEnded = ENDED.has(next.phase) && next.phase !== state.phase && next.phase !== 'Complete'
    const isBack = state.index !== 0 && next.index === 0
    // While it rests others may begin: what it shows is no measure for them.
    const isTaken = (hasEnded && next.reached !== 0) || isBack
    if (isTaken || (next.phase === 'Paused' && isOut(next))) {
      this.#takenBack.note(noteOf(rollout.id, next, isTaken), hosts, clock.now(), state)
    }
    // One that a person let through tells nothing good of what it showed.
    if (next.phase === 'Complete' && !rollout.spec.promote) {
      this.#takenBack.withdraw(noteOf(rollout.id, next, false))
    }
    if (ENDED.has(next.phase)) this.#stand(rollout, view, next)
    const events = made.commands.filter(command => command.type === 'event')
    driven.unsaid.push(...events)
    // What was made meanwhile, by now or later, is looked at again then.
    const known = rollouts.get(rollout.namespace, rollout.name) ?? rollout
    const after = made.commands.findLast(command => command.type === 'requeue')?.afterMs ?? Infinity
    if (!isMade(known)) {
      // It failed before: what is decided waits for nothing else any more.
      if (maker.failure(rollout) !== null) await maker.make(rollout)
      return Math.min(UNMADE_MS, after)
    }
    for (const event of driven.unsaid.splice(0)) this.#say(known, event)
    const writesAfter = await this.#write(known, view, driven, observation, obstacle)
    // A record or annotation that was written shows by itself, and this is looked at again then.
    return Math.min(after, writesAfter, settlesMs > 0 ? settlesMs : Infinity)
  }

  /** What a new attempt begins with comes first. */
  async #act(
    rollout: Rollout,
    view: ObjectView | null,
    before: State,
    next: State,
    commands: readonly Command[],
  ): Promise<void> {
    const { record = null, source = null } = view ?? {}
    const { objectRef, revision } = rollout.spec
    const effect = effectOf({ record, source, revision, uid: objectRef.uid, before, next, commands })
    for (const command of commands) {
      if (command.type === 'begin') await this.#newAttempt(rollout, command.attempt, record)
    }
    if (view !== null && effect.record !== null && (effect.stamp || effect.record !== record)) {
      this.#assertLeading()
      // Written before, and the stamp was not.
      if (JSON.stringify(effect.record) !== JSON.stringify(record)) {
        await this.#options.records.put(effect.record)
        // Annotations and status are for people, but where people move the index by them: else pods come first, where it is for them.
        const isForPods = effect.stamp && view.governance.by === 'policy' && !view.governance.manual
        if (isForPods) await this.#options.published(view.key)
        this.#assertLeading()
      }
      // It is on pods, and annotations may wait for an admission webhook: what people look at first is not to wait for that.
      this.#make(rollout)
      if (effect.stamp) await this.#stamp(view, effect.record)
    }
  }

  /** Nobody waits for it. */
  #make(rollout: Rollout): void {
    const { maker, rollouts } = this.#options
    const known = rollouts.get(rollout.namespace, rollout.name)
    if (known?.id === rollout.id && !isMade(known) && maker.failure(known) === null) maker.begin(known)
  }

  /**
   * Nobody would see one that cannot be made, or could stop it: then it is off the pods, and the next try is waited for.
   * @throws KubeError why it could not be made
   */
  async #endUnmakeable(rollout: Rollout, view: ObjectView | null): Promise<void> {
    const { maker, records, rollouts } = this.#options
    const failure = maker.failure(rollout)
    if (failure === null) return
    // Its end is to be told all the same, and somebody may say retry to it.
    const { phase } = this.#of(rollout, view).state
    const isDecided = phase === 'RollingBack' || ENDED.has(phase)
    if (isDecided && view?.source?.uid === rollout.spec.objectRef.uid) return
    const record = view?.record ?? null
    if (record !== null && record.update === rollout.spec.revision && record.update !== record.current) {
      this.#assertLeading()
      await records.put(withdraw(record))
    }
    this.forget(rollout.id)
    rollouts.drop(rollout)
    throw failure
  }

  /** The annotations say what the record says; only where a policy governs are they ours to write. */
  async #stamp(view: ObjectView, record: ReleaseRecord): Promise<void> {
    const { source, governance, raw } = view
    // Of a Secret the IngressRollout is all there is to see (docs/adr/0026-no-write-on-secrets.md).
    if (source === null || source.gone === true || isSecret(source) || governance.by !== 'policy') return
    const wanted = Object.entries(stampFor(record, this.#options.annotationPrefix))
    const upToDate = !this.#options.writer.stale(source)
    const same = wanted.every(([name, value]) => (raw?.metadata.annotations?.[name] ?? null) === value)
    if (upToDate && same) return
    await this.#options.writer.patch(source, { annotations: Object.fromEntries(wanted) })
  }

  async #newAttempt(rollout: Rollout, attempt: number, record: ReleaseRecord | null): Promise<void> {
    const { client, clock, rollouts } = this.#options
    rollouts.put(await resetForAttempt(client, rollout, attempt, record?.current ?? null, clock.wall()))
  }

  #of(rollout: Rollout, view: ObjectView | null): Driven {
    const { clock } = this.#options
    const known = this.#driven.get(rollout.id)
    const { attempt = 1 } = rollout.status ?? {}
    if (known !== undefined && known.state.attempt >= attempt) return known
    const policy = view?.policy?.settings ?? known?.policy ?? NO_POLICY
    const record = view?.record ?? { current: null, update: null, index: -1, refused: [] }
    const state = resume(fromStatus(rollout.status), record, rollout.spec.revision, policy, {
      ...{ now: clock.now(), wall: clock.wall().getTime() },
    })
    const driven: Driven = {
      state,
      policy,
      hosts: [],
      countedAt: -Infinity,
      since: clock.now(),
      written: null,
      landmarkSince: null,
      unsaid: [],
    }
    this.#driven.set(rollout.id, driven)
    return driven
  }

  #hosts(view: ObjectView, rollout: Rollout): readonly string[] {
    return hostsOfRollout(view, rollout.spec.revision, this.#options.pipeline.hostsOfSecret(view.key))
  }

  /** Why it is not its turn; null: it is. */
  #obstacle(
    rollout: Rollout,
    view: ObjectView | null,
    { phase }: State,
    renewal: Observation['renewal'],
  ): string | null {
    const { turns } = this.#options
    const policy = view?.policy
    const isUrgent = renewal?.standing === 'urgent'
    if (phase === 'Pending' && policy) {
      this.#claim(rollout, view, 'waits', renewal?.isPlain === true)
      return isUrgent ? turns.sibling(rollout.id) : turns.obstacle(rollout.id, policy.maxConcurrent)
    }
    return phase === 'Paused' && !isUrgent && turns.stand(rollout.id) === 'rests' ? turns.conflict(rollout.id) : null
  }

  /** What was moved to another object in one go may come a moment later. Milliseconds that are left. */
  #settlesMs(rollout: Rollout, view: ObjectView | null, { since }: Driven): number {
    return shrinks(view, rollout.spec.revision) ? this.#options.settleMs - (this.#options.clock.now() - since) : 0
  }

  /** Its place among the others follows from its phase, in the same turn of the event loop in which it was asked for. */
  #stand(rollout: Rollout, view: ObjectView | null, { phase, settings }: State): void {
    const { turns, turnFree } = this.#options
    if (phase === 'Pending') return
    if (ENDED.has(phase)) {
      // Also of one that was to go on again, and did not.
      if (turns.release(rollout.id)) turnFree()
      return
    }
    const before = turns.stand(rollout.id)
    const stand = phase === 'Paused' ? 'rests' : 'runs'
    if (before === null || before === 'waits') this.#claim(rollout, view, stand, settings?.renewal === 'plain')
    else turns.move(rollout.id, stand)
    if (stand === 'rests' && before !== 'rests') turnFree()
  }

  #claim(rollout: Rollout, view: ObjectView | null, stand: Stand, isPlain: boolean): void {
    // A plain renewal takes no place: a few seconds, and a site may have hundreds at once.
    const policy = isPlain ? null : (view?.policy?.name ?? rollout.status?.policy ?? '')
    const hosts = view === null ? [] : this.#hosts(view, rollout)
    const moves = movesOf(rollout.object, view, rollout.spec.revision)
    const claim = {
      ...{ object: rollout.object, policy, since: rollout.createdAt },
      shrinks: shrinks(view, rollout.spec.revision),
      requests: moves.requests ? hosts : [],
      handshakes: moves.handshakes ? hosts : [],
    }
    this.#options.turns.claim(rollout.id, claim, stand)
  }

  /** Milliseconds after which it is to be written what was not yet; Infinity: nothing that anybody waits for. @throws KubeError */
  async #write(
    rollout: Rollout,
    view: ObjectView | null,
    driven: Driven,
    observation: Observation,
    obstacle: string | null,
  ): Promise<number> {
    const { clock } = this.#options
    const { status: previous, generation } = rollout
    // It runs to its end under that.
    const began = driven.state.phase === 'Pending' ? undefined : previous?.policy
    const context = { previous, generation, policy: began ?? view?.policy?.name ?? previous?.policy ?? null }
    const shown = obstacle === null ? driven.state : { ...driven.state, message: waitsFor(driven.state, obstacle) }
    const status = toStatus(shown, observation, shown.settings ?? driven.policy, context)
    const { written, landmarkSince, state } = driven
    const now = clock.now()
    const news = newsOf({ status, written, previous, step: state.step.name, landmarkSince, now })
    driven.landmarkSince = news.landmarkSince
    if (news.leftMs > 0) return news.leftMs
    await this.#apply(rollout.namespace, rollout.name, status)
    driven.written = { status, text: JSON.stringify(status), at: clock.now() }
    driven.landmarkSince = null
    return Infinity
  }

  /**
   * A command to what has ended changes nothing but metadata.generation. Whoever compares that with observedGeneration
   * (kstatus) would wait for ever. The status stays as it was written: its figures are not known any more.
   */
  async #observeSpec(rollout: Rollout, driven: Driven): Promise<void> {
    const { generation, namespace, name } = rollout
    const { written, state } = driven
    // What the cache has may be older than what was written here.
    const status = written?.status ?? rollout.status
    if (status?.phase !== state.phase || status.attempt !== state.attempt) return
    if (status.observedGeneration === generation) return
    const conditions = (status.conditions ?? []).map(one => ({ ...one, observedGeneration: generation }))
    const observed: IngressRolloutStatus = { ...status, observedGeneration: generation, conditions }
    await this.#apply(namespace, name, observed)
    driven.written = { status: observed, text: JSON.stringify(observed), at: this.#options.clock.now() }
  }

  async #apply(namespace: string, name: string, status: IngressRolloutStatus): Promise<void> {
    this.#assertLeading()
    try {
      await this.#options.client.applyStatus(resources.ingressRollouts, { namespace, name }, status)
    } catch (error) {
      // Deleted meanwhile: its end comes with the watch.
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error
    }
  }

  #say(rollout: Rollout, { level, reason, message }: Said): void {
    const { events } = this.#options
    const { kind, namespace, name } = parseObjectKey(rollout.object)
    const { apiVersion } = resources.ingressRollouts
    const uid = rollout.spec.objectRef.uid
    const about: ObjectReference[] = [
      { apiVersion, kind: 'IngressRollout', namespace, name: rollout.name, uid: rollout.uid },
      {
        apiVersion: (kind === 'Ingress' ? resources.ingresses : resources.secrets).apiVersion,
        kind,
        namespace,
        name,
        uid,
      },
    ]
    for (const reference of about) events.event(reference, level, reason, message)
  }

  #assertLeading(): void {
    if (!this.#options.mayWrite()) throw new NotLeaderError('this replica does not lead any more')
  }
}

function renewalIn(pipeline: Pick<Pipeline, 'renewal'>, view: ObjectView): Observation['renewal'] {
  const { standing = null, isPlain = false, why = '' } = pipeline.renewal(view) ?? {}
  return standing === null ? null : { standing, isPlain: isPlain && view.policy?.creation !== 'Gradual', why }
}

/** What rested for time or approval, and passed, may be withdrawn; what was taken back or lacked evidence never is. */
function noteOf(id: string, { attempt, blocked }: State, isTaken: boolean): string {
  const kind = isTaken ? 'taken back' : blocked === null ? 'rested' : blocked.reason
  return `${id} ${attempt} ${kind}`
}

/** Pods may have it, and it is not what all of them had before. */
function isOut({ phase, index, step }: State): boolean {
  return !ENDED.has(phase) && phase !== 'Pending' && index !== 0 && step.name !== 'confirming'
}

/** Its end is written down. */
function isShown({ status }: Rollout, { state, written }: Driven): boolean {
  const shown = written?.status ?? status
  return shown?.phase === state.phase && shown.attempt === state.attempt
}

/** A command that something which has ended still listens to. */
function asksForMore({ spec }: Rollout, state: State): boolean {
  if (state.phase === 'Complete') return false
  return spec.promote || spec.retry > state.observedRetry
}

function waitsFor({ phase, message }: State, obstacle: string): string {
  if (phase === 'Pending') return `waits for its turn: ${obstacle}`
  return phase === 'Paused' ? `${message}; not judged meanwhile: ${obstacle}` : message
}
