/** What a TLS client gets for a name that no certificate covers: self-signed, made at each start, trusted by nobody. */
import '../../protocol/reflect-metadata.ts'
import { webcrypto } from 'node:crypto'
import { X509CertificateGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'
import type { KeyPair } from './contexts.ts'

const NAME = 'no-certificate-for-this-host.sluice.invalid'
const DAY_MS = 86_400_000

export async function createDefaultCertificate(now: Date = new Date()): Promise<KeyPair> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=${NAME}`,
      // A clock that is a little behind must not make it "not yet valid".
      notBefore: new Date(now.getTime() - DAY_MS),
      notAfter: new Date(now.getTime() + 3650 * DAY_MS),
      signingAlgorithm: algorithm,
      keys,
      extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: NAME }])],
    },
    webcrypto,
  )
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    chain: certificate.toString('pem'),
    privateKey: `-----BEGIN PRIVATE KEY-----\n${key.replace(/(.{64})/g, '$1\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
  }
}
