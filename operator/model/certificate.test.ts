import { beforeAll, describe, expect, it, jest } from '@jest/globals'
import { execFile } from 'node:child_process'
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls, { createSecureContext } from 'node:tls'
import { promisify } from 'node:util'
import { Authority, mismatched } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import { certificateCovers, inspectCertificate, leafOf, leafSha1, writtenChain } from './certificate.ts'
import { revisionOf } from './revision.ts'

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
    for (const [leaf, keyType] of [
      [good, 'ECDSA'],
      [rsa, 'RSA'],
    ] as const) {
      expect(inspectCertificate(KEY, { kind: 'Secret', ...leaf }, Date.now())).toEqual({
        problems: [],
        keyType,
        chain: leaf.chain,
        nextDate: Date.parse(new X509Certificate(leaf.chain).validTo) - (30 * DAY + 3_600_000) / 4,
      })
    }
  })

  it('asks OpenSSL once of a certificate and its key, in however many places they are, and again with another key', async () => {
    const leaf = await root.issue({ hosts: ['a.example.com'] })
    const asked = jest.spyOn(tls, 'createSecureContext')
    try {
      for (let i = 0; i < 3; i++) expect(reasons({ ...leaf })).toEqual([])
      expect(asked).toHaveBeenCalledTimes(1)
      expect(reasons({ ...leaf, privateKey: `${leaf.privateKey}\n` })).toEqual([])
      expect(asked).toHaveBeenCalledTimes(2)
      expect(reasons(mismatched(leaf, rsa))).toEqual(['data[tls.key] KeyMismatch reject'])
      expect(reasons(leaf)).toEqual([])
    } finally {
      asked.mockRestore()
    }
  })

  it('refuses what cannot be read', () => {
    expect(reasons({ ...good, chain: '' })).toEqual(['data[tls.crt] CertificateUnreadable reject'])
    expect(reasons({ chain: '', privateKey: '' })).toEqual(['data SecretIncomplete reject'])
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

  it('refuses a chain that another authority meant', async () => {
    const stranger = await Authority.root('Stranger')
    const between = await stranger.intermediate('Between')
    expect(reasons({ ...rsa, chain: rsa.chain + between.pem })).toEqual(['data[tls.crt] ChainBroken reject'])
    expect(reasons({ ...rsa, chain: rsa.chain + stranger.pem + between.pem })).toEqual([
      'data[tls.crt] ChainBroken reject',
    ])
    // Somebody's root alone: the leaf is as good as without it.
    expect(reasons({ ...rsa, chain: rsa.chain + stranger.pem })).toEqual(['data[tls.crt] ChainSuperfluous warn'])
  })

  it('refuses what OpenSSL does not load, with its reason', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-weak-'))
    const openssl = (...args: readonly string[]): Promise<unknown> =>
      promisify(execFile)('openssl', args, { cwd: folder })
    // An authority whose key is of the last century.
    await openssl('req', '-x509', '-newkey', 'rsa:512', '-nodes', '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca')
    await openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=a.b', '-keyout', 'key', '-out', 'csr')
    await openssl('x509', '-req', '-in', 'csr', '-CA', 'ca', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'crt')
    const file = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
    const weak = { chain: (await file('crt')) + (await file('ca')), privateKey: await file('key') }
    await rm(folder, { recursive: true })
    expect(reasons(weak)).toEqual(['data[tls.crt] CertificateRefused reject'])
    const { problems } = inspectCertificate(KEY, { kind: 'Secret', ...weak }, null)
    expect(problems[0]?.message).toBe('OpenSSL refuses to load it: ca key too small')
  })

  it('goes by the clock it is given, and by none for what was released', () => {
    expect(reasons(good, Date.now() + 60 * DAY)).toEqual(['data[tls.crt] CertificateExpired reject'])
    expect(reasons(good, Date.now() - 60 * DAY)).toEqual(['data[tls.crt] CertificateNotYetValid reject'])
    expect(reasons(good, null)).toEqual([])
    expect(reasons(good, Date.now() + 25 * DAY)).toEqual(['data[tls.crt] CertificateExpiring warn'])
  })

  it('says when time alone changes the answer next', async () => {
    const [from, to] = [Date.now() + DAY, Date.now() + 101 * DAY].map(date => Math.floor(date / 1000) * 1000) as [
      number,
      number,
    ]
    const later = await root.issue({ hosts: ['a.b'], notBefore: new Date(from), notAfter: new Date(to) })
    const nextDate = (now: number): number | null => inspectCertificate(KEY, { kind: 'Secret', ...later }, now).nextDate
    expect(nextDate(from - 1)).toBe(from)
    expect(nextDate(from)).toBe(to - 14 * DAY)
    expect(nextDate(to - 14 * DAY)).toBe(to + 1)
    expect(nextDate(to + 1)).toBeNull()
    expect(reasons(later, from - 1)).toEqual(['data[tls.crt] CertificateNotYetValid reject'])
    expect(reasons(later, from)).toEqual([])
    expect(reasons(later, to)).toEqual(['data[tls.crt] CertificateExpiring warn'])
    expect(reasons(later, to + 1)).toEqual(['data[tls.crt] CertificateExpired reject'])
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

describe('the chain that is sent', () => {
  let lower: Leaf
  let blocks: readonly [string, string, string]
  beforeAll(async () => {
    lower = await (await middle.intermediate('Lower')).issue({ hosts: ['a.example.com'] })
    blocks = (lower.chain.match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/g) ?? []) as unknown as typeof blocks
  })
  const written = (chain: string): string | null =>
    writtenChain({ kind: 'Secret', chain, privateKey: lower.privateKey })

  it.each([
    ['without a line break between blocks', (): string => blocks.map(block => block.trimEnd()).join('')],
    ['with CRLF', (): string => lower.chain.replaceAll('\n', '\r\n')],
    ['indented', (): string => lower.chain.replaceAll(/^/gm, '    ')],
    ['in one line per block', (): string => lower.chain.replaceAll(/(?<!-)\n(?!-)/g, '')],
    ['with words around', (): string => `\uFEFFsubject=/CN=x\n${blocks.join('\nBag Attributes: <none>\n')}# end`],
    ['with the key behind', (): string => lower.chain + lower.privateKey],
  ])('%s is written as it should be, of the same revision', (_, mangled) => {
    const chain = mangled()
    expect(chain).not.toBe(lower.chain)
    expect(written(chain)).toBe(lower.chain)
    expect(reasons({ ...lower, chain })).toEqual([])
    const of = (text: string): string => revisionOf({ kind: 'Secret', chain: text, privateKey: '' })
    expect(of(chain)).toBe(of(lower.chain))
  })

  it.each([
    ['the leaf twice', (): string => blocks[0] + lower.chain, 'ChainSuperfluous', 'certificate 2 '],
    ['an intermediate twice', (): string => lower.chain + blocks[1], 'ChainSuperfluous', 'certificate 4 '],
    ['in another order', (): string => blocks[0] + blocks[2] + blocks[1], 'ChainUnordered', 'sent in order'],
  ])('%s: dropped or put in order, with a warning', (_, mangled, reason, words) => {
    const chain = mangled()
    expect(written(chain)).toBe(lower.chain)
    expect(reasons({ ...lower, chain })).toEqual([`data[tls.crt] ${reason} warn`])
    const { problems } = inspectCertificate(KEY, { kind: 'Secret', ...lower, chain }, null)
    expect(problems[0]?.message).toContain(words)
  })

  it('keeps its own root and drops a foreign one', async () => {
    const stranger = await Authority.root('Stranger')
    expect(written(lower.chain + stranger.pem + root.pem)).toBe(lower.chain + root.pem)
    expect(reasons({ ...lower, chain: lower.chain + root.pem })).toEqual([])
    expect(reasons({ ...lower, chain: lower.chain + stranger.pem + root.pem })).toEqual([
      'data[tls.crt] ChainSuperfluous warn',
    ])
  })

  it('has at most as many certificates as anybody may mean', () => {
    expect(reasons({ ...lower, chain: blocks[0].repeat(33) })).toEqual(['data[tls.crt] CertificateUnreadable reject'])
  })

  it('is what OpenSSL takes', () => {
    const text = blocks.map(block => block.trimEnd()).join('')
    expect(() => createSecureContext({ cert: text, key: lower.privateKey })).toThrow()
    expect(() => createSecureContext({ cert: written(text) ?? '', key: lower.privateKey })).not.toThrow()
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

describe('the authority that a client has to know', () => {
  const anchor = (leaf: Leaf): string | null | undefined => leafOf({ kind: 'Secret', ...leaf })?.anchor
  const hosts = ['a.example.com']

  it('is who issued the last certificate that is sent, whichever is in between and whether the root is sent, too', async () => {
    const other = await root.intermediate('Test Intermediate 2')
    const further = await other.intermediate('Test Issuing')
    expect(anchor(good)).toMatch(/^CN=Test Root\n[0-9a-f]{40}$/)
    for (const leaf of [
      await other.issue({ hosts, keyType: 'RSA' }),
      await further.issue({ hosts }),
      await root.issue({ hosts }),
      { ...good, chain: good.chain + root.pem },
    ])
      expect(anchor(leaf)).toBe(anchor(good))
  })

  it('is another one where it has another name, or another key', async () => {
    const renamed = await (await Authority.root('Staging Root')).issue({ hosts })
    const renewed = await (await Authority.root('Test Root')).issue({ hosts })
    expect(new Set([anchor(good), anchor(renamed), anchor(renewed)]).size).toBe(3)
  })

  it('is not known of what signed itself, nor without an identifier of its key', async () => {
    expect(leafOf({ kind: 'Secret', ...good, chain: root.pem })).toMatchObject({ isSelfSigned: true, anchor: null })
    const { chain, privateKey } = await root.issue({ hosts })
    // Another number in the place of 2.5.29.35.
    const der = new X509Certificate(chain).raw.toString('hex').replace('0603551d23', '0603551d7f')
    const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(der, 'hex').toString('base64')}\n-----END CERTIFICATE-----\n`
    expect(leafOf({ kind: 'Secret', privateKey, chain: pem })).toMatchObject({ names: hosts, anchor: null })
  })
})

it('leafSha1 is the SHA-1 of the DER of the leaf alone', () => {
  const { raw } = new X509Certificate(good.chain)
  expect(leafSha1(good.chain)).toBe(createHash('sha1').update(raw).digest('hex'))
  expect(leafSha1('')).toBe('')
})
