/**
 * From watched objects to what is streamed, on every replica, incrementally:
 * touched keys → source object → plan → compiled payloads → checksum gate → released entries.
 * One direction; nothing here writes to Kubernetes.
 */
import { objectKey, parseObjectKey } from '../../protocol/ids.ts'
import type {
  Certificate,
  Fragment,
  ObjectKey,
  ObjectKind,
  PathFragment,
  Revision,
  ServiceKey,
} from '../../protocol/objects.ts'
import { ABSENT_REVISION, routedHosts } from '../../protocol/objects.ts'
import { governanceOf, plan } from '../assign/plan.ts'
import { withoutChallenges } from '../assign/challenges.ts'
import { adopt, serve } from '../assign/records.ts'
import { hashOf, releasedOf } from '../assign/revisions.ts'
import { goneObject, isStillServed } from '../assign/gone.ts'
import type { Governance, Hold, Plan, ReleaseRecord } from '../assign/types.ts'
import { compileChallenges, compileIngress, compileSecret } from '../compile/compile.ts'
import type { KnownCertificates } from '../compile/compile.ts'
import { contentId, upstreamIngressId, upstreamSecretId } from '../checksum/ids.ts'
import { hostsOf, isForChallenges, referencesOf, tlsClaims } from '../compile/references.ts'
import type { TlsClaim } from '../compile/references.ts'
import { isCovered, takenBy, wildcardOf } from '../compile/takes.ts'
import type { Served } from '../compile/takes.ts'
import { challengesKey, ingressOfChallenges, isChallengesKey } from '../model/challenges.ts'
import { ModelError } from '../model/errors.ts'
import { parseIngress } from '../model/ingress.ts'
import { askedClass } from '../model/ingress-class.ts'
import { parseSecret } from '../model/secret.ts'
import { byPrecedence, selectPolicy } from '../model/policy.ts'
import { labelCount } from '../model/selectors.ts'
import type { Policy } from '../model/policy.ts'
import type { Challenges, Content, IngressContent, IngressSpec, Problem, SourceObject } from '../model/types.ts'
import { certificateCovers, inspectCertificate, leafSha1, notAfterOf } from '../model/certificate.ts'
import { renewalOf } from '../model/renewal.ts'
import type { Renewal } from '../model/renewal.ts'
import type { Caches, RawObject } from './caches.ts'
import { CanaryNeighbours } from './canary-neighbours.ts'
import { Relation } from './graph.ts'
import { assignmentFor, isWhole, payload, sameEntry } from './live.ts'
import type { LiveEntry, Payload } from './live.ts'
import { ServiceEndpoints } from './service-endpoints.ts'

export interface PipelineOptions {
  readonly caches: Caches
  /** The record of an object that lives, by UID. */
  readonly record: (uid: string) => ReleaseRecord | null
  /** The record of an object that is gone. */
  readonly recordByKey: (key: ObjectKey) => ReleaseRecord | null
  /** The object's record was there and is lost. */
  readonly lost: (uid: string) => boolean
  /** What the stream was given last: while it is served, what it refers to is needed, whatever the object says now. */
  readonly released: (key: ObjectKey) => LiveEntry | null
  readonly controllerName: string
  readonly annotationPrefix: string
  readonly idForm: 'content' | 'upstream'
  /** The Secret whose certificate is for names that have no other. */
  readonly defaultCertificate?: ObjectKey | null
  /** An object without the shape of its kind: its last good state stays. Must not throw. */
  readonly malformed: (error: ModelError) => void
  /** Wall clock in milliseconds: certificates expire by it. */
  readonly now: () => number
}

/** All that is known of one object, for the leader's controllers. */
export interface ObjectView {
  readonly key: ObjectKey
  readonly raw: RawObject | null
  readonly source: SourceObject | null
  readonly policy: Policy | null
  readonly governance: Governance
  /** What counts: the stored record, or the one that is about to be stored of what is served already. */
  readonly record: ReleaseRecord | null
  /** As the store has it. */
  readonly stored: ReleaseRecord | null
  readonly plan: Plan | null
  readonly hold: Hold | null
  /** The object's content as it stands cannot be served. */
  readonly invalid: boolean
  readonly problems: readonly Problem[]
  readonly namespaceTerminating: boolean
}

/** What one run of flush() changed. */
export interface PipelineChange {
  /** Objects whose live entry changed, by kind: they go to the checksum gate. */
  readonly live: readonly {
    readonly key: ObjectKey
    readonly before: LiveEntry | null
    readonly after: LiveEntry | null
  }[]
  /** Objects that were looked at again, changed or not. */
  readonly viewed: readonly ObjectKey[]
  readonly services: readonly ServiceKey[]
  /** Secrets that are needed and that nobody has read yet. Whoever reads one touches it then. */
  readonly unread: readonly ObjectKey[]
}

export class Pipeline {
  readonly #options: PipelineOptions
  readonly #caches: Caches
  readonly #live = new Map<ObjectKey, LiveEntry>()
  readonly #views = new Map<ObjectKey, ObjectView>()
  /** Of which the store has another record: whoever decides on a view is to see what was decided before. */
  readonly #first = byKind()
  readonly #touched = byKind()
  /** What changed for very many at once, and for none of them by itself: everything else is looked at before it. */
  readonly #later = byKind()
  /** Ingress → Secrets, over both revisions and the object's own content. */
  readonly secretReferences = new Relation<ObjectKey, ObjectKey>()
  /** Ingress → Secrets that its own content names, or one that is released or on its way, whatever is served of them. */
  readonly #naming = new Relation<ObjectKey, ObjectKey>()
  /** Ingress → what its rules and `tls` entries name, in every revision that is out or on its way. */
  readonly #serving = new Relation<ObjectKey, string>()
  readonly #services: ServiceEndpoints
  /** Ungoverned content that is served and that the store does not have yet: the leader stores it within a second. */
  readonly #ahead = new Map<ObjectKey, SourceObject>()
  #policies: readonly Policy[] = []
  #unread: ReadonlySet<string> = new Set()
  readonly #canaries = new CanaryNeighbours()
  /** What Ingresses ask of certificates, over the same revisions as secretReferences. */
  readonly #claims = new Map<ObjectKey, readonly TlsClaim[]>()
  /** By Ingress: which of its claims were met when it was compiled. */
  readonly #met = new Map<ObjectKey, string>()
  /** What Ingresses say of a Secret that they name. */
  readonly #said = new Map<ObjectKey, string>()
  /** Gone from the API server, and still served. */
  readonly #gone = new Set<ObjectKey>()
  /** When time alone changes what is to be said of a Secret, in milliseconds since the epoch. */
  readonly #dates = new Map<ObjectKey, number>()
  readonly #sources = new WeakMap<RawObject, SourceObject>()
  readonly #names = new WeakMap<Certificate, Map<string, boolean>>()
  readonly #ends = new WeakMap<Certificate, number>()
  readonly #certificates: KnownCertificates

