/** A running operator: authority and stream, watches, leader election, admin server; and its orderly end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isIPv6 } from 'node:net'
import { createAdminServer } from './admin/server.ts'
import { everyAddress } from './admin/every-address.ts'
import { createMetrics } from './admin/metrics.ts'
import { ensureAuthority } from './authority/authority.ts'
import { shareStoreKeys } from './authority/store-keys.ts'
import { shareTicketSecrets } from './authority/ticket-secrets.ts'
import { SERVING_DAYS, issueServing } from './authority/certificates.ts'
import type { KeyPair } from './authority/certificates.ts'
import type { Config } from './config.ts'
import { backoffMs } from './kube/backoff.ts'
import { connect, loadKubeConfig } from './kube/connect.ts'
import { describeError } from './kube/errors.ts'
import { LeaderElector } from './kube/leader.ts'
import type { KubeClient } from './kube/client.ts'
import type { Log } from './kube/log.ts'
import { resources } from './kube/resources.ts'
import { countUnknown } from './model/known-fields.ts'
import { KeyRing } from './records/seal.ts'
import { SluiceOperator } from './sluice.ts'
import { STREAM_AUDIENCE, StreamAuth } from './stream/auth.ts'
import { StreamServer } from './stream/server.ts'

export interface RunOptions {
  readonly config: Config
  readonly log: Log
  readonly version: string
}

export interface Running {
  /** Gives leadership back, ends the streams (proxies go to another replica), stops watching. */
  stop(): Promise<void>
}

const RENEW_MS = (SERVING_DAYS / 3) * 86_400_000
/** How often the secrets of session tickets are looked at. */
const TICKETS_MS = 60_000
/** How often the keys of the store are looked at. */
const KEYS_MS = 60_000
const RETRY = { minMs: 500, maxMs: 15_000 }

export async function run({ config, log, version }: RunOptions): Promise<Running> {
  const kubeConfig = loadKubeConfig()
  const client = connect(kubeConfig)
  const authority = await patiently(log, 'the stream authority', () =>
    ensureAuthority(client, config.namespace, Date.now()),
  )
  const keys = new KeyRing()
  const readKeys = (): Promise<boolean> =>
    shareStoreKeys({ client, namespace: config.namespace, log, ring: keys, wall: () => new Date() })
  await patiently(log, 'the keys of the store', readKeys)
  const serving = (): Promise<KeyPair> => issueServing(authority, namesOf(config), Date.now())
  const address = `${isIPv6(config.podAddress) ? `[${config.podAddress}]` : config.podAddress}:${config.streamPort}`
  let leaderAddress: string | null = null

  const metrics = createMetrics({
    leading: () => elector.isLeader(),
    synced: () => operator.ready,
    objects: () => ({
      Ingress: operator.releases.gate('Ingress').released.size,
      Secret: operator.releases.gate('Secret').released.size,
    }),
    gates: () => ({
      Ingress: operator.releases.status('Ingress') === 'consistent',
      Secret: operator.releases.status('Secret') === 'consistent',
    }),
    problems: () => count(operator.pipeline.views(), view => view.problems.length > 0 || view.invalid),
    unreadable: () => operator.store.unreadable.length,
    locked: () => operator.store.locked.length,
    stale: () => operator.store.stale.length,
    governed: () => count(operator.pipeline.views(), view => view.record?.governed === true),
    gone: () => count(operator.pipeline.views(), view => view.source?.gone === true),
    unknownFields: () => countUnknown([...operator.pipeline.views()].map(view => view.source)),
    supersededAgain: () => operator.supersededAgain(),
    open: () => operator.openRollouts(),
    streams: () => stream.connected.length,
    certificateEnds: () => operator.pipeline.certificateEnds(),
    queues: () => operator.leader.queues(),
    events: () => operator.events.status(),
  })
  const operator: SluiceOperator = new SluiceOperator({
    ...{ config, log, kubeConfig, client },
    isLeader: () => elector.isLeader(),
    publish: change => stream.publish(change),
    rolloutEnded: metrics.rolloutEnded,
    keys,
    keysWanted: () => {
      void readKeys().then(
        news => {
          if (news) operator.storeKeysRead()
        },
        (error: unknown) => log.warn({ error: describeError(error) }, 'cannot read the keys of the store; tried again'),
      )
    },
    hooks: { failed: metrics.watchFailed },
  })
  const auth = new StreamAuth({
    review: async token => {
      const spec = { token, audiences: [STREAM_AUDIENCE] }
      return (await client.create(resources.tokenReviews, { spec })).status ?? {}
    },
    findPod: name => operator.fleet.find(name),
    namespace: config.namespace,
    serviceAccount: config.proxyServiceAccount,
    statefulSet: config.fleet,
  })
  const stream = new StreamServer({
    ...{ auth, version, log },
    certificate: await serving(),
    leader: () => leaderAddress,
    isLeader: () => elector.isLeader() && operator.leader.leading,
    onReport: (pod, report) => {
      metrics.reportReceived()
      operator.report(pod, report)
    },
  })
  const elector: LeaderElector = new LeaderElector({
    ...{ client, namespace: config.namespace, identity: config.podName, address, log },
    callbacks: {
      onStartedLeading: () => void operator.whenReady().then(() => lead()),
      onStoppedLeading: () => operator.leader.stop(),
      onLeader: found => {
        leaderAddress = found
        stream.announceLeader()
      },
    },
  })
  const lead = async (): Promise<void> => {
    for (let failures = 1; elector.isLeader(); failures++) {
      try {
        await operator.leader.start()
        return
      } catch (error) {
        log.warn({ error: describeError(error) }, 'could not read the store; tried again')
        await sleep(backoffMs(failures, RETRY))
      }
    }
  }
  const admin = createAdminServer({
    metrics: metrics.registry,
    notReady: () => {
      const [shard] = operator.store.unreadable
      if (operator.ready) return null
      return shard === undefined ? 'not everything is read yet' : `Secret ${shard} of the store cannot be read`
    },
    state: () => ({
      leading: elector.isLeader(),
      leader: leaderAddress,
      watches: operator.reflectorStatus(),
      checksums: operator.releases.checksums,
      gates: { Ingress: operator.releases.status('Ingress'), Secret: operator.releases.status('Secret') },
      streams: stream.connected,
      queues: operator.leader.queues(),
    }),
  })
  await admin.listen({ port: config.adminPort, host: everyAddress() })
  await stream.listen(config.streamPort)
  const ending = new AbortController()
  // Nobody waits for them: without them pods resume their own sessions only.
  void keepTicketSecrets(config, { client, log, stream }, ending.signal).catch(() => undefined)
  void keepStoreKeys(readKeys, { log, operator }, ending.signal).catch(() => undefined)
  await operator.start()
  elector.start()
  const renewal = setInterval(() => {
    serving().then(
      certificate => stream.setCertificate(certificate),
      (error: unknown) => log.error({ error: describeError(error) }, 'no new serving certificate; the old one stays'),
    )
  }, RENEW_MS)
  log.info({ address, namespace: config.namespace, version }, 'running')

  return {
    stop: async () => {
      clearInterval(renewal)
      ending.abort()
      // While nobody else leads: what waits to be stored is not news any more afterwards.
      await operator.store.flush()
      await elector.stop()
      await stream.close()
      await operator.close()
      await admin.close()
      await client.close()
    },
  }
}

