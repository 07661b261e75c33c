import { beforeEach, describe, expect, it } from '@jest/globals'
import { KubeError } from '../kube/errors.ts'
import type { Log } from '../kube/log.ts'
import { FakeApi } from '../kube/testing/fake-api.ts'
import type { FakeClient } from '../kube/testing/fake-api.ts'
import { KeyRing } from '../records/seal.ts'
import { STORE_KEYS_NAME, keysOf, shareStoreKeys } from './store-keys.ts'

const NAMESPACE = 'sluice-system'
const NAME = `${NAMESPACE}/${STORE_KEYS_NAME}`
const keyText = (fill: number): string => Buffer.alloc(32, fill).toString('base64')

let api: FakeApi
let logged: string[]
const log: Log = Object.fromEntries(
  ['debug', 'info', 'warn', 'error'].map(level => [
    level,
    (fields: unknown, message: string): void => void logged.push(`${level} ${message} ${JSON.stringify(fields)}`),
  ]),
) as unknown as Log

const read = (ring: KeyRing, client: Pick<FakeClient, 'find' | 'create'> = api.client()): Promise<boolean> =>
  shareStoreKeys({ client, namespace: NAMESPACE, log, ring, wall: () => new Date('2026-01-02T03:04:05.678Z') })
const held = (): Readonly<Record<string, string>> => api.object('secrets', NAME)?.data ?? {}
const put = (data: Readonly<Record<string, string>>): void => {
  api.put('secrets', { metadata: { namespace: NAMESPACE, name: STORE_KEYS_NAME }, data })
}

beforeEach(() => {
  api = new FakeApi()
  logged = []
})

describe('the keys of the store', () => {
  it('are made once, and every replica has the same', async () => {
    const [a, b] = [new KeyRing(), new KeyRing()]
    expect(await read(a)).toBe(true)
    expect(Object.keys(held())).toEqual(['key-20260102T030405Z'])
    expect(await read(b)).toBe(true)
    expect([await read(a), b.writer?.id]).toEqual([false, a.writer?.id])
    expect(logged.join()).not.toContain(Object.values(held())[0])
  })

  it('are those of the replica that was faster', async () => {
    const ring = new KeyRing()
    const client = api.client()
    await read(ring, {
      ...client,
      create: (resource, object) => {
        if (api.object('secrets', NAME) === null) put({ 'key-1': keyText(1) })
        return client.create(resource, object)
      },
    })
    expect([held(), ring.all.length]).toEqual([{ 'key-1': keyText(1) }, 1])
  })

  it('change when somebody adds one: the last name writes, all read', async () => {
    const ring = new KeyRing()
    put({ 'key-1': keyText(1) })
    await read(ring)
    const first = ring.writer
    put({ 'key-1': keyText(1), 'key-2': keyText(2) })
    expect([await read(ring), ring.writer?.name, ring.find(first?.id ?? '')]).toEqual([true, 'key-2', first])
    put({ 'key-2': keyText(2) })
    expect([await read(ring), ring.find(first?.id ?? '')]).toEqual([false, first])
  })

  it('are written again from memory where the Secret was deleted', async () => {
    const ring = new KeyRing()
    put({ 'key-1': keyText(1), 'key-2': keyText(2) })
    await read(ring)
    api.remove('secrets', NAME)
    expect([await read(ring), held()]).toEqual([false, { 'key-1': keyText(1), 'key-2': keyText(2) }])
    expect(logged.join()).toContain('warn the Secret was gone')
  })

  it('that are none are named and not used; a Secret without any is not replaced', async () => {
    const ring = new KeyRing()
    const wrong = { 'key-2': 'c2hvcnQ=', other: keyText(3) }
    expect(keysOf(wrong)).toEqual({ keys: [], wrong: ['key-2', 'other'] })
    put({ ...wrong, 'key-1': keyText(1) })
    await read(ring)
    expect(ring.writer?.name).toBe('key-1')
    expect(logged.join()).toContain('"entries":["key-2","other"]')
    put(wrong)
    await expect(read(ring)).rejects.toMatchObject({ code: 'SLUICE_AUTHORITY' })
    await expect(read(new KeyRing())).rejects.toThrow('sluice-store-keys holds no key')
    expect([held(), ring.writer?.name]).toEqual([wrong, 'key-1'])
  })

  it('are asked for again when the API server does not answer', async () => {
    api.deny(() => new KubeError('KUBE_UNAVAILABLE', 'away'))
    const ring = new KeyRing()
    await expect(read(ring)).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
    expect(ring.writer).toBeNull()
  })
})
