/** What of private keys is in the store at a real API server, and what becomes of it when their key changes or is lost. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { foreignCluster, startApiServer } from '../e2e/apiserver/apiserver.ts'
import type { ApiServer } from '../e2e/apiserver/apiserver.ts'
import { installBase } from '../e2e/deploy/install.ts'
import { Authority } from '../e2e/pki/pki.ts'
import type { Leaf } from '../e2e/pki/pki.ts'
import { STORE_KEYS_NAME, shareStoreKeys } from './authority/store-keys.ts'
import { readConfig } from './config.ts'
import type { KubeClient } from './kube/client.ts'
import { connect, loadKubeConfig } from './kube/connect.ts'
import type { Log } from './kube/log.ts'
import type { Secret } from './kube/objects.ts'
import { resources } from './kube/resources.ts'
import { SHARD_SELECTOR, kubeShardApi } from './records/kube.ts'
import { ROOTS, shardName, shardOf } from './records/paths.ts'
import { KeyRing } from './records/seal.ts'
import { ReleaseStore } from './records/store.ts'
import { record, uidsIn } from './records/testing.ts'
import { SluiceOperator } from './sluice.ts'

const SYSTEM = 'sluice-system'
const KEYS = { namespace: SYSTEM, name: STORE_KEYS_NAME }
const TLS = { namespace: 'shop', name: 'tls' }
const describeOwn = foreignCluster ? describe.skip : describe

describeOwn('the store at a real API server', () => {
  let server: ApiServer
  let folder: string
  let client: KubeClient
  let kubeconfig: string
  let operator: SluiceOperator
  let ring: KeyRing
  let leaves: readonly Leaf[]
  const logged: string[] = []
  const log: Log = Object.fromEntries(
    ['debug', 'info', 'warn', 'error'].map(level => [
      level,
      (fields: unknown, message: string): void => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    ]),
  ) as unknown as Log

  async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
    const end = performance.now() + ms
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
      await sleep(50)
    }
  }

  /** As run.ts does it: the keys first. */
  const readKeys = async (): Promise<void> => {
    const options = { namespace: SYSTEM, log, ring, wall: (): Date => new Date() }
    if (await shareStoreKeys({ ...options, client: operator.client })) operator.storeKeysRead()
  }
  async function begin(): Promise<void> {
    ring = new KeyRing()
    const env = { POD_NAME: 'a', POD_NAMESPACE: SYSTEM, POD_IP: '127.0.0.1' }
    const kubeConfig = loadKubeConfig(kubeconfig)
    operator = new SluiceOperator({
      ...{ config: readConfig(env), log, kubeConfig, client: connect(kubeConfig), isLeader: () => true },
      ...{ publish: () => undefined, rolloutEnded: () => undefined, keys: ring, keysWanted: () => undefined },
    })
    await readKeys()
    await operator.start()
  }
  const lead = async (): Promise<void> => {
    await operator.whenReady()
    await operator.leader.start()
  }
  const shards = async (): Promise<readonly Secret[]> =>
    client.list(resources.secrets, { namespace: SYSTEM, labelSelector: SHARD_SELECTOR })
  const textOf = ({ data = {} }: Secret): string =>
    gunzipSync(Buffer.from(data['records'] ?? '', 'base64')).toString('utf8')
  const texts = async (): Promise<string> => (await shards()).map(textOf).join('\n')
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  const dataOf = (leaf: Leaf): Readonly<Record<string, string>> => ({
    'tls.crt': encode(leaf.chain),
    'tls.key': encode(leaf.privateKey),
  })
  const served = (): string | null => {
    const payload = operator.releases.entry('Secret/shop/tls', 0)?.payload
    return payload && 'chain' in payload ? payload.chain : null
  }
  const stored = (): string => JSON.stringify(operator.store.byKey('Secret/shop/tls'))
  const lineOf = (leaf: Leaf): string => leaf.privateKey.split('\n')[1] ?? ''

  beforeAll(async () => {
    server = await startApiServer()
    folder = await mkdtemp(join(tmpdir(), 'sluice-store-'))
    client = connect(loadKubeConfig(server.kubeconfig))
    kubeconfig = await installBase(server, folder)
    const authority = await Authority.root('Root')
    leaves = [await authority.issue({ hosts: ['a.example'] }), await authority.issue({ hosts: ['a.example'] })]
    await client.create(resources.namespaces, { metadata: { name: 'shop' } })
    const foreign = { namespace: 'shop', name: 'foreign' }
    for (const metadata of [TLS, foreign]) {
      await client.create(resources.secrets, { metadata, type: 'kubernetes.io/tls', data: dataOf(leaves[0]!) })
    }
    const backend = { service: { name: 'web', port: { number: 80 } } }
    const rules = [{ host: 'a.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }]
    const spec = { ingressClassName: 'sluice', rules, tls: [{ hosts: ['a.example'], secretName: 'tls' }] }
    await client.create(resources.ingresses, { metadata: { namespace: 'shop', name: 'web' }, spec })
    await begin()
    await lead()
  }, 600_000)

  afterAll(async () => {
    await operator.close()
    await client.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('holds the certificate that an Ingress names, without its private key, and that of no other Secret', async () => {
    await until('the record', async () => (await texts()).includes('Secret/shop/tls'))
    const all = await texts()
    expect(all).toContain('BEGIN CERTIFICATE')
    expect(all).not.toContain('PRIVATE KEY')
    expect(all).not.toContain(lineOf(leaves[0]!))
    expect(all).not.toContain('Secret/shop/foreign')
    // Not by another way either.
    for (const secret of await client.list(resources.secrets, { namespace: SYSTEM })) {
      if (secret.metadata.name === 'sluice-stream-ca') continue
      const values = Object.values(secret.data ?? {}).map(value => Buffer.from(value, 'base64').toString('latin1'))
      expect([secret.metadata.name, values.join().includes('PRIVATE KEY')]).toEqual([secret.metadata.name, false])
    }
    expect(stored()).toContain('PRIVATE KEY')
  }, 60_000)

  it('is encrypted where an older operator left it as it was', async () => {
    await operator.close()
    const mine = (await shards()).find(secret => textOf(secret).includes('Secret/shop/tls'))!
    const { records } = JSON.parse(textOf(mine)) as { readonly records: readonly object[] }
    const bare = JSON.stringify({ format: 1, records }).replace(/"sealed":\{(?:[^{}]|\{[^{}]*\})*\}/, () => {
      return `"privateKey":${JSON.stringify(leaves[0]!.privateKey)}`
    })
    const name = { namespace: SYSTEM, name: mine.metadata.name }
    await client.mergePatch(resources.secrets, name, { data: { records: gzipSync(bare).toString('base64') } })
    expect(await texts()).toContain('PRIVATE KEY')
    await begin()
    await lead()
    expect(served()).toBe(leaves[0]!.chain)
    await until('it is encrypted', async () => !(await texts()).includes('PRIVATE KEY'))
    expect(operator.store.stale).toEqual([])
  }, 60_000)

  it('is encrypted with a key that somebody adds, and read without the old one', async () => {
    const first = ring.writer
    expect(await texts()).toContain(first?.id)
    await client.mergePatch(resources.secrets, KEYS, { data: { 'key-9': Buffer.alloc(32, 9).toString('base64') } })
    await readKeys()
    expect(ring.writer?.name).toBe('key-9')
    await until('the new key everywhere', async () => !(await texts()).includes(first?.id ?? ''))
    expect(operator.store.stale).toEqual([])
    await client.mergePatch(resources.secrets, KEYS, { data: { [first?.name ?? '']: null } })
    await operator.close()
    await begin()
    await lead()
    expect([ring.all.length, served(), stored().includes('PRIVATE KEY')]).toEqual([1, leaves[0]!.chain, true])
  }, 60_000)

  it('is read again where the key is lost and the Secret has what was recorded', async () => {
    await operator.close()
    await client.delete(resources.secrets, KEYS)
    await begin()
    await lead()
    expect([served(), stored().includes('PRIVATE KEY')]).toEqual([leaves[0]!.chain, true])
    await until('the key that was made', async () => (await texts()).includes(ring.writer?.id ?? ''))
  }, 60_000)

  it('is not taken for empty where nothing has it: nothing is given out until the key is back', async () => {
    await operator.close()
    const { data = {} } = await client.get(resources.secrets, KEYS)
    await client.delete(resources.secrets, KEYS)
    await client.mergePatch(resources.secrets, TLS, { data: { ...dataOf(leaves[1]!) } })
    const before = await texts()
    await begin()
    await until('it is said', () => logged.some(line => line.startsWith('error') && line.includes(STORE_KEYS_NAME)))
    await until('the event', async () =>
      (await client.list(resources.events, { namespace: SYSTEM })).some(
        ({ reason, message }) => reason === 'StoreUnreadable' && message.includes('Secret/shop/tls'),
      ),
    )
    await sleep(2_000)
    expect([operator.ready, operator.store.unreadable.length, operator.store.locked.length]).toEqual([false, 1, 1])
    await expect(operator.leader.start()).rejects.toMatchObject({ code: 'SLUICE_SHARD' })
    expect(await texts()).toBe(before)
    await client.mergePatch(resources.secrets, KEYS, { data: { ...data } })
    await readKeys()
    await lead()
    expect(operator.store.locked).toEqual([])
    // Nobody governs it: what it holds by now is served.
    await until('the new certificate', () => served() === leaves[1]!.chain)
    await until('the new certificate is recorded', () =>
      stored().includes(JSON.stringify(leaves[1]!.chain).slice(1, -1)),
    )
    expect(await texts()).not.toContain('PRIVATE KEY')
  }, 60_000)

  it('is split where it grows, with the rights of the operator, and does not need the parent to be read', async () => {
    await operator.close()
    const { uid = '' } = (await client.get(resources.secrets, TLS)).metadata
    const root = shardOf(uid)
    const own = connect(loadKubeConfig(kubeconfig))
    const hooks = { mayWrite: () => true, keys: ring, recover: () => null }
    const store = new ReleaseStore(
      kubeShardApi(own, SYSTEM),
      { ...hooks, changed: () => undefined, unreadable: () => undefined },
      { records: 2, length: 96 * 1024 },
    )
    await store.load()
    for (const one of uidsIn(root, 4)) await store.put({ ...record(one), governed: false })
    await store.complete()
    await own.close()
    expect(store.shards).toBeGreaterThan(ROOTS)
    const parent = { namespace: SYSTEM, name: shardName(root) }
    const split = textOf(await client.get(resources.secrets, parent))
    expect(JSON.parse(split)).toEqual({ format: 3, split: expect.any(String) })
    await begin()
    await lead()
    expect([served(), operator.store.shards]).toEqual([leaves[1]!.chain, store.shards])
    expect(stored()).toContain('PRIVATE KEY')
    await operator.close()
    await client.delete(resources.secrets, parent)
    await begin()
    await lead()
    expect([served(), operator.store.isLost(uid), operator.store.isMissing]).toEqual([leaves[1]!.chain, false, false])
    expect(stored()).toContain('PRIVATE KEY')
    expect(textOf(await client.get(resources.secrets, parent))).toBe(split)
  }, 60_000)

  it('is said of without a key, and refused nothing', () => {
    const text = logged.join('\n')
    expect(text).not.toMatch(/HTTP 40[13]|Forbidden/)
    expect(text).not.toContain('PRIVATE KEY')
    for (const { bytes } of ring.all) expect(text).not.toContain(bytes.toString('base64'))
  })
})
