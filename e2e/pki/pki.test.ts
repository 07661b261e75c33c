import { createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { beforeAll, describe, expect, it } from '@jest/globals'
import type { Leaf } from './pki.ts'
import { Authority, mismatched } from './pki.ts'

const host = 'shop.example.test'
let trusted: Authority

beforeAll(async () => {
  trusted = await Authority.root('trusted')
})

/** What a verifying client says of a server with this certificate: its error's code, or `ok`. */
async function verdict(leaf: Leaf, ca: string, servername = host): Promise<string> {
  const server = createServer({ cert: leaf.chain, key: leaf.privateKey }, socket => socket.end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', ca, servername })
  const result = await new Promise<string>(resolve => {
    socket.on('secureConnect', () => resolve('ok'))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
  socket.destroy()
  server.close()
  return result
}

describe('test certificates', () => {
  it.each(['ECDSA', 'RSA'] as const)('%s leaf is accepted by who trusts its authority', async keyType => {
    const leaf = await trusted.issue({ hosts: [host], keyType })
    expect(await verdict(leaf, trusted.pem)).toBe('ok')
    expect(createPrivateKey(leaf.privateKey).asymmetricKeyType).toBe(keyType === 'RSA' ? 'rsa' : 'ec')
  })

  it('an RSA authority signs too', async () => {
    const authority = await Authority.root('rsa', 'RSA')
    expect(await verdict(await authority.issue({ hosts: [host] }), authority.pem)).toBe('ok')
  })

  it('chain: the intermediate travels with the leaf, the root does not', async () => {
    const leaf = await (await trusted.intermediate('between')).issue({ hosts: [host] })
    expect(leaf.chain.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
    expect(await verdict(leaf, trusted.pem)).toBe('ok')
  })

  it('is refused for the wrong host, when expired, and by who does not trust the authority', async () => {
    const other = await Authority.root('other')
    expect(await verdict(await trusted.issue({ hosts: ['else.example.test'] }), trusted.pem)).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    )
    expect(await verdict(await trusted.issueExpired({ hosts: [host] }), trusted.pem)).toBe('CERT_HAS_EXPIRED')
    expect(await verdict(await other.issue({ hosts: [host] }), trusted.pem)).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  })

  it('mismatched: the key is not the certificate’s', async () => {
    const options = { hosts: [host] }
    const leaf = mismatched(await trusted.issue(options), await trusted.issue(options))
    expect(new X509Certificate(leaf.chain).checkPrivateKey(createPrivateKey(leaf.privateKey))).toBe(false)
  })

  it('wildcards', async () => {
    expect(await verdict(await trusted.issue({ hosts: ['*.example.test'] }), trusted.pem)).toBe('ok')
  })
})
