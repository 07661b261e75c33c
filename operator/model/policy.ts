/** IngressRolloutPolicy as JSON → Policy, and which policy governs an object. DESIGN "The API", "The rollout machine". */
import { Ajv } from 'ajv'
import { parseObjectKey } from '../../protocol/ids.ts'
import type { ObjectKind } from '../../protocol/objects.ts'
import { durationMs } from './duration.ts'
import { ModelError } from './errors.ts'
import type {
  IngressRolloutPolicyAnalysis,
  IngressRolloutPolicyBatch,
  IngressRolloutPolicySpec,
  LabelSelector,
} from './generated/crds.ts'
import { ingressRolloutPolicySpecSchema } from './generated/schemas.ts'
import { checked, compileSchema, millisecondsOf } from './metadata.ts'
import { parseProbe } from './probes.ts'
import { labelCount, selects } from './selectors.ts'
import type { Batch, BatchSize, Pause, Settings } from './settings.ts'
import type { SourceObject } from './types.ts'

export interface Policy {
  readonly name: string
  readonly uid: string
  readonly generation: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly selector: {
    readonly ingressClassName: string | null
    readonly namespaceSelector: LabelSelector
    readonly objectSelector: LabelSelector
  }
  readonly kinds: readonly ObjectKind[]
  readonly settings: Settings
  readonly maxConcurrent: number
  readonly historyLimit: number
  /** What becomes of an object that is new: Auto releases at once what takes nothing from what is served. */
  readonly creation: 'Auto' | 'Gradual' | 'Immediate'
  readonly allowOptOut: boolean
  readonly allowManualIndex: boolean
}

interface RawPolicy {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly generation?: number
    readonly creationTimestamp: string
  }
  readonly spec: unknown
}

const validateObject = compileSchema<RawPolicy>({
  type: 'object',
  required: ['metadata', 'spec'],
  properties: {
    metadata: {
      type: 'object',
      required: ['name', 'uid', 'creationTimestamp'],
      properties: {
        name: { type: 'string' },
        uid: { type: 'string' },
        generation: { type: 'integer' },
        creationTimestamp: { type: 'string' },
      },
    },
  },
})

const validateSpec = new Ajv({ useDefaults: true, strict: false }).compile<IngressRolloutPolicySpec>(
  ingressRolloutPolicySpecSchema,
)

/** Throws ModelError for an object that the CRD's schema would refuse, or whose durations are none. */
export function parsePolicy(raw: unknown): Policy {
  const { metadata, spec: rawSpec } = checked('IngressRolloutPolicy', raw, validateObject)
  const object = `IngressRolloutPolicy ${metadata.name}`
  // Defaults are written into the validated value; the watched object stays as it is.
  const spec: unknown = structuredClone(rawSpec)
  if (!validateSpec(spec)) {
    const error = validateSpec.errors?.[0]
    throw new ModelError(
      object,
      `spec${(error?.instancePath ?? '').replaceAll('/', '.')}`,
      error?.message ?? 'is malformed',
    )
  }
  const ms = (field: string, text: string): number => {
    const value = durationMs(text)
    if (value === null) throw new ModelError(object, field, 'is not a duration')
    return value
  }
  const { analysis, selector } = spec
  if (!hasGate(spec.analysis)) throw new ModelError(object, 'spec.analysis', 'has no gate: nothing would be judged')
  return {
    name: metadata.name,
    uid: metadata.uid,
    generation: metadata.generation ?? 0,
    createdAt: millisecondsOf('IngressRolloutPolicy', raw, 'metadata.creationTimestamp', metadata.creationTimestamp),
    selector: {
      ingressClassName: selector.ingressClassName ?? null,
      namespaceSelector: selector.namespaceSelector ?? {},
      objectSelector: selector.objectSelector ?? {},
    },
    kinds: spec.kinds,
    settings: {
      batches: withLastBatch(spec.batches.map((batch, i) => parseBatch(object, i, batch, ms))),
      bakeMs: ms('spec.bakeTime', spec.bakeTime),
      ackDeadlineMs: ms('spec.ackDeadline', spec.ackDeadline),
      intervalMs: ms('spec.analysis.interval', analysis.interval),
      minRequests: analysis.minRequests,
      gates: {
        successRate:
          analysis.successRate === undefined
            ? null
            : { min: analysis.successRate.min ?? null, maxDrop: analysis.successRate.maxDrop ?? null },
        notFoundRate: analysis.notFoundRate ?? null,
        clientErrorRate: analysis.clientErrorRate,
        redirectRate: analysis.redirectRate ?? null,
        connectFailureRate: analysis.connectFailureRate,
        latencyP99:
          analysis.latencyP99 === undefined ? null : { maxRise: Number(analysis.latencyP99.maxRise.replace('%', '')) },
        tlsFailureRate: analysis.tlsFailureRate ?? null,
      },
      onInconclusive: analysis.onInconclusive,
      deadlineMs: ms('spec.analysis.deadline', analysis.deadline),
      automaticRollback: spec.rollback.automatic,
      idleRequestsPerMinute: spec.deletion.idleRequestsPerMinute,
      ...(analysis.probes === undefined || analysis.probes.length === 0
        ? {}
        : { probes: analysis.probes.map((one, i) => parseProbe(object, i, one)) }),
    },
    maxConcurrent: spec.maxConcurrent,
    historyLimit: spec.historyLimit,
    creation: spec.creation,
    allowOptOut: spec.allowOptOut,
    allowManualIndex: spec.allowManualIndex,
  }
}

