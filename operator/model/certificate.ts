/** TLS certificates and keys: what can be said against one before any client sees it. Messages never quote key material. */
import '../../protocol/reflect-metadata.ts'
import { X509Certificate, createPrivateKey, hash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import {
  AuthorityKeyIdentifierExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as Parsed,
} from '@peculiar/x509'
import type { Certificate, ObjectKey } from '../../protocol/objects.ts'
import type { Problem, SecretContent } from './types.ts'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
/** Curves that TLS clients accept in a certificate (RFC 8446 §4.2.7), by their OpenSSL names. */
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])
const MIN_RSA_BITS = 2048
/** Whether each issued each is asked of all: of more nobody can be meant. */
const MAX_CERTIFICATES = 32
const CERTIFICATE_FIELD = 'data[tls.crt]'
const KEY_FIELD = 'data[tls.key]'
/** Stands for "any label" where the question is whether a certificate covers a wildcard host. */
const ANY_LABEL = 'any-label-of-sluice'
/** That it ends soon is said so long before, and in the last quarter of a life that is shorter: renewals are due before. */
const EXPIRING_MS = 14 * 86_400_000

export interface Inspection {
  readonly problems: readonly Problem[]
  /** Null if the leaf or its key could not be read, or its type is not supported. */
  readonly keyType: Certificate['keyType'] | null
  /** What is to be sent: PEM written anew, the leaf, then what leads up from it; null if it could not be read. */
  readonly chain: string | null
  /** When time alone changes the answer next, in milliseconds since the epoch; null: never again, or nothing was read. */
  readonly nextDate: number | null
}

/** What does not depend on the time. */
interface Reading extends Omit<Inspection, 'nextDate'> {
  /** Null without a leaf. */
  readonly validity: { readonly from: number; readonly to: number } | null
}

/** A content is looked at again with every change around it; signatures and OpenSSL's loading cost a millisecond each time. */
const readings = new WeakMap<SecretContent, Reading>()

/**
 * The same certificate and key as another content: what a Secret has, and what the store has of it, one right after the other. By the
 * hash of the very text of both, the one used last at the end. In this process only: neither key nor hash goes anywhere.
 */
const recent = new Map<string, Reading>()
const MOST_RECENT = 512

/** What is kept of a content that there is nothing to say of, and that is sent as it is written. */
export interface Proof {
  readonly keyType: Certificate['keyType']
  /** When the leaf begins and ends, in milliseconds since the epoch. */
  readonly from: number
  readonly to: number
}

/** Who proves something: the number grows when the rules of this file do. */
export const CHECKED_BY = `1 OpenSSL ${process.versions.openssl}`

/** What the store has proofs of, by the same hash. */
const proofs = new Map<string, Proof>()
const MOST_PROOFS = 65_536
const UNREAD: Reading = { problems: [], keyType: null, chain: null, validity: null }

/**
 * Checks chain, key and dates of a TLS Secret. Nobody sees what OpenSSL did not load here first, from the very text
 * that is sent.
 *
 * @param now Wall clock in milliseconds since the epoch; null leaves the dates unchecked, for a content that was
 * released: an expired certificate goes on being served until there is a better one.
 */
export function inspectCertificate(key: ObjectKey, content: SecretContent, now: number | null): Inspection {
  const { problems, keyType, chain, validity } = readingOf(content)
  const said = problems.map(problem => ({ ...problem, key }))
  if (validity === null || now === null) return { problems: said, keyType, chain, nextDate: null }
  const { from, to } = validity
  const expiring = to - Math.min(EXPIRING_MS, (to - from) / 4)
  const nextDate = [from, expiring, to + 1].find(date => date > now) ?? null
  return { problems: [...said, ...dateProblems(key, { from, to, expiring }, now)], keyType, chain, nextDate }
}

/** The chain as it is sent; what is written otherwise is the same certificate, and the same revision. Null: unreadable. */
export function writtenChain(content: SecretContent): string | null {
  return readingOf(content).chain
}

