/** Who serves a Service's port right now, from EndpointSlices (discovery.k8s.io/v1). */
import { compileSchema } from '../model/metadata.ts'

export interface EndpointProblem {
  readonly reason: 'ServiceNotFound' | 'ServiceUnsupported' | 'ServicePortNotFound'
  readonly message: string
}

export interface Endpoints {
  /** `ip:port`, IPv6 in brackets; sorted, without duplicates. */
  readonly endpoints: readonly string[]
  /** Why there can be none; null also where simply nobody is ready. */
  readonly problem: EndpointProblem | null
}

interface RawService {
  readonly spec?: {
    readonly type?: string
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[] | null
  }
}

interface RawSlice {
  readonly addressType?: string
  readonly endpoints?: readonly RawEndpoint[] | null
  readonly ports?: readonly { readonly name?: string | null; readonly port?: number | null }[] | null
}

interface RawEndpoint {
  readonly addresses: readonly string[]
  readonly conditions?: {
    readonly ready?: boolean | null
    readonly serving?: boolean | null
    readonly terminating?: boolean | null
  } | null
}

const validService = compileSchema<RawService>({
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        type: { type: 'string' },
        ports: {
          type: 'array',
          nullable: true,
          items: {
            type: 'object',
            required: ['port'],
            properties: { name: { type: 'string' }, port: { type: 'integer' }, protocol: { type: 'string' } },
          },
        },
      },
    },
  },
})

const condition = { type: 'boolean', nullable: true } as const
const validSlice = compileSchema<RawSlice>({
  type: 'object',
  properties: {
    addressType: { type: 'string' },
    endpoints: {
      type: 'array',
      nullable: true,
      items: {
        type: 'object',
        required: ['addresses'],
        properties: {
          addresses: { type: 'array', items: { type: 'string' } },
          conditions: {
            type: 'object',
            nullable: true,
            properties: { ready: condition, serving: condition, terminating: condition },
          },
        },
      },
    },
    ports: {
      type: 'array',
      nullable: true,
      items: {
        type: 'object',
        properties: { name: { type: 'string', nullable: true }, port: { type: 'integer', nullable: true } },
      },
    },
  },
})

/**
 * The endpoints of one port of a Service.
 *
 * A slice names its ports as the Service does and carries the numbers of the pods, so the Service's targetPort
 * (a number, or a name that differs from pod to pod) is resolved already. Ready endpoints serve; terminating ones that
 * still serve only where no other does; what is neither never. A malformed slice is left out.
 *
 * @param service The Service as JSON; null: there is none.
 * @param slices The EndpointSlices labelled with the Service's name, as JSON.
 * @param port Number or name, as the Ingress has it.
 */
export function endpointsOf(service: unknown, slices: readonly unknown[], port: number | string): Endpoints {
  if (service === null || service === undefined) return failed('ServiceNotFound', 'there is no such Service')
  if (!validService(service)) return failed('ServiceUnsupported', 'the Service is malformed')
  if (service.spec?.type === 'ExternalName') {
    return failed('ServiceUnsupported', 'Services of type ExternalName are not supported')
  }
  const ports = (service.spec?.ports ?? []).filter(p => (p.protocol ?? 'TCP') === 'TCP')
  // A name cannot be all digits, so a text of digits is a number.
  const wanted = /^[0-9]+$/.test(String(port)) ? Number(port) : port
  const found = ports.find(p => (typeof wanted === 'number' ? p.port === wanted : p.name === wanted))
  if (found === undefined) {
    const there = ports.map(p => (p.name === undefined ? String(p.port) : `${p.port} (${p.name})`)).join(', ')
    return failed('ServicePortNotFound', `it has no TCP port ${port}; it has ${there === '' ? 'none' : there}`)
  }
  const name = found.name ?? ''
  const ready = new Set<string>()
  const terminating = new Set<string>()
  for (const slice of slices) {
    if (!validSlice(slice) || (slice.addressType !== 'IPv4' && slice.addressType !== 'IPv6')) continue
    const number = (slice.ports ?? []).find(p => (p.name ?? '') === name)?.port
    if (number === undefined || number === null) continue
    for (const endpoint of slice.endpoints ?? []) {
      const into = stateOf(endpoint)
      if (into === 'none') continue
      for (const address of endpoint.addresses) {
        const text = slice.addressType === 'IPv6' ? `[${address}]:${number}` : `${address}:${number}`
        ;(into === 'ready' ? ready : terminating).add(text)
      }
    }
  }
  return { endpoints: [...(ready.size > 0 ? ready : terminating)].sort(), problem: null }
}

/** discovery.k8s.io/v1 EndpointConditions: a missing `ready` counts as true, a missing `serving` as `ready`. */
function stateOf({ conditions }: RawEndpoint): 'ready' | 'terminating' | 'none' {
  const ready = conditions?.ready ?? true
  const serving = conditions?.serving ?? ready
  // publishNotReadyAddresses makes terminating pods ready, too: they still come last.
  if (conditions?.terminating === true) return serving ? 'terminating' : 'none'
  return ready ? 'ready' : 'none'
}

function failed(reason: EndpointProblem['reason'], message: string): Endpoints {
  return { endpoints: [], problem: { reason, message } }
}
