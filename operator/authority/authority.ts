/**
 * The authority that proxies trust for the stream: made once by whichever replica comes first, kept in a Secret of the
 * operator's namespace; its certificate alone is in the ConfigMap that the proxies mount.
 */
import type { KubeClient } from '../kube/client.ts'
import { isKubeError } from '../kube/errors.ts'
import { resources } from '../kube/resources.ts'
import { newAuthority } from './certificates.ts'
import type { KeyPair } from './certificates.ts'

/** Name of the Secret (both parts) and of the ConfigMap (the certificate, key `ca.crt`). */
export const AUTHORITY_NAME = 'sluice-stream-ca'
const LABELS = { 'app.kubernetes.io/name': 'sluice', 'app.kubernetes.io/component': 'operator' }

/** @throws KubeError; the caller tries again */
export async function ensureAuthority(
  client: Pick<KubeClient, 'find' | 'create' | 'apply' | 'get'>,
  namespace: string,
  now: number,
): Promise<KeyPair> {
  const authority = await findOrCreate(client, namespace, now)
  await client.apply(
    resources.configMaps,
    { metadata: { name: AUTHORITY_NAME, namespace, labels: LABELS }, data: { 'ca.crt': authority.cert } },
    { force: true },
  )
  return authority
}

async function findOrCreate(
  client: Pick<KubeClient, 'find' | 'create' | 'get'>,
  namespace: string,
  now: number,
): Promise<KeyPair> {
  const target = { namespace, name: AUTHORITY_NAME }
  const found = await client.find(resources.secrets, target)
  if (found !== null) return readAuthority(found.data)
  const made = await newAuthority(now)
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  try {
    await client.create(resources.secrets, {
      metadata: { ...target, labels: LABELS },
      type: 'Opaque',
      data: { 'ca.crt': encode(made.cert), 'ca.key': encode(made.key) },
    })
    return made
  } catch (error) {
    // Another replica was faster: its authority is the one.
    if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error
    return readAuthority((await client.get(resources.secrets, target)).data)
  }
}

export class AuthorityError extends Error {
  readonly code = 'SLUICE_AUTHORITY'
  override readonly name = 'AuthorityError'
}

function readAuthority(data: Readonly<Record<string, string>> | undefined): KeyPair {
  const part = (name: string): string => {
    const value = data?.[name]
    if (value === undefined || value === '') {
      throw new AuthorityError(`Secret ${AUTHORITY_NAME} has no ${name}; delete the Secret, and it is made anew`)
    }
    return Buffer.from(value, 'base64').toString('utf8')
  }
  return { cert: part('ca.crt'), key: part('ca.key') }
}
