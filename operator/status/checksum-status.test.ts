import { describe, expect, it } from '@jest/globals'
import type { Refusal, Report } from '../../protocol/messages.ts'
import type { FleetPod } from '../fleet/fleet.ts'
import { checksumStatus } from './checksum-status.ts'

const MD5 = 'd41d8cd98f00b204e9800998ecf8427e'

const pod = (ordinal: number, ingress: string | null, refused: readonly Refusal[] = []): FleetPod => ({
  name: `sluice-proxy-${ordinal}`,
  uid: String(ordinal),
  ordinal,
  ready: true,
  reportedAt: 0,
  report:
    ingress === 'silent'
      ? null
      : ({ checksums: { ingress, secret: null }, refused, revisions: {}, hosts: {}, objects: {} } as unknown as Report),
})

const base = {
  kind: 'Ingress' as const,
  published: MD5,
  generation: 3,
  objects: 7,
  replica: 'sluice-operator-a',
  own: null,
  previous: undefined,
  now: '2026-01-01T00:00:00Z',
}

describe('checksumStatus', () => {
  it('says 2/2 when every pod serves what is published', () => {
    const status = checksumStatus({ ...base, pods: [pod(0, MD5), pod(1, MD5)] })
    expect(status).toMatchObject({ objects: 7, pods: { summary: '2/2' }, mismatches: [], observedChecksum: MD5 })
    expect(status.conditions?.[0]).toMatchObject({ type: 'Consistent', status: 'True', observedGeneration: 3 })
  })

  it('names the pod that refused, the object and why', () => {
    const refusal: Refusal = { reason: 'DigestMismatch', object: 'Ingress/shop/web', message: 'not what was compiled' }
    const status = checksumStatus({ ...base, pods: [pod(0, MD5), pod(1, 'old', [refusal])] })
    expect(status.pods).toEqual({ total: 2, consistent: 1, summary: '1/2' })
    expect(status.mismatches).toEqual([
      { source: 'sluice-proxy-1', message: 'DigestMismatch Ingress/shop/web: not what was compiled' },
    ])
    expect(status.conditions?.[0]).toMatchObject({ status: 'False', reason: 'Mismatch' })
  })

  it('names what this replica is missing', () => {
    const own = {
      expected: MD5,
      actual: 'x',
      missing: ['shop/web:r2'],
      unexpected: [],
      message: 'shop/web:r2 is missing',
    }
    const status = checksumStatus({ ...base, pods: [], own })
    expect(status.mismatches?.[0]).toMatchObject({ source: 'sluice-operator-a', missing: ['shop/web:r2'] })
  })

  it('names pods that were not heard of', () => {
    const status = checksumStatus({ ...base, pods: [pod(0, MD5), pod(4, 'silent')] })
    expect(status.conditions?.[0]?.message).toContain('sluice-proxy-4')
    expect(status.conditions?.[0]?.reason).toBe('Converging')
  })

  it('keeps the time of the last transition while nothing changes', () => {
    const first = checksumStatus({ ...base, pods: [pod(0, MD5)] })
    const second = checksumStatus({ ...base, pods: [pod(0, MD5)], previous: first, now: '2026-01-02T00:00:00Z' })
    expect(second.conditions?.[0]?.lastTransitionTime).toBe('2026-01-01T00:00:00Z')
    const third = checksumStatus({ ...base, pods: [pod(0, 'old')], previous: second, now: '2026-01-03T00:00:00Z' })
    expect(third.conditions?.[0]?.lastTransitionTime).toBe('2026-01-03T00:00:00Z')
  })
})
