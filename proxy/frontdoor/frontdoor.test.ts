import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect as http2Connect } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { connect as netConnect, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { Authority, type KeyType, type Leaf } from '../../e2e/pki/pki.ts'
import type { Certificate } from '../../protocol/objects.ts'
import { certificate, certificates, endpoints, fragment, host, path, tls, upsert } from '../table/testing/fixtures.ts'
import { ownSecrets } from './ticket-keys.ts'
import {
  Ends,
  RawClient,
  bodyOf,
  eventually,
  startBackend,
  startPlane,
  summed,
  type Rig,
} from '../workers/testing/harness.ts'

const ends = new Ends()
let ca: Authority
let leafs: Readonly<Record<'ecdsa' | 'rsa' | 'wild' | 'other' | 'renewed', Leaf>>
let rig: Rig

beforeAll(async () => {
  ca = await Authority.root('test')
  const leaf = (name: string, keyType: KeyType = 'ECDSA'): Promise<Leaf> => ca.issue({ hosts: [name], keyType })
  leafs = {
    ecdsa: await leaf('a.example'),
    rsa: await leaf('a.example', 'RSA'),
    wild: await leaf('*.wild.example'),
    other: await leaf('other.example'),
    renewed: await leaf('other.example'),
  }
})

const secret = (name: string, leaf: Leaf, keyType: KeyType = 'ECDSA', more: Partial<Certificate> = {}): Certificate =>
  certificate(name, keyType, { ...leaf, ...more })

/** How late this busy machine makes the loop is no matter of these tests; those of lag say what they want. */
const PATIENT = { TLS_HANDSHAKE_TIMEOUT: '1s', TLS_HANDSHAKE_LAG: '1h' }

/** One pod. */
async function startPod(env: Readonly<Record<string, string>> = {}): Promise<Rig> {
  const address = await startBackend(ends, (request, response) => {
    response.end(JSON.stringify(request.headers))
  })
  const pod = await startPlane(ends, { ...PATIENT, ...env })
  pod.apply(
    certificates([
      secret('ecdsa', leafs.ecdsa),
      secret('rsa', leafs.rsa, 'RSA'),
      secret('wild', leafs.wild),
      secret('other', leafs.other),
    ]),
  )
  const hosts = ['a.example', '*.wild.example', 'other.example'].map(name => host(name, path('Prefix /', 'ns/web:80')))
  pod.apply(
    upsert(
      fragment('web', hosts, {
        tls: [
          ...[tls('ecdsa', 'a.example'), tls('rsa', 'a.example')],
          ...[tls('wild', '*.wild.example'), tls('other', 'other.example')],
        ],
      }),
    ),
  )
  pod.apply(endpoints({ 'ns/web:80': [address] }))
  return pod
}
beforeEach(async () => {
  rig = await startPod()
})
afterEach(async () => {
  jest.restoreAllMocks()
  await ends.all()
})

/** A client that verifies; `secureConnect` came. */
async function handshake(servername: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: rig.https, servername, ca: ca.pem, ...options })
  ends.add(() => socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

function keyTypeOf(socket: TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType
}

async function get(servername: string, options: ConnectionOptions = {}): Promise<Record<string, string>> {
  const request = httpsRequest({
    ...{ host: '127.0.0.1', port: rig.https, servername, ca: ca.pem, agent: false },
    ...{ headers: { host: servername }, ...options },
  })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return JSON.parse(await bodyOf(response)) as Record<string, string>
}

interface TlsCount {
  readonly handshakes: number
  readonly failures: number
}

function tlsCounts(): Readonly<Record<string, TlsCount>> {
  const sums: Record<string, { handshakes: number; failures: number }> = {}
  for (const { host: name, handshakes, failures } of rig.totals().tls()) {
    const sum = (sums[name] ??= { handshakes: 0, failures: 0 })
    sum.handshakes += handshakes
    sum.failures += failures
  }
  return sums
}

describe('which certificate', () => {
  const versions = ['TLSv1.2', 'TLSv1.3'] as const
  it.each(versions)('%s: what the client can verify, ECDSA if both', async version => {
    const only = { minVersion: version, maxVersion: version }
    const rsa = version === 'TLSv1.2' ? { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } : { sigalgs: 'rsa_pss_rsae_sha256' }
    const ec =
      version === 'TLSv1.2' ? { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } : { sigalgs: 'ecdsa_secp256r1_sha256' }
    // The test's authority signs by ECDSA, which an RSA-only client does not verify.
    expect(keyTypeOf(await handshake('a.example', { ...only, ...rsa, rejectUnauthorized: false }))).toBe('rsa')
    expect(keyTypeOf(await handshake('a.example', { ...only, ...ec }))).toBe('ec')
    const both = await handshake('a.example', only)
    expect([keyTypeOf(both), both.getProtocol(), both.authorized]).toEqual(['ec', version, true])
  })

  it.each([
    ['-tls1_2', '-cipher', 'ECDHE-RSA-AES256-GCM-SHA384', 'rsaEncryption'],
    ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'id-ecPublicKey'],
    ['-tls1_3', '-sigalgs', 'RSA-PSS+SHA256', 'rsaEncryption'],
    ['-tls1_3', '-sigalgs', 'ECDSA+SHA256', 'id-ecPublicKey'],
  ])('openssl %s %s %s gets %s', async (...[version, option, value, key]) => {
    const output = await openssl('a.example', version, option, value)
    const [pem = ''] = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/.exec(output) ?? []
    const { asymmetricKeyType } = new X509Certificate(pem).publicKey
    expect(asymmetricKeyType).toBe(key === 'rsaEncryption' ? 'rsa' : 'ec')
  })

  it.each([
    ['TLSv1.3', {}, 'TLS_AES_128_GCM_SHA256'],
    ['TLSv1.3', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384' }, 'TLS_AES_256_GCM_SHA384'],
    ['TLSv1.2', {}, 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ] as const)('%s, a client that offers %j: %s, by our order and not by its own', async (version, offers, cipher) => {
    const client = await handshake('a.example', { minVersion: version, maxVersion: version, ...offers })
    expect(client.getCipher().name).toBe(cipher)
  })

  it('TLS 1.1 and clients of other protocols alone are refused, which says nothing of the certificate', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await expect(handshake('a.example', old)).rejects.toThrow()
    await expect(handshake('a.example', { ALPNProtocols: ['h3', 'spdy/3'] })).rejects.toThrow()
    await handshake('a.example')
    await eventually(() => tlsCounts()['a.example']?.handshakes === 1)
    expect(tlsCounts()['a.example']).toMatchObject({ failures: 0 })
  })

  it('is shown once on a connection: a client of TLS 1.2 may not begin anew', async () => {
    const options: ConnectionOptions = { servername: 'a.example', ca: ca.pem, maxVersion: 'TLSv1.2' }
    const client = connect({ ...options, port: rig.https, host: '127.0.0.1' })
    await once(client, 'secureConnect')
    const anew = new Promise<Error | null>(resolve => {
      client.on('error', resolve)
      client.renegotiate({}, resolve)
    })
    expect((await anew)?.message).toMatch(/no renegotiation/)
    client.destroy()
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toMatchObject({ handshakes: 1 })
  })

  it('has done its part: bytes that are no TLS end their connection at once', async () => {
    const below = netConnect({ port: rig.https, host: '127.0.0.1' })
    const client = connect({ socket: below, servername: 'a.example', ca: ca.pem })
    for (const socket of [below, client]) socket.on('error', () => undefined)
    await once(client, 'secureConnect')
    client.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await once(client, 'data')
    const closed = new Promise(resolve => below.on('close', resolve))
    below.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await closed
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toMatchObject({ handshakes: 1, failures: 0 })
  })

  it('of the wildcard for one label, else the default one', async () => {
    expect((await handshake('x.wild.example')).authorized).toBe(true)
    for (const name of ['x.y.wild.example', 'wild.example', 'unknown.test']) {
      const socket = await handshake(name, { rejectUnauthorized: false })
      expect(socket.getPeerCertificate().subject.CN).toBe('no-certificate-for-this-host.sluice.invalid')
    }
    const unnamed = await handshake('', { rejectUnauthorized: false })
    expect(unnamed.getPeerCertificate().subject.CN).toMatch(/^no-certificate/)
  })

  it('the new one from the next connection on; an open one stays', async () => {
    const before = await handshake('other.example')
    rig.apply(certificates([secret('other', leafs.renewed, 'ECDSA', { revision: 'r2' })]))
    const after = await handshake('other.example')
    expect(after.getPeerX509Certificate()?.toString()).toBe(new X509Certificate(leafs.renewed.chain).toString())
    before.write('GET / HTTP/1.1\r\nHost: other.example\r\n\r\n')
    expect(String((await once(before, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /)
    rig.apply(certificates([], ['other']))
    expect((await handshake('other.example', { rejectUnauthorized: false })).authorized).toBe(false)
  })

  it('one that OpenSSL refuses is a failure of its host and of no other', async () => {
    rig.apply(certificates([secret('other', { chain: 'no PEM', privateKey: 'none' }, 'ECDSA', { revision: 'r2' })]))
    await expect(handshake('other.example')).rejects.toThrow()
    expect((await handshake('a.example')).authorized).toBe(true)
    await expect(handshake('other.example')).rejects.toThrow()
    expect(tlsCounts()['other.example']).toEqual({ handshakes: 0, failures: 2 })
    // Tried once.
    expect(rig.totals().events).toEqual(
      new Map([
        ['context refused', 1],
        ['context made', 1],
      ]),
    )
  })

  it('bodies of millions of bytes pass whole in both directions', async () => {
    const address = await startBackend(ends, (request, response) => request.pipe(response))
    rig.apply(endpoints({ 'ns/web:80': [address] }))
    const body = Buffer.alloc(8_000_000, 'abc')
    const request = httpsRequest({
      ...{ host: '127.0.0.1', port: rig.https, servername: 'a.example', ca: ca.pem, agent: false },
      ...{ method: 'POST', headers: { host: 'a.example' } },
    })
    request.end(body)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect((await bodyOf(response)) === body.toString()).toBe(true)
  })

  it('the request shows the backend that it came by TLS', async () => {
    expect(await get('a.example')).toMatchObject({
      ...{ host: 'a.example', 'x-forwarded-proto': 'https', 'x-forwarded-port': '443', 'x-forwarded-for': '127.0.0.1' },
    })
  })
})

/** What `openssl s_client` says of a connection that it closes at once. */
function openssl(servername: string, ...options: readonly string[]): Promise<string> {
  const args = ['s_client', '-connect', `127.0.0.1:${rig.https}`, '-servername', servername, ...options]
  return new Promise(resolve => {
    const child = execFile('openssl', args, { timeout: 4_000 }, (_error, output) => resolve(output))
    child.stdin?.end()
  })
}

describe('session resumption', () => {
  type Version = 'TLSv1.2' | 'TLSv1.3'
  const versions: readonly Version[] = ['TLSv1.2', 'TLSv1.3']
  /** A request on a session; says whether it was resumed. The certificate is not looked at. */
  const resume = async (servername: string, session: Buffer, version: Version, pod = rig): Promise<boolean> => {
    const only = { minVersion: version, maxVersion: version, port: pod.https } as const
    const socket = await handshake(servername, { ...only, session, rejectUnauthorized: false })
    socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\n\r\n`)
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 (200|404) /)
    const reused = socket.isSessionReused()
    socket.destroy()
    return reused
  }
  const sessionOf = async (servername: string, version: Version, options: ConnectionOptions = {}): Promise<Buffer> => {
    const only = { minVersion: version, maxVersion: version, ca: ca.pem } as const
    const socket = connect({ host: '127.0.0.1', port: rig.https, servername, ...only, ...options })
    ends.add(() => socket.destroy())
    socket.resume()
    const [session] = (await once(socket, 'session')) as [Buffer]
    return session
  }
  /** Moves the clock by which ticket keys change. */
  const later = (milliseconds: number): void => {
    const now = Date.now() + milliseconds
    jest.spyOn(Date, 'now').mockReturnValue(now)
  }

  it.each(versions)('%s: for the same certificate only', async version => {
    const session = await sessionOf('other.example', version)
    expect(await resume('other.example', session, version)).toBe(true)
    expect(await resume('a.example', session, version)).toBe(false)
    expect(await resume('unknown.test', session, version)).toBe(false)
    rig.apply(certificates([secret('other', leafs.renewed, 'ECDSA', { revision: 'r2' })]))
    expect(await resume('other.example', session, version)).toBe(false)
  })

  it('also after the certificate changed under the same revision name', async () => {
    const session = await sessionOf('other.example', 'TLSv1.3')
    rig.apply(certificates([secret('other', leafs.renewed)]))
    expect(await resume('other.example', session, 'TLSv1.3')).toBe(false)
  })

  it.each(versions)('%s: at another pod, as long as both have the secret of the fleet', async version => {
    const pod = await startPod()
    const fleet = ownSecrets(Buffer.alloc(32, 42))
    rig.plane.setTicketSecrets(fleet)
    const session = await sessionOf('a.example', version)
    expect(await resume('a.example', session, version, pod)).toBe(false)
    pod.plane.setTicketSecrets(fleet)
    expect(await resume('a.example', session, version, pod)).toBe(true)
    expect(await resume('other.example', session, version, pod)).toBe(false)
    // Nobody trusts the self-signed one, and it is another one at each pod.
    const unnamed = await sessionOf('unknown.test', version, { rejectUnauthorized: false })
    expect(await resume('unknown.test', unnamed, version)).toBe(true)
    expect(await resume('unknown.test', unnamed, version, pod)).toBe(false)
    pod.plane.setTicketSecrets(ownSecrets(Buffer.alloc(32, 43)))
    expect(await resume('a.example', session, version, pod)).toBe(false)
    expect(await resume('a.example', session, version)).toBe(true)
  })

  it.each(versions)(
    '%s: across midnight, by the secrets of two days; and not when that of its day is gone',
    async version => {
      const pod = await startPod()
      // The hour of a certificate begins at a minute of its own: from noon on all of them have seen midnight once.
      const noon = Math.ceil(Date.now() / 86_400_000) * 86_400_000 + 43_200_000
      const day = Math.floor(noon / 86_400_000)
      const of = (which: number): { readonly day: number; readonly secret: Buffer } => ({
        ...{ day: which, secret: Buffer.alloc(32, which % 250) },
      })
      for (const { plane } of [rig, pod]) plane.setTicketSecrets([of(day), of(day + 1)])
      let resumed = 0
      for (let at = noon; at < noon + 86_400_000; at += 3_600_000) {
        later(at - Date.now())
        const session = await sessionOf('a.example', version)
        later(3_600_000)
        resumed += Number(await resume('a.example', session, version, pod))
      }
      expect(resumed).toBe(24)
      later(noon - Date.now())
      const session = await sessionOf('a.example', version)
      pod.plane.setTicketSecrets([of(day - 1), of(day + 1)])
      expect(await resume('a.example', session, version, pod)).toBe(false)
      expect(await resume('a.example', session, version)).toBe(true)
    },
  )

  it.each(versions)('%s: through one change of the keys, then a full handshake, and none fails', async version => {
    const pod = await startPod()
    later(0)
    const first = await sessionOf('a.example', version)
    later(3_600_000)
    // A pod that was there before the change, and one that has seen no handshake yet.
    expect(await resume('a.example', first, version)).toBe(true)
    expect(await resume('a.example', first, version, pod)).toBe(true)
    const second = await sessionOf('a.example', version)
    later(3_600_000)
    expect(await resume('a.example', first, version)).toBe(false)
    expect(await resume('a.example', first, version, pod)).toBe(false)
    expect(await resume('a.example', second, version)).toBe(true)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 5, failures: 0 })
  })

  // RFC 6066 3 forbids it before TLS 1.3 (RFC 8446 4.2.11 does not), no honest client asks for it, and OpenSSL allows it:
  // no harm here, as the certificate is the same and names both, and nothing but the new name decides. See ADR 15.
  it.each(versions)('%s: at another name of the same certificate it is the other name that counts', async version => {
    const session = await sessionOf('x.wild.example', version)
    // A client that means it well does not send it: this one takes it for a session of that name.
    expect(await resume('y.wild.example', session, version)).toBe(false)
    const forged = Buffer.from(session.toString('latin1').replaceAll('x.wild.example', 'y.wild.example'), 'latin1')
    const only = { minVersion: version, maxVersion: version } as const
    const socket = await handshake('y.wild.example', { ...only, session: forged, rejectUnauthorized: false })
    expect(socket.isSessionReused()).toBe(true)
    socket.write('GET / HTTP/1.1\r\nHost: y.wild.example\r\n\r\n')
    expect(String((await once(socket, 'data'))[0])).toContain('"host":"y.wild.example"')
  })

  it.each(versions)(
    '%s: one that is not used says nothing of the certificate, which it did not show',
    async version => {
      const only = { minVersion: version, maxVersion: version } as const
      const session = await sessionOf('a.example', version)
      const socket = await handshake('a.example', { ...only, session })
      expect(socket.isSessionReused()).toBe(true)
      await eventually(() => rig.plane.connections.size === 2)
      socket.end()
      await eventually(() => rig.plane.connections.size === 1)
      expect(tlsCounts()['a.example']).toEqual({ handshakes: 2, failures: 0 })
    },
  )
})

describe('a ClientHello', () => {
  /** Sits between a TLS client and the proxy and passes on what `pass` makes of the client's bytes. */
  async function through(pass: (bytes: Buffer, proxy: Socket) => void): Promise<TLSSocket> {
    const server = createServer(client => {
      const proxy = netConnect(rig.https, '127.0.0.1').setNoDelay(true)
      ends.add(() => proxy.destroy())
      let first = true
      client
        .on('error', () => undefined)
        .on('data', (bytes: Buffer) => {
          if (first) pass(bytes, proxy)
          else proxy.write(bytes)
          first = false
        })
      proxy.on('error', () => undefined).pipe(client)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ends.add(() => server.close())
    const { port } = server.address() as AddressInfo
    const socket = connect({ host: '127.0.0.1', port, servername: 'a.example', ca: ca.pem })
    ends.add(() => socket.destroy())
    await once(socket, 'secureConnect')
    return socket
  }

  it('in many segments', async () => {
    const socket = await through((bytes, proxy) => {
      const send = (at: number): void => {
        if (at >= bytes.length) return
        proxy.write(bytes.subarray(at, at + 97), () => setTimeout(send, 1, at + 97))
      }
      send(0)
    })
    expect(socket.authorized).toBe(true)
  })

  it('in many records', async () => {
    const socket = await through((bytes, proxy) => {
      const message = bytes.subarray(5)
      for (let at = 0; at < message.length; at += 100) {
        const part = message.subarray(at, at + 100)
        proxy.write(Buffer.concat([Buffer.from([22, 3, 1, 0, part.length]), part]))
      }
    })
    expect(socket.authorized).toBe(true)
  })

  it('that never ends costs no CPU and is cut after the time for it', async () => {
    const clients = Array.from({ length: 20 }, () => new RawClient(rig.https))
    for (const client of clients) client.send('\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003')
    await new Promise(resolve => setTimeout(resolve, 100))
    const before = performance.eventLoopUtilization()
    await new Promise(resolve => setTimeout(resolve, 500))
    expect(performance.eventLoopUtilization(before).utilization).toBeLessThan(0.7)
    for (const client of clients) await client.ended()
  })

  it.each([
    ['plain HTTP', 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n', /^HTTP\/1\.1 400 [^]*plain HTTP request was sent/, 1],
    ['half of one and the end', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000', /^$/, undefined],
    // A fatal alert: decode_error.
    [
      'a malformed one',
      '\u0016\u0003\u0001\u0000\u0004\u0001\u0000\u0000\u0000',
      /^\u0015\u0003\u0003\u0000\u0002\u00022$/,
      1,
    ],
  ])('%s ends the connection at once and is no failure of any host', async (_name, bytes, answer, refused) => {
    const client = new RawClient(rig.https)
    client.send(bytes)
    client.socket.end()
    expect(await client.ended()).toMatch(answer)
    expect(tlsCounts()).toEqual({})
    expect(rig.totals().events.get('connection client-hello')).toBe(refused)
  })
})

describe('what counts as a TLS failure', () => {
  it('a good request: none', async () => {
    await get('a.example')
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()).toEqual({ 'a.example': { handshakes: 1, failures: 0 } })
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: a client that does not know the authority: one', async version => {
    const stranger = await Authority.root('stranger')
    const only = { minVersion: version, maxVersion: version, ca: stranger.pem } as const
    await expect(get('a.example', only)).rejects.toThrow(/certificate/)
    await eventually(() => tlsCounts()['a.example']?.failures === 1)
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']?.failures).toBe(1)
  })

  it('openssl with -verify_return_error, which sends an alert: one', async () => {
    await openssl('a.example', '-verify_return_error')
    await eventually(() => tlsCounts()['a.example']?.failures === 1)
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']?.failures).toBe(1)
  })

  it('a client that refuses the name of the certificate: one', async () => {
    await expect(get('unknown.test')).rejects.toThrow()
    await eventually(() => tlsCounts()['other']?.failures === 1)
  })

  it('a health check that connects and goes: none', async () => {
    const client = new RawClient(rig.https)
    await once(client.socket, 'connect')
    client.socket.end()
    await client.ended()
    expect(tlsCounts()).toEqual({})
  })

  it('a connection opened in advance and closed unused: one, by design', async () => {
    const socket = await handshake('a.example')
    socket.end()
    await eventually(() => tlsCounts()['a.example']?.failures === 1)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 1 })
  })

  it('a client that sends half a request and goes has accepted the certificate: none', async () => {
    const socket = await handshake('a.example')
    socket.end('GET / HT')
    await eventually(() => rig.plane.connections.size === 0 && summed(rig.totals()).requests === 1)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 0 })
  })

  it('a handshake that the client leaves: one; one that the proxy leaves because it ends: none', async () => {
    const hello = await recordedHello('a.example')
    const first = new RawClient(rig.https)
    first.socket.write(hello)
    await first.until(/^\u0016/)
    first.socket.end()
    await eventually(() => tlsCounts()['a.example']?.failures === 1)
    const second = new RawClient(rig.https)
    second.socket.write(hello)
    await second.until(/^\u0016/)
    void rig.plane.drain()
    await second.ended()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(tlsCounts()['a.example']?.failures).toBe(1)
  })

  it('a client that is silent in the middle of the handshake: one, when its time is over', async () => {
    const client = new RawClient(rig.https)
    client.socket.write(await recordedHello('a.example'))
    await client.ended()
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 0, failures: 1 })
  })
})

describe('what is no evidence', () => {
  const block = (milliseconds: number): void => {
    for (const end = performance.now() + milliseconds; performance.now() < end;);
  }
  const slow = (): number => rig.totals().events.get('connection handshake-lag') ?? 0
  beforeEach(async () => {
    rig = await startPod({ TLS_HANDSHAKE_LAG: '400ms' })
  })

  it('a client that left in a handshake for which we were late, and one that was silent', async () => {
    const hello = await recordedHello('a.example')
    const [first, second] = [new RawClient(rig.https), new RawClient(rig.https)]
    for (const client of [first, second]) {
      client.socket.write(hello)
      await client.until(/^\u0016/)
    }
    first.socket.end()
    block(600)
    await first.ended()
    await second.ended()
    await eventually(() => slow() === 2)
    expect(tlsCounts()).toEqual({})
  })

  it('a handshake that we were late for is given its time again', async () => {
    const hello = await recordedHello('a.example')
    const client = new RawClient(rig.https)
    client.socket.write(hello)
    await client.until(/^\u0016/)
    const from = performance.now()
    block(1_200)
    await client.ended()
    // Twice the second that it has, at least.
    expect(performance.now() - from).toBeGreaterThan(1_900)
    expect([slow(), tlsCounts()]).toEqual([1, {}])
  })

  it('a client that says that it refuses the certificate is one, however late we are', async () => {
    const alert = execFile('openssl', [
      ...['s_client', '-connect', `127.0.0.1:${rig.https}`, '-servername', 'a.example', '-tls1_2'],
      ...['-verify_return_error', '-quiet'],
    ])
    ends.add(() => alert.kill())
    await once(alert, 'spawn')
    block(600)
    await eventually(() => tlsCounts()['a.example']?.failures === 1)
    expect(slow()).toBe(0)
  })

  it('a handshake that is given up for another one', async () => {
    rig = await startPod({ MAX_HANDSHAKES: '1', TLS_HANDSHAKE_LAG: '1h' })
    const first = new RawClient(rig.https)
    first.socket.write(await recordedHello('a.example'))
    await first.until(/^\u0016/)
    const second = await handshake('a.example')
    await first.ended()
    second.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    second.resume()
    await once(second, 'close')
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()).toEqual({ 'a.example': { handshakes: 1, failures: 0 } })
    expect(rig.totals().events.get('connection handshakes')).toBe(1)
  })

  it('a connection that is refused after the handshake, whose client then goes', async () => {
    rig = await startPod({ MAX_CONNECTIONS: '1', TLS_HANDSHAKE_LAG: '1h' })
    const busy = await handshake('a.example')
    busy.write('GET / HT')
    await eventually(() => rig.plane.connections.size === 1)
    const refused = await handshake('a.example')
    refused.on('error', () => undefined).resume()
    await once(refused, 'close')
    await eventually(() => rig.totals().events.get('connection connections') === 1)
    busy.destroy()
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 2, failures: 0 })
  })

  it('a connection that asked for nothing until we closed it', async () => {
    rig = await startPod({ HEADERS_TIMEOUT: '100ms', KEEP_ALIVE_TIMEOUT: '100ms', TLS_HANDSHAKE_LAG: '1h' })
    const socket = await handshake('a.example')
    socket.resume()
    await once(socket, 'close')
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 0 })
  })

  it('a connection that asked for nothing until the proxy ended', async () => {
    rig = await startPod({ TLS_HANDSHAKE_LAG: '1h' })
    const socket = await handshake('a.example')
    socket.resume()
    await eventually(() => rig.plane.connections.size === 1)
    const drained = rig.plane.drain()
    await once(socket, 'close')
    await drained
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 0 })
  })
})

describe('a client that may speak HTTP/2', () => {
  const protocols = { ALPNProtocols: ['h2', 'http/1.1'] }
  const versions = ['TLSv1.2', 'TLSv1.3'] as const

  /** Of a request by Node's own client on a connection that is there. */
  async function statusOn(socket: TLSSocket, authority: string): Promise<number> {
    const session = http2Connect(`https://${authority}`, { createConnection: () => socket })
    session.on('error', () => undefined)
    const stream = session.request({ ':path': '/' })
    const [headers] = (await once(stream, 'response')) as [{ ':status': number }]
    stream.resume()
    await once(stream, 'close')
    session.destroy()
    return headers[':status']
  }

  it.each(versions)('%s: gets the certificate that it can verify, and its session resumes', async version => {
    const only = { ...protocols, minVersion: version, maxVersion: version, rejectUnauthorized: false }
    const rsa = version === 'TLSv1.2' ? { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } : { sigalgs: 'rsa_pss_rsae_sha256' }
    const first = await handshake('a.example', only)
    // Of TLS 1.3 it comes later.
    const issued = version === 'TLSv1.2' ? [first.getSession()] : once(first, 'session')
    expect([first.alpnProtocol, keyTypeOf(first), await statusOn(first, 'a.example')]).toEqual(['h2', 'ec', 200])
    const [session] = (await issued) as [Buffer]
    expect(keyTypeOf(await handshake('a.example', { ...only, ...rsa }))).toBe('rsa')
    const again = await handshake('a.example', { ...only, session })
    expect([again.isSessionReused(), again.alpnProtocol, await statusOn(again, 'a.example')]).toEqual([true, 'h2', 200])
  })

  it('has accepted the certificate once it said anything', async () => {
    const socket = await handshake('a.example', protocols)
    socket.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0')
    await eventually(() => tlsCounts()['a.example']?.handshakes === 1 && rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 0 })
  })

  it('has not, where it leaves without a word, whatever we said', async () => {
    const socket = await handshake('a.example', protocols)
    await once(socket, 'data')
    socket.end()
    await eventually(() => tlsCounts()['a.example']?.failures === 1 && rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 1 })
  })

  it.each<[string, Readonly<Record<string, string>>, () => Promise<void> | undefined]>([
    ['until its time was over', { HEADERS_TIMEOUT: '100ms' }, () => undefined],
    ['until the proxy ended', {}, () => rig.plane.drain()],
  ])('says nothing of it where it was silent %s', async (_, env, end) => {
    rig = await startPod({ ...env, TLS_HANDSHAKE_LAG: '1h' })
    const socket = await handshake('a.example', protocols)
    socket.resume()
    await eventually(() => rig.plane.connections.size === 1)
    const ended = end()
    await once(socket, 'close')
    await ended
    await eventually(() => rig.plane.connections.size === 0)
    expect(tlsCounts()['a.example']).toEqual({ handshakes: 1, failures: 0 })
  })

  it('is told in HTTP/1.1 that it has too many connections', async () => {
    rig = await startPod({ MAX_CONNECTIONS_PER_CLIENT: '1' })
    await handshake('a.example', protocols)
    const second = await handshake('a.example', protocols)
    expect(second.alpnProtocol).toBe('http/1.1')
    expect(String(((await once(second, 'data')) as [Buffer])[0])).toMatch(/^HTTP\/1\.1 429 /)
  })
})

describe('the door', () => {
  const silent = (from: string): RawClient =>
    new RawClient(rig.https, netConnect({ port: rig.https, host: '127.0.0.1', localAddress: from }))

  const statusFrom = async (localAddress: string): Promise<string | undefined> => {
    const socket = connect({
      ...{ socket: netConnect({ port: rig.https, host: '127.0.0.1', localAddress }) },
      ...{ servername: 'a.example', ca: ca.pem },
    })
    ends.add(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString('latin1')
    return /^HTTP\/1\.1 (\d+)/.exec(text)?.[1]
  }

  it('is shut by nobody: a client that keeps silent on many connections gives up its own', async () => {
    rig = await startPod({ MAX_HANDSHAKES: '4', TLS_HANDSHAKE_TIMEOUT: '10m' })
    const honest = silent('127.0.0.2')
    const greedy = Array.from({ length: 8 }, () => silent('127.0.0.3'))
    await Promise.all(greedy.slice(0, 5).map(client => client.ended()))
    expect((await get('a.example'))['host']).toBe('a.example')
    expect(rig.totals().events.get('connection handshakes')).toBe(6)
    expect([honest, ...greedy].map(({ socket }) => socket.readyState === 'open')).toEqual([
      ...[true, false, false, false, false, false, false, true, true],
    ])
  })

  it('counts connections of a client from their first byte, and tells it when there are too many', async () => {
    rig = await startPod({ MAX_CONNECTIONS_PER_CLIENT: '2', TLS_HANDSHAKE_TIMEOUT: '10m' })
    const first = silent('127.0.0.2')
    const second = silent('127.0.0.2')
    await Promise.all([first, second].map(({ socket }) => once(socket, 'connect')))
    expect(await statusFrom('127.0.0.2')).toBe('429')
    expect(await statusFrom('127.0.0.4')).toBe('200')
    first.socket.destroy()
    while ((await statusFrom('127.0.0.2')) !== '200') await new Promise(resolve => setTimeout(resolve, 10))
  })

  it('gives no more handshakes than a few to clients that have too many connections', async () => {
    rig = await startPod({ MAX_CONNECTIONS_PER_CLIENT: '1', TLS_HANDSHAKE_TIMEOUT: '10m' })
    const all = Array.from({ length: 40 }, () => silent('127.0.0.2'))
    const gone = (): number => all.filter(({ socket }) => socket.readyState !== 'open').length
    await eventually(() => rig.totals().events.get('connection client-connections') === 7)
    await eventually(() => gone() === 7)
    for (const { socket } of all) socket.destroy()
    while ((await statusFrom('127.0.0.2')) !== '200') await new Promise(resolve => setTimeout(resolve, 10))
  })
})

/** A ClientHello as Node sends it. */
async function recordedHello(servername: string): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, servername })
  client.on('error', () => undefined)
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return bytes
}
