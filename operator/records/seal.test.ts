import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { Authority, mismatched } from '../../e2e/pki/pki.ts'
import type { ReleaseRecord } from '../assign/types.ts'
import { revisionOf } from '../model/revision.ts'
import { secret } from '../pipeline/testing.ts'
import { recoveredKey } from './recover.ts'
import { KeyRing, seal, storeKey, unseal } from './seal.ts'
import type { Owner, Sealed } from './seal.ts'
import { ShardError, decodeShard, encodeShard } from './shards.ts'

const keyOf = (name: string, fill: number) => storeKey(name, Buffer.alloc(32, fill))
const OLD = keyOf('key-1', 1)
const NEW = keyOf('key-2', 2)
const OWNER: Owner = { uid: 'u', revision: 'r', hash: 'h' }
const PEM = '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n'

function record(change: Partial<ReleaseRecord> = {}, privateKey = PEM): ReleaseRecord {
  const content = { kind: 'Secret', chain: 'the chain', privateKey } as const
  return {
    ...{ uid: 'u', key: 'Secret/shop/tls', createdAt: 1, governed: true, byHand: false, seen: null },
    ...{ current: 'r', update: null, index: -1, refused: [], revisions: { r: { hash: 'h', content } } },
    ...change,
  }
}

const textOf = (data: string): string => gunzipSync(Buffer.from(data, 'base64')).toString('utf8')
const packed = (content: object): string => gzipSync(JSON.stringify(content)).toString('base64')
const dataOf = (format: number, ...records: readonly ReleaseRecord[]): string => packed({ format, records })

describe('a sealed text', () => {
  const ring = new KeyRing([OLD])
  const sealed = seal(ring, PEM, OWNER)
  const flip = (base64: string): string => {
    const bytes = Buffer.from(base64, 'base64')
    bytes[0] = (bytes[0] ?? 0) ^ 1
    return bytes.toString('base64')
  }

  it.each<[string, KeyRing, Sealed, Owner, boolean]>([
    ['its owner', ring, sealed, OWNER, true],
    ['its owner, with more keys than that', new KeyRing([NEW, OLD]), sealed, OWNER, true],
    ['another object', ring, sealed, { ...OWNER, uid: 'v' }, false],
    ['another revision', ring, sealed, { ...OWNER, revision: 's' }, false],
    ['another content', ring, sealed, { ...OWNER, hash: 'i' }, false],
    ['whoever has another key', new KeyRing([NEW]), sealed, OWNER, false],
    ['whoever has no key', new KeyRing(), sealed, OWNER, false],
    ['another key of that name', new KeyRing([keyOf('key-1', 9)]), sealed, OWNER, false],
    ['nobody once it was changed', ring, { ...sealed, text: flip(sealed.text) }, OWNER, false],
    ['nobody with another nonce', ring, { ...sealed, nonce: flip(sealed.nonce) }, OWNER, false],
    ['nobody where it is cut', ring, { ...sealed, text: '' }, OWNER, false],
  ])('opens for %s', (_, keys, text, owner, opens) => {
    expect(unseal(keys, text, owner)).toBe(opens ? PEM : null)
  })

  it('differs each time, and is not written without a key', () => {
    expect(seal(ring, PEM, OWNER).nonce).not.toBe(sealed.nonce)
    expect(() => seal(new KeyRing(), PEM, OWNER)).toThrow('no key')
    expect(() => storeKey('key-1', Buffer.alloc(16))).toThrow('32 bytes')
  })
})

describe('a ring of keys', () => {
  it('writes with the newest of the Secret, and reads with all that it ever knew', () => {
    const ring = new KeyRing()
    expect([ring.take([OLD]), ring.writer?.id]).toEqual([true, OLD.id])
    expect([ring.take([NEW, OLD]), ring.writer?.id]).toEqual([true, NEW.id])
    expect(ring.take([OLD, NEW])).toBe(false)
    // Somebody put the old one back: the other still reads.
    expect([ring.take([OLD]), ring.writer?.id, ring.find(NEW.id)?.id]).toEqual([true, OLD.id, NEW.id])
    expect([ring.take([]), ring.writer?.id]).toEqual([true, OLD.id])
  })
})

