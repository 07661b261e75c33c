/** Both production samples of upstream reproduce, on the operator's side and through the gate. */
import { describe, expect, it } from '@jest/globals'
import { idsChecksum } from '../../protocol/hash.ts'
import { ChecksumGate } from './gate.ts'
import { upstreamIngressId, upstreamSecretId } from './ids.ts'
import { UPSTREAM_INGRESSES, UPSTREAM_SECRETS } from './upstream.cases.ts'

describe.each([
  ['Ingresses', UPSTREAM_INGRESSES, 265],
  ['Secrets', UPSTREAM_SECRETS, 26],
] as const)('the production sample of %s', (_what, { ids, checksum }, count) => {
  it('has its published checksum, in whatever order the ids come', () => {
    expect(ids).toHaveLength(count)
    expect(idsChecksum(ids)).toBe(checksum)
    expect(idsChecksum([...ids].reverse())).toBe(checksum)
    expect(idsChecksum(ids.slice(1))).not.toBe(checksum)
  })

  it('opens the gate, and no part of it does', () => {
    const gate = new ChecksumGate()
    const all = new Map(ids.map((id, i) => [`key-${i}`, { id }]))
    const [first] = all.keys()
    gate.publish({ checksum })
    expect(gate.record(new Map([...all].slice(1))).status).toBe('mismatch')
    const { status, released } = gate.record(new Map([...all].slice(0, 1)))
    expect(status).toBe('consistent')
    expect(released.size).toBe(count)
    expect(released.has(first ?? '')).toBe(true)
  })
})

it('ids are made of names and versions as upstream makes them', () => {
  expect(UPSTREAM_INGRESSES.ids).toContain(upstreamIngressId('alibaba-dt-com-123992', '1'))
  const sha1 = '8c0483a291c2252a455c95084d98ccc2d0e14ae7'
  expect(UPSTREAM_SECRETS.ids).toContain(upstreamSecretId('alibaba-com-ecc-118', '5792', sha1))
})
