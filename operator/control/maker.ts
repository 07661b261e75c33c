/**
 * Makes IngressRollouts. What begins does not wait for it: the record is what a rollout is, its IngressRollout says so to people
 * (docs/adr/0038-made-while-it-begins.md). Where one could not be made the next one is waited for.
 */
import { parseObjectKey } from '../../protocol/ids.ts'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import type { ObjectKey } from '../../protocol/objects.ts'
import type { KubeClient } from '../kube/client.ts'
import type { EventRecorder } from '../kube/events.ts'
import { NotLeaderError, describeError, isKubeError } from '../kube/errors.ts'
import type { SpecObject } from '../kube/objects.ts'
import { as, resources } from '../kube/resources.ts'
import type { IngressRolloutSpec } from '../model/generated/crds.ts'
import { SUPERSEDED_ANNOTATION, isMade } from './rollouts.ts'
import type { Rollout, Rollouts } from './rollouts.ts'
import { saySuperseded } from './superseded.ts'

export interface MakerOptions {
  readonly client: Pick<KubeClient, 'create' | 'get'>
  readonly rollouts: Rollouts
  readonly events: Pick<EventRecorder, 'event'>
  readonly mayWrite: () => boolean
  /** One that nobody waits for could not be made: its object is to be looked at. */
  readonly failed: (object: ObjectKey) => void
}

const rolloutResource = as<SpecObject<IngressRolloutSpec>>(resources.ingressRollouts)
/** Its first batch is out meanwhile. Milliseconds. */
const TIMEOUT_MS = 3_000
/** So many are asked for at once; whatever else begins then waits. */
const MOST = 8

export class Maker {
  readonly #options: MakerOptions
  /** By id. */
  readonly #making = new Map<string, Promise<void>>()
  readonly #failures = new Map<string, Error>()
  /** Namespaces in which the last one could be made, and objects of which it could not. */
  readonly #able = new Set<string>()
  readonly #unable = new Set<ObjectKey>()

  constructor(options: MakerOptions) {
    this.#options = options
  }

  /** A new leader knows nothing of what could be made. */
  start(): void {
    this.#failures.clear()
    this.#able.clear()
    this.#unable.clear()
  }

  /** It may begin before it is made: nothing says that it could not be. */
  mayFollow({ namespace, object }: Pick<Rollout, 'namespace' | 'object'>): boolean {
    return this.#able.has(namespace) && !this.#unable.has(object) && this.#making.size < MOST
  }

  /** Nobody waits: ask `failure`. */
  begin(rollout: Rollout): void {
    if (this.#making.has(rollout.id)) return
    this.make(rollout).catch((error: unknown) => {
      this.#failures.set(rollout.id, error instanceof Error ? error : new Error(describeError(error)))
      this.#options.failed(rollout.object)
    })
  }

  /** Why one that was begun could not be made, until that is forgotten; null: it could, or it is not known yet. */
  failure({ id }: Rollout): Error | null {
    return this.#failures.get(id) ?? null
  }

  forget({ id }: Pick<Rollout, 'id'>): void {
    this.#failures.delete(id)
  }

  /** Resolves when the API server has it, and it is known here. @throws KubeError, NotLeaderError */
  make(rollout: Rollout): Promise<void> {
    const { id } = rollout
    const making = this.#making.get(id) ?? this.#make(rollout).finally(() => this.#making.delete(id))
    this.#making.set(id, making)
    return making
  }

  async #make(rollout: Rollout): Promise<void> {
    const { namespace, name, object } = rollout
    try {
      const made = await this.#create(rollout)
      this.#able.add(namespace)
      this.#unable.delete(object)
      // What the watch brought already is newer; and where it took it away again there is none.
      if (this.#isAwaited(rollout)) this.#options.rollouts.put(made)
    } catch (error) {
      const known = this.#options.rollouts.get(namespace, name)
      // The watch has it: only the answer was lost.
      if (known !== null && known.id === rollout.id && isMade(known)) return
      this.#able.delete(namespace)
      this.#unable.add(object)
      throw error
    }
  }

  /** @returns it as the API server has it */
  async #create(rollout: Rollout): Promise<SpecObject<IngressRolloutSpec>> {
    const { client, mayWrite } = this.#options
    if (!mayWrite()) throw new NotLeaderError('this replica does not lead any more')
    try {
      const made = await client.create(rolloutResource, objectOf(rollout), { timeoutMs: TIMEOUT_MS })
      this.#say({ ...rollout, uid: made.metadata.uid ?? '' })
      return made
    } catch (error) {
      if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error
      // Made by this leader, which did not hear of it, or by the one before.
      const found = await client.get(rolloutResource, rollout)
      if (found.spec?.objectRef.uid !== rollout.spec.objectRef.uid) throw error
      return found
    }
  }

  /** Nothing came of it meanwhile: not the same one that was expected anew after the watch had taken this away. */
  #isAwaited(rollout: Rollout): boolean {
    return this.#options.rollouts.get(rollout.namespace, rollout.name) === rollout
  }

  /** Where whoever changed the object looks: a name that has our hash in it is nothing that one can guess. */
  #say(rollout: Rollout): void {
    const { events } = this.#options
    const { namespace, name } = rollout
    const wait = `kubectl wait -n ${namespace} --for=condition=Ready ingressrollout/${name} --timeout=10m`
    const message = `${name} is made for ${whatOf(rollout)}; ${wait}`
    const about = { ...referenceOf(rollout.object), namespace, uid: rollout.spec.objectRef.uid }
    events.event(about, 'Normal', 'RolloutCreated', message)
    saySuperseded(events, rollout, rollout.supersededBefore)
  }
}

/** What the API server is asked to make. */
function objectOf({ object, namespace, name, spec, owned, supersededBefore }: Rollout): SpecObject<IngressRolloutSpec> {
  return {
    metadata: {
      ...{ name, namespace, labels: { 'app.kubernetes.io/managed-by': 'sluice' } },
      ...(supersededBefore === 0 ? {} : { annotations: { [SUPERSEDED_ANNOTATION]: String(supersededBefore) } }),
      // Without `controller`: an Ingress makes no rollouts. Without blockOwnerDeletion: it needs a right to the
      // finalizers of every Ingress and Secret, and makes a deletion in the foreground wait for what waits for it.
      ...(owned ? { ownerReferences: [{ ...referenceOf(object), uid: spec.objectRef.uid }] } : {}),
    },
    spec,
  }
}

function referenceOf(key: ObjectKey): { readonly apiVersion: string; readonly kind: string; readonly name: string } {
  const { kind, name } = parseObjectKey(key)
  const { apiVersion } = kind === 'Ingress' ? resources.ingresses : resources.secrets
  return { apiVersion, kind, name }
}

function whatOf({ spec, owned }: Rollout): string {
  if (spec.revision !== ABSENT_REVISION) return `revision ${spec.revision}`
  return owned ? 'the change of class' : 'the deletion'
}
