import tls from 'node:tls'
import { gunzipSync, gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it, jest } from '@jest/globals'
import { Authority, mismatched } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { inspectCertificate } from '../model/certificate.ts'
import type { Proof } from '../model/certificate.ts'
import type { SecretContent } from '../model/types.ts'
import { prove, proven } from './proof.ts'
import { KeyRing, storeKey } from './seal.ts'
import type { Sealed } from './seal.ts'
import { encodeShard } from './shards.ts'

const KEY = storeKey('key-1', Buffer.alloc(32, 1))
const OTHER = storeKey('key-2', Buffer.alloc(32, 2))
const NOW = Date.now()
const PROOF: Proof = { keyType: 'ECDSA', from: 1, to: 2 }

let root: Authority
let good: Leaf
let rsa: Leaf

beforeAll(async () => {
  root = await Authority.root('Test Root')
  good = await root.issue({ hosts: ['a.example.com'] })
  rsa = await root.issue({ hosts: ['a.example.com'], keyType: 'RSA' })
})

const contentOf = (leaf: Leaf): SecretContent => ({ kind: 'Secret', chain: leaf.chain, privateKey: leaf.privateKey })

function record(content: SecretContent): ReleaseRecord {
  return {
    ...{ uid: 'u', key: 'Secret/shop/tls', createdAt: 1, governed: true, byHand: false, seen: null },
    ...{ current: 'r', update: null, index: -1, refused: [], revisions: { r: { hash: 'h', content } } },
  }
}

interface Stored {
  readonly records: readonly { readonly revisions: { r: { hash: string; content: { sealed: Sealed } } } }[]
}
const storedIn = (data: string): Stored =>
  JSON.parse(gunzipSync(Buffer.from(data, 'base64')).toString('utf8')) as Stored
const proofIn = (data: string): Sealed['proof'] => storedIn(data).records[0]?.revisions.r.content.sealed.proof

/** What a process finds that reads this: how often it asks OpenSSL, and whether it would write the proof again. */
async function started(data: string, content: SecretContent, keys = new KeyRing([KEY])) {
  const asked = jest.spyOn(tls, 'createSecureContext')
  try {
    let found: unknown = null
    await jest.isolateModulesAsync(async () => {
      const shards = await import('./shards.ts')
      const certificates = await import('../model/certificate.ts')
      const { records } = shards.decodeShard('sluice-releases-00', data, { keys, recover: () => null })
      const again = shards.encodeShard(records, keys)
      const kept = records?.[0]?.revisions['r']?.content
      const inspections = [content, kept as SecretContent].map(of =>
        certificates.inspectCertificate('Secret/shop/tls', of, NOW),
      )
      found = { inspections, again: proofIn(again), written: proofIn(shards.encodeShard(records, keys)) }
    })
    return {
      asked: asked.mock.calls.length,
      ...(found as { inspections: unknown[]; again: unknown; written: unknown }),
    }
  } finally {
    asked.mockRestore()
  }
}

describe('a proof', () => {
  const content: SecretContent = { kind: 'Secret', chain: 'chain', privateKey: 'key' }
  const proof = prove(KEY, content, PROOF)

  it('holds for what it is of, and says what it said', () => {
    expect(proven(KEY, { ...content }, proof)).toEqual(PROOF)
  })

  it('holds for nothing else', () => {
    expect(proven(null, content, proof)).toBeNull()
    expect(proven(OTHER, content, proof)).toBeNull()
    for (const other of [{ chain: 'chain2' }, { privateKey: 'key2' }, { chain: 'chai', privateKey: 'nkey' }]) {
      expect(proven(KEY, { ...content, ...other }, proof)).toBeNull()
    }
    for (const other of [{ to: 3 }, { from: 0 }, { keyType: 'RSA' as const }, { mac: '' }, { mac: 'AAAA' }]) {
      expect(proven(KEY, content, { ...proof, ...other })).toBeNull()
    }
  })
})

describe('a process that starts', () => {
  it('checks nothing again that was checked when it was stored, and finds what was found', async () => {
    const content = contentOf(good)
    const found = inspectCertificate('Secret/shop/tls', content, NOW)
    const data = encodeShard([record(content)], new KeyRing([KEY]))
    const { asked, inspections, again } = await started(data, contentOf(good))
    expect(asked).toBe(0)
    expect(inspections).toEqual([found, found])
    expect(again).toEqual(proofIn(data))
  })

  it('checks what another one would not have checked like this, and says so when it is stored next', async () => {
    const content = contentOf(good)
    inspectCertificate('Secret/shop/tls', content, NOW)
    const data = encodeShard([record(content)], new KeyRing([KEY]))
    const stored = structuredClone(storedIn(data))
    const changed = (to: Sealed['proof'] | undefined): string => {
      const revisions = stored.records[0]!.revisions
      const { proof: _, ...sealed } = revisions.r.content.sealed
      revisions.r.content.sealed = to === undefined ? sealed : { ...sealed, proof: to }
      return gzipSync(JSON.stringify(stored)).toString('base64')
    }
    for (const bad of [undefined, { ...proofIn(data)!, to: 4_000_000_000_000 }, { ...proofIn(data)!, mac: 'AAAA' }]) {
      const { asked, again, written } = await started(changed(bad), contentOf(good))
      expect([asked, again]).toEqual([1, undefined])
      expect(written).toEqual(proofIn(data))
    }
  })

  it('checks another key for the same certificate', async () => {
    const content = contentOf(good)
    inspectCertificate('Secret/shop/tls', content, NOW)
    const data = encodeShard([record(content)], new KeyRing([KEY]))
    const { inspections } = await started(data, contentOf(mismatched(good, rsa)))
    expect(inspections[0]).toMatchObject({ problems: [{ reason: 'KeyMismatch' }] })
  })

  it('has no proof of what nobody has checked, or of which there is something to say', () => {
    const unchecked = encodeShard([record(contentOf(rsa))], new KeyRing([KEY]))
    expect(proofIn(unchecked)).toBeUndefined()
    const wrong = contentOf(mismatched(good, rsa))
    inspectCertificate('Secret/shop/tls', wrong, NOW)
    expect(proofIn(encodeShard([record(wrong)], new KeyRing([KEY])))).toBeUndefined()
    const untidy = { ...contentOf(good), chain: `# of the shop\n${good.chain}` }
    inspectCertificate('Secret/shop/tls', untidy, NOW)
    expect(proofIn(encodeShard([record(untidy)], new KeyRing([KEY])))).toBeUndefined()
  })
})
