import { beforeEach, describe, expect, it } from '@jest/globals'
import { FakeApi } from '../kube/testing/fake-api.ts'
import { parseIngress } from '../model/ingress.ts'
import type { SourceObject } from '../model/types.ts'
import { ingress, ingressClass } from '../pipeline/testing.ts'
import { ObjectWriter } from './object-writer.ts'

const NAME = 'shop/web'
let api: FakeApi
let writer: ObjectWriter
let leads: boolean

/** The object as the cache shows it now. */
const seen = (): SourceObject => parseIngress(api.object('ingresses', NAME), { classes: [ingressClass()] })
const annotations = (): Readonly<Record<string, string>> => api.object('ingresses', NAME)?.metadata.annotations ?? {}

beforeEach(() => {
  api = new FakeApi()
  api.put('ingresses', ingress())
  leads = true
  writer = new ObjectWriter({ client: api.client(), mayWrite: () => leads })
})

describe('ObjectWriter', () => {
  it('writes what it is told, and knows that the cache is behind until it shows it', async () => {
    const before = seen()
    expect(writer.stale(before)).toBe(false)
    await writer.patch(before, { annotations: { a: '1' }, finalizers: ['f'] })
    expect(annotations()).toEqual({ a: '1' })
    expect(api.object('ingresses', NAME)?.metadata.finalizers).toEqual(['f'])
    expect(writer.stale(before)).toBe(true)
    expect(writer.stale(seen())).toBe(false)
    // Once it was seen, an old state is not expected any more.
    expect(writer.stale(before)).toBe(false)
  })

  it('writes several times before the cache shows the first', async () => {
    const before = seen()
    await writer.patch(before, { annotations: { a: '1' } })
    const between = seen()
    await writer.patch(before, { annotations: { a: '2' } })
    await writer.patch(before, { annotations: { a: null, b: '3' } })
    expect(annotations()).toEqual({ b: '3' })
    expect([writer.stale(before), writer.stale(between), writer.stale(seen())]).toEqual([true, true, false])
  })

  it('does not overwrite what somebody else wrote meanwhile, at first nor between its own writes', async () => {
    const before = seen()
    api.edit('ingresses', NAME, { metadata: { annotations: { theirs: '1' } } })
    await expect(writer.patch(before, { annotations: { a: '1' } })).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    const now = seen()
    await writer.patch(now, { annotations: { a: '1' } })
    api.edit('ingresses', NAME, { metadata: { annotations: { theirs: '2' } } })
    await expect(writer.patch(now, { annotations: { a: '2' } })).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    expect(annotations()).toEqual({ theirs: '2', a: '1' })
    // What the cache shows in the end is theirs: neither stale nor fenced by the past.
    expect(writer.stale(seen())).toBe(false)
    await writer.patch(seen(), { annotations: { a: '2' } })
    expect(annotations()).toEqual({ theirs: '2', a: '2' })
  })

  it('expects no event of a write that changes nothing', async () => {
    await writer.patch(seen(), { annotations: { a: '1' } })
    const now = seen()
    expect(writer.stale(now)).toBe(false)
    await writer.patch(now, { annotations: { a: '1' } })
    expect(writer.stale(now)).toBe(false)
  })

  it('writes to the very object, not to another of the same name', async () => {
    const before = seen()
    api.remove('ingresses', NAME)
    api.put('ingresses', ingress({ uid: 'another', resourceVersion: before.resourceVersion }))
    const renamed = { ...seen(), uid: before.uid }
    await expect(writer.patch(renamed, { annotations: { a: '1' } })).rejects.toMatchObject({ code: 'KUBE_CONFLICT' })
    expect(annotations()).toEqual({})
  })

  it('writes nothing when it does not lead any more', async () => {
    leads = false
    await expect(writer.patch(seen(), { annotations: { a: '1' } })).rejects.toMatchObject({ name: 'NotLeaderError' })
    expect(api.writes).toBe(0)
  })

  it('forgets an object that is gone', async () => {
    const before = seen()
    await writer.patch(before, { annotations: { a: '1' } })
    writer.forget(before.key)
    expect(writer.stale(before)).toBe(false)
  })
})
