/** What a kind of bad change is: a value that says what there was, what somebody does, and what has to come of it. */
import type { Manifest } from '../echo/manifests.ts'
import type { LoadRecord } from '../load/record.ts'
import type { Authority } from '../pki/pki.ts'
import type { Scene } from './scene.ts'

export const FAMILIES = ['backend', 'path', 'certificate', 'policy', 'fleet', 'outage'] as const
export type Family = (typeof FAMILIES)[number]

/** Who has to catch it. */
export type Caught =
  /** A first batch goes out, and one of these gates has it taken back. */
  | { readonly by: 'gate'; readonly gates: readonly Gate[] }
  /** The content is refused: no pod ever gets it, and a condition of the Ingress names this reason. */
  | { readonly by: 'refused'; readonly reason: string }
  /** It is a rollout, but no batch begins: the message says what it waits for. */
  | { readonly by: 'waits'; readonly says: string }
  /** It loses its rollout by what somebody did meanwhile; its pods leave it. */
  | { readonly by: 'withdrawn' }
  /** It is a good change, which must not be taken back. */
  | { readonly by: 'spared' }
  /** Nothing that is served changes, and nobody needs to hear of it. */
  | { readonly by: 'kept' }
  /** Nobody, and that is known: why. */
  | { readonly by: 'nobody'; readonly because: string }

export type Gate =
  | 'successRate'
  | 'notFoundRate'
  | 'clientErrorRate'
  | 'redirectRate'
  | 'connectFailureRate'
  | 'latencyP99'
  | 'tlsFailureRate'
  | 'probes'

/** Where a kind plays: names of its own beside all others. */
export interface Place {
  readonly namespace: string
  /** Of the kind, and of its Ingress. */
  readonly name: string
  readonly host: string
  /** Of its TLS Secret, if it has one. */
  readonly secret: string
  /** Whom the clients trust, and somebody whom they do not know. */
  readonly trusted: Authority
  readonly unknown: Authority
}

export interface Kind {
  /** A DNS label. */
  readonly name: string
  readonly family: Family
  readonly what: string
  readonly caught: Caught
  /** What there is before; default: an Ingress of the kind's name that sends `/` to v1. */
  readonly before?: (at: Place) => readonly Manifest[] | Promise<readonly Manifest[]>
  /** What is done just before the change: rights taken away, a process stopped. */
  readonly prepare?: (scene: Scene) => Promise<void>
  /** What somebody applies … */
  readonly change?: (at: Place) => readonly Manifest[] | Promise<readonly Manifest[]>
  /** … or does. */
  readonly act?: (scene: Scene) => Promise<void>
  /** What happens as soon as the first batch is out. */
  readonly meanwhile?: (scene: Scene) => Promise<void>
  /** Puts things right for those that come after; runs whatever happened. */
  readonly restore?: (scene: Scene) => Promise<void>
  /** Restores so long after the change, because nothing can end before; default: at the end. */
  readonly restoreAfterMs?: number
  /** Path that clients ask for; default `/`. */
  readonly path?: string
  /** Requests per second over all pods; default 100. */
  readonly perSecond?: number
  /** Clients come so long before the change; default 3 s. Where pods are never without errors, what is usual of each takes more than a thousand requests to know. */
  readonly warmUpMs?: number
  /** Connections of the clients to each pod; default 4. Where answers stay away others must not wait behind them. */
  readonly connections?: number
  /** Clients come by TLS, too; those that refuse the certificate count. */
  readonly tls?: boolean
  /** Object whose rollouts count; default: the Ingress, or the Secret where the change is one. */
  readonly object?: (at: Place) => string
  /** What the change did to a client; default: any failure, and any answer that is not of v1. */
  readonly harmed?: (record: LoadRecord) => boolean
  /** It disturbs operators, proxies or the API server: nothing else plays meanwhile. */
  readonly alone?: boolean
  /** After its end, to see that nothing is spoilt any more; default 3 s. */
  readonly settleMs?: number
  /** How long its end may take; default a minute and a half, which is below the deadline of the policy. */
  readonly withinMs?: number
}
