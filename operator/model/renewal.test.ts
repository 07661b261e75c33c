import { beforeAll, describe, expect, it } from '@jest/globals'
import { X509Certificate } from 'node:crypto'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Leaf, LeafOptions } from '../../e2e/pki/pki.ts'
import { leafOf } from './certificate.ts'
import { renewalOf } from './renewal.ts'
import type { Renewal } from './renewal.ts'
import type { SecretContent } from './types.ts'

const DAY = 86_400_000
const NOW = Date.parse('2026-06-01T00:00:00Z')
const HOST = 'shop.example'
const NAMES = [HOST, 'www.shop.example']
let authority: Authority
let middle: Authority
let throwaway: Authority

beforeAll(async () => {
  authority = await Authority.root('Renewals')
  middle = await authority.intermediate('Middle')
  throwaway = await Authority.root('cert-manager.local')
})

const content = ({ chain, privateKey }: Leaf): SecretContent => ({ kind: 'Secret', chain, privateKey })
/** Days before and after now. */
async function made(begun: number, left: number, of: Partial<LeafOptions> = {}, by = middle): Promise<SecretContent> {
  const dates = { notBefore: new Date(NOW - begun * DAY), notAfter: new Date(NOW + left * DAY) }
  return content(await by.issue({ hosts: NAMES, ...dates, ...of }))
}
const of = (served: SecretContent, next: SecretContent, hosts: readonly string[] = NAMES): Renewal | null =>
  renewalOf(served, next, hosts, NOW)