/**
 * Tells the pods what session tickets are made from, and looks again every minute: a day begins, somebody deleted the Secret,
 * another replica was faster.
 * @throws only once the signal is aborted
 */
async function keepTicketSecrets(
  { namespace }: Pick<Config, 'namespace'>,
  { client, log, stream }: { readonly client: KubeClient; readonly log: Log; readonly stream: StreamServer },
  signal: AbortSignal,
): Promise<never> {
  const tell = stream.setTicketSecrets.bind(stream)
  const options = { client, namespace, log, wall: () => Date.now(), tell }
  for (;;) {
    await patiently(log, 'the secrets of session tickets', () => shareTicketSecrets(options), signal)
    await sleep(TICKETS_MS, undefined, { signal })
  }
}

/**
 * Looks every minute: somebody adds a key or takes one away, restores the Secret or deletes it; and Secrets may have come
 * that hold what cannot be decrypted.
 * @throws only once the signal is aborted
 */
async function keepStoreKeys(
  read: () => Promise<boolean>,
  { log, operator }: { readonly log: Log; readonly operator: SluiceOperator },
  signal: AbortSignal,
): Promise<never> {
  for (;;) {
    await sleep(KEYS_MS, undefined, { signal })
    const news = await patiently(log, 'the keys of the store', read, signal)
    if (news || operator.store.locked.length > 0) operator.storeKeysRead()
  }
}

/** DNS names by which proxies reach the Service. */
function namesOf({ serviceName, namespace }: Config): readonly string[] {
  const short = `${serviceName}.${namespace}`
  return [`${short}.svc`, `${short}.svc.cluster.local`, short, serviceName]
}

/**
 * Tries until it works: at its start the operator may be there before the API server is.
 * @throws only once the signal is aborted
 */
async function patiently<T>(log: Log, what: string, attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt()
    } catch (error) {
      signal?.throwIfAborted()
      log.warn({ error: describeError(error), failures }, `cannot read or make ${what} yet; tried again`)
      await sleep(backoffMs(failures, RETRY), undefined, signal === undefined ? {} : { signal })
    }
  }
}

function count<T>(items: Iterable<T>, test: (item: T) => boolean): number {
  let sum = 0
  for (const item of items) if (test(item)) sum++
  return sum
}
