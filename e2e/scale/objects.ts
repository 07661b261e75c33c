/** A cluster of a hundred thousand Ingresses, as the API server is given it. */
import { isKubeError } from '../../operator/kube/errors.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import { as, resources } from '../../operator/kube/resources.ts'
import type { KubeObject } from '../../operator/kube/objects.ts'
import { Authority } from '../pki/pki.ts'
import type { Leaf } from '../pki/pki.ts'

/** Namespaces, and as many zones of host names: each has one Service and one wildcard certificate. */
export const SPACES = 100
/** One Ingress of so many has TLS, with a Secret of its own. */
const SECRET_EVERY = 10
/** Writes under way at once: what the API server of one machine takes without queueing. */
const AT_ONCE = 48
const CREATE_TIMEOUT_MS = 60_000
const SAY_MS = 10_000

const objects = as<KubeObject>(resources.ingresses)

export function spaceOf(n: number): string {
  return `space-${n % SPACES}`
}

export function nameOf(n: number): string {
  return `web-${n}`
}

function hostOf(n: number): string {
  return `h${n}.z${n % SPACES}.example`
}

const hasSecret = (n: number): boolean => n % SECRET_EVERY === 0

export function ingressSpec(n: number, path: string): object {
  const backend = { service: { name: 'web', port: { number: 80 } } }
  return {
    ingressClassName: 'sluice',
    rules: [{ host: hostOf(n), http: { paths: [{ path, pathType: 'Prefix', backend }] } }],
    ...(hasSecret(n) ? { tls: [{ hosts: [hostOf(n)], secretName: `tls-${n}` }] } : {}),
  }
}

export class Population {
  readonly #client: KubeClient
  readonly #say: (line: string) => void
  #leaves: readonly Leaf[] = []
  /** Ingresses that are there: those from 0 up to it. */
  #count = 0

  constructor(client: KubeClient, say: (line: string) => void) {
    this.#client = client
    this.#say = say
  }

  get count(): number {
    return this.#count
  }

  /** What every Ingress refers to. */
  async found(): Promise<void> {
    const authority = await Authority.root('scale')
    this.#leaves = await Promise.all(
      Array.from({ length: SPACES }, (_, zone) => authority.issue({ hosts: [`*.z${zone}.example`] })),
    )
    await inParallel(SPACES, async n => {
      const namespace = spaceOf(n)
      await this.#create(resources.namespaces, { metadata: { name: namespace } })
      const port = { name: 'http', port: 80, targetPort: 8080 }
      const service = { metadata: { name: 'web', namespace }, spec: { ports: [port], clusterIP: 'None' } }
      await this.#create(resources.services, service)
      await this.#create(resources.endpointSlices, {
        metadata: { name: 'web-1', namespace, labels: { 'kubernetes.io/service-name': 'web' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: [`10.0.${n}.1`], conditions: { ready: true } }],
        ports: [{ name: 'http', port: 8080 }],
      })
    })
  }

  /** Ingresses, and the Secrets of those that have one, up to so many. */
  async grow(to: number): Promise<void> {
    const from = this.#count
    const began = performance.now()
    let done = 0
    const progress = setInterval(() => {
      const rate = Math.round((done * 1000) / (performance.now() - began))
      this.#say(`${from + done} of ${to} Ingresses (${rate} a second)`)
    }, SAY_MS)
    try {
      await inParallel(to - from, async i => {
        const n = from + i
        if (hasSecret(n)) await this.#create(resources.secrets, this.#secret(n))
        const metadata = { name: nameOf(n), namespace: spaceOf(n) }
        await this.#create(objects, { metadata, spec: ingressSpec(n, '/') })
        done++
      })
    } finally {
      clearInterval(progress)
    }
    this.#count = to
  }

  /** Another path: whoever has the new fragment has this text. */
  async change(n: number, path: string): Promise<void> {
    await this.#client.mergePatch(
      resources.ingresses,
      { namespace: spaceOf(n), name: nameOf(n) },
      {
        spec: ingressSpec(n, path),
      },
    )
  }

  /** Rollouts that have ended, each of an Ingress of its own. */
  async history(count: number): Promise<void> {
    await inParallel(count, async n => {
      const [namespace, name] = [spaceOf(n), nameOf(n)]
      const { metadata } = await this.#client.get(objects, { namespace, name })
      const uid = metadata.uid ?? ''
      const revision = n.toString(16).padStart(10, '0')
      const target = { namespace, name: `ing-${name}-${revision}` }
      await this.#create(resources.ingressRollouts, {
        metadata: {
          ...target,
          ownerReferences: [{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name, uid }],
        },
        spec: { objectRef: { kind: 'Ingress', name, uid }, revision },
      })
      await this.#client.applyStatus(resources.ingressRollouts, target, {
        phase: 'Complete',
        attempt: 1,
        finishedAt: new Date().toISOString(),
        message: 'all pods serve it',
      })
    })
  }

  #secret(n: number): KubeObject {
    const leaf = this.#leaves[n % SPACES] ?? { chain: '', privateKey: '' }
    const encode = (text: string): string => Buffer.from(text).toString('base64')
    return {
      metadata: { name: `tls-${n}`, namespace: spaceOf(n) },
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': encode(leaf.chain), 'tls.key': encode(leaf.privateKey) },
    } as KubeObject
  }

  async #create(resource: (typeof resources)[keyof typeof resources], object: object): Promise<void> {
    try {
      await this.#client.create(as<object>(resource), object, { timeoutMs: CREATE_TIMEOUT_MS })
    } catch (error) {
      // A write whose answer was lost may have taken effect.
      if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error
    }
  }
}

/** So many pieces of work, a few dozen at a time, in the order of their numbers. @throws the first failure */
export async function inParallel(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, worker))
}
