/**
 * A hundred thousand leafs that are valid, each for a host of its own: copies of a few that were issued, with another name, serial number
 * and signature. A copy costs some fifty microseconds; to issue one costs ten milliseconds, and an RSA key of its own a tenth of a second.
 */
import { X509Certificate, randomBytes } from 'node:crypto'
import type { Authority, KeyType, Leaf } from './pki.ts'

const SEQUENCE = 0x30
const BIT_STRING = 0x03
/** Of a length: so many bytes of it follow. */
const LONG = 0x80
const LINE = 64

/** What is before a leaf's signature, and what follows the leaf. */
interface Original {
  /** Its tbsCertificate, in DER. */
  readonly signed: Buffer
  /** Its signatureAlgorithm, in DER. */
  readonly algorithm: Buffer
  readonly serial: Buffer
  /** PEM of what else is in the chain. */
  readonly above: string
  /** PEM. Copies share it. */
  readonly privateKey: string
}

/**
 * @param sample a host name; those of copies have its length
 * @param keys how many keys copies take turns with
 * @returns makes a leaf for a host
 */
export async function copier(
  authority: Authority,
  sample: string,
  { keyType, keys }: { readonly keyType: KeyType; readonly keys: number },
): Promise<(host: string) => Leaf> {
  const sign = await authority.signer()
  const originals = await Promise.all(
    Array.from({ length: keys }, async () => originalOf(await authority.issue({ hosts: [sample], keyType }))),
  )
  let next = 0
  return host => {
    const original = originals[next++ % keys]
    if (original === undefined) throw new RangeError('a copy needs a key')
    if (host.length !== sample.length) throw new RangeError(`${host} has not the length of ${sample}`)
    const serial = randomBytes(original.serial.length)
    // Positive, and of the same length.
    serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
    const signed = replaced(replaced(original.signed, original.serial, serial), Buffer.from(sample), Buffer.from(host))
    const signature = element(BIT_STRING, Buffer.concat([Buffer.of(0), sign(signed)]))
    const leaf = element(SEQUENCE, Buffer.concat([signed, original.algorithm, signature]))
    return { chain: `${pemOf(leaf)}${original.above}`, privateKey: original.privateKey }
  }
}

function originalOf({ chain, privateKey }: Leaf): Original {
  const { raw, serialNumber } = new X509Certificate(chain)
  const [signed, algorithm] = elementsOf(contentOf(raw))
  if (signed === undefined || algorithm === undefined) throw new TypeError('not a certificate')
  const end = '-----END CERTIFICATE-----\n'
  const above = chain.slice(chain.indexOf(end) + end.length)
  return { signed, algorithm, serial: Buffer.from(serialNumber, 'hex'), above, privateKey }
}

/** All there are; of the same length. */
function replaced(bytes: Buffer, from: Buffer, to: Buffer): Buffer {
  const result = Buffer.from(bytes)
  for (let at = result.indexOf(from); at >= 0; at = result.indexOf(from, at + to.length)) to.copy(result, at)
  return result
}

/** An element of DER. */
function element(tag: number, content: Buffer): Buffer {
  const digits = content.length.toString(16)
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex')
  const head =
    content.length < LONG ? Buffer.of(content.length) : Buffer.concat([Buffer.of(LONG | length.length), length])
  return Buffer.concat([Buffer.of(tag), head, content])
}

/** Where the content of the element that begins there begins, and where it ends. */
function boundsOf(bytes: Buffer, at: number): readonly [begin: number, end: number] {
  const first = bytes[at + 1] ?? 0
  const digits = first < LONG ? 0 : first - LONG
  const begin = at + 2 + digits
  return [begin, begin + (digits === 0 ? first : bytes.readUIntBE(at + 2, digits))]
}

function contentOf(bytes: Buffer): Buffer {
  return bytes.subarray(...boundsOf(bytes, 0))
}

/** Those that follow each other, whole. */
function elementsOf(bytes: Buffer): readonly Buffer[] {
  const elements: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const [, end] = boundsOf(bytes, at)
    elements.push(bytes.subarray(at, end))
    at = end
  }
  return elements
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g')) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
