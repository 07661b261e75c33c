/** A Secret of ours in the operator's namespace: made once, by whichever replica comes first, and read by all. */
import type { KubeClient } from '../kube/client.ts'
import { isKubeError } from '../kube/errors.ts'

import { resources } from '../kube/resources.ts'

export const LABELS = { 'app.kubernetes.io/name': 'sluice', 'app.kubernetes.io/component': 'operator' }

/** Values in base64, as a Secret has them. Never log one. */
export type SecretData = Readonly<Record<string, string>>

/** It is not as we made it; somebody has to look, as replacing it by itself would end what is built on it. */
export class AuthorityError extends Error {
  readonly code = 'SLUICE_AUTHORITY'
  override readonly name = 'AuthorityError'
}

/** @throws KubeError; the caller tries again */
export async function findOrCreateSecret(
  client: Pick<KubeClient, 'find' | 'create' | 'get'>,
  target: { readonly namespace: string; readonly name: string },
  make: () => Promise<SecretData> | SecretData,
): Promise<SecretData> {
  const found = await client.find(resources.secrets, target)
  if (found !== null) return found.data ?? {}
  const data = await make()
  try {
    await client.create(resources.secrets, { metadata: { ...target, labels: LABELS }, type: 'Opaque', data })
    return data
  } catch (error) {
    // Another replica was faster: its Secret is the one.
    if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error
    return (await client.get(resources.secrets, target)).data ?? {}
  }
}
