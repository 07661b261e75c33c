/**
 * `main.js uninstall`: takes finalizers, rollout annotations, conditions and our addresses off every Ingress, and annotations
 * off Secrets where it may, before what understands them is deleted. It takes the lead first, and does not give it back:
 * nobody may put them on again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from './config.ts'
import { FINALIZER } from './control/finalizer.ts'
import type { KubeClient } from './kube/client.ts'
import { isKubeError } from './kube/errors.ts'
import type { KubeObject, Lease } from './kube/objects.ts'
import { nameKey } from './kube/objects.ts'
import { resources } from './kube/resources.ts'
import { stampAnnotations } from './model/annotations.ts'
import { showsOurs } from './status/addresses.ts'
import { CONDITIONS_ANNOTATION } from './status/object-conditions.ts'

export interface UninstallOptions {
  readonly client: Pick<KubeClient, 'find' | 'create' | 'update' | 'list' | 'mergePatch' | 'patchStatus'>
  readonly config: Pick<Config, 'namespace' | 'annotationPrefix'>
  readonly say: (line: string) => void
  /** After which a leader that cannot renew counts itself out; default 12 s (LeaderElector: 10 s). */
  readonly fenceMs?: number
}

const LEASE = 'sluice-operator'
const HOLDER = 'uninstall'
/** Long enough for everything that follows; after it the operator may lead again, if it was not deleted. */
const HOLD_SECONDS = 600
const ATTEMPTS = 5

type Target = typeof resources.ingresses | typeof resources.secretMetadata

/** @throws Error that names the objects which could not be changed */
export async function uninstall({ client, config, say, fenceMs = 12_000 }: UninstallOptions): Promise<void> {
  await takeTheLead(client, config.namespace)
  say(`this has the lead; waiting ${Math.round(fenceMs / 1000)} s until no operator can write any more`)
  await sleep(fenceMs)
  const failed: string[] = []
  for (const kind of ['Ingress', 'Secret'] as const) {
    // Of Secrets their metadata: what is in them is none of its business.
    const resource = kind === 'Ingress' ? resources.ingresses : resources.secretMetadata
    const names = [...stampAnnotations(kind, config.annotationPrefix), CONDITIONS_ANNOTATION]
    const objects: readonly KubeObject[] = await client.list<KubeObject>(resource)
    const marked = objects.filter(object => marks(object, names))
    say(`${kind}: ${marked.length} of ${objects.length} carry finalizer or annotations of ours`)
    const kept: string[] = []
    for (const object of marked) {
      const outcome = await strip(client, resource, object, names)
      if (outcome === 'forbidden') kept.push(nameKey(object.metadata))
      else if (outcome === 'overtaken') failed.push(`${kind} ${nameKey(object.metadata)}`)
    }
    if (kept.length > 0) leaves(kept, names, say)
  }
  // Afterwards, so that an Ingress which waits for its finalizer is gone by now.
  failed.push(...(await takeAddresses(client, say)))
  if (failed.length > 0) throw new Error(`these still carry what is ours: ${failed.slice(0, 10).join(', ')}`)
  say('no finalizer, no annotation, no address of ours is left on any Ingress')
}

async function takeTheLead(client: UninstallOptions['client'], namespace: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const found = await client.find(resources.leases, { namespace, name: LEASE })
    const now = new Date().toISOString().replace('Z', '000Z')
    const spec = {
      ...found?.spec,
      holderIdentity: HOLDER,
      leaseDurationSeconds: HOLD_SECONDS,
      renewTime: now,
      acquireTime: now,
    }
    const lease: Lease = { ...found, metadata: { ...found?.metadata, namespace, name: LEASE }, spec }
    try {
      if (found === null) await client.create(resources.leases, lease)
      else await client.update(resources.leases, lease)
      return
    } catch (error) {
      if (!isKubeError(error, 'KUBE_CONFLICT', 'KUBE_ALREADY_EXISTS') || attempt >= ATTEMPTS) throw error
    }
  }
}

/** The right to write on Secrets is an opt-in (deploy/components/secrets-by-hand). Annotations do no harm where nobody reads them. */
function leaves(secrets: readonly string[], names: readonly string[], say: (line: string) => void): void {
  say(
    `annotations of ours stay on ${secrets.length} Secrets, which this account may not write. Whoever may takes them off:`,
  )
  for (const secret of secrets) {
    const [namespace, name] = secret.split('/')
    say(`  kubectl -n ${namespace} annotate secret ${name} ${names.map(annotation => `${annotation}-`).join(' ')}`)
  }
}

function marks({ metadata }: KubeObject, names: readonly string[]): boolean {
  return (
    metadata.finalizers?.includes(FINALIZER) === true || names.some(name => metadata.annotations?.[name] !== undefined)
  )
}

/** Returns what could not be changed. */
async function takeAddresses(
  client: UninstallOptions['client'],
  say: (line: string) => void,
): Promise<readonly string[]> {
  const ingresses: readonly KubeObject[] = await client.list<KubeObject>(resources.ingresses)
  const showing = ingresses.filter(showsOurs)
  say(`Ingress: ${showing.length} of ${ingresses.length} show addresses that we published`)
  const failed: string[] = []
  for (const object of showing) {
    const done = await persistently(client, resources.ingresses, object, async current => {
      const { name, namespace, resourceVersion } = current.metadata
      // Another controller may have written its own by now.
      if (!showsOurs(current)) return
      const none = { loadBalancer: { ingress: [] } }
      await client.patchStatus<KubeObject>(resources.ingresses, { name, namespace }, none, { resourceVersion })
    })
    if (!done) failed.push(`Ingress ${nameKey(object.metadata)}`)
  }
  return failed
}

async function strip(
  client: UninstallOptions['client'],
  resource: Target,
  object: KubeObject,
  names: readonly string[],
): Promise<'done' | 'overtaken' | 'forbidden'> {
  const write = persistently(client, resource, object, async current => {
    const { name, namespace, resourceVersion, finalizers = [] } = current.metadata
    const annotations = Object.fromEntries(names.map(key => [key, null]))
    const metadata = { resourceVersion, annotations, finalizers: finalizers.filter(f => f !== FINALIZER) }
    await client.mergePatch<KubeObject>(resource, { name, namespace }, { metadata })
  })
  try {
    return (await write) ? 'done' : 'overtaken'
  } catch (error) {
    // Ingresses hold finalizers: what cannot be taken off there must be said as a failure.
    if (resource.kind !== resources.ingresses.kind && isKubeError(error, 'KUBE_FORBIDDEN')) return 'forbidden'
    throw error
  }
}

/** Writes again over what somebody else wrote meanwhile. False if others write faster than we do. */
async function persistently(
  client: UninstallOptions['client'],
  resource: Target,
  object: KubeObject,
  write: (current: KubeObject) => Promise<void>,
): Promise<boolean> {
  let current: KubeObject | null = object
  for (let attempt = 1; attempt <= ATTEMPTS && current !== null; attempt++) {
    const { name, namespace }: KubeObject['metadata'] = current.metadata
    try {
      await write(current)
      return true
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return true
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error
      current = await client.find<KubeObject>(resource, { name, namespace })
    }
  }
  return current === null
}
