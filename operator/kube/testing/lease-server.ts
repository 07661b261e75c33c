/** One Lease as an API server keeps it: fenced by resourceVersion; each client may be cut off or slow. */
import type { KubeClient, RequestOptions } from '../client.ts'
import { sleep } from '../clock.ts'
import type { Clock } from '../clock.ts'
import { KubeError } from '../errors.ts'
import type { Lease } from '../objects.ts'

/** How a client fares: `cut`: its requests fail; `deaf`: they take effect, and the answer is lost. */
export interface Link {
  state: 'fine' | 'cut' | 'deaf'
  /** Milliseconds until a request arrives. */
  delayMs: number
}

export class LeaseServer {
  lease: Lease | null = null
  writes = 0
  readonly #clock: Clock
  #version = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  client(link: Link): Pick<KubeClient, 'find' | 'create' | 'update'> {
    const ask = async (options: RequestOptions | undefined, act: () => Lease | null): Promise<Lease | null> => {
      const timeoutMs = options?.timeoutMs ?? Infinity
      if (link.delayMs > 0) await sleep(this.#clock, Math.min(link.delayMs, timeoutMs))
      const late = link.delayMs >= timeoutMs
      if (link.state === 'cut' || late) throw new KubeError('KUBE_UNAVAILABLE', 'no answer')
      const answer = act()
      if (link.state === 'deaf') throw new KubeError('KUBE_UNAVAILABLE', 'no answer')
      return answer
    }
    const write = (lease: Lease): Lease => {
      this.writes++
      this.lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++this.#version) } }
      return this.lease
    }
    const client = {
      find: (_resource: unknown, _target: unknown, options?: RequestOptions) => ask(options, () => this.lease),
      create: (_resource: unknown, lease: Lease, options?: RequestOptions) =>
        ask(options, () => {
          if (this.lease !== null) throw new KubeError('KUBE_ALREADY_EXISTS', 'it exists')
          return write(lease)
        }),
      update: (_resource: unknown, lease: Lease, options?: RequestOptions) =>
        ask(options, () => {
          if (this.lease?.metadata.resourceVersion !== lease.metadata.resourceVersion)
            throw new KubeError('KUBE_CONFLICT', 'it was changed')
          return write(lease)
        }),
    }
    // Of the generic client only the Lease's side is here.
    return client as unknown as Pick<KubeClient, 'find' | 'create' | 'update'>
  }
}
