import { X509Certificate, createPrivateKey } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { FakeApi } from '../kube/testing/fake-api.ts'
import { ensureAuthority } from './authority.ts'
import { issueServing, newAuthority } from './certificates.ts'

const NOW = Date.parse('2026-06-01T00:00:00Z')
const DAY_MS = 86_400_000
const SYSTEM = 'sluice-system'
const OBJECT = `${SYSTEM}/sluice-stream-ca`

const text = (base64: string | undefined): string => Buffer.from(base64 ?? '', 'base64').toString('utf8')

describe('certificates', () => {
  it('a serving certificate is of its authority, for these names, neither too early nor too long', async () => {
    const authority = await newAuthority(NOW)
    const names = ['sluice-operator.sluice-system.svc', 'sluice-operator']
    const serving = await issueServing(authority, names, NOW)
    const [root, leaf] = [new X509Certificate(authority.cert), new X509Certificate(serving.cert)]
    expect(root.ca && root.checkIssued(root) && root.verify(root.publicKey)).toBe(true)
    expect([leaf.ca, leaf.checkIssued(root), leaf.verify(root.publicKey)]).toEqual([false, true, true])
    expect(leaf.checkPrivateKey(createPrivateKey(serving.key))).toBe(true)
    expect(names.map(name => leaf.checkHost(name))).toEqual(names)
    expect(leaf.checkHost('other')).toBeUndefined()
    expect([NOW - Date.parse(leaf.validFrom), Date.parse(leaf.validTo) - NOW]).toEqual([DAY_MS, 30 * DAY_MS])
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
    const another = new X509Certificate((await issueServing(authority, names, NOW)).cert)
    expect(another.serialNumber).not.toBe(leaf.serialNumber)
  })
})

describe('ensureAuthority', () => {
  it('makes it once; its key is in the Secret alone', async () => {
    const api = new FakeApi()
    const made = await ensureAuthority(api.client(), SYSTEM, NOW)
    const secret = api.object('secrets', OBJECT)
    expect([text(secret?.data?.['ca.crt']), text(secret?.data?.['ca.key'])]).toEqual([made.cert, made.key])
    expect(api.object('configmaps', OBJECT)?.data).toEqual({ 'ca.crt': made.cert })
    expect(await ensureAuthority(api.client(), SYSTEM, NOW + DAY_MS)).toEqual(made)
    expect(api.log).toEqual([
      'create Secret sluice-stream-ca',
      'apply ConfigMap sluice-stream-ca',
      'apply ConfigMap sluice-stream-ca',
    ])
  })

  it('two replicas that begin at once have the same', async () => {
    const api = new FakeApi()
    const [one, two] = await Promise.all([1, 2].map(() => ensureAuthority(api.client(), SYSTEM, NOW)))
    expect(one).toEqual(two)
    expect(api.object('configmaps', OBJECT)?.data).toEqual({ 'ca.crt': one?.cert })
  })

  it('gives the proxies the certificate again when somebody changed it', async () => {
    const api = new FakeApi()
    const { cert } = await ensureAuthority(api.client(), SYSTEM, NOW)
    api.edit('configmaps', OBJECT, { data: { 'ca.crt': 'another' } })
    await ensureAuthority(api.client(), SYSTEM, NOW)
    expect(api.object('configmaps', OBJECT)?.data).toEqual({ 'ca.crt': cert })
  })

  it('says what to do about a Secret that lacks a part, and replaces nothing by itself', async () => {
    const api = new FakeApi()
    await ensureAuthority(api.client(), SYSTEM, NOW)
    api.edit('secrets', OBJECT, { data: { 'ca.key': null } })
    await expect(ensureAuthority(api.client(), SYSTEM, NOW)).rejects.toMatchObject({
      code: 'SLUICE_AUTHORITY',
      message: expect.stringContaining('has no ca.key; delete the Secret'),
    })
  })

  it('is told when the API server is away', async () => {
    const api = new FakeApi()
    api.fail(new Map([[1, 'lost']]))
    await expect(ensureAuthority(api.client(), SYSTEM, NOW)).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
    // The answer was lost, not the Secret: the next try finds it.
    api.fail(new Map([[1, 'unanswered']]))
    await expect(ensureAuthority(api.client(), SYSTEM, NOW)).rejects.toMatchObject({ code: 'KUBE_UNAVAILABLE' })
    const { cert } = await ensureAuthority(api.client(), SYSTEM, NOW)
    expect(text(api.object('secrets', OBJECT)?.data?.['ca.crt'])).toBe(cert)
  })
})
