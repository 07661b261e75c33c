/** Plays one kind: load, change, and everything that is seen until its end. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpLoad } from '../load/http-load.ts'
import type { LoadRecord } from '../load/record.ts'
import { failed } from '../load/record.ts'
import { TlsLoad } from '../load/tls-load.ts'
import type { Cluster } from '../node/harness/cluster.ts'
import { messageOf } from '../node/harness/errors.ts'
import type { Rollouts } from '../node/harness/rollouts.ts'
import { conditionsOf } from '../node/harness/stamps.ts'
import { waitFor } from '../node/harness/wait.ts'
import type { Kind, Place } from './kind.ts'
import { Scene } from './scene.ts'
import type { Seen } from './verdict.ts'

const PER_SECOND = 100
const TLS_PER_SECOND = 30
/** Clients come before the change: the gates know what is usual. */
const WARM_UP_MS = 3_000
/** How long nothing must happen where nothing may. */
const NOTHING_MS = 8_000
/** After the end, to see that nothing is spoilt any more. */
const SETTLE_MS = 3_000
const WITHIN_MS = 90_000
const FIRST_BATCH = 1
const MAX_LOAD_MS = 10 * 60_000

export interface World {
  readonly cluster: Cluster
  readonly rollouts: Rollouts
  readonly fleet: number
}

export async function play(kind: Kind, place: Place, world: World): Promise<Seen> {
  const object = kind.object?.(place) ?? place.name
  const scene = new Scene(place, world.cluster, world.rollouts, object)
  const load = new Load(kind, place, world.cluster)
  const standstill = monitorEventLoopDelay({ resolution: 20 })
  standstill.enable()
  let changedAt = performance.now()
  let broke: string | null = null
  const conditions = new Set<string>()
  const look = setInterval(
    () => void conditionsIn(scene, object).then(all => all.forEach(one => conditions.add(one))),
    1_000,
  )
  let restored: Promise<void> | null = null
  const restore = (): Promise<void> => (restored ??= kind.restore?.(scene) ?? Promise.resolve())
  const timers: NodeJS.Timeout[] = []
  try {
    await sleep(kind.warmUpMs ?? WARM_UP_MS)
    await kind.prepare?.(scene)
    changedAt = performance.now()
    load.begin()
    standstill.reset()
    const manifests = (await kind.change?.(place)) ?? []
    if (manifests.length > 0) await scene.apply(...manifests)
    await kind.act?.(scene)
    await follow(kind, scene, () => {
      const after = kind.restoreAfterMs
      if (after !== undefined) timers.push(setTimeout(() => void restore().catch(() => undefined), after))
    })
    await sleep(kind.settleMs ?? SETTLE_MS)
  } catch (error) {
    broke = messageOf(error)
  }
  const endedAt = performance.now()
  clearInterval(look)
  standstill.disable()
  timers.forEach(clearTimeout)
  await load.stop()
  await restore().catch((error: unknown) => {
    broke ??= `not restored: ${messageOf(error)}`
  })
  return {
    ...{ caught: kind.caught, fleet: world.fleet, firstBatch: FIRST_BATCH, perSecond: load.perSecond },
    ...{ changedAt, endedAt, broke, conditions: [...conditions] },
    clientsBusyMs: standstill.percentile(90) / 1e6,
    records: load.records.filter(record => record.at >= changedAt && record.at <= endedAt),
    harmed: kind.harmed ?? (record => failed(record) || record.version !== 'v1'),
    history: world.rollouts.of(object).filter(event => event.at >= changedAt && event.at <= endedAt),
  }
}

/** Until it ended, or for as long as nothing may happen. */
async function follow(kind: Kind, scene: Scene, out: () => void): Promise<void> {
  const { by } = kind.caught
  if (by === 'refused' || by === 'kept') {
    await sleep(NOTHING_MS)
    return
  }
  const name = await scene.rollouts.next(scene.object)
  if (by === 'waits') {
    await sleep(NOTHING_MS)
    return
  }
  if (kind.meanwhile !== undefined) {
    const reached = (index: number | null | undefined): boolean => index !== null && index !== undefined && index !== 0
    await waitFor('the first batch is out', () => scene.rollouts.last(name)?.index, reached, { everyMs: 20 })
    await kind.meanwhile(scene)
  }
  out()
  const ends = new Set(['RolledBack', 'Complete', 'Held', ...(by === 'withdrawn' ? ['Superseded'] : [])])
  const withinMs = kind.withinMs ?? WITHIN_MS
  // What does not end is no break of the test: the verdict says what it was instead.
  await waitFor(
    'its end',
    () => scene.rollouts.last(scene.rollout)?.phase ?? '',
    phase => ends.has(phase),
    {
      ...{ timeoutMs: withinMs, everyMs: 50 },
    },
  ).catch(() => undefined)
}

/** What is wrong with a Secret stands at the Ingress that names it: nobody writes to Secrets (docs/adr/0026). */
async function conditionsIn({ cluster, place }: Scene, object: string): Promise<readonly string[]> {
  const ingress = object === place.secret ? place.name : object
  const found = await cluster.api.get('ingresses', ingress, place.namespace).catch(() => null)
  return conditionsOf(found?.metadata.annotations).map(({ reason, message }) => `${reason} ${message}`)
}

/** The clients of one kind. */
class Load {
  readonly records: LoadRecord[] = []
  readonly perSecond: number
  readonly #loads: readonly { stop(): Promise<void> }[]

  constructor(kind: Kind, { host, trusted }: Place, { http, https }: Cluster) {
    const perSecond = kind.perSecond ?? PER_SECOND
    const common = {
      ...{ host, path: kind.path ?? '/', timeoutMs: 10_000, maxMs: MAX_LOAD_MS, maxRequests: 1_000_000 },
      onRecord: (record: LoadRecord): void => void this.records.push(record),
    }
    const plain = new HttpLoad({ ...common, targets: http, perSecond, connectionsPerTarget: kind.connections ?? 4 })
    const secure =
      kind.tls === true ? [new TlsLoad({ ...common, targets: https, perSecond: TLS_PER_SECOND, ca: trusted.pem })] : []
    this.perSecond = perSecond + (kind.tls === true ? TLS_PER_SECOND : 0)
    this.#loads = [plain, ...secure]
  }

  /** Forgets what came before the change. */
  begin(): void {
    this.records.length = 0
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loads.map(load => load.stop()))
  }
}
