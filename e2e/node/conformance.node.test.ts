/** What every Ingress controller must do (e2e/conformance/scenarios.ts), asked of every proxy. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import {
  DEFAULT_BACKEND,
  FEATURES,
  INGRESS_CLASS,
  SIDE_BY_SIDE,
  backendsOf,
  ingressOf,
} from '../conformance/scenarios.ts'
import type { Feature, Scenario } from '../conformance/scenarios.ts'
import type { Seen } from '../echo/answers.ts'
import { Authority } from '../pki/pki.ts'
import { ingress, tlsSecret } from './harness/manifests.ts'
import { askTarget } from './harness/proxies.ts'
import type { Answer } from './harness/proxies.ts'
import { Space } from './harness/space.ts'
import { stays, waitFor } from './harness/wait.ts'

const SECRET = 'conformance-tls'
const ISSUER = 'Of the conformance test'
const PODS = 10
const REQUESTS = 100

interface Balanced {
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] } }
}

let space: Space

const nameOf = ({ name }: Feature): string => name.replaceAll(' ', '-')
const apply = (feature: Feature): Promise<void> => {
  const { name: namespace } = space
  const hostOf = (label: string): string => space.host(label)
  return space.kubectl.apply(ingressOf(feature, { namespace, name: nameOf(feature), hostOf, secret: SECRET }))
}
const addressesOf = async (name: string): Promise<readonly string[]> => {
  const object = (await space.object('ingresses', name)) as unknown as Balanced | null
  return (object?.status?.loadBalancer?.ingress ?? []).map(({ ip = '' }) => ip)
}
const addresses = (feature: Feature): Promise<readonly string[]> => addressesOf(nameOf(feature))
const showsAddress = (feature: Feature): Promise<unknown> =>
  waitFor(
    `Ingress ${nameOf(feature)} shows an address`,
    () => addresses(feature),
    shown => shown.length > 0,
  )
const ask = ({ host, path, method = 'GET', scheme = 'http' }: Scenario): Promise<readonly Answer[]> =>
  Promise.all(
    space.proxies.ordinals.map(ordinal => space.proxies.ask(ordinal, { host: space.host(host), path, method, scheme })),
  )

/** Every proxy answers as the scenario says, and the backend saw what the client sent. */
async function check(scenario: Scenario): Promise<void> {
  const { host, path, method = 'GET', scheme = 'http', served } = scenario
  const answers = await ask(scenario)
  const expected = { status: served === null ? 404 : 200, version: served }
  expect(answers.map(({ status, version }) => ({ status, version }))).toEqual(answers.map(() => expected))
  if (served === null) return
  for (const { body, headers, issuer } of answers) {
    const seen = JSON.parse(body) as Seen
    expect(seen).toMatchObject({ method, url: path, protocol: 'HTTP/1.1', headers: { host: space.host(host) } })
    expect(Object.keys(headers)).toEqual(expect.arrayContaining(['content-length', 'content-type', 'date', 'server']))
    expect(issuer).toBe(scheme === 'https' ? ISSUER : null)
  }
}

beforeAll(async () => {
  space = await Space.open('conform')
  const authority = await Authority.root(ISSUER)
  const leaf = await authority.issue({ hosts: [space.host('named')] })
  await space.kubectl.apply(tlsSecret(space.name, SECRET, leaf))
  await space.backends(...backendsOf(FEATURES).map(version => ({ version })), { version: 'many', replicas: PODS })
  for (const feature of SIDE_BY_SIDE) await apply(feature)
  await space.serves(space.host('named'), 'named')
  await space.serves(space.host('exact'), 'exact', 20_000, '/foo')
}, 240_000)
afterAll(() => space.close(), 90_000)

describe.each(SIDE_BY_SIDE.map(feature => ({ feature, name: feature.name })))('$name', ({ feature }) => {
  it.each(feature.scenarios)('$what', check, 30_000)
})

describe('the address of an Ingress', () => {
  it('is there for one of our class, and reaches a proxy', async () => {
    for (const feature of SIDE_BY_SIDE) if (feature !== INGRESS_CLASS) await showsAddress(feature)
    const [address = ''] = await addresses(SIDE_BY_SIDE[0]!)
    const answer = await askTarget({ ordinal: -1, address, port: 80 }, { host: space.host('named') })
    expect(answer).toMatchObject({ status: 200, version: 'named' })
  }, 60_000)

  it('comes when every proxy serves it: whoever follows it meets no 404', async () => {
    for (let n = 0; n < 10; n++) {
      const name = `first-${n}`
      const host = space.host(name)
      await space.cluster.api.create('ingresses', ingress({ namespace: space.name, name, host, to: 'named' }))
      await waitFor(
        `Ingress ${name} shows an address`,
        () => addressesOf(name),
        shown => shown.length > 0,
        { everyMs: 5 },
      )
      expect(await space.proxies.served(host)).toEqual(space.proxies.ordinals.map(() => 'named'))
    }
  }, 120_000)

  it('is not there for one of another class', async () => {
    await stays(
      'no address',
      2_000,
      () => addresses(INGRESS_CLASS),
      shown => shown.length === 0,
    )
  }, 30_000)
})

/** It gets whatever nobody else serves, so it is there for as long as it is asked. */
describe('default backend', () => {
  beforeAll(async () => {
    await apply(DEFAULT_BACKEND)
    await space.serves(space.host('my-host'), 'default')
    await showsAddress(DEFAULT_BACKEND)
  }, 60_000)
  afterAll(async () => {
    await space.kubectl.ok(['delete', 'ingress', nameOf(DEFAULT_BACKEND), '-n', space.name, '--timeout=30s'])
    await space.serves(space.host('my-host'), '404')
  }, 60_000)

  it.each(DEFAULT_BACKEND.scenarios)('$what', check, 30_000)
})

describe('load balancing', () => {
  it(`${REQUESTS} requests reach all of ${PODS} pods`, async () => {
    const host = space.host('many')
    await space.ingress({ name: 'many', host, to: 'many' })
    await space.serves(host, 'many')
    const { ordinals } = space.proxies
    const pods = new Set<string | null>()
    for (let n = 0; n < REQUESTS; n++) {
      const { status, pod } = await space.proxies.ask(ordinals[n % ordinals.length] ?? 0, { host })
      expect(status).toBe(200)
      pods.add(pod)
    }
    expect(pods.size).toBe(PODS)
  }, 90_000)
})
