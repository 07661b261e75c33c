/** TLS certificates and keys: what can be said against one before any client sees it. Messages never quote key material. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Certificate, ObjectKey } from '../../protocol/objects.ts'
import type { Problem, SecretContent } from './types.ts'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g
/** Curves that TLS clients accept in a certificate (RFC 8446 §4.2.7), by their OpenSSL names. */
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])
const MIN_RSA_BITS = 2048
const CERTIFICATE_FIELD = 'data[tls.crt]'
const KEY_FIELD = 'data[tls.key]'
/** Stands for "any label" where the question is whether a certificate covers a wildcard host. */
const ANY_LABEL = 'any-label-of-sluice'

export interface Inspection {
  readonly problems: readonly Problem[]
  /** Null if the leaf or its key could not be read, or its type is not supported. */
  readonly keyType: Certificate['keyType'] | null
}

/**
 * Checks chain, key and dates of a TLS Secret. Every problem but the order of intermediates is a `reject`.
 *
 * @param now Wall clock in milliseconds since the epoch; null leaves the dates unchecked, for a content that was
 * released: an expired certificate goes on being served until there is a better one.
 */
export function inspectCertificate(key: ObjectKey, content: SecretContent, now: number | null): Inspection {
  const problems: Problem[] = []
  const reject = (field: string, reason: string, message: string): void => {
    problems.push({ key, field, reason, message, effect: 'reject' })
  }
  const chain = readChain(content.chain)
  if (chain === null || chain.length === 0) {
    reject(
      CERTIFICATE_FIELD,
      'CertificateUnreadable',
      chain === null ? 'one of the certificates in tls.crt cannot be parsed' : 'tls.crt holds no PEM block CERTIFICATE',
    )
    return { problems, keyType: null }
  }
  const [leaf, ...others] = chain as [X509Certificate, ...X509Certificate[]]
  problems.push(...chainProblems(key, leaf, others))
  if (now !== null) {
    const from = Date.parse(leaf.validFrom)
    const to = Date.parse(leaf.validTo)
    if (now > to) reject(CERTIFICATE_FIELD, 'CertificateExpired', `the certificate expired on ${isoDate(to)}`)
    if (now < from) {
      reject(CERTIFICATE_FIELD, 'CertificateNotYetValid', `the certificate is not valid before ${isoDate(from)}`)
    }
  }
  const privateKey = readKey(content.privateKey)
  if (privateKey === null) {
    reject(
      KEY_FIELD,
      'KeyUnreadable',
      content.privateKey.trim() === '' ? 'tls.key is empty' : 'tls.key is not a PEM private key without a passphrase',
    )
    return { problems, keyType: null }
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    const fits = others.some(other => other.checkPrivateKey(privateKey))
    reject(
      KEY_FIELD,
      'KeyMismatch',
      fits
        ? 'tls.key belongs to a later certificate of tls.crt; the certificate of the server must be the first'
        : 'tls.key does not belong to the first certificate of tls.crt',
    )
  }
  const keyType = keyTypeOf(privateKey)
  if (keyType === null) {
    reject(
      KEY_FIELD,
      'KeyTypeUnsupported',
      `the key must be RSA of at least ${MIN_RSA_BITS} bits or ECDSA on P-256, P-384 or P-521`,
    )
  }
  return { problems, keyType }
}

/**
 * Whether the leaf of a PEM chain names the host (RFC 6125: `*` stands for exactly one first label; the common name
 * counts only where there are no alternative names). A wildcard host is covered by a wildcard name only.
 * False for a chain that cannot be parsed.
 */
export function certificateCovers(chain: string, host: string): boolean {
  const leaf = readChain(chain)?.[0]
  if (leaf === undefined) return false
  const name = host.startsWith('*.') ? `${ANY_LABEL}${host.slice(1)}` : host
  return leaf.checkHost(name, { partialWildcards: false, multiLabelWildcards: false }) !== undefined
}

/** SHA-1 (lower-case hex) of the leaf's DER, as upstream's Secret IDs have it (TENGINE.md 2.4); empty if there is none. */
export function leafSha1(chain: string): string {
  const leaf = readChain(chain)?.[0]
  return leaf === undefined ? '' : leaf.fingerprint.replaceAll(':', '').toLowerCase()
}

/** Null if a block cannot be parsed. */
function readChain(pem: string): readonly X509Certificate[] | null {
  try {
    return [...pem.matchAll(CERTIFICATE)].map(block => new X509Certificate(block[0]))
  } catch {
    return null
  }
}

function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem)
  } catch {
    // The cause could quote what was read.
    return null
  }
}

function keyTypeOf(key: KeyObject): Certificate['keyType'] | null {
  const details = key.asymmetricKeyDetails
  if (key.asymmetricKeyType === 'rsa') return (details?.modulusLength ?? 0) >= MIN_RSA_BITS ? 'RSA' : null
  if (key.asymmetricKeyType === 'ec') return CURVES.has(details?.namedCurve ?? '') ? 'ECDSA' : null
  return null
}

/** Each further certificate must have issued one before it; clients forgive another order, but not all of them. */
function chainProblems(key: ObjectKey, leaf: X509Certificate, others: readonly X509Certificate[]): readonly Problem[] {
  const before = [leaf]
  let ordered = true
  for (const [i, issuer] of others.entries()) {
    const last = before.at(-1) ?? leaf
    if (!issued(issuer, last)) {
      const remaining = [...before, ...others.filter(other => other !== issuer)]
      if (!remaining.some(certificate => issued(issuer, certificate))) {
        return [
          {
            key,
            field: CERTIFICATE_FIELD,
            reason: 'ChainBroken',
            message: `certificate ${i + 2} of tls.crt issued none of the others: the chain is broken`,
            effect: 'reject',
          },
        ]
      }
      ordered = false
    }
    before.push(issuer)
  }
  return ordered
    ? []
    : [
        {
          key,
          field: CERTIFICATE_FIELD,
          reason: 'ChainUnordered',
          message:
            'the certificates of tls.crt are not in order (each is to be followed by its issuer); some clients refuse that',
          effect: 'warn',
        },
      ]
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function isoDate(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('.000Z', 'Z')
}
