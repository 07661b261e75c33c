import { beforeAll, describe, expect, it } from '@jest/globals'
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { Authority, mismatched } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import { certificateCovers, inspectCertificate, leafSha1 } from './certificate.ts'

const KEY = 'Secret/shop/tls'
const DAY = 86_400_000

let root: Authority
let middle: Authority
let good: Leaf
let rsa: Leaf

beforeAll(async () => {
  root = await Authority.root('Test Root')
  middle = await root.intermediate('Test Intermediate')
  good = await middle.issue({ hosts: ['a.example.com', '*.b.example.com'] })
  rsa = await root.issue({ hosts: ['a.example.com'], keyType: 'RSA' })
})

function reasons(leaf: Leaf, now: number | null = Date.now()): string[] {
  return inspectCertificate(KEY, { kind: 'Secret', ...leaf }, now).problems.map(
    p => `${p.field} ${p.reason} ${p.effect}`,
  )
}

describe('inspectCertificate', () => {
  it('has nothing against good ones, of both types', () => {
    expect(inspectCertificate(KEY, { kind: 'Secret', ...good }, Date.now())).toEqual({ problems: [], keyType: 'ECDSA' })
    expect(inspectCertificate(KEY, { kind: 'Secret', ...rsa }, Date.now())).toEqual({ problems: [], keyType: 'RSA' })
  })

  it('refuses what cannot be read', () => {
    expect(reasons({ ...good, chain: '' })).toEqual(['data[tls.crt] CertificateUnreadable reject'])
    expect(reasons({ ...good, chain: '-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n' })).toEqual([
      'data[tls.crt] CertificateUnreadable reject',
    ])
    expect(reasons({ ...good, privateKey: '' })).toEqual(['data[tls.key] KeyUnreadable reject'])
  })

  it('refuses a key of another certificate, and says where it belongs', () => {
    expect(reasons(mismatched(good, rsa))).toEqual(['data[tls.key] KeyMismatch reject'])
    const blocks = good.chain.match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/g) ?? []
    const turned = inspectCertificate(
      KEY,
      { ...good, kind: 'Secret', chain: [...blocks].reverse().join('') },
      Date.now(),
    )
    expect(turned.problems.map(p => p.reason)).toContain('KeyMismatch')
    expect(turned.problems.find(p => p.reason === 'KeyMismatch')?.message).toContain('must be the first')
  })

  it('refuses a chain with a certificate that issued none of the others, warns of another order', async () => {
    const stranger = await Authority.root('Stranger')
    expect(reasons({ ...good, chain: good.chain + stranger.pem })).toEqual(['data[tls.crt] ChainBroken reject'])
    const lower = await (await middle.intermediate('Lower')).issue({ hosts: ['a.example.com'] })
    const [leaf, first, second] = lower.chain.match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/g) ?? []
    expect(reasons({ ...lower, chain: `${leaf}${first}${second}` })).toEqual([])
    expect(reasons({ ...lower, chain: `${leaf}${second}${first}` })).toEqual(['data[tls.crt] ChainUnordered warn'])
  })

  it('goes by the clock it is given, and by none for what was released', () => {
    expect(reasons(good, Date.now() + 60 * DAY)).toEqual(['data[tls.crt] CertificateExpired reject'])
    expect(reasons(good, Date.now() - 60 * DAY)).toEqual(['data[tls.crt] CertificateNotYetValid reject'])
    expect(reasons(good, null)).toEqual([])
  })

  it('refuses keys that clients do not take', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
    expect(reasons({ ...rsa, privateKey: weak })).toContain('data[tls.key] KeyTypeUnsupported reject')
    const odd = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    })
    expect(reasons({ ...good, privateKey: odd })).toContain('data[tls.key] KeyTypeUnsupported reject')
    const ed = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
    expect(reasons({ ...good, privateKey: ed })).toContain('data[tls.key] KeyTypeUnsupported reject')
  })

  it('never quotes a key', () => {
    const secret = good.privateKey.split('\n')[1] ?? ''
    const { problems } = inspectCertificate(
      KEY,
      { kind: 'Secret', ...good, privateKey: good.privateKey.slice(0, 90) },
      0,
    )
    expect(problems.length).toBeGreaterThan(0)
    expect(JSON.stringify(problems)).not.toContain(secret.slice(0, 12))
  })
})

describe('certificateCovers', () => {
  it.each([
    ['a.example.com', true],
    ['A.Example.COM', true],
    ['x.b.example.com', true],
    ['*.b.example.com', true],
    ['x.y.b.example.com', false],
    ['b.example.com', false],
    ['*.example.com', false],
    ['other.example.com', false],
    ['*.a.example.com', false],
  ])('%s: %p', (host, covered) => {
    expect(certificateCovers(good.chain, host)).toBe(covered)
  })

  it('is false for what cannot be read', () => {
    expect(certificateCovers('nothing', 'a.example.com')).toBe(false)
  })
})

it('leafSha1 is the SHA-1 of the DER of the leaf alone', () => {
  const { raw } = new X509Certificate(good.chain)
  expect(leafSha1(good.chain)).toBe(createHash('sha1').update(raw).digest('hex'))
  expect(leafSha1('')).toBe('')
})
