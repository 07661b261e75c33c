/**
 * The secret from which all proxies make the keys of TLS session tickets: with the same one a session begun at one pod
 * resumes at another. Proxies get it over the stream; it is in this Secret alone, and never in a log, status or event.
 */
import { randomBytes } from 'node:crypto'
import type { KubeClient } from '../kube/client.ts'
import { AuthorityError, findOrCreateSecret } from './kept-secret.ts'

/** Name of the Secret; its key is `secret`. */
export const TICKET_SECRET_NAME = 'sluice-session-tickets'
const KEY = 'secret'
const BYTES = 32

/** @returns 32 bytes in base64. @throws KubeError, AuthorityError; the caller tries again */
export async function ensureTicketSecret(
  client: Pick<KubeClient, 'find' | 'create' | 'get'>,
  namespace: string,
): Promise<string> {
  const target = { namespace, name: TICKET_SECRET_NAME }
  const data = await findOrCreateSecret(client, target, () => ({ [KEY]: randomBytes(BYTES).toString('base64') }))
  const secret = Buffer.from(data[KEY] ?? '', 'base64')
  if (secret.length !== BYTES) {
    const wrong = `${KEY} of Secret ${TICKET_SECRET_NAME} has ${secret.length} bytes, not ${BYTES}`
    throw new AuthorityError(`${wrong}; delete the Secret and restart the operator: it is made anew`)
  }
  return secret.toString('base64')
}