export interface LeafFacts {
  /** Milliseconds since the epoch. */
  readonly from: number
  readonly to: number
  /** DNS names, lower case, wildcards allowed; the common name where there are no others. */
  readonly names: readonly string[]
  readonly keyType: Certificate['keyType'] | null
  readonly isSelfSigned: boolean
  /** Nothing that leads up from it is sent with it. */
  readonly isAlone: boolean
  /** What cert-manager puts into a Secret until there is a real one (`issue-temporary-certificate`): its issuer is thrown away at once. */
  readonly isTemporary: boolean
  /**
   * The authority that a client has to know: name and key identifier (RFC 5280 4.2.1.1) of who issued the last certificate that is sent.
   * Those in between may change with every renewal (Let's Encrypt draws one of several), what they lead to does not. Null: it
   * is self-signed, or the identifier is not there; a name alone may be anybody's.
   */
  readonly anchor: string | null
}

const TEMPORARY_ISSUER = 'CN=cert-manager.local'
const leaves = new WeakMap<SecretContent, LeafFacts | null>()

/** What the first certificate of a Secret is; null: it cannot be read. */
export function leafOf(content: SecretContent): LeafFacts | null {
  const known = leaves.get(content)
  if (known !== undefined) return known
  const { chain, keyType, validity } = readingOf(content)
  const leaf = chain === null ? null : readLeaf(chain)
  const facts =
    chain === null || leaf === null || validity === null
      ? null
      : {
          ...{ ...validity, keyType, names: namesOf(leaf), isSelfSigned: issued(leaf, leaf) },
          isAlone: chain.split('-----BEGIN CERTIFICATE-----').length === 2,
          isTemporary: leaf.issuer === TEMPORARY_ISSUER,
          anchor: issued(leaf, leaf) ? null : anchorOf(readBlocks(chain)?.at(-1) ?? leaf),
        }
  leaves.set(content, facts)
  return facts
}

/** A root that is sent, too, stands for itself: it is who issued the one below it. */
function anchorOf(top: X509Certificate): string | null {
  try {
    const parsed = new Parsed(top.raw)
    const key = issued(top, top)
      ? parsed.getExtension(SubjectKeyIdentifierExtension)?.keyId
      : parsed.getExtension(AuthorityKeyIdentifierExtension)?.keyId
    return key === undefined ? null : `${top.issuer}\n${key}`
  } catch {
    // An extension that cannot be read says nothing.
    return null
  }
}

