/** A private key that cannot be decrypted, found again in the Secret that it came from. Pure. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { parseSecret } from '../model/secret.ts'

/**
 * The private key of the Secret, if it belongs to the certificate that was recorded: then it is the one that was stored with it,
 * whatever else the Secret holds by now.
 */
export function recoveredKey(raw: unknown, chain: string): string | null {
  try {
    const { content } = parseSecret(raw)
    if (content.kind !== 'Secret') return null
    const fits = new X509Certificate(chain).checkPrivateKey(createPrivateKey(content.privateKey))
    return fits ? content.privateKey : null
  } catch {
    // A Secret, certificate or key that cannot be read is not it; the errors could quote them.
    return null
  }
}
