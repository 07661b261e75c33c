/**
 * Certificates for tests and demo: authorities, and leafs that are right or wrong in one way. Made anew each time;
 * nothing outside a test ever trusts them.
 */
import '../../protocol/reflect-metadata.ts'
import { createPrivateKey, sign, webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  AuthorityKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import type { X509Certificate } from '@peculiar/x509'

export type KeyType = 'ECDSA' | 'RSA'

export interface LeafOptions {
  readonly hosts: readonly string[]
  readonly keyType?: KeyType
  /** Default: an hour ago. */
  readonly notBefore?: Date
  /** Default: in thirty days. */
  readonly notAfter?: Date
}

/** What goes into a TLS Secret. */
export interface Leaf {
  /** PEM: leaf first, then intermediates; the root is left out, as servers do. */
  readonly chain: string
  /** PEM, PKCS 8. */
  readonly privateKey: string
}

interface KeyPair {
  readonly privateKey: webcrypto.CryptoKey
  readonly publicKey: webcrypto.CryptoKey
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const SIGNING = {
  ECDSA: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  RSA: { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
} as const

// @peculiar/x509 types its arguments by the browser's lib, which Node's are assignable to at run time only.
const crypto = webcrypto as never

async function newKeys(keyType: KeyType): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(SIGNING[keyType], true, ['sign', 'verify'])
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  const base64 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${base64.replace(/(.{64})/g, '$1\n').trimEnd()}\n-----END PRIVATE KEY-----\n`
}

/** A serial number: positive, 16 bytes, different each time. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  return `4${Buffer.from(bytes).toString('hex').slice(1)}`
}

export class Authority {
  /** The certificate as PEM: what clients are told to trust. */
  readonly pem: string
  readonly #certificate: X509Certificate
  readonly #keys: KeyPair
  readonly #keyType: KeyType
  /** Certificates between the root and this authority, this one first; empty for a root. */
  readonly #intermediates: readonly string[]

  private constructor(certificate: X509Certificate, keys: KeyPair, keyType: KeyType, above: readonly string[] | null) {
    this.#certificate = certificate
    this.#keys = keys
    this.#keyType = keyType
    this.pem = `${certificate.toString('pem')}\n`
    this.#intermediates = above === null ? [] : [this.pem, ...above]
  }

  /** A root that signs itself. */
  static async root(name: string, keyType: KeyType = 'ECDSA'): Promise<Authority> {
    return Authority.#create(name, keyType, null)
  }

  /** An authority that this one signs; its leafs carry it in their chain. */
  async intermediate(name: string, keyType: KeyType = 'ECDSA'): Promise<Authority> {
    return Authority.#create(name, keyType, this)
  }

  async issue(options: LeafOptions): Promise<Leaf> {
    const keyType = options.keyType ?? 'ECDSA'
    const keys = await newKeys(keyType)
    const now = Date.now()
    const certificate = await X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject: `CN=${options.hosts[0] ?? 'nobody'}`,
        issuer: this.#certificate.subject,
        notBefore: options.notBefore ?? new Date(now - HOUR_MS),
        notAfter: options.notAfter ?? new Date(now + 30 * DAY_MS),
        publicKey: keys.publicKey as never,
        signingKey: this.#keys.privateKey,
        signingAlgorithm: SIGNING[this.#keyType] as never,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
          new SubjectAlternativeNameExtension(options.hosts.map(value => ({ type: 'dns', value }))),
          await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey as never, false, crypto),
        ],
      },
      crypto,
    )
    const chain = [`${certificate.toString('pem')}\n`, ...this.#intermediates].join('')
    return { chain, privateKey: await pemOfKey(keys.privateKey) }
  }

  /** Signs DER as it signs certificates, without their making: for copies.ts. */
  async signer(): Promise<(bytes: Buffer) => Buffer> {
    const key = createPrivateKey(await pemOfKey(this.#keys.privateKey))
    return bytes => sign('sha256', bytes, key)
  }

  /** A leaf whose time is over. */
  async issueExpired(options: LeafOptions): Promise<Leaf> {
    const now = Date.now()
    return this.issue({ ...options, notBefore: new Date(now - 60 * DAY_MS), notAfter: new Date(now - DAY_MS) })
  }

  static async #create(name: string, keyType: KeyType, issuer: Authority | null): Promise<Authority> {
    const keys = await newKeys(keyType)
    const signer =
      issuer === null
        ? { subject: `CN=${name}`, keys, keyType }
        : { subject: issuer.#certificate.subject, keys: issuer.#keys, keyType: issuer.#keyType }
    const now = Date.now()
    const certificate = await X509CertificateGenerator.create(
      {
        serialNumber: serialNumber(),
        subject: `CN=${name}`,
        issuer: signer.subject,
        notBefore: new Date(now - HOUR_MS),
        notAfter: new Date(now + 365 * DAY_MS),
        publicKey: keys.publicKey as never,
        signingKey: signer.keys.privateKey,
        signingAlgorithm: SIGNING[signer.keyType] as never,
        extensions: [
          new BasicConstraintsExtension(true, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
          await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
          // As roots are without one (RFC 5280 4.2.1.1).
          ...(issuer === null
            ? []
            : [await AuthorityKeyIdentifierExtension.create(signer.keys.publicKey as never, false, crypto)]),
        ],
      },
      crypto,
    )
    return new Authority(certificate, keys, keyType, issuer === null ? null : issuer.#intermediates)
  }
}

/** A leaf's certificate with a key that is not its own. */
export function mismatched(certificate: Leaf, key: Leaf): Leaf {
  return { chain: certificate.chain, privateKey: key.privateKey }
}
