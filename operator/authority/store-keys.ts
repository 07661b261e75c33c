/**
 * The keys that private keys in the store are encrypted with: a Secret of their own, made by whichever replica comes first. It may
 * hold several, `key-<anything>`: all of them read, the last one in the order of names writes, so that a person adds
 * a new one, waits until nothing is encrypted with the old one, and removes that (docs/operations.md). They are in this Secret
 * alone, and never in a log, status or event.
 */
import { randomBytes } from 'node:crypto'
import type { KubeClient } from '../kube/client.ts'
import { isKubeError } from '../kube/errors.ts'
import type { Log } from '../kube/log.ts'
import { resources } from '../kube/resources.ts'
import type { KeyRing, StoreKey } from '../records/seal.ts'
import { KEY_BYTES, storeKey } from '../records/seal.ts'
import { AuthorityError, LABELS } from './kept-secret.ts'
import type { SecretData } from './kept-secret.ts'

export const STORE_KEYS_NAME = 'sluice-store-keys'
const NAME = /^key-./

export interface StoreKeysOptions {
  readonly client: Pick<KubeClient, 'find' | 'create'>
  readonly namespace: string
  readonly log: Log
  /** Wall clock. */
  readonly wall: () => Date
  readonly ring: KeyRing
}

/** What the Secret holds; `wrong`: names of what is no key. Pure. */
export function keysOf(data: SecretData): { readonly keys: readonly StoreKey[]; readonly wrong: readonly string[] } {
  const keys: StoreKey[] = []
  const wrong: string[] = []
  for (const [name, value] of Object.entries(data)) {
    const bytes = Buffer.from(value, 'base64')
    if (NAME.test(name) && bytes.length === KEY_BYTES) keys.push(storeKey(name, bytes))
    else wrong.push(name)
  }
  return { keys, wrong }
}

/**
 * Takes the keys of the Secret into the ring; makes the Secret where it is not there: with the keys that this process knows,
 * and a first one where it knows none. What is there and holds no key is not replaced: somebody has to look.
 * @returns something differs from what was known
 * @throws KubeError, AuthorityError; the caller tries again
 */
export async function shareStoreKeys({ client, namespace, log, wall, ring }: StoreKeysOptions): Promise<boolean> {
  const metadata = { namespace, name: STORE_KEYS_NAME }
  for (;;) {
    const found = await client.find(resources.secrets, metadata)
    if (found !== null) {
      const { keys, wrong } = keysOf(found.data ?? {})
      if (wrong.length > 0)
        log.warn({ secret: STORE_KEYS_NAME, entries: wrong }, 'these are no keys of the store: not used')
      if (keys.length === 0) {
        const what = `Secret ${STORE_KEYS_NAME} holds no key (key-…: ${KEY_BYTES} bytes)`
        throw new AuthorityError(
          `${what}: restore it; deleted it is made anew, and what was encrypted stays unreadable`,
        )
      }
      return ring.take(keys)
    }
    const known = ring.all
    const made = known.length > 0 ? known : [storeKey(nameFor(wall()), randomBytes(KEY_BYTES))]
    const data = Object.fromEntries(made.map(({ name, bytes }) => [name, bytes.toString('base64')]))
    try {
      await client.create(resources.secrets, { metadata: { ...metadata, labels: LABELS }, type: 'Opaque', data })
    } catch (error) {
      // Another replica was faster: its Secret is the one.
      if (isKubeError(error, 'KUBE_ALREADY_EXISTS')) continue
      throw error
    }
    if (known.length > 0)
      log.warn({ secret: STORE_KEYS_NAME }, 'the Secret was gone: written again, with the keys at hand')
    else log.info({ secret: STORE_KEYS_NAME }, 'a first key of the store is made')
    return ring.take(made)
  }
}

/** In the order of time. */
function nameFor(at: Date): string {
  return `key-${at.toISOString().replace(/[-:]|\.\d+/g, '')}`
}
