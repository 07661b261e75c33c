import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { SYSTEM } from './harness/cluster.ts'
import { consistency, everyPodConsistent } from './harness/consistency.ts'
import type { Manifest } from '../echo/manifests.ts'
import { Operators } from './harness/operators.ts'
import { Space } from './harness/space.ts'
import { PREFIX } from './harness/stamps.ts'
import { waitFor } from './harness/wait.ts'

/** As an outside control plane makes it: docs/checksum.md. */
function checkSum(kind: 'Ingress' | 'Secret', namespace: string, ids: readonly string[]): Manifest {
  const sorted = [...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  return {
    apiVersion: 'tengine.taobao.org/v1',
    kind: `${kind}CheckSum`,
    metadata: { name: 'outside', namespace },
    spec: {
      timestamp: new Date().toISOString(),
      checksum: createHash('md5').update(sorted.join(',')).digest('hex'),
      ids: sorted,
    },
  }
}

interface Status {
  readonly objects: number
  readonly observedChecksum: string
  readonly pods: { readonly summary: string }
  readonly mismatches?: readonly {
    readonly source: string
    readonly missing?: readonly string[]
    readonly unexpected?: readonly string[]
    readonly message: string
  }[]
}

const NUMBER = 1_000 + Math.floor(Math.random() * 1_000_000)
const NAME = `web-${NUMBER}`
const id = (version: number): string => `${NUMBER}-${version}`

let space: Space
let host: string
const applyVersion = (version: number, to: string): Promise<void> =>
  space.ingress({ name: NAME, host, to, annotations: { [`${PREFIX}/version`]: String(version) } })
const publish = (...ids: readonly string[]): Promise<void> =>
  space.kubectl.apply(checkSum('Ingress', space.name, ids), checkSum('Secret', space.name, []))
const status = async (): Promise<Status> => (await space.object('ingresschecksums', 'outside'))?.['status'] as Status
const settled = (): Promise<void> => everyPodConsistent(space.cluster)

beforeAll(async () => {
  space = await Space.open('checksum')
  host = space.host()
  await space.backends({ version: 'v1' }, { version: 'v2' })
  await applyVersion(1, 'v1')
  await space.serves(host, 'v1')
}, 180_000)
afterAll(() => space.close(), 90_000)

describe('the published checksum', () => {
  it('is shown by kubectl get ics -A', async () => {
    await settled()
    const table = (await space.kubectl.ok(['get', 'ics', '-A'])).trimEnd().split('\n')
    expect(table[0]).toMatch(/^NAMESPACE +NAME +CHECKSUM +INGRESSES +CONSISTENT +AGE$/)
    expect(table.find(line => line.startsWith(SYSTEM))).toMatch(
      /^sluice-system +sluice +[0-9a-f]{32} +[1-9][0-9]* +5\/5 +[0-9]+[smhd]/,
    )
    expect(await space.kubectl.ok(['get', 'ingresscheckums', '-A'])).toContain('CONSISTENT')
    expect(await space.kubectl.ok(['get', 'scs', '-A'])).toMatch(/sluice-system +sluice +[0-9a-f]{32} +[0-9]+ +5\/5/)
  }, 60_000)

  it('changes with the content, and every pod follows', async () => {
    const before = await consistency(space.cluster)
    await applyVersion(2, 'v2')
    await space.serves(host, 'v2')
    await settled()
    expect((await consistency(space.cluster))?.checksum).not.toBe(before?.checksum)
  }, 60_000)

  it('of somebody else is ignored while the operator publishes', async () => {
    await publish('9-9')
    const said = async (): Promise<readonly string[]> =>
      (await space.events('IngressCheckSum/outside')).map(({ reason, message }) => `${reason} ${message}`)
    expect(await waitFor('an event about it', said, lines => lines.length > 0)).not.toEqual([])
    await applyVersion(3, 'v1')
    await space.serves(host, 'v1')
    await settled()
    await space.kubectl.ok(['delete', 'ics,scs', 'outside', '-n', space.name])
  }, 60_000)
})

describe('a checksum published by an outside control plane', () => {
  let operators: Operators
  beforeAll(async () => {
    operators = new Operators(space.cluster)
    await publish(id(3))
    await operators.configure({ CHECKSUM_MODE: 'external', CHECKSUM_IDS: 'upstream' })
    // The operator may have published once more before it ended: the newest counts.
    await publish(id(3))
  }, 180_000)
  afterAll(async () => {
    await operators.configure({ CHECKSUM_MODE: 'operator', CHECKSUM_IDS: 'content' })
    await space.kubectl.ok(['delete', 'ics,scs', 'outside', '-n', space.name, '--ignore-not-found'])
    await settled()
  }, 180_000)

  it('that is right lets updates through', async () => {
    await waitFor('every pod has the checksum', status, one => one.pods.summary === '5/5', { timeoutMs: 40_000 })
    await publish(id(4))
    await applyVersion(4, 'v2')
    await space.serves(host, 'v2')
  }, 90_000)

  it('that is wrong: updates are refused, the old table serves, and status names the difference', async () => {
    await publish(id(9))
    await applyVersion(5, 'v1')
    await space.keepsServing(host, 'v2', 4_000)
    const named = await waitFor('status names the difference', status, one => (one.mismatches ?? []).length > 0)
    expect(named.mismatches).toContainEqual(expect.objectContaining({ missing: [id(9)], unexpected: [id(5)] }))
    expect(named.pods.summary).toBe('0/5')
    const wide = await space.kubectl.ok(['get', 'ics', '-n', space.name, '-o', 'wide'])
    expect(wide).toMatch(/outside +[0-9a-f]{32} +1 +0\/5/)
  }, 60_000)

  it('meanwhile endpoints follow the pods', async () => {
    const pods = async (): Promise<readonly (string | null)[]> => {
      const answers = await Promise.all(space.proxies.ordinals.map(ordinal => space.proxies.ask(ordinal, { host })))
      return answers.map(({ status: code, pod }) => (code === 200 ? pod : null))
    }
    const [old] = await pods()
    expect(old).toMatch(/^echo-v2-/)
    await space.kubectl.ok(['-n', space.name, 'rollout', 'restart', 'deployment/echo-v2'])
    await space.kubectl.ok(['-n', space.name, 'rollout', 'status', 'deployment/echo-v2', '--timeout=60s'])
    await waitFor('every proxy asks the new pod', pods, got => got.every(pod => pod !== null && pod !== old), {
      timeoutMs: 30_000,
    })
  }, 120_000)

  it('that becomes right: the update applies without another event', async () => {
    await space.keepsServing(host, 'v2', 1_000)
    await publish(id(5))
    await space.serves(host, 'v1')
    const after = await waitFor('every pod is consistent', status, one => one.pods.summary === '5/5')
    expect(after.mismatches ?? []).toEqual([])
  }, 60_000)

  it('that is deleted opens nothing', async () => {
    await space.kubectl.ok(['delete', 'ics', 'outside', '-n', space.name])
    await applyVersion(6, 'v2')
    await space.keepsServing(host, 'v1', 4_000)
    await publish(id(6))
    await space.serves(host, 'v2')
  }, 60_000)
})
