/**
 * The API server's audit log of the operator's writes (e2e/cluster/audit.yaml): which pod wrote what, and who led then. Pure.
 * https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
 */

export interface Write {
  /** The operator's pod, as its token says. */
  readonly pod: string
  readonly verb: string
  /** `ingressrollouts/status`, `secrets`. */
  readonly resource: string
  readonly namespace: string
  readonly name: string
  readonly code: number
  /** When the API server had the request, and when it had answered it; milliseconds since the epoch. */
  readonly receivedAt: number
  readonly answeredAt: number
  /** Of a Lease: who holds it from then on; `''`: nobody. Null: it is none. */
  readonly holder: string | null
}

interface Event {
  readonly verb?: string
  readonly user?: { readonly extra?: Readonly<Record<string, readonly string[]>> }
  readonly objectRef?: {
    readonly resource?: string
    readonly subresource?: string
    readonly namespace?: string
    readonly name?: string
  }
  readonly responseStatus?: { readonly code?: number }
  readonly requestObject?: { readonly spec?: { readonly holderIdentity?: string } }
  readonly requestReceivedTimestamp?: string
  readonly stageTimestamp?: string
}

const POD = 'authentication.kubernetes.io/pod-name'
/** What the leader alone decides. The rest every replica may write (events, its own certificate). */
const DECISIONS: ReadonlySet<string> = new Set([
  ...['ingressrollouts', 'ingressrollouts/status', 'ingressrolloutpolicies/status'],
  ...['ingresschecksums', 'ingresschecksums/status', 'secretchecksums', 'secretchecksums/status'],
  ...['ingresses', 'ingresses/status'],
])
const STORE = /^sluice-releases-/

/** One line per event; a line that is not whole yet is left out. */
export function writesIn(log: string): readonly Write[] {
  return log.split('\n').flatMap(line => {
    const event = parsed(line)
    return event === null ? [] : [writeOf(event)]
  })
}

function parsed(line: string): Event | null {
  try {
    return line === '' ? null : (JSON.parse(line) as Event)
  } catch {
    return null
  }
}

function writeOf(event: Event): Write {
  const { resource = '', subresource, namespace = '', name = '' } = event.objectRef ?? {}
  const at = (time: string | undefined): number => Date.parse(time ?? '')
  return {
    pod: event.user?.extra?.[POD]?.[0] ?? '',
    verb: event.verb ?? '',
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    ...{ namespace, name },
    code: event.responseStatus?.code ?? 0,
    receivedAt: at(event.requestReceivedTimestamp),
    answeredAt: at(event.stageTimestamp),
    holder: resource === 'leases' ? (event.requestObject?.spec?.holderIdentity ?? '') : null,
  }
}

export function isDecision({ resource, name }: Write): boolean {
  return DECISIONS.has(resource) || (resource === 'secrets' && STORE.test(name))
}

function succeeded({ code }: Write): boolean {
  return code >= 200 && code < 300
}

/** Decisions that were written although somebody else, or nobody, held the Lease when the API server got them. */
export function strayWrites(writes: readonly Write[]): readonly Write[] {
  const leases = writes.filter(one => one.holder !== null && succeeded(one)).sort((a, b) => a.answeredAt - b.answeredAt)
  const holderAt = (time: number): string => leases.findLast(lease => lease.answeredAt <= time)?.holder ?? ''
  return writes.filter(
    one => isDecision(one) && succeeded(one) && (one.pod === '' || holderAt(one.receivedAt) !== one.pod),
  )
}

/** How often who leads changed. */
export function leadersIn(writes: readonly Write[]): readonly string[] {
  const holders = writes.flatMap(one =>
    one.holder !== null && one.holder !== '' && succeeded(one) ? [one.holder] : [],
  )
  return holders.filter((holder, i) => holder !== holders[i - 1])
}

/** Decisions by what was written, the most first: `12 × ingressrollouts/status`. */
export function countsOf(writes: readonly Write[]): readonly { readonly resource: string; readonly count: number }[] {
  const counts = new Map<string, number>()
  for (const { resource } of writes.filter(one => isDecision(one) && succeeded(one))) {
    counts.set(resource, (counts.get(resource) ?? 0) + 1)
  }
  return [...counts].map(([resource, count]) => ({ resource, count })).sort((a, b) => b.count - a.count)
}