function namesOf({ subjectAltName, subject }: X509Certificate): readonly string[] {
  const names = [...(subjectAltName ?? '').matchAll(/DNS:([^\s,"]+)/g)].map(([, name = '']) => name)
  const found = names.length > 0 ? names : [/(?:^|\n)CN=([^\n]+)/.exec(subject)?.[1] ?? '']
  return found.filter(name => name !== '').map(name => name.toLowerCase())
}

function readingOf(content: SecretContent): Reading {
  const known = readings.get(content)
  if (known !== undefined) return known
  const pair = pairOf(content)
  const proof = proofs.get(pair)
  const reading = recent.get(pair) ?? (proof === undefined ? read(content) : provenReading(content, proof))
  setLast(recent, pair, reading, MOST_RECENT)
  readings.set(content, reading)
  return reading
}

function pairOf({ chain, privateKey }: SecretContent): string {
  return hash('sha256', `${chain.length} ${chain}${privateKey}`, 'base64')
}

function provenReading({ chain }: SecretContent, { keyType, from, to }: Proof): Reading {
  return { problems: [], keyType, chain, validity: { from, to } }
}

function setLast<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.size > most ? map.keys() : []
  if (oldest !== undefined) map.delete(oldest)
}

/** Null: this process has not checked it, or there is something to say of it, or it is sent otherwise than it is written. Checks nothing. */
export function proofOf(content: SecretContent): Proof | null {
  const { problems, keyType, chain, validity } = readings.get(content) ?? UNREAD
  if (keyType === null || validity === null || problems.length > 0 || chain !== content.chain) return null
  if (!Number.isFinite(validity.from) || !Number.isFinite(validity.to)) return null
  return { keyType, ...validity }
}

/** A process that checks as this one does has found that of this very content. */
export function takeProof(content: SecretContent, proof: Proof): void {
  setLast(proofs, pairOf(content), proof, MOST_PROOFS)
}

function read(content: SecretContent): Reading {
  const problems: Problem[] = []
  const say = (field: string, reason: string, message: string, effect: Problem['effect'] = 'reject'): void => {
    problems.push({ key: '', field, reason, message, effect })
  }
  const nothing = { problems, keyType: null, chain: null, validity: null }
  if (content.chain.trim() === '' && content.privateKey.trim() === '') {
    say('data', 'SecretIncomplete', 'the Secret has no tls.crt and no tls.key, or empty ones')
    return nothing
  }
  const blocks = readBlocks(content.chain)
  if (blocks === null || blocks.length === 0 || blocks.length > MAX_CERTIFICATES) {
    say(
      CERTIFICATE_FIELD,
      'CertificateUnreadable',
      blocks === null
        ? 'one of the certificates in tls.crt cannot be parsed'
        : blocks.length === 0
          ? 'tls.crt holds no PEM block CERTIFICATE'
          : `tls.crt holds ${blocks.length} certificates, more than ${MAX_CERTIFICATES}`,
    )
    return nothing
  }
  const [leaf, ...others] = blocks as [X509Certificate, ...X509Certificate[]]
  const validity = { from: Date.parse(leaf.validFrom), to: Date.parse(leaf.validTo) }
  const chain = arrange(leaf, others, say)
    .map(certificate => pemOf(certificate))
    .join('')
  const privateKey = readKey(content.privateKey)
  if (privateKey === null) {
    say(
      KEY_FIELD,
      'KeyUnreadable',
      content.privateKey.trim() === '' ? 'tls.key is empty' : 'tls.key is not a PEM private key without a passphrase',
    )
    return { problems, keyType: null, chain, validity }
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    const fits = others.some(other => other.checkPrivateKey(privateKey))
    say(
      KEY_FIELD,
      'KeyMismatch',
      fits
        ? 'tls.key belongs to a later certificate of tls.crt; the certificate of the server must be the first'
        : 'tls.key does not belong to the first certificate of tls.crt',
    )
  }
  const keyType = keyTypeOf(privateKey)
  if (keyType === null) {
    say(
      KEY_FIELD,
      'KeyTypeUnsupported',
      `the key must be RSA of at least ${MIN_RSA_BITS} bits or ECDSA on P-256, P-384 or P-521`,
    )
  }
  if (!problems.some(problem => problem.effect === 'reject')) {
    const refusal = loadingProblem(chain, content.privateKey)
    if (refusal !== null) say(CERTIFICATE_FIELD, 'CertificateRefused', `OpenSSL refuses to load it: ${refusal}`)
  }
  return { problems, keyType, chain, validity }
}

function dateProblems(
  key: ObjectKey,
  { from, to, expiring }: { readonly from: number; readonly to: number; readonly expiring: number },
  now: number,
): readonly Problem[] {
  const problem = (reason: string, message: string, effect: Problem['effect']): readonly Problem[] => [
    { key, field: CERTIFICATE_FIELD, reason, message, effect },
  ]
  if (now < from) {
    const message = `the certificate is not valid before ${isoDate(from)}, and is taken up then`
    return problem('CertificateNotYetValid', message, 'reject')
  }
  if (now > to) return problem('CertificateExpired', `the certificate expired on ${isoDate(to)}`, 'reject')
  return now < expiring ? [] : problem('CertificateExpiring', `the certificate expires on ${isoDate(to)}`, 'warn')
}

/**
 * Whether the leaf of a PEM chain names the host (RFC 6125: `*` stands for exactly one first label; the common name
 * counts only where there are no alternative names). A wildcard host is covered by a wildcard name only.
 * False for a chain that cannot be parsed.
 */
export function certificateCovers(chain: string, host: string): boolean {
  const leaf = readLeaf(chain)
  if (leaf === null) return false
  const name = host.startsWith('*.') ? `${ANY_LABEL}${host.slice(1)}` : host
  return leaf.checkHost(name, { partialWildcards: false, multiLabelWildcards: false }) !== undefined
}

/** When the leaf of a PEM chain ends, in milliseconds since the epoch; null: it cannot be read. */
export function notAfterOf(chain: string): number | null {
  const leaf = readLeaf(chain)
  return leaf === null ? null : Date.parse(leaf.validTo)
}

/** SHA-1 (lower-case hex) of the leaf's DER, as upstream's Secret IDs have it (TENGINE.md 2.4); empty if there is none. */
export function leafSha1(chain: string): string {
  const leaf = readLeaf(chain)
  return leaf === null ? '' : leaf.fingerprint.replaceAll(':', '').toLowerCase()
}

/** Null if a block cannot be parsed. What is around the blocks, and how their lines break, does not matter. */
function readBlocks(pem: string): readonly X509Certificate[] | null {
  try {
    return [...pem.matchAll(CERTIFICATE)].map(([, body = '']) => parseBlock(body))
  } catch {
    return null
  }
}

function readLeaf(pem: string): X509Certificate | null {
  try {
    for (const [, body = ''] of pem.matchAll(CERTIFICATE)) return parseBlock(body)
  } catch {
    // As if it were not there.
  }
  return null
}

/** @throws if it is no certificate */
function parseBlock(body: string): X509Certificate {
  const base64 = body.replace(/\s+/g, '')
  if (!BASE64.test(base64)) throw new SyntaxError('not base64')
  return new X509Certificate(Buffer.from(base64, 'base64'))
}

function pemOf(certificate: X509Certificate): string {
  const lines = certificate.raw.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
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

/**
 * The leaf, then each by what it issued: all that leads up from the leaf, in order. The others are of no use to a client
 * and stay out (RFC 8446 4.4.2: clients should put up with them; some do not). Where not one issued the leaf, and not
 * all of them are roots, somebody meant a chain and gave the wrong one: clients that need it would fail.
 */
function arrange(
  leaf: X509Certificate,
  given: readonly X509Certificate[],
  say: (field: string, reason: string, message: string, effect?: Problem['effect']) => void,
): readonly X509Certificate[] {
  const kept = [leaf]
  let rest = given.filter((other, i) => !same(other, leaf) && !given.slice(0, i).some(earlier => same(earlier, other)))
  const wanted = rest
  for (;;) {
    const last = kept.at(-1) ?? leaf
    const next =
      rest.find(other => issued(other, last)) ??
      rest.find(other => kept.some(certificate => issued(other, certificate)))
    if (next === undefined) break
    kept.push(next)
    rest = rest.filter(other => other !== next)
  }
  if (kept.length === 1 && !issued(leaf, leaf) && rest.some(other => !issued(other, other))) {
    say(
      CERTIFICATE_FIELD,
      'ChainBroken',
      'no certificate of tls.crt issued the first one, and not all of the others are roots: the chain is broken',
    )
    return kept
  }
  const superfluous = given.flatMap((other, i) => (kept.includes(other) ? [] : [i + 2]))
  if (superfluous.length > 0) {
    const which = superfluous.length === 1 ? 'certificate' : 'certificates'
    say(
      CERTIFICATE_FIELD,
      'ChainSuperfluous',
      `${which} ${superfluous.join(', ')} of tls.crt stand there twice or lead nowhere from the first one, and are not sent`,
      'warn',
    )
  }
  if (kept.slice(1).some((certificate, i) => certificate !== wanted.filter(other => kept.includes(other))[i])) {
    const message =
      'the certificates of tls.crt are not in order (each is to be followed by its issuer); they are sent in order'
    say(CERTIFICATE_FIELD, 'ChainUnordered', message, 'warn')
  }
  return kept
}

function same(a: X509Certificate, b: X509Certificate): boolean {
  return a.raw.equals(b.raw)
}

/** As the proxies will load it (proxy/frontdoor/contexts.ts). Null: it loads; else OpenSSL's reason, which quotes nothing. */
function loadingProblem(chain: string, privateKey: string): string | null {
  try {
    createSecureContext({ cert: chain, key: privateKey, minVersion: 'TLSv1.2' })
    return null
  } catch (error) {
    const { reason, code } = error as { readonly reason?: unknown; readonly code?: unknown }
    return typeof reason === 'string' ? reason : typeof code === 'string' ? code : 'it gives no reason'
  }
}

function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
}

function isoDate(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('.000Z', 'Z')
}