describe('a shard', () => {
  const ring = new KeyRing([OLD])
  const opening = (keys: KeyRing, recovered: string | null = null) => ({ keys, recover: () => recovered })

  it('holds no private key, and everything else for people to read', () => {
    const text = textOf(encodeShard([record()], ring))
    expect(text).not.toContain('PRIVATE KEY')
    expect(text).not.toContain('privateKey')
    expect(text).toContain('the chain')
    expect(decodeShard('x', encodeShard([record()], ring), opening(ring))).toEqual({
      ...{ records: [record()], isBare: false, sealedWith: new Set([OLD.id]), of: '', split: '' },
    })
  })

  it('is not encrypted anew where nothing changed, but for another owner or with a newer key', () => {
    const keys = new KeyRing([OLD])
    const one = record()
    const first = encodeShard([one], keys)
    expect(encodeShard([one], keys)).toBe(first)
    const again = decodeShard('x', first, opening(keys)).records ?? []
    expect(encodeShard(again, keys)).toBe(first)
    const heir = { ...one, uid: 'v' }
    expect(decodeShard('x', encodeShard([heir], keys), opening(keys)).records).toEqual([heir])
    keys.take([OLD, NEW])
    expect(decodeShard('x', encodeShard([one], keys), opening(new KeyRing([NEW]))).records).toEqual([one])
  })

  it('of an operator from before is read, and to be written again', () => {
    const read = decodeShard('x', dataOf(1, record()), opening(ring))
    expect(read).toEqual({ records: [record()], sealedWith: new Set(), isBare: true, of: '', split: '' })
    const ingress = record({ key: 'Ingress/shop/web', revisions: {} })
    expect(decodeShard('x', dataOf(1, ingress), opening(ring)).isBare).toBe(false)
  })

  it('is not written bare for want of a key, and one without private keys needs none', () => {
    expect(() => encodeShard([record()], new KeyRing())).toThrow('no key')
    const bare = record({ revisions: {} })
    expect(decodeShard('x', encodeShard([bare], new KeyRing()), opening(new KeyRing())).records).toEqual([bare])
  })

  it.each([
    ['without the key', [record()], 'Secret/shop/tls (key '],
    [
      'without the key, of many',
      ['a', 'b', 'c', 'd', 'e'].map(uid => record({ uid, key: `Secret/shop/${uid}` })),
      'and 2 more cannot be decrypted',
    ],
  ])('is unreadable as a whole %s, and says which key is missing and what to do', (_, records, words) => {
    let thrown: unknown
    try {
      decodeShard('sluice-releases-00', encodeShard(records, ring), opening(new KeyRing([NEW])))
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(ShardError)
    expect(thrown).toMatchObject({ secret: 'sluice-releases-00', locked: true })
    const { message } = thrown as ShardError
    for (const word of [words, OLD.id, 'sluice-store-keys']) expect(message).toContain(word)
    expect(message).not.toContain('PRIVATE')
  })

  it('takes the private key from where it came from, and is to be written again', () => {
    const data = encodeShard([record()], ring)
    expect(decodeShard('x', data, opening(new KeyRing([NEW]), PEM))).toEqual({
      ...{ records: [record()], isBare: true, sealedWith: new Set(), of: '', split: '' },
    })
    // A key that is known goes before what anybody else says.
    expect(decodeShard('x', data, opening(ring, 'another')).records).toEqual([record()])
  })

  it.each([
    ['a newer format', dataOf(4)],
    ['no split that it is split by', dataOf(3)],
    ['a split that its format does not know', packed({ format: 2, split: 'x', records: [] })],
    ['neither records nor a split', packed({ format: 2 })],
    ['no gzip', 'bm90IGd6aXA='],
  ])('with %s is unreadable, and no key helps', (_, data) => {
    expect(() => decodeShard('x', data, opening(ring))).toThrow(expect.objectContaining({ locked: false }))
  })
})

describe('a private key that is found again', () => {
  it('is that of the certificate that was recorded, whatever else the Secret holds', async () => {
    const authority = await Authority.root('Root')
    const [one, two] = [await authority.issue({ hosts: ['a.test'] }), await authority.issue({ hosts: ['a.test'] })]
    expect(recoveredKey(secret(one), one.chain)).toBe(one.privateKey)
    expect(recoveredKey(secret(two), one.chain)).toBeNull()
    // Its certificate, with the key of another.
    expect(recoveredKey(secret(mismatched(one, two)), one.chain)).toBeNull()
    expect(recoveredKey(secret({ ...one, privateKey: 'garbage' }), one.chain)).toBeNull()
    expect(recoveredKey(secret(one), 'garbage')).toBeNull()
    expect(recoveredKey({ metadata: {} }, one.chain)).toBeNull()
  })

  it('changes no revision: that is of the content', () => {
    const content = { kind: 'Secret', chain: 'the chain', privateKey: PEM } as const
    const { records } = decodeShard('x', encodeShard([record()], new KeyRing([OLD])), {
      ...{ keys: new KeyRing([OLD]), recover: () => null },
    })
    expect(revisionOf(records![0]!.revisions['r']!.content!)).toBe(revisionOf(content))
  })
})