  constructor(options: PipelineOptions) {
    this.#options = options
    this.#caches = options.caches
    this.#services = new ServiceEndpoints(options.caches)
    this.#certificates = {
      covers: (secret, host): boolean | null => this.#served(secret, host),
      hasDefault: (options.defaultCertificate ?? null) !== null,
    }
  }

  get endpoints(): ReadonlyMap<ServiceKey, readonly string[]> {
    return this.#services.all
  }

  /** Of any Service, also of one that nothing refers to yet. */
  endpointsOf(service: ServiceKey): readonly string[] {
    return this.#services.of(service)
  }

  get live(): ReadonlyMap<ObjectKey, LiveEntry> {
    return this.#live
  }

  view(key: ObjectKey): ObjectView | null {
    return this.#views.get(key) ?? null
  }

  views(): Iterable<ObjectView> {
    return this.#views.values()
  }

  /** The ID of a policy's object when this record of it is stored; null: as it is now, or not known. */
  idAfter(record: ReleaseRecord): string | null {
    const { key, uid } = record
    const {
      source = null,
      governance,
      invalid = false,
      namespaceTerminating = false,
      raw = null,
    } = this.view(key) ?? {}
    if (source === null || source.uid !== uid || governance?.by !== 'policy') return null
    const { kind } = parseObjectKey(key)
    const { announced } = plan(source, governance, withoutChallenges(record, source), { invalid, namespaceTerminating })
    if (announced === null || (kind === 'Secret' && !this.isNeeded(key))) return null
    const id = this.#id(kind, key, announced, raw, chainOf(null, record, announced))
    return id === this.#live.get(key)?.id ? null : id
  }

  /** @param unread names of policies that exist and cannot be read */
  setPolicies(policies: readonly Policy[], unread: ReadonlySet<string> = new Set()): void {
    this.#policies = policies
    this.#unread = unread
    this.touchAll()
  }

  touch(keys: Iterable<ObjectKey>): void {
    for (const key of keys) this.#touched[kindOf(key)].add(ingressOfChallenges(key))
  }

  /** As touch(), for what the store has another record of: before everything else. */
  touchFirst(keys: Iterable<ObjectKey>): void {
    for (const key of keys) this.#first[kindOf(key)].add(ingressOfChallenges(key))
  }

  /** The store has another record of the object (left out: of some object) than its view shows. */
  isBehind(key?: ObjectKey): boolean {
    return key === undefined ? sizeOf(this.#first) > 0 : this.#first[kindOf(key)].has(key)
  }

  /** As touch(), for what may be everything that there is: after what is touched one by one. */
  touchLater(keys: Iterable<ObjectKey>): void {
    for (const key of keys) this.#later[kindOf(key)].add(ingressOfChallenges(key))
  }

  touchAll(): void {
    this.touchLater(this.#caches.ingresses.keys())
    this.touchLater(this.#caches.secrets.keys())
    this.touchLater(this.#live.keys())
  }

  /** A Service or one of its EndpointSlices changed. */
  touchService(name: string): void {
    this.touch(this.#services.touch(name))
  }

  /** Ingresses that refer to one of these Services, in any revision that is served or on its way. */
  *referringTo(services: Iterable<ServiceKey>): Iterable<ObjectKey> {
    for (const service of services) yield* this.#services.referringTo(service)
  }

  /** Something that is served refers to the Secret, or it is the default one. */
  isNeeded(secret: ObjectKey): boolean {
    return secret === this.#options.defaultCertificate || this.secretReferences.isReferredTo(secret)
  }

  /** It is needed, or may be soon: an Ingress of ours names it. */
  isNamed(secret: ObjectKey): boolean {
    return this.isNeeded(secret) || this.#naming.isReferredTo(secret)
  }

  /** Nothing names it, and that is sure: every Ingress that could is known as it is now. */
  isUnnamed(secret: ObjectKey): boolean {
    if (this.isNamed(secret)) return false
    for (const key of this.#caches.keysIn(parseObjectKey(secret).namespace)) {
      if (key.startsWith('Ingress/') && this.#views.get(key)?.raw !== this.#caches.raw(key)) return false
    }
    return true
  }

  /** When touchDue() has something to do next, in milliseconds since the epoch; null: never. */
  get nextDate(): number | null {
    let next: number | null = null
    for (const date of this.#dates.values()) if (next === null || date < next) next = date
    return next
  }

  /** Certificates begin and end without an event. */
  touchDue(): void {
    const now = this.#options.now()
    for (const [key, date] of this.#dates) if (date <= now) this.#touched.Secret.add(key)
  }

  get idle(): boolean {
    return this.#lanes.every(lane => sizeOf(lane) === 0) && this.#services.idle
  }

  /**
   * Looks at what was touched. Ingresses come first: they decide which Secrets are referenced.
   * @param enough asked after each object: the rest is left for the next time (`idle` says whether there is any)
   */
  flush(enough: () => boolean = () => false): PipelineChange {
    const change: Flushed = { live: [], viewed: [], unread: [] }
    for (const touched of this.#lanes) {
      for (const kind of KINDS_IN_ORDER) {
        // What is touched by this belongs to the next time.
        let left = touched[kind].size
        for (const key of touched[kind]) {
          if (left-- === 0) break
          for (const lane of this.#lanes) lane[kind].delete(key)
          this.#flushOne(kind, key, change)
          if (enough()) return { ...change, services: this.#services.flush() }
        }
      }
    }
    return { ...change, services: this.#services.flush() }
  }

  get #lanes(): readonly ByKind[] {
    return [this.#first, this.#touched, this.#later]
  }

  #flushOne(kind: ObjectKind, key: ObjectKey, { live, viewed, unread }: Flushed): void {
    const before = this.#live.get(key) ?? null
    if (kind === 'Secret' && this.#caches.isUnread(key)) {
      // What is not known is not absent: what was served stays, and what is recorded.
      if (this.isNeeded(key)) unread.push(key)
      else this.#forget(key)
      this.#tell(key)
      return
    }
    // Who governs it is not known before its namespace is, which comes by a watch of its own: what is served stays.
    if (this.#isUndecided(key)) return
    viewed.push(key)
    const userBefore = this.#views.get(key)?.source ?? null
    const after = this.#look(kind, key, before)
    const user = this.#views.get(key)?.source ?? null
    if (after === null) this.#live.delete(key)
    else this.#live.set(key, after)
    if (kind === 'Ingress') {
      this.#serving.replace(key, this.#thingsOf(key))
      live.push(...this.#lookAtChallenges(key))
    }
    const changed = after === null ? before !== null : !sameEntry(before ?? undefined, after)
    if (kind === 'Secret') this.#tell(key)
    // Who governs a Secret depends on them.
    else if (asksPolicies(userBefore) !== asksPolicies(user)) this.touch(this.secretReferences.to(key))
    if (!changed) return
    live.push({ key, before, after })
    // Which hosts a certificate must name depends on the Ingresses that serve with it.
    if (kind === 'Ingress') this.touch(this.secretReferences.to(key))
  }

  /**
   * Served at once by every pod, whatever becomes of the Ingress's content: an object of its own for pods and checksum, and none
   * that anybody governs.
   */
  #lookAtChallenges(ingress: ObjectKey): PipelineChange['live'] {
    const key = challengesKey(ingress)
    const before = this.#live.get(key) ?? null
    const { source = null, namespaceTerminating = false } = this.#views.get(ingress) ?? {}
    const isServed = source !== null && source.revision !== ABSENT_REVISION && !namespaceTerminating
    const after = isServed && source.challenges ? this.#challenges(source, source.challenges) : null
    if (after === null) this.#live.delete(key)
    else this.#live.set(key, after)
    this.#referChallenges(key)
    const isSame = after === null ? before === null : sameEntry(before ?? undefined, after)
    return isSame ? [] : [{ key, before, after }]
  }

  #challenges(source: SourceObject, { paths }: Challenges): LiveEntry {
    const current = payload(compileChallenges(source, paths))
    const { revision } = current
    const { key } = current.value
    const plan = { key, announced: revision, current: revision, update: null, index: -1, hold: null }
    // The other form names objects by number and version: the Ingress has taken them.
    const id = this.#options.idForm === 'content' ? contentId(key, revision) : ''
    return { key, plan, id, update: null, current }
  }

  #referChallenges(key: ObjectKey): void {
    const services = this.#fragmentsOf(key).flatMap(({ hosts }) => hosts.flatMap(({ paths }) => paths.map(servicesOf)))
    this.#services.refer(key, services.flat())
  }

  #isUndecided(key: ObjectKey): boolean {
    const { namespace } = parseObjectKey(key)
    const asksLabels = this.#policies.some(({ selector }) => labelCount(selector.namespaceSelector) > 0)
    return asksLabels && this.#caches.raw(key) !== null && !this.#caches.namespaces.has(namespace)
  }

  /** Ingresses that name a Secret say what is wrong with it, and have its certificate only where it names the host. */
  #tell(secret: ObjectKey): void {
    const { problems = [], hold = null } = this.#views.get(secret) ?? {}
    const words = problems.map(problem => `${problem.reason} ${problem.message}`)
    const said = JSON.stringify([this.#exists(secret), this.#live.has(secret), words, hold])
    const news = this.#said.get(secret) !== said
    if (this.isNeeded(secret)) this.#said.set(secret, said)
    else this.#said.delete(secret)
    for (const ingress of this.secretReferences.from(secret)) {
      if (news || this.#met.get(ingress) !== this.#metOf(ingress)) this.#touched.Ingress.add(ingress)
    }
  }

  #exists(secret: ObjectKey): boolean {
    return this.#caches.raw(secret) !== null || this.#caches.isUnread(secret)
  }

  #metOf(ingress: ObjectKey): string {
    const digit = (met: boolean): string => (met ? '1' : '0')
    return (this.#claims.get(ingress) ?? [])
      .flatMap(({ secret, hosts, offered }) => [
        ...hosts.map(host => digit(this.#served(secret, host) !== false)),
        ...offered.map(host => digit(this.#served(secret, host) === true)),
      ])
      .join('')
  }

  /** Whether what is served of the Secret names the host; null: nothing is. */
  #served(secret: ObjectKey, host: string): boolean | null {
    const entry = this.#live.get(secret)
    const values = [entry?.update?.value, entry?.current?.value].filter(value => value !== undefined)
    return values.length === 0 ? null : values.some(value => 'chain' in value && this.#isNamed(value, host))
  }

  /** A certificate is asked for the same names again and again. */
  #isNamed(certificate: Certificate, host: string): boolean {
    const answers = this.#names.get(certificate) ?? new Map<string, boolean>()
    this.#names.set(certificate, answers)
    const answer = answers.get(host) ?? certificateCovers(certificate.chain, host)
    answers.set(host, answer)
    return answer
  }

  #look(kind: ObjectKind, key: ObjectKey, before: LiveEntry | null): LiveEntry | null {
    if (kind === 'Secret') this.#dates.delete(key)
    const raw = this.#caches.raw(key)
    let parsed: SourceObject | null
    try {
      parsed = raw === null ? null : this.#parse(kind, raw)
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      this.#options.malformed(error)
      return before
    }
    const stored = this.#recordOf(kind, key, parsed)
    const source = parsed ?? (kind === 'Ingress' ? goneObject(stored) : null)
    this.#note(key, source)
    const found = this.#withServed(key, source, stored) ?? this.#foundAgain(kind, source)
    const record = found === null ? null : withoutChallenges(found, source)
    if (source === null && record === null) {
      this.#forget(key)
      return null
    }
    const { namespace } = parseObjectKey(key)
    const policy = source === null ? null : this.#policyOf(kind, source, namespace, record)
    const { governance, hold: governanceHold } =
      source === null
        ? { governance: { by: 'none' } as const, hold: null }
        : governanceOf(source, policy ?? this.#unreadOf(source, record), record)
    const governed = governance.by !== 'none'
    let problems: Problem[] = []
    const checked =
      source === null || source.revision === ABSENT_REVISION
        ? null
        : this.#compile(source, source.revision, source.content, governed, before, problems, this.#options.now())
    const invalid =
      source !== null &&
      source.revision !== ABSENT_REVISION &&
      (checked === null || !this.#covers(key, checked, record, problems))
    const isLeft =
      source?.gone === true && (!this.#caches.namespaces.has(namespace) || this.#isOfFormer(namespace, record))
    const namespaceTerminating = isLeft || this.#caches.terminating(namespace)
    const decided = plan(source, governance, record, { invalid, namespaceTerminating })
    const hold = governanceHold ?? decided.hold
    if (!governed && source !== null && decided.hold === null && decided.announced === source.revision) {
      if (source.revision !== ABSENT_REVISION && !isStored(stored, source)) this.#ahead.set(key, source)
    }
    if (kind === 'Ingress') {
      this.#refer(key, decided, source, record)
      this.touch(this.#naming.replace(key, secretsNamedBy(source, record)))
    }
    if (kind === 'Ingress') {
      problems.push(...this.#services.problems(key, source), ...this.#secretProblems(key, source))
      problems.push(...this.#weightProblems(key, source, checked))
      if (source?.classMissing) problems.push(classProblem(source))
      if (source?.challenges) problems = problems.filter(({ reason }) => reason !== 'NothingToServe')
      this.#met.set(key, this.#metOf(key))
    }
    if (kind === 'Secret') problems.push(...this.#servedEnds(source, record, decided))
    this.#views.set(key, {
      key,
      raw,
      source,
      policy,
      governance,
      record,
      stored,
      plan: decided,
      hold,
      invalid,
      problems,
      namespaceTerminating,
    })
    const { announced } = decided
    if (announced === null) return null
    if (kind === 'Secret' && !this.isNeeded(key)) return null
    const payloadOf = (revision: Revision | null): Payload | null => {
      if (revision === null || revision === ABSENT_REVISION) return null
      if (checked !== null && checked.revision === revision) return checked
      // A certificate with a foreign key has the revision of the good one: what cannot be served is not what is meant.
      const own = source?.revision === revision && !invalid ? source.content : null
      const content = own ?? record?.revisions[revision]?.content
      const createdAt = source?.createdAt ?? record?.createdAt ?? 0
      // A stored revision was valid when it was released: that it expired since is not held against it.
      return content ? this.#compile({ key, createdAt }, revision, content, governed, before, [], null) : null
    }
    const entry: LiveEntry = {
      key,
      plan: { ...decided, announced },
      id: this.#id(
        kind,
        key,
        announced,
        raw,
        chainOf(announced === checked?.revision ? source : null, record, announced),
      ),
      update: payloadOf(decided.update),
      current: payloadOf(decided.current),
    }
    if (isWhole(entry)) return entry
    // A defect, or a record of another version: one object must not hold up all the others at the proxies' checks.
    const what = `${key}: a revision that is to be served cannot be compiled; what was served before stays`
    this.#options.malformed(new ModelError(key, 'record', what))
    return before
  }

  /**
   * Its record is lost: what it has is what all pods serve. What they served before, if that was another, nobody knows, nor
   * whether it was ever released (annotations come with the first rollout); to serve nothing would harm more.
   */
  #foundAgain(kind: ObjectKind, source: SourceObject | null): ReleaseRecord | null {
    if (source === null || source.revision === ABSENT_REVISION || !this.#options.lost(source.uid)) return null
    const byHand = this.#policyOf(kind, source, parseObjectKey(source.key).namespace, null) === null
    const { flag } = source.stamp
    // Nobody governs it: it is served as it is, record or not.
    if (byHand && (flag.state !== 'valid' || !flag.value)) return null
    const isServable =
      this.#compile(source, source.revision, source.content, true, null, [], this.#options.now()) !== null
    return isServable ? adopt(source, byHand) : null
  }

  /** What was deleted and made again goes on from the record of its predecessor, while that is served. */
  #recordOf(kind: ObjectKind, key: ObjectKey, source: SourceObject | null): ReleaseRecord | null {
    const own = source === null ? null : this.#options.record(source.uid)
    if (own !== null) return own
    const former = this.#options.recordByKey(key)
    if (source === null || kind === 'Secret') return former
    return isStillServed(former) && !this.#isOfFormer(parseObjectKey(key).namespace, former) ? former : null
  }

  /** Its namespace was deleted and made again while nobody of us was there: it may have other owners, to whom this means nothing. */
  #isOfFormer(namespace: string, record: ReleaseRecord | null): boolean {
    const created = Date.parse(this.#caches.namespaces.get(namespace)?.metadata.creationTimestamp ?? '')
    return record !== null && created > record.createdAt
  }

  #note(key: ObjectKey, source: SourceObject | null): void {
    if (source?.gone === true) this.#gone.add(key)
    else this.#gone.delete(key)
  }

  /** Objects of the namespace that are gone and still served. */
  goneIn(namespace: string): readonly ObjectKey[] {
    return [...this.#gone].filter(key => parseObjectKey(key).namespace === namespace)
  }

  #parse(kind: ObjectKind, raw: RawObject): SourceObject {
    const { annotationPrefix: prefix, controllerName: controller } = this.#options
    if (kind === 'Ingress') {
      const classes = this.#caches.classes.values()
      const servedBy = this.#servedBy(raw)
      return parseIngress(raw, { classes, controller, prefix, ...(servedBy === undefined ? {} : { servedBy }) })
    }
    // The same content stays the same object: what was found out about it need not be found out again.
    const source = this.#sources.get(raw) ?? parseSecret(raw, { prefix })
    this.#sources.set(raw, source)
    return source
  }

  /** The class that an Ingress asked for when it was last served, or was on its way; undefined: it never was. */
  #servedBy({ metadata }: RawObject): string | null | undefined {
    const key = objectKey('Ingress', metadata.namespace ?? '', metadata.name)
    const specOf = (content: Content | null | undefined): IngressSpec | null =>
      content?.kind === 'Ingress' ? content.spec : null
    const { raw, source } = this.#views.get(key) ?? {}
    const seen = source?.uid === metadata.uid && source?.ours === true ? specOf(source.content) : null
    const ahead = this.#ahead.get(key)
    const record = this.#options.record(metadata.uid ?? '')
    const stored = specOf(record?.revisions[record.current ?? record.update ?? '']?.content)
    const known = stored ?? (ahead?.uid === metadata.uid ? specOf(ahead?.content) : null)
    if (known === null) return undefined
    if (seen !== null) return askedClass(seen, raw?.metadata.annotations ?? {})
    // The first look of a replica: the old annotation is not recorded, so that what it says counts as what it said.
    return askedClass(known, metadata.annotations ?? {})
  }

  #policyOf(kind: ObjectKind, source: SourceObject, namespace: string, record: ReleaseRecord | null): Policy | null {
    if (this.#isHarmlessChallenge(source, record)) return null
    const labels = this.#caches.namespaceLabels(namespace)
    const of = (object: SourceObject, recorded: ReleaseRecord | null): Policy | null => {
      if (object.gone !== true) return selectPolicy(this.#policies, object, labels, kind)
      const governed = this.#policies.find(({ name, kinds }) => name === recorded?.policy && kinds.includes(kind))
      // Its policy has another name now, or others came in its place: those that do not ask for labels, which nobody knows any more.
      return governed ?? selectPolicy(this.#policies, { ...object, ours: false }, labels, kind)
    }
    if (kind === 'Ingress') return of(source, record)
    const referring = [...this.secretReferences.from(source.key)].map(key => this.#views.get(key) ?? null)
    const users = [...referring, ...this.#usersOfDefault(source).map(user => ({ source: user, record: null }))]
    const found = users
      .map(user => (user?.source ? of(user.source, user.record) : null))
      .filter(policy => policy !== null)
    return found.sort(byPrecedence)[0] ?? null
  }

  /** A policy that nobody can read governs what is gone all the same: nothing goes on, and what is served stays. */
  #unreadOf({ gone }: SourceObject, record: ReleaseRecord | null): Parameters<typeof governanceOf>[1] {
    const name = record?.policy ?? ''
    return gone === true && this.#unread.has(name) ? { name, allowOptOut: false, allowManualIndex: false } : null
  }

  /** The default certificate is for the hosts of every class of ours. */
  #usersOfDefault(secret: SourceObject): readonly SourceObject[] {
    if (secret.key !== this.#options.defaultCertificate) return []
    const ours = [...this.#caches.classes].filter(([, raw]) => {
      const { spec } = raw as { readonly spec?: { readonly controller?: string } }
      return spec?.controller === this.#options.controllerName
    })
    return ours.map(([className]) => ({ ...secret, className }))
  }

  #compile(
    { key, createdAt }: { readonly key: ObjectKey; readonly createdAt: number },
    revision: Revision,
    content: Content,
    governed: boolean,
    before: LiveEntry | null,
    problems: Problem[],
    now: number | null,
  ): Payload | null {
    const object = { key, createdAt }
    let value: Fragment | Certificate | null
    if (content.kind === 'Ingress') {
      const compiled = compileIngress(object, revision, content, governed, this.#certificates, now === null)
      problems.push(...compiled.problems)
      value = compiled.fragment
    } else {
      const compiled = compileSecret(object, revision, content, governed, now)
      problems.push(...compiled.problems)
      const { certificate, nextDate } = compiled
      if (nextDate !== null && this.isNeeded(key)) this.#dates.set(key, nextDate)
      const isDefault = key === this.#options.defaultCertificate
      value = certificate === null || !isDefault ? certificate : { ...certificate, isDefault }
    }
    if (value === null) return null
    const made = payload(value)
    return [before?.update, before?.current].find(p => p?.digest === made.digest) ?? made
  }

  /** A certificate that does not cover a host which the last good one covers, or covers no host at all, is refused. */
  #covers(key: ObjectKey, checked: Payload, record: ReleaseRecord | null, problems: Problem[]): boolean {
    if (!('chain' in checked.value)) return true
    const next = checked.value
    const content = record?.revisions[record.current ?? '']?.content
    const good = content?.kind === 'Secret' ? content.chain : null
    const { asked, offered } = this.#claimsOn(key)
    const names = (host: string): boolean => this.#isNamed(next, host)
    const missed = asked.filter(host => !names(host))
    const wasNamed = (host: string): boolean => good !== null && certificateCovers(good, host)
    const lost = [...asked, ...offered].filter(host => !names(host) && wasNamed(host))
    if (missed.length === 0 && lost.length === 0) return true
    const useless = asked.length > 0 && missed.length === asked.length && !offered.some(names)
    const refused = lost.length > 0 || useless
    const listed = [...new Set([...lost, ...missed])].slice(0, 5).join(', ')
    problems.push({
      key,
      field: 'data[tls.crt]',
      reason: 'HostNotCovered',
      message: `the certificate does not name ${listed}, which Ingresses serve with this Secret${refused ? '; the last good certificate stays' : ''}`,
      effect: refused ? 'reject' : 'warn',
    })
    return !refused
  }

  /** What Ingresses ask of this Secret, met or not, in any revision that is served or on its way. */
  #claimsOn(secret: ObjectKey): { readonly asked: readonly string[]; readonly offered: readonly string[] } {
    const claims = [...this.secretReferences.from(secret)]
      .flatMap(ingress => this.#claims.get(ingress) ?? [])
      .filter(claim => claim.secret === secret)
    const asked = new Set(claims.flatMap(({ hosts }) => hosts))
    const offered = new Set(claims.flatMap(claim => claim.offered))
    return { asked: [...asked], offered: [...offered].filter(host => !asked.has(host)) }
  }

  /** Of a canary: older ones of the same paths may leave less than it asks for. */
  #weightProblems(key: ObjectKey, source: SourceObject | null, checked: Payload | null): readonly Problem[] {
    const asked = checked !== null && 'hosts' in checked.value ? checked.value : null
    this.touch(this.#canaries.replace(key, asked))
    return source?.content.kind === 'Ingress' ? this.#canaries.problems(key, source.content) : []
  }

  /** What is wrong with the Secrets of an Ingress: who wrote it looks there, and one that is not there cannot say it. */
  #secretProblems(key: ObjectKey, source: SourceObject | null): readonly Problem[] {
    if (source?.content.kind !== 'Ingress') return []
    const { namespace } = parseObjectKey(key)
    const needed = this.secretReferences.to(key)
    return tlsClaims(namespace, source.content).flatMap(({ field, secret, hosts }): readonly Problem[] => {
      if (!needed.includes(secret)) return []
      const { name } = parseObjectKey(secret)
      const served = this.#live.has(secret)
      const instead = served ? 'its last good certificate is served' : 'the default certificate is served instead'
      const warn = (reason: string, message: string): Problem => ({
        ...{ key, field, reason, effect: 'warn' },
        message: `Secret ${namespace}/${name} ${message}`,
      })
      if (!this.#exists(secret)) return [warn('SecretNotFound', `does not exist: ${instead}`)]
      const { problems = [], hold = null } = this.#views.get(secret) ?? {}
      const refused = problems.filter(problem => problem.effect === 'reject')
      if (refused.length > 0) {
        return refused.map(({ field: at, reason, message }) => warn(reason, `(${at}): ${message}: ${instead}`))
      }
      // Nothing is written on a Secret: what it would say of itself is said here.
      const others = problems
        .filter(({ reason }) => reason !== 'HostNotCovered')
        .map(({ field: at, reason, message }) => warn(reason, `(${at}): ${message}`))
      if (hold !== null && OF_SECRETS.has(hold.reason))
        others.push(warn(hold.reason, `is not served as it is: ${hold.message}`))
      const missed = hosts.filter(host => this.#served(secret, host) === false)
      const listed = missed.slice(0, 5).join(', ')
      return missed.length === 0
        ? others
        : [
            ...others,
            warn(
              'HostNotCovered',
              `holds a certificate that does not name ${listed}: the default certificate is served there`,
            ),
          ]
    })
  }

  /**
   * What an object that was never released would take from what others serve, in words; null: nothing, or there is nothing
   * that can be served of it.
   */
  takes({ key, source, governance }: ObjectView): string | null {
    if (key.startsWith('Secret/')) return this.#takesHandshakes(key)
    if (source?.content.kind !== 'Ingress') return null
    const { fragment } = compileIngress(
      source,
      source.revision,
      source.content,
      governance.by !== 'none',
      this.#certificates,
    )
    if (fragment === null) return null
    if (this.#fragmentsOf(key).length > 0) return 'requests from what is still served under its name'
    const others = (thing: string): readonly Fragment[] =>
      [...this.#serving.from(thing)].flatMap(other => this.#fragmentsOf(other))
    return takenBy(fragment, {
      paths: host =>
        others(host).flatMap(({ hosts }) => hosts.filter(one => one.host === host).flatMap(({ paths }) => paths)),
      hasTls: name => others(TLS + name).length > 0,
    })
  }

  /** What the content of a Secret is to the one that is released; null: nothing is, or it is that one, or cannot be served. */
  renewal({ key, source, record, invalid }: ObjectView): Renewal | null {
    if (source?.content.kind !== 'Secret' || source.revision === ABSENT_REVISION || invalid || record === null)
      return null
    const released = releasedOf(record)
    const content = record.revisions[released ?? '']?.content
    if (content?.kind !== 'Secret' || hashOf(record, released) === source.revision) return null
    const { asked, offered } = this.#claimsOn(key)
    return renewalOf(content, source.content, [...asked, ...offered], this.#options.now())
  }

  /** When each certificate that is given out ends, in milliseconds; of two revisions the one that pods fall back to. */
  *certificateEnds(): Iterable<{ readonly secret: ObjectKey; readonly notAfter: number }> {
    for (const [secret, { current, update }] of this.#live) {
      const value = (current ?? update)?.value
      if (value === undefined || !('chain' in value)) continue
      const notAfter = this.#ends.get(value) ?? notAfterOf(value.chain)
      if (notAfter === null) continue
      this.#ends.set(value, notAfter)
      yield { secret, notAfter }
    }
  }

  /** A renewal that waits says nothing of the certificate that pods serve meanwhile. */
  #servedEnds(source: SourceObject | null, record: ReleaseRecord | null, { current }: Plan): readonly Problem[] {
    if (source === null || record === null || current === source.revision || !this.isNeeded(source.key)) return []
    const { key } = source
    const content = record.revisions[current ?? '']?.content
    if (content?.kind !== 'Secret' || hashOf(record, current) === source.revision) return []
    const { problems, nextDate } = inspectCertificate(key, content, this.#options.now())
    const known = this.#dates.get(key) ?? Infinity
    if (nextDate !== null && nextDate < known) this.#dates.set(key, nextDate)
    const words = [...problems].filter(
      ({ reason }) => reason === 'CertificateExpiring' || reason === 'CertificateExpired',
    )
    return words.map(({ field, reason, message }) => ({
      ...{ key, field, reason: `Served${reason}`, effect: 'warn' },
      message: `of what pods serve, ${message}: what the Secret holds is not released`,
    }))
  }

  /** Some pod serves, or may serve in a moment, a revision that names the Secret; not one that is on its way and on no pod yet. */
  isInUse(secret: ObjectKey): boolean {
    if (secret === this.#options.defaultCertificate) return true
    const names = (payload: Payload | null | undefined): boolean =>
      payload != null && 'tls' in payload.value && payload.value.tls.some(tls => tls.secret === secret)
    return [...this.secretReferences.from(secret)].some(ingress =>
      [this.#live.get(ingress), this.#options.released(ingress)].some(
        entry => names(entry?.current) || (entry?.plan.index !== 0 && names(entry?.update)),
      ),
    )
  }

  /**
   * Certificates that this revision of an Ingress needs, that its released one does not, and that are not given to every pod yet, in
   * words; null: there are none.
   */
  lacksCertificates({ key, source, record }: ObjectView, revision: Revision): string | null {
    const contentOf = (of: Revision | null): IngressContent | null => {
      const content = source?.revision === of ? source.content : record?.revisions[of ?? '']?.content
      return content?.kind === 'Ingress' ? content : null
    }
    const [update, stable] = [contentOf(revision), contentOf(record?.current ?? null)]
    if (update === null || revision === ABSENT_REVISION) return null
    const { namespace } = parseObjectKey(key)
    const has = new Set(stable === null ? [] : referencesOf(namespace, stable).secrets)
    const lacking = referencesOf(namespace, update).secrets.filter(secret => !has.has(secret) && !this.#isGiven(secret))
    return lacking.length === 0 ? null : lacking.map(secret => this.#whyNotGiven(secret)).join('; ')
  }

  /** Whatever its ordinal, a pod has a certificate of it. */
  #isGiven(secret: ObjectKey): boolean {
    const entry = this.#options.released(secret)
    return entry !== null && ANY_POD.every(ordinal => assignmentFor(entry, ordinal).payload !== null)
  }

  #whyNotGiven(secret: ObjectKey): string {
    const { namespace, name } = parseObjectKey(secret)
    const what = `Secret ${namespace}/${name}`
    if (!this.#exists(secret)) return `${what} does not exist`
    const refused = (this.#views.get(secret)?.problems ?? []).find(({ effect }) => effect === 'reject')
    return refused === undefined ? `${what} is not with every pod yet` : `${what} cannot be served: ${refused.message}`
  }

  /** Other objects, on every pod, serve every path that is served of this one; none that is on its way out itself. */
  isTakenOver(key: ObjectKey): boolean {
    const onAllPods = (other: ObjectKey): readonly Fragment[] => {
      const entry = this.#live.get(other)
      if (entry === undefined || other === key || this.#gone.has(other)) return []
      const { plan: decided, update, current } = entry
      if (decided.announced === ABSENT_REVISION) return []
      const values = [update ?? current, current].map(one => one?.value)
      return values.filter(value => value !== undefined && 'hosts' in value)
    }
    /** What both revisions of another one have. */
    const both = <T>(
      thing: string,
      of: (fragment: Fragment) => readonly T[],
      same: (a: T, b: T) => boolean,
    ): readonly T[] =>
      [...this.#serving.from(thing)].flatMap(other => {
        const [first = [], second = []] = onAllPods(other).map(of)
        return first.filter(one => second.some(two => same(one, two)))
      })
    const served: Served = {
      paths: host =>
        both<PathFragment>(
          host,
          ({ hosts }) => hosts.filter(one => one.host === host).flatMap(({ paths }) => paths),
          (a, b) => a.type === b.type && a.path === b.path && 'service' in b.backend,
        ),
      hasTls: name =>
        both<string>(
          TLS + name,
          ({ tls }) => tls.flatMap(({ hosts }) => hosts).filter(one => one === name),
          (a, b) => a === b,
        ).length > 0,
    }
    const own = this.#fragmentsOf(key)
    return own.length > 0 && own.every(fragment => isCovered(fragment, served))
  }

  /** A name may have two certificates, of two Secrets of one Ingress: then the other one has had its handshakes. */
  #takesHandshakes(secret: ObjectKey): string | null {
    for (const ingress of this.secretReferences.from(secret)) {
      const claims = (this.#claims.get(ingress) ?? []).map(claim => ({
        ...claim,
        names: [...claim.hosts, ...claim.offered],
      }))
      const own = claims.filter(claim => claim.secret === secret).flatMap(({ names }) => names)
      const rival = claims.find(
        claim =>
          claim.secret !== secret &&
          claim.names.some(name => own.includes(name) && this.#served(claim.secret, name) === true),
      )
      if (rival !== undefined) return `handshakes from the certificate of ${rival.secret}`
    }
    return null
  }

  /**
   * For ACME challenges and nothing else, and never for anything else as far as is known; what there is beside those of one token
   * on hosts that hide no wildcard and no rule for every host from their requests. It takes nothing from an application: no policy
   * governs it.
   */
  #isHarmlessChallenge({ key, content, challenges }: SourceObject, record: ReleaseRecord | null): boolean {
    if (content.kind !== 'Ingress' || !isForChallenges(content)) return false
    if (challenges === undefined && (content.spec.rules ?? []).length === 0) return false
    const known = [record?.current, record?.update].filter(revision => revision !== null && revision !== undefined)
    const always = known.every(revision => {
      const stored = record?.revisions[revision]?.content
      return stored !== null && stored !== undefined && isForChallenges(stored)
    })
    const isServed = (host: string): boolean => [...this.#serving.from(host)].some(other => other !== key)
    const hides = (host: string): boolean => {
      const wildcard = wildcardOf(host)
      return isServed('') || (wildcard !== null && isServed(wildcard))
    }
    return always && !hostsOf(content).some(hides)
  }

  #thingsOf(key: ObjectKey): readonly string[] {
    return this.#fragmentsOf(key).flatMap(({ hosts, tls, defaultTls = [] }) => [
      ...hosts.map(({ host }) => host),
      ...[...tls.flatMap(entry => entry.hosts), ...defaultTls].map(name => TLS + name),
    ])
  }

  /** Of what is live, and of what pods were given last. */
  #fragmentsOf(key: ObjectKey): readonly Fragment[] {
    const entries = [this.#live.get(key), this.#options.released(key)]
    const values = entries.flatMap(entry => [entry?.update?.value, entry?.current?.value])
    return [...new Set(values)].filter(value => value !== undefined && 'hosts' in value)
  }

  /** TLS hosts that Ingresses serve with this Secret, in any revision that is served or on its way. */
  hostsOfSecret(secret: ObjectKey): readonly string[] {
    const hosts = new Set<string>()
    for (const ingress of this.secretReferences.from(secret)) {
      const entry = this.#live.get(ingress)
      for (const p of [entry?.update, entry?.current]) {
        if (p && 'tls' in p.value) {
          for (const tls of p.value.tls) if (tls.secret === secret) for (const host of tls.hosts) hosts.add(host)
        }
      }
    }
    // The name under which names without a certificate of their own are counted.
    if (secret === this.#options.defaultCertificate) hosts.add('')
    return [...hosts]
  }

  #refer(key: ObjectKey, decided: Plan, source: SourceObject | null, record: ReleaseRecord | null): void {
    const secrets = new Set<ObjectKey>()
    const services = new Set<ServiceKey>()
    const contents = new Set<Content>()
    this.#addReleased(key, secrets, services)
    for (const revision of [decided.update, decided.current]) {
      if (revision === null || revision === ABSENT_REVISION) continue
      const content = source?.revision === revision ? source.content : record?.revisions[revision]?.content
      if (content) contents.add(content)
    }
    const { namespace } = parseObjectKey(key)
    const claims: TlsClaim[] = []
    for (const content of contents) {
      if (content.kind !== 'Ingress') continue
      claims.push(...tlsClaims(namespace, content))
      const references = referencesOf(namespace, content)
      for (const s of references.secrets) secrets.add(s)
      for (const s of references.services) services.add(s)
    }
    if (claims.length > 0) this.#claims.set(key, claims)
    else this.#claims.delete(key)
    this.#replaceReferences(key, secrets, services)
  }

  /** The stream was given another state of these Ingresses: what only the old one referred to is not needed any more. */
  touchReferences(keys: Iterable<ObjectKey>): void {
    for (const key of keys) {
      if (!key.startsWith('Ingress/')) continue
      if (isChallengesKey(key)) {
        this.#referChallenges(key)
        continue
      }
      this.#serving.replace(key, this.#thingsOf(key))
      const view = this.#views.get(key)
      if (view?.plan) this.#refer(key, view.plan, view.source, view.record)
      else this.#forget(key)
    }
  }

  #forget(key: ObjectKey): void {
    this.#views.delete(key)
    this.#gone.delete(key)
    this.#ahead.delete(key)
    if (!key.startsWith('Ingress/')) return
    this.#claims.delete(key)
    this.#met.delete(key)
    this.touch(this.#canaries.replace(key, null))
    this.touch(this.#naming.replace(key, []))
    const secrets = new Set<ObjectKey>()
    const services = new Set<ServiceKey>()
    this.#addReleased(key, secrets, services)
    this.#replaceReferences(key, secrets, services)
  }

  #addReleased(key: ObjectKey, secrets: Set<ObjectKey>, services: Set<ServiceKey>): void {
    const entry = this.#options.released(key)
    for (const value of [entry?.update?.value, entry?.current?.value]) {
      if (value === undefined || !('hosts' in value)) continue
      for (const { secret } of value.tls) secrets.add(secret)
      for (const path of routedHosts(value).flatMap(host => host.paths))
        for (const s of servicesOf(path)) services.add(s)
    }
  }

  #replaceReferences(key: ObjectKey, secrets: Iterable<ObjectKey>, services: Iterable<ServiceKey>): void {
    this.touch(this.secretReferences.replace(key, secrets))
    this.#services.refer(key, services)
  }

  /** Content that is served counts as recorded: what comes next, governed or refused or invalid, falls back to it. */
  #withServed(key: ObjectKey, source: SourceObject | null, stored: ReleaseRecord | null): ReleaseRecord | null {
    const ahead = this.#ahead.get(key)
    if (ahead === undefined) return stored
    if (ahead.uid === source?.uid && stored?.governed !== true && !isStored(stored, ahead)) return serve(stored, ahead)
    this.#ahead.delete(key)
    return stored
  }

  #id(kind: ObjectKind, key: ObjectKey, announced: Revision, raw: RawObject | null, chain: string): string {
    if (this.#options.idForm === 'content') return contentId(key, announced)
    if (raw === null) return ''
    const version = raw.metadata.annotations?.[`${this.#options.annotationPrefix}/version`]
    return kind === 'Ingress'
      ? upstreamIngressId(raw.metadata.name, version)
      : upstreamSecretId(raw.metadata.name, version, leafSha1(chain))
  }
}

function servicesOf({ backend }: PathFragment): readonly ServiceKey[] {
  return 'service' in backend ? [backend.service] : []
}

type ByKind = Readonly<Record<ObjectKind, Set<ObjectKey>>>

/** What one run of flush() found, as it grows. */
interface Flushed {
  readonly live: PipelineChange['live'][number][]
  readonly viewed: ObjectKey[]
  readonly unread: ObjectKey[]
}

const KINDS_IN_ORDER: readonly ObjectKind[] = ['Ingress', 'Secret']

function byKind(): ByKind {
  return { Ingress: new Set(), Secret: new Set() }
}

function sizeOf({ Ingress, Secret }: ByKind): number {
  return Ingress.size + Secret.size
}

function kindOf(key: ObjectKey): ObjectKind {
  return key.startsWith('Ingress/') ? 'Ingress' : 'Secret'
}

/** The first pod, and one of an ordinal as high as can be. */
const ANY_POD: readonly number[] = [0, -1]

/** Why a Secret's content is not what is served, where no rollout says so any more. */
const OF_SECRETS: ReadonlySet<Hold['reason']> = new Set(['RevisionRefused', 'UngovernedKept'])
/** Before the name of a certificate among hosts. */
const TLS = 'tls '

/** What policies are chosen by. */
function asksPolicies(source: SourceObject | null): string {
  return source === null ? '' : JSON.stringify([source.className, source.ours, source.labels])
}

function classProblem({ key, className }: SourceObject): Problem {
  const what =
    className === null ? 'no IngressClass is the default one any more' : `IngressClass ${className} does not exist`
  const message = `${what}: what is served stays, and goes when the Ingress names another class`
  return { key, field: 'spec.ingressClassName', reason: 'ClassNotFound', message, effect: 'warn' }
}

function isStored(stored: ReleaseRecord | null, source: SourceObject): boolean {
  return stored !== null && !stored.governed && stored.uid === source.uid && stored.current === source.revision
}

function secretsNamedBy(source: SourceObject | null, record: ReleaseRecord | null): readonly ObjectKey[] {
  const stored = Object.values(record?.revisions ?? {}).map(({ content }) => content)
  const own = source === null || source.revision === ABSENT_REVISION ? null : source.content
  const { namespace } = parseObjectKey(source?.key ?? record?.key ?? '')
  return [own, ...stored].flatMap(content =>
    content?.kind === 'Ingress' ? referencesOf(namespace, content).secrets : [],
  )
}

/** PEM chain of a Secret at a revision; empty for an Ingress. */
function chainOf(source: SourceObject | null, record: ReleaseRecord | null, revision: Revision): string {
  const content = source?.content ?? record?.revisions[revision]?.content
  return content?.kind === 'Secret' ? content.chain : ''
}
