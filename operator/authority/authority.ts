/**
 * The authority that proxies trust for the stream: made once by whichever replica comes first, kept in a Secret of the
 * operator's namespace; its certificate alone is in the ConfigMap that the proxies mount.
 */
import type { KubeClient } from '../kube/client.ts'
import { resources } from '../kube/resources.ts'
import { newAuthority } from './certificates.ts'
import type { KeyPair } from './certificates.ts'
import { AuthorityError, LABELS, findOrCreateSecret } from './kept-secret.ts'
import type { SecretData } from './kept-secret.ts'

/** Name of the Secret (both parts) and of the ConfigMap (the certificate, key `ca.crt`). */
export const AUTHORITY_NAME = 'sluice-stream-ca'

/** @throws KubeError; the caller tries again */
export async function ensureAuthority(
  client: Pick<KubeClient, 'find' | 'create' | 'apply' | 'get'>,
  namespace: string,
  now: number,
): Promise<KeyPair> {
  const target = { namespace, name: AUTHORITY_NAME }
  const authority = readAuthority(
    await findOrCreateSecret(client, target, async () => {
      const { cert, key } = await newAuthority(now)
      return { 'ca.crt': Buffer.from(cert).toString('base64'), 'ca.key': Buffer.from(key).toString('base64') }
    }),
  )
  await client.apply(
    resources.configMaps,
    { metadata: { ...target, labels: LABELS }, data: { 'ca.crt': authority.cert } },
    { force: true },
  )
  return authority
}

function readAuthority(data: SecretData): KeyPair {
  const part = (name: string): string => {
    const value = data[name]
    if (value === undefined || value === '') {
      throw new AuthorityError(`Secret ${AUTHORITY_NAME} has no ${name}; delete the Secret, and it is made anew`)
    }
    return Buffer.from(value, 'base64').toString('utf8')
  }
  return { cert: part('ca.crt'), key: part('ca.key') }
}
