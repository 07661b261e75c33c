/** What becomes of the Secrets that Ingresses name: which count, what is sent of them, what is said of them and where. And how a solver's Ingress gets one. */
import { beforeAll, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import type { Leaf } from '../../e2e/pki/pki.ts'
import { adopt, advance, begin, serve } from '../assign/records.ts'
import { Replica, TLS, WEB, ingress, object, policy, secret } from './testing.ts'
import type { Raw } from './testing.ts'

const DAY = 86_400_000
const HOST = 'shop.example'
let root: Authority
let middle: Authority
let good: Leaf
let renewed: Leaf

beforeAll(async () => {
  root = await Authority.root('Root')
  middle = await root.intermediate('Middle')
  good = await middle.issue({ hosts: [HOST, 'also.example'] })
  renewed = await middle.issue({ hosts: [HOST, 'also.example'] })
})

const web = (): Raw => ingress({ tls: ['tls'] })
const opaque = (leaf: Leaf, change: Parameters<typeof secret>[1] = {}): Raw =>
  secret(leaf, { type: 'Opaque', uid: 'opaque', ...change })
const chainOf = (replica: Replica, key = TLS): string | null => {
  const payload = replica.releases.entry(key, 0)?.payload
  return payload && 'chain' in payload ? payload.chain : null
}
const said = (replica: Replica, key = WEB): readonly string[] =>
  replica.view(key).problems.map(({ field, reason, effect }) => `${field} ${reason} ${effect}`)
const tlsOf = (replica: Replica, key = WEB): unknown => {
  const payload = replica.releases.entry(key, 0)?.payload
  return payload && 'tls' in payload ? payload.tls : null
}
/** An Ingress with these hosts in its rules, and these entries of tls. */
const withTls = (hosts: readonly string[], tls: readonly object[], name = 'web'): Raw => {
  const backend = { service: { name: 'web', port: { number: 80 } } }
  const rules = hosts.map(host => ({ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }))
  return object('Ingress', name, { name }, { spec: { ingressClassName: 'sluice', rules, tls } })
}
const missing = 'spec.rules[0].http.paths[0].backend.service ServiceNotFound warn'
const notFound = 'spec.tls[0].secretName SecretNotFound warn'

describe('what is sent', () => {
  it('is written anew from the certificates that were read: a renewal without line breaks between them', () => {
    const replica = new Replica().put(web(), secret(good)).publish()
    expect(chainOf(replica)).toBe(good.chain)
    const glued = renewed.chain.replaceAll('-----\n-----', '----------')
    expect(glued).not.toBe(renewed.chain)
    replica.put(secret({ ...renewed, chain: glued })).publish()
    expect(chainOf(replica)).toBe(renewed.chain)
    const { revision } = replica.source(TLS)
    // Whoever mends the text changes nothing that is served: no other revision, no rollout.
    replica.put(secret(renewed)).publish()
    expect(replica.source(TLS).revision).toBe(revision)
  })

  it('leaves out what stands there twice and what is of no use, and says so at the Secret', async () => {
    const foreign = (await Authority.root('Foreign')).pem
    const leaf = good.chain.slice(0, good.chain.indexOf('-----END') + 26)
    for (const chain of [leaf + good.chain, good.chain + foreign]) {
      const replica = new Replica().put(web(), secret({ ...good, chain })).publish()
      expect(chainOf(replica)).toBe(good.chain)
      expect(said(replica, TLS)).toEqual(['data[tls.crt] ChainSuperfluous warn'])
      expect(said(replica)).toEqual([missing, 'spec.tls[0].secretName ChainSuperfluous warn'])
    }
  })
})

describe('a Secret of another type', () => {
  it('is served like any other, and read only when something that is served refers to it', () => {
    const replica = new Replica().put(opaque(good), opaque(good, { name: 'helm' })).publish()
    expect(replica.asked).toEqual([])
    expect(replica.caches.secrets.size).toBe(0)
    replica.put(web()).publish()
    expect(replica.asked).toEqual([TLS])
    expect(chainOf(replica)).toBe(good.chain)
    expect(said(replica)).toEqual([missing])
    replica.put(opaque(renewed, { resourceVersion: '2' })).publish()
    expect(chainOf(replica)).toBe(renewed.chain)
    // Not needed any more, it is not kept longer than to its next event.
    replica.put(ingress()).publish()
    expect(chainOf(replica)).toBeNull()
    replica.put(opaque(renewed, { resourceVersion: '3' })).publish()
    expect([...replica.caches.secrets.keys()]).toEqual([])
    expect(replica.asked).toEqual([TLS, TLS])
  })

  it('is not taken for missing, nor for what it was, while nobody has read it', () => {
    const replica = new Replica().put(web(), opaque(good)).publish()
    replica.answers = false
    replica.put(opaque(renewed, { resourceVersion: '2' })).publish()
    expect(chainOf(replica)).toBe(good.chain)
    const started = new Replica()
    started.answers = false
    started.put(web(), opaque(good)).turn()
    expect(said(started)).toEqual([missing])
    started.answers = true
    started.put(opaque(good)).publish()
    expect(chainOf(started)).toBe(good.chain)
  })

  it.each([
    ['deleted, then made', ['old gone', 'new']],
    ['made, then deleted', ['new', 'old gone']],
  ] as const)('takes over from one of the usual type, and back (heard as: %s)', (_, order) => {
    const usual = secret(good, { uid: 'usual', resourceVersion: '5' })
    const other = opaque(renewed, { resourceVersion: '10' })
    const there = new Replica().put(web(), usual).publish()
    for (const what of order) {
      if (what === 'new') there.put(other).publish()
      else there.drop(usual).publish()
    }
    expect(chainOf(there)).toBe(renewed.chain)
    const back = secret(good, { uid: 'usual again', resourceVersion: '11' })
    for (const what of order) {
      if (what === 'new') there.put(back).publish()
      else there.drop(other).publish()
    }
    expect(chainOf(there)).toBe(good.chain)
    expect(there.caches.isUnread(TLS)).toBe(false)
  })
})

describe('an Ingress says of its Secrets', () => {
  it('that one does not exist, until it does', () => {
    for (const made of [secret(good), opaque(good)]) {
      const replica = new Replica().put(web()).publish()
      expect(said(replica)).toEqual([missing, notFound])
      expect(replica.view(WEB).problems[1]?.message).toBe(
        'Secret shop/tls does not exist: the default certificate is served instead',
      )
      replica.put(made).publish()
      expect(said(replica)).toEqual([missing])
      replica.drop(made).publish()
      expect(said(replica)).toEqual([missing, notFound])
    }
  })

  it('that its last good one outlives it', () => {
    const replica = new Replica().put(web(), secret(good)).publish()
    replica.store(serve(null, replica.source(TLS))).publish()
    replica.drop(secret(good)).publish()
    expect(replica.view(WEB).problems[1]?.message).toContain('its last good certificate is served')
    expect(chainOf(replica)).toBe(good.chain)
  })

  it.each([
    ['no keys', (): Leaf => ({ chain: '', privateKey: '' }), 'SecretIncomplete'],
    ['nonsense', (): Leaf => ({ chain: 'x', privateKey: 'y' }), 'CertificateUnreadable'],
    ['a foreign key', (): Leaf => ({ ...good, privateKey: renewed.privateKey }), 'KeyMismatch'],
  ])('why it is not served: %s', (_, make, reason) => {
    for (const kind of [secret, opaque]) {
      const replica = new Replica().put(web(), kind(make())).publish()
      expect(said(replica)).toEqual([missing, `spec.tls[0].secretName ${reason} warn`])
      expect(replica.view(WEB).problems[1]?.message).toContain('Secret shop/tls (data')
      expect(chainOf(replica)).toBeNull()
      replica.put(kind(good, { resourceVersion: '2' })).publish()
      expect(said(replica)).toEqual([missing])
      expect(chainOf(replica)).toBe(good.chain)
      // What comes later and is no good replaces nothing.
      replica.put(kind(make(), { resourceVersion: '3' })).publish()
      expect(said(replica)).toEqual([missing, `spec.tls[0].secretName ${reason} warn`])
      expect(chainOf(replica)).toBe(good.chain)
      expect(JSON.stringify(replica.view(WEB).problems)).not.toContain('PRIVATE')
    }
  })
})

describe('dates', () => {
  it('of the future are waited for: the last good certificate until then, and no event is needed', async () => {
    const from = Math.floor((Date.now() + DAY) / 1000) * 1000
    const later = await middle.issue({ hosts: [HOST], notBefore: new Date(from), notAfter: new Date(from + 90 * DAY) })
    for (const first of [null, good]) {
      const replica = new Replica().put(web())
      if (first !== null) replica.put(secret(first))
      replica.publish().put(secret(later)).publish()
      expect(chainOf(replica)).toBe(first?.chain ?? null)
      expect(said(replica)).toContain('spec.tls[0].secretName CertificateNotYetValid warn')
      expect(said(replica, TLS)).toEqual(['data[tls.crt] CertificateNotYetValid reject'])
      expect(replica.pipeline.nextDate).toBe(from)
      replica.wall = from - 1
      replica.pipeline.touchDue()
      expect(replica.pipeline.idle).toBe(true)
      replica.wall = from
      replica.pipeline.touchDue()
      replica.publish()
      expect(chainOf(replica)).toBe(later.chain)
      expect([...said(replica), ...said(replica, TLS)]).toEqual([missing])
      expect(replica.pipeline.nextDate).toBe(from + 76 * DAY)
    }
  })

  it('of the end are told when they are near, and when they are there; it goes on being served', () => {
    const replica = new Replica().put(web(), secret(good)).publish()
    const due: string[] = []
    for (let next = replica.pipeline.nextDate; next !== null; next = replica.pipeline.nextDate) {
      replica.wall = next
      replica.pipeline.touchDue()
      replica.publish()
      due.push(...said(replica, TLS))
      expect(chainOf(replica)).toBe(good.chain)
    }
    expect(due).toEqual(['data[tls.crt] CertificateExpiring warn', 'data[tls.crt] CertificateExpired reject'])
    expect(said(replica)).toContain('spec.tls[0].secretName CertificateExpired warn')
    expect(replica.view(WEB).problems[1]?.message).toContain('its last good certificate is served')
  })

  it('are those of needed Secrets alone', () => {
    const replica = new Replica().put(secret(good)).publish()
    expect(replica.pipeline.nextDate).toBeNull()
    replica.put(web()).publish()
    expect(replica.pipeline.nextDate).not.toBeNull()
    replica.put(ingress()).publish()
    expect(replica.pipeline.nextDate).toBeNull()
  })
})

describe('which hosts have the certificate', () => {
  const entry = (...hosts: readonly string[]): object => ({ hosts, secretName: 'tls' })

  it('all of the rules, for an entry without hosts', () => {
    const replica = new Replica().put(withTls([HOST, 'also.example'], [{ secretName: 'tls' }]), secret(good)).publish()
    expect(tlsOf(replica)).toEqual([{ hosts: [HOST, 'also.example'], secret: TLS }])
  })

  it('one of the rules that the certificate names and tls.hosts does not', async () => {
    const replica = new Replica().put(withTls([HOST, 'also.example', 'not.example'], [entry(HOST)])).publish()
    expect(tlsOf(replica)).toEqual([{ hosts: [HOST], secret: TLS }])
    replica.put(secret(good)).publish()
    expect(tlsOf(replica)).toEqual([{ hosts: [HOST, 'also.example'], secret: TLS }])
    expect(said(replica).filter(text => text.includes('tls'))).toEqual([])
    // Once served it is not taken away by a renewal that forgets it.
    replica.put(secret(await root.issue({ hosts: [HOST] }))).publish()
    expect(said(replica, TLS)).toEqual(['data[tls.crt] HostNotCovered reject'])
    expect(chainOf(replica)).toBe(good.chain)
    replica.put(secret(await root.issue({ hosts: [HOST, 'also.example', 'not.example'] }))).publish()
    expect(tlsOf(replica)).toEqual([{ hosts: [HOST, 'also.example', 'not.example'], secret: TLS }])
  })

  it('not one that the certificate does not name: the default one, and the Ingress says so', () => {
    const replica = new Replica().put(withTls([HOST, 'not.example'], [entry(HOST, 'not.example')]), secret(good))
    replica.publish()
    expect(tlsOf(replica)).toEqual([{ hosts: [HOST], secret: TLS }])
    expect(said(replica)).toContain('spec.tls[0].secretName HostNotCovered warn')
    expect(replica.view(WEB).problems.at(-1)?.message).toBe(
      'Secret shop/tls holds a certificate that does not name not.example: the default certificate is served there',
    )
    // It stays so, whatever is looked at again.
    replica.pipeline.touchAll()
    replica.publish()
    expect(tlsOf(replica)).toEqual([{ hosts: [HOST], secret: TLS }])
    expect(said(replica, TLS)).toEqual(['data[tls.crt] HostNotCovered warn'])
  })

  it('none, of a certificate for others', async () => {
    const other = await root.issue({ hosts: ['other.example'] })
    const replica = new Replica().put(web(), secret(other)).publish()
    expect(chainOf(replica)).toBeNull()
    expect(said(replica)).toEqual([missing, 'spec.tls[0].secretName HostNotCovered warn'])
  })

  it('the same at two replicas that heard of everything in another order', () => {
    const objects = [withTls([HOST, 'also.example', 'not.example'], [entry(HOST, 'not.example')]), secret(good)]
    const one = new Replica().put(...objects).publish()
    const two = new Replica()
    for (const each of objects.toReversed()) two.put(each).publish()
    expect(two.releases.entry(WEB, 0)).toEqual(one.releases.entry(WEB, 0))
  })
})

it('the Ingress of a solver that lets everybody in is open, one that lets somebody in is not', () => {
  const annotation = 'nginx.ingress.kubernetes.io/whitelist-source-range'
  const open = (ranges: string): unknown => {
    const replica = new Replica().put(ingress({ annotations: { [annotation]: ranges } })).publish()
    const payload = replica.releases.entry(WEB, 0)?.payload
    return payload && 'hosts' in payload ? payload.hosts[0]?.paths[0]?.backend : null
  }
  expect(open('0.0.0.0/0,::/0')).toEqual({ service: 'shop/web:80' })
  expect(open('0.0.0.0/0,::/0,10.0.0.0/8')).toEqual({ service: 'shop/web:80' })
  expect(open('10.0.0.0/8')).toMatchObject({ status: 503 })
  expect(open('0.0.0.0/0')).toMatchObject({ status: 503 })
})

describe('the default certificate', () => {
  const options = { defaultCertificate: TLS }
  const isDefault = (replica: Replica, key = TLS): unknown =>
    (replica.releases.entry(key, 0)?.payload as { readonly isDefault?: unknown } | null | undefined)?.isDefault

  it.each([
    ['usual', secret],
    ['other', opaque],
  ])('is given out though no Ingress names it, and says what it is (%s type)', (_, kind) => {
    const replica = new Replica(options).put(kind(good), secret(renewed, { name: 'another' })).publish()
    expect([chainOf(replica), isDefault(replica)]).toEqual([good.chain, true])
    expect(replica.releases.entry('Secret/shop/another', 0)).toBeNull()
    expect(replica.pipeline.hostsOfSecret(TLS)).toEqual([''])
    replica.put(kind(renewed, { resourceVersion: '2' })).publish()
    expect(chainOf(replica)).toBe(renewed.chain)
    const without = new Replica().put(web(), kind(good)).publish()
    expect([chainOf(without), isDefault(without)]).toEqual([good.chain, undefined])
  })

  it('takes handshakes where another Secret of the Ingress has a certificate for its names', () => {
    const two = ingress({ tls: ['tls', 'other'] })
    const replica = new Replica().put(two, secret(good, { name: 'other' })).publish()
    replica.put(secret(good)).turn()
    expect(replica.pipeline.takes(replica.view(TLS))).toBe('handshakes from the certificate of Secret/shop/other')
    const alone = new Replica().put(ingress({ tls: ['tls'] }), secret(good))
    alone.turn()
    expect(alone.pipeline.takes(alone.view(TLS))).toBeNull()
  })

  it('is rolled out where a policy of our class governs it', () => {
    const replica = new Replica(options).put(secret(good)).publish()
    const record = { ...serve(null, replica.source(TLS)), governed: true }
    replica.policies(policy()).store(record).put(secret(renewed)).publish()
    expect(replica.view(TLS).governance).toEqual({ by: 'policy', policy: 'default', manual: false })
    expect(chainOf(replica)).toBe(good.chain)
    expect(begin(record, replica.source(TLS)).update).toBe(replica.source(TLS).revision)
  })

  it('is what an entry without a Secret asks for', () => {
    const tls = [{ hosts: [HOST] }]
    const replica = new Replica(options).put(withTls([HOST], tls), secret(good)).publish()
    expect(tlsOf(replica)).toEqual([])
    expect(said(replica)).toEqual([missing])
    expect(said(new Replica().put(withTls([HOST], tls)).publish())).toContain(
      'spec.tls[0].secretName SecretMissing warn',
    )
  })
})

describe('a certificate under a policy', () => {
  const governed = (leaf: Leaf): Replica => {
    const replica = new Replica().put(web(), secret(leaf)).publish()
    const record = { ...serve(null, replica.source(TLS)), governed: true }
    return replica
      .policies(policy())
      .store(record, adopt(replica.source(WEB)))
      .publish()
  }

  it('that is renewed is known for what it is; one that is served says so when it ends', async () => {
    const replica = governed(good)
    expect(replica.pipeline.renewal(replica.view(TLS))).toBeNull()
    expect([...replica.pipeline.certificateEnds()].map(({ secret: key }) => key)).toEqual([TLS])
    const later = await middle.issue({
      hosts: [HOST, 'also.example'],
      notAfter: new Date(replica.wall + 90 * DAY),
    })
    replica.put(secret(later)).publish()
    expect(replica.pipeline.renewal(replica.view(TLS))).toMatchObject({ useless: null, standing: 'valid' })
    expect([chainOf(replica), said(replica, TLS)]).toEqual([good.chain, []])
    // Nothing else happens: time goes by.
    const seen: string[] = []
    const ofIngress: string[] = []
    while (replica.pipeline.nextDate !== null && replica.wall < Date.now() + 40 * DAY) {
      replica.wall = replica.pipeline.nextDate
      replica.pipeline.touchDue()
      replica.publish()
      seen.push(...said(replica, TLS))
      ofIngress.push(...said(replica).filter(text => text !== missing))
    }
    expect(ofIngress.slice(0, 2)).toEqual([
      'spec.tls[0].secretName ServedCertificateExpiring warn',
      'spec.tls[0].secretName ServedCertificateExpired warn',
    ])
    expect(seen.slice(0, 2)).toEqual([
      'data[tls.crt] ServedCertificateExpiring warn',
      'data[tls.crt] ServedCertificateExpired warn',
    ])
    expect(replica.pipeline.renewal(replica.view(TLS))).toMatchObject({ standing: 'urgent' })
    expect(replica.pipeline.renewal(replica.view(TLS))?.useless).toContain('expired')
    const [end] = replica.pipeline.certificateEnds()
    expect(Math.abs((end?.notAfter ?? 0) - (Date.now() + 30 * DAY))).toBeLessThan(DAY)
    // One that cannot be served renews nothing.
    replica.put(secret({ ...later, privateKey: good.privateKey })).publish()
    expect(replica.pipeline.renewal(replica.view(TLS))).toBeNull()
  })

  it('is in use where some pod serves a revision that names it, not where one is only about to', () => {
    const replica = new Replica().put(ingress(), secret(good)).publish()
    const record = adopt(replica.source(WEB))
    replica.policies(policy()).store(record).put(web()).publish()
    expect(replica.pipeline.isInUse(TLS)).toBe(false)
    const begun = begin(record, replica.source(WEB))
    replica.store(begun).publish()
    expect([replica.pipeline.isNeeded(TLS), replica.pipeline.isInUse(TLS)]).toEqual([true, false])
    replica.store(advance(begun, 1)).publish()
    expect(replica.pipeline.isInUse(TLS)).toBe(true)
    expect(new Replica({ defaultCertificate: TLS }).pipeline.isInUse(TLS)).toBe(true)
  })

  it('that an update needs is with every pod before the update is on any', () => {
    const replica = new Replica().put(ingress()).publish()
    const record = adopt(replica.source(WEB))
    replica.policies(policy()).store(record).put(web()).publish()
    const { revision } = replica.source(WEB)
    const lacks = (): string | null => replica.pipeline.lacksCertificates(replica.view(WEB), revision)
    replica.store(begin(record, replica.source(WEB))).publish()
    expect(lacks()).toBe('Secret shop/tls does not exist')
    replica.put(secret({ ...good, privateKey: renewed.privateKey })).publish()
    expect(lacks()).toMatch(/^Secret shop\/tls cannot be served: tls\.key does not belong/)
    replica.put(secret(good)).turn()
    // Not recorded, and then not published yet.
    expect(lacks()).toBe('Secret shop/tls is not with every pod yet')
    replica.store({ ...serve(null, replica.source(TLS)), governed: true }).turn()
    expect(lacks()).toBe('Secret shop/tls is not with every pod yet')
    replica.publish()
    expect(lacks()).toBeNull()
    // What is released has it, or lacks it, already.
    const released = governed(good)
    released
      .drop(secret(good))
      .put(ingress({ tls: ['tls'], service: 'other' }))
      .publish()
    expect(released.pipeline.lacksCertificates(released.view(WEB), released.source(WEB).revision)).toBeNull()
  })
})
