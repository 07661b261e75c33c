/** The namespaces, policies and backends of the crossings. Pure. */
import { backend } from '../echo/manifests.ts'
import type { Manifest } from '../echo/manifests.ts'
import { policy } from '../node/harness/manifests.ts'

/** Each has a namespace, and rules what is in it. */
export const POLICIES = ['none', 'usual', 'readme', 'pauses', 'many'] as const
export type PolicyName = (typeof POLICIES)[number]

/** What belongs to no namespace has it. */
export const LABEL = 'crossings'
export const namespaceOf = (name: string): string => `crossings-${name}`

/** Those of the README, as the first look at these programs had them. */
const GATES = { successRate: { min: 99, maxDrop: 0.5 }, notFoundRate: { maxRise: 0.5 }, tlsFailureRate: { maxRise: 1 } }
const BATCHES = [{ pods: 1 }, { pods: '50%' }, { pods: '100%' }]
const DEADLINE_SECONDS = 60
const analysis = { interval: '5s', minRequests: 100, ...GATES }

const USUAL = { batches: BATCHES, bakeTime: '5s', analysis: { ...analysis, deadline: `${DEADLINE_SECONDS}s` } }
/** Settings of a policy: its batches, and how long it bakes and waits for evidence. */
const SETTINGS: Readonly<Record<Exclude<PolicyName, 'none'>, object>> = {
  usual: USUAL,
  // For so many rollouts at once that they take every place of their policy.
  many: USUAL,
  readme: {
    batches: [{ pods: 1 }, { pods: '25%', pause: { for: '2m' } }, { pods: '100%' }],
    bakeTime: '30s',
    analysis: GATES,
  },
  pauses: {
    batches: [{ pods: 1 }, { pods: '50%', pause: {} }, { pods: '100%' }],
    bakeTime: '5s',
    analysis: { ...analysis, deadline: `${DEADLINE_SECONDS}s` },
  },
}

export function policyOf(name: Exclude<PolicyName, 'none'>, namespace = namespaceOf(name)): Manifest {
  const base = policy({ name: namespace, namespace })
  const { selector } = base['spec'] as { readonly selector: object }
  return { ...base, metadata: { name: namespace, labels: { [LABEL]: 'true' } }, spec: { selector, ...SETTINGS[name] } }
}

export function namespace(name: string): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { [LABEL]: 'true' } } }
}

export function backends(of: string, image: string): readonly Manifest[] {
  const common = { namespace: of, image }
  return [
    ...backend({ ...common, version: 'v1' }),
    ...backend({ ...common, version: 'v2' }),
    ...backend({ ...common, version: 'fails', status: 500 }),
  ]
}