/** Without the identifier of its authority's key: another number in the place of 2.5.29.35. */
function unknown(of: SecretContent): SecretContent {
  const der = new X509Certificate(of.chain).raw.toString('hex').replace('0603551d23', '0603551d7f')
  const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from(der, 'hex').toString('base64')}\n-----END CERTIFICATE-----\n`
  return { ...of, chain: pem }
}

describe('a certificate in the place of another', () => {
  it('that names as much, is of the same kind and ends later speaks for itself', async () => {
    const served = await made(60, 30)
    const next = await made(0, 90)
    expect(of(served, next)).toMatchObject({ useless: null, standing: 'valid' })
    expect(of(served, await made(0, 90, { hosts: [...NAMES, 'more.example'] }))?.standing).toBe('valid')
    expect(of(served, await made(0, 90, { hosts: [HOST, '*.shop.example'] }))?.standing).toBe('valid')
  })

  it('is a change like any other where a client may miss something', async () => {
    const served = await made(60, 30)
    expect(of(served, await made(0, 30))?.standing).toBeNull()
    expect(of(served, await made(0, 90, { hosts: [HOST] }))?.standing).toBeNull()
    expect(of(served, await made(0, 90, { keyType: 'RSA' }))?.standing).toBeNull()
    // The certificates in between were forgotten.
    expect(of(served, await made(0, 90, {}, authority))?.standing).toBeNull()
    expect(of(await made(60, 30, {}, authority), await made(0, 90))?.standing).toBe('valid')
  })

  it('is plain where the same authority vouches for it, by whichever of its intermediates', async () => {
    const served = await made(60, 30)
    expect(of(served, await made(0, 90))).toMatchObject({ standing: 'valid', isPlain: true })
    const second = await authority.intermediate('Middle 2')
    expect(of(served, await made(0, 90, {}, second))).toMatchObject({ standing: 'valid', isPlain: true })
    // What is urgent is plain all the same.
    expect(of(await made(89, 1), await made(0, 90))).toMatchObject({ standing: 'urgent', isPlain: true })
  })

  it('is not plain by another authority, nor where a client may miss something, nor in the place of a placeholder', async () => {
    const served = await made(60, 30)
    const another = await (await Authority.root('Staging')).intermediate('Middle')
    const namesake = await (await Authority.root('Renewals')).intermediate('Middle')
    for (const by of [another, namesake])
      expect(of(served, await made(0, 90, {}, by))).toMatchObject({ standing: 'valid', isPlain: false })
    expect(of(await made(89, 1), await made(0, 90, {}, another))).toMatchObject({ standing: 'urgent', isPlain: false })
    for (const next of [
      await made(0, 30),
      await made(0, 90, { hosts: [HOST] }),
      await made(0, 90, { keyType: 'RSA' }),
      await made(0, 90, {}, authority),
    ])
      expect(of(served, next)).toMatchObject({ standing: null, isPlain: false })
    expect(of(await made(1, 80, {}, throwaway), await made(0, 90))?.isPlain).toBe(false)
    // Of neither is it known who that is.
    const [first, second] = [await made(60, 30, {}, authority), await made(0, 90, {}, authority)]
    expect(of(first, second)?.isPlain).toBe(true)
    expect(of(unknown(first), unknown(second))).toMatchObject({ standing: 'valid', isPlain: false })
    const own = { kind: 'Secret', chain: authority.pem, privateKey: served.privateKey } as const
    expect(of(own, await made(0, 900, { hosts: ['renewals'] }), [])).toMatchObject({
      standing: 'valid',
      isPlain: false,
    })
  })

  it.each([
    ['90 days, 30 left: cert-manager renews', 60, 30, 'valid'],
    ['90 days, more than 7 left', 82, 7.1, 'valid'],
    ['90 days, 7 left', 83, 7, 'urgent'],
    ['6 days, 2 left: cert-manager renews', 4, 2, 'valid'],
    ['6 days, 1 left', 5, 1, 'urgent'],
    ['10 minutes, 3 left: cert-manager renews', 7 / 1440, 3 / 1440, 'valid'],
    ['10 minutes, 1 left', 9 / 1440, 1 / 1440, 'urgent'],
    ['expired', 91, -1, 'urgent'],
  ])('must not wait for the end of a sixth of its life, or of 7 days: %s', async (_what, begun, left, standing) => {
    const found = of(await made(begun, left), await made(0, 90))
    expect([found?.standing, found?.useless === null]).toEqual([standing, left > 0])
  })

  it('that must not wait may name less than the old one, as long as Ingresses lose nothing: that was asked before', async () => {
    expect(of(await made(89, 1), await made(0, 90, { hosts: [HOST] }))?.standing).toBe('urgent')
    expect(of(await made(89, 1), await made(0, 0.5))?.standing).toBeNull()
  })

  it('takes nothing from anybody where no client can use the old one', async () => {
    const next = await made(0, 90)
    expect(of(await made(91, -1), next)).toMatchObject({
      useless: 'the certificate that is served expired on 2026-05-31T00:00:00.000Z',
    })
    expect(of(await made(1, 80, { hosts: ['other.example'] }), next)?.useless).toBe(
      'the certificate that is served names none of its hosts',
    )
    expect(of(await made(1, 80, { hosts: [HOST] }), next)?.useless).toBeNull()
    expect(of(await made(1, 80, { hosts: ['other.example'] }), next, [])?.useless).toBeNull()
    expect(of(await made(1, 80, {}, throwaway), next)?.useless).toContain('temporary one of cert-manager')
  })

  it('is none that nobody vouches for, whatever it names, however urgent', async () => {
    const expired = await made(91, -1)
    expect(of(expired, await made(0, 90, {}, throwaway))).toBeNull()
    // An authority's own certificate: it issued itself.
    const own = { kind: 'Secret', chain: authority.pem, privateKey: expired.privateKey } as const
    expect(leafOf(own)).toMatchObject({ isSelfSigned: true, isAlone: true, names: ['renewals'] })
    expect(of(expired, own)).toBeNull()
    expect(of(own, await made(0, 900), [])?.useless).toBeNull()
    expect(of({ ...own, chain: 'nothing' }, await made(0, 90))).toBeNull()
  })
})