/**
 * The policy that governs an object: of those that select it the one with most labels in its selectors, then the
 * oldest, then the first by name; null if none does.
 *
 * An Ingress that left our classes is not narrowed by class, because leaving is a change that its policy rolls out, too.
 * @param kind what is to be governed: the object, or a Secret to which this Ingress refers. Nobody puts labels on
 * what cert-manager makes; whoever protects an Ingress means its certificates, too.
 */
export function selectPolicy(
  policies: readonly Policy[],
  object: SourceObject,
  namespaceLabels: Readonly<Record<string, string>>,
  kind: ObjectKind = parseObjectKey(object.key).kind,
): Policy | null {
  const { className, ours } = object
  const narrowed = ours || parseObjectKey(object.key).kind === 'Secret'
  const selecting = policies.filter(
    ({ kinds, selector }) =>
      kinds.includes(kind) &&
      (!narrowed || selector.ingressClassName === null || selector.ingressClassName === className) &&
      selects(selector.namespaceSelector, namespaceLabels) &&
      selects(selector.objectSelector, object.labels),
  )
  return selecting.sort(byPrecedence)[0] ?? null
}

/** Sort order in which policies that select the same object take precedence. */
export function byPrecedence(a: Policy, b: Policy): number {
  return (
    specificity(b) - specificity(a) || a.createdAt - b.createdAt || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  )
}

function specificity({ selector }: Policy): number {
  return labelCount(selector.namespaceSelector) + labelCount(selector.objectSelector)
}

/** The CRD's rule on analysis, which its schema cannot express. */
function hasGate({ successRate, notFoundRate, latencyP99, tlsFailureRate }: IngressRolloutPolicyAnalysis): boolean {
  const judgesSuccess = successRate?.min !== undefined || successRate?.maxDrop !== undefined
  return judgesSuccess || [notFoundRate, latencyP99, tlsFailureRate].some(gate => gate !== undefined)
}

function parseBatch(
  object: string,
  index: number,
  batch: IngressRolloutPolicyBatch,
  ms: (field: string, text: string) => number,
): Batch {
  const pods: BatchSize =
    typeof batch.pods === 'number' ? { count: batch.pods } : { percent: Number(batch.pods.replace('%', '')) }
  if ('percent' in pods && !Number.isInteger(pods.percent)) {
    throw new ModelError(object, `spec.batches[${index}].pods`, 'is neither a number nor a percentage')
  }
  return { pods, pause: parsePause(batch, text => ms(`spec.batches[${index}].pause.for`, text)) }
}

function parsePause({ pause }: IngressRolloutPolicyBatch, ms: (text: string) => number): Pause {
  if (pause === undefined) return { type: 'none' }
  return pause.for === undefined ? { type: 'approval' } : { type: 'time', forMs: ms(pause.for) }
}

function withLastBatch(batches: readonly Batch[]): readonly Batch[] {
  const last = batches.at(-1)
  return last !== undefined && 'percent' in last.pods && last.pods.percent === 100
    ? batches
    : [...batches, { pods: { percent: 100 }, pause: { type: 'none' } }]
}
