/**
 * Which Secrets the operator hears of and reads at a real API server, with the permissions of deploy/base, and what it
 * writes at the Ingresses that name them.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { foreignCluster, startApiServer } from '../e2e/apiserver/apiserver.ts'
import type { ApiServer } from '../e2e/apiserver/apiserver.ts'
import { installBase } from '../e2e/deploy/install.ts'
import { Authority } from '../e2e/pki/pki.ts'
import type { Leaf } from '../e2e/pki/pki.ts'
import { shareStoreKeys } from './authority/store-keys.ts'
import { readConfig } from './config.ts'
import type { KubeClient } from './kube/client.ts'
import { connect, loadKubeConfig } from './kube/connect.ts'
import type { Log } from './kube/log.ts'
import type { Secret, SpecObject } from './kube/objects.ts'
import { as, resources } from './kube/resources.ts'
import type { IngressRolloutStatus } from './model/generated/crds.ts'
import { KeyRing } from './records/seal.ts'
import { SluiceOperator } from './sluice.ts'
import { CONDITIONS_ANNOTATION } from './status/object-conditions.ts'

const NAMESPACE = 'shop'
const rollouts = as<SpecObject<unknown, IngressRolloutStatus>>(resources.ingressRollouts)
const describeOwn = foreignCluster ? describe.skip : describe

describeOwn('Secrets at a real API server', () => {
  let server: ApiServer
  let folder: string
  let client: KubeClient
  let operator: SluiceOperator
  let kubeconfig: string
  let good: Leaf
  let authority: Authority
  const keys = new KeyRing()
  const logged: string[] = []
  /** Paths of Secrets that were read one by one. */
  const reads: string[] = []

  async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
    const end = performance.now() + ms
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`)
      await sleep(50)
    }
  }

  const log: Log = Object.fromEntries(
    ['debug', 'info', 'warn', 'error'].map(level => [
      level,
      (fields: unknown, message: string): void => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
    ]),
  ) as unknown as Log

  /** One replica that leads; there is no other. */
  async function begin(): Promise<SluiceOperator> {
    const env = { POD_NAME: 'a', POD_NAMESPACE: 'sluice-system', POD_IP: '127.0.0.1' }
    const config = readConfig({ ...env, DEFAULT_SSL_CERTIFICATE: `${NAMESPACE}/default` })
    const kubeConfig = loadKubeConfig(kubeconfig)
    const real = connect(kubeConfig)
    const own = new Proxy(real, {
      get: (target, name): unknown => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: readonly unknown[]): unknown => {
          const [resource, named] = args as [unknown, { readonly namespace?: string; readonly name?: string }]
          if (name === 'find' && resource === resources.secrets) reads.push(`${named.namespace}/${named.name}`)
          return (value as (...all: readonly unknown[]) => unknown).apply(target, [...args])
        }
      },
    })
    await shareStoreKeys({ client: own, namespace: 'sluice-system', log, ring: keys, wall: () => new Date() })
    reads.length = 0
    const made: SluiceOperator = new SluiceOperator({
      ...{ config, log, kubeConfig, client: own, isLeader: () => true },
      ...{ publish: () => undefined, rolloutEnded: () => undefined, keys, keysWanted: () => undefined },
    })
    await made.start()
    await made.whenReady()
    await made.leader.start()
    return made
  }

  const encode = (text: string): string => Buffer.from(text).toString('base64')
  const put = async (name: string, leaf: Partial<Leaf>, type = 'Opaque'): Promise<unknown> => {
    const data = {
      ...(leaf.chain === undefined ? {} : { 'tls.crt': encode(leaf.chain) }),
      ...(leaf.privateKey === undefined ? {} : { 'tls.key': encode(leaf.privateKey) }),
      password: encode('not for us'),
    }
    const secret: Secret = { metadata: { namespace: NAMESPACE, name }, type, data }
    const found = await client.find(resources.secrets, { namespace: NAMESPACE, name })
    return found === null
      ? client.create(resources.secrets, secret)
      : client.mergePatch(resources.secrets, { namespace: NAMESPACE, name }, { data: { ...data } })
  }
  const web = async (name: string, host: string, secretName: string): Promise<unknown> => {
    const backend = { service: { name: 'web', port: { number: 80 } } }
    const rules = [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }]
    const spec = { ingressClassName: 'sluice', rules, tls: [{ hosts: [host], secretName }] }
    return client.create(resources.ingresses, { metadata: { namespace: NAMESPACE, name }, spec })
  }
  const chainOf = (name: string): string | null => {
    const payload = operator.releases.entry(`Secret/${NAMESPACE}/${name}`, 0)?.payload
    return payload && 'chain' in payload ? payload.chain : null
  }
  const conditions = async (kind: 'ingresses' | 'secrets', name: string): Promise<string> => {
    const { metadata } = await client.get<SpecObject | Secret>(resources[kind], { namespace: NAMESPACE, name })
    return metadata.annotations?.[CONDITIONS_ANNOTATION] ?? ''
  }

  beforeAll(async () => {
    server = await startApiServer()
    folder = await mkdtemp(join(tmpdir(), 'sluice-certificates-'))
    client = connect(loadKubeConfig(server.kubeconfig))
    kubeconfig = await installBase(server, folder)
    await client.create(resources.namespaces, { metadata: { name: NAMESPACE } })
    const ports = [{ port: 80 }]
    await client.create(resources.services, { metadata: { namespace: NAMESPACE, name: 'web' }, spec: { ports } })
    authority = await Authority.root('Root')
    good = await authority.issue({ hosts: ['a.example', 'b.example'] })
    await put('other', good)
    await put('unused', good)
    await web('a', 'a.example', 'other')
    operator = await begin()
  }, 600_000)

  afterAll(async () => {
    await operator.close()
    await client.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('reads one of another type before it gives anything out, and no other', async () => {
    await until('the certificate', () => chainOf('other') === good.chain)
    expect(reads).toEqual([`${NAMESPACE}/other`])
    const held = operator.reflectorStatus().find(({ kind }) => kind === 'PartialObjectMetadata')
    expect(held?.objects).toBeGreaterThanOrEqual(2)
  }, 60_000)

  it('follows what changes in it', async () => {
    const renewed = await authority.issue({ hosts: ['a.example', 'b.example'] })
    await put('other', renewed)
    await until('the renewal', () => chainOf('other') === renewed.chain)
    // Something that no proxy needs.
    await put('unused', renewed)
    await sleep(500)
    expect(new Set(reads)).toEqual(new Set([`${NAMESPACE}/other`]))
  }, 60_000)

  it('says at the Ingress which Secret is missing and what is wrong with it, until it is mended', async () => {
    await web('b', 'b.example', 'not-there')
    await until('the condition', async () => (await conditions('ingresses', 'b')).includes('SecretNotFound'))
    expect(await conditions('ingresses', 'b')).toContain('spec.tls[0].secretName: Secret shop/not-there does not exist')
    await until('the event', async () =>
      (await client.list(resources.events, { namespace: NAMESPACE })).some(
        ({ involvedObject, reason, message }) =>
          involvedObject.name === 'b' && reason === 'SecretNotFound' && message.includes('shop/not-there'),
      ),
    )
    await put('not-there', { chain: good.chain })
    await until('the other condition', async () => (await conditions('ingresses', 'b')).includes('KeyUnreadable'))
    // Nothing is written on a Secret: an event says it.
    await until('the event of the Secret', async () =>
      (await client.list(resources.events, { namespace: NAMESPACE })).some(
        ({ involvedObject, reason }) => involvedObject.name === 'not-there' && reason === 'KeyUnreadable',
      ),
    )
    await put('not-there', good)
    await until('nothing to say', async () => !/Secret|Key/.test(await conditions('ingresses', 'b')))
    expect(await conditions('secrets', 'not-there')).toBe('')
    expect(chainOf('not-there')).toBe(good.chain)
    await client.delete(resources.secrets, { namespace: NAMESPACE, name: 'not-there' })
    await until('missing again', async () => (await conditions('ingresses', 'b')).includes('SecretNotFound'))
  }, 60_000)

  it('gives out the default certificate as one, when it comes', async () => {
    const of = (): unknown => operator.releases.entry(`Secret/${NAMESPACE}/default`, 0)?.payload
    expect(of() ?? null).toBeNull()
    await put('default', good, 'kubernetes.io/tls')
    await until('it', () => chainOf('default') === good.chain)
    expect(of()).toMatchObject({ isDefault: true })
    expect(logged.filter(line => line.includes('default certificate')).map(line => line.split(' ')[0])).toEqual([
      'error',
      'info',
    ])
  }, 60_000)

  it('takes up a certificate when its time comes, without an event', async () => {
    await web('c', 'c.example', 'later')
    const from = new Date(Math.ceil(Date.now() / 1000) * 1000 + 4_000)
    const later = await authority.issue({ hosts: ['c.example'], notBefore: from })
    await put('later', later)
    await until('the condition', async () => (await conditions('ingresses', 'c')).includes('CertificateNotYetValid'))
    expect(chainOf('later')).toBeNull()
    await until('the certificate', () => chainOf('later') === later.chain)
    expect(Date.now()).toBeGreaterThanOrEqual(from.getTime())
    await until('no condition', async () => !(await conditions('ingresses', 'c')).includes('NotYetValid'))
  }, 60_000)

  it('rolls a certificate out, batch by batch to its end, and writes nothing on the Secret', async () => {
    const name = 'governed'
    const first = await authority.issue({ hosts: ['d.example'] })
    const second = await authority.issue({ hosts: ['d.example'] })
    const secret = { namespace: NAMESPACE, name }
    await put(name, first, 'kubernetes.io/tls')
    await web('d', 'd.example', name)
    await until('the first certificate', () => chainOf(name) === first.chain)
    await client.create(resources.ingressRolloutPolicies, {
      metadata: { name: 'certificates' },
      spec: {
        kinds: ['Secret'],
        batches: [{ pods: 1 }, { pods: '100%' }],
        bakeTime: '1s',
        analysis: { successRate: { min: 99 } },
      },
    })
    await until(
      'it is governed',
      () => operator.pipeline.view(`Secret/${NAMESPACE}/${name}`)?.record?.governed === true,
    )
    // How often pods report: docs/adr/0045-a-report-a-second.md.
    const askedEvery = (): number => operator.releases.observe().intervalMs
    expect(askedEvery()).toBe(10_000)
    await put(name, second, 'kubernetes.io/tls')
    const written = await client.get(resources.secrets, secret)
    const mine = async (): Promise<SpecObject<unknown, IngressRolloutStatus> | undefined> =>
      (await client.list(rollouts, { namespace: NAMESPACE })).find(({ metadata }) =>
        metadata.name.startsWith(`sec-${name}-`),
      )
    await until('progress', async () => (await mine())?.status?.phase === 'Progressing')
    expect(chainOf(name)).toBe(first.chain)
    expect(askedEvery()).toBe(1_000)
    // No pod is there that could confirm it.
    const rollout = (await mine())?.metadata.name ?? ''
    await client.mergePatch(rollouts, { namespace: NAMESPACE, name: rollout }, { spec: { promote: true } })
    await until('its end', async () => (await mine())?.status?.phase === 'Complete')
    await until('the second certificate', () => chainOf(name) === second.chain)
    await until('reports at rest', () => askedEvery() === 10_000)
    const { metadata } = await client.get(resources.secrets, secret)
    expect(metadata).toEqual(written.metadata)
    expect(Object.keys(metadata.annotations ?? {})).toEqual([])
  }, 60_000)

  it('was refused nothing, and said nothing of what is in a Secret', () => {
    const text = logged.join('\n')
    expect(text).not.toMatch(/HTTP 40[13]|Forbidden/)
    expect(text).not.toContain('PRIVATE KEY')
    expect(text).not.toContain(encode('not for us'))
    expect(text).not.toContain('malformed')
  })
})
