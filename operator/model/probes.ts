/** Probes of a policy (docs/rollout-policy.md "Probes"): from the CRD's form to the stream's, and which concern an object. */
import { createHash } from 'node:crypto'
import type { Probe } from '../../protocol/messages.ts'
import { ModelError } from './errors.ts'
import type { IngressRolloutPolicyAnalysisProbe } from './generated/crds.ts'

/** The probe's own, or its connection's: one more of them would be another request, or none. The CRD has the same list. */
const TAKEN: ReadonlySet<string> = new Set([
  ...['host', 'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'content-length', 'te', 'trailer'],
  ...['upgrade', 'expect', 'user-agent'],
])

/** @param raw as its schema has it @throws ModelError what the schema cannot express */
export function parseProbe(policy: string, index: number, raw: IngressRolloutPolicyAnalysisProbe): Probe {
  const field = `spec.analysis.probes[${index}]`
  const { method, scheme, host, path, headers = [], expectStatus, expectBody, timeoutSeconds, intervalSeconds } = raw
  for (const [i, { name }] of headers.entries()) {
    if (!TAKEN.has(name.toLowerCase())) continue
    throw new ModelError(policy, `${field}.headers[${i}].name`, 'belongs to the probe itself or to its connection')
  }
  if (expectBody !== undefined && method === 'HEAD') {
    throw new ModelError(policy, `${field}.expectBody`, 'cannot be: an answer to HEAD has no body')
  }
  return {
    ...{ method, scheme, host, path },
    headers: headers.map(({ name, value }) => [name, value] as const),
    expect: expectStatus.map((status, i) => rangeOf(status, policy, `${field}.expectStatus[${i}]`)),
    ...(expectBody === undefined ? {} : { body: expectBody }),
    timeoutMs: timeoutSeconds * 1_000,
    intervalMs: intervalSeconds * 1_000,
  }
}

function rangeOf(status: number | string, policy: string, field: string): readonly [number, number] {
  if (typeof status === 'string' && /^[2-5]xx$/.test(status)) {
    const from = Number(status[0]) * 100
    return [from, from + 99]
  }
  if (typeof status === 'number' && status >= 200 && status <= 599) return [status, status]
  throw new ModelError(policy, field, 'is neither a status from 200 to 599 nor a class like 2xx')
}

/** What reports call it: it outlives an edit of the policy, and means the same to an operator that takes over. */
export function probeId(probe: Probe): string {
  const { method, scheme, host, path, headers, expect, body = null, timeoutMs, intervalMs } = probe
  const text = JSON.stringify([method, scheme, host, path, headers, expect, body, timeoutMs, intervalMs])
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** Of a path, in messages that have room for 1024 letters. */
const SHOWN = 100

/** For people: `GET https://shop.example.com/healthz`. Without the query: more people read a rollout than its policy. */
export function probeWords({ method, scheme, host, path }: Probe): string {
  const [plain = ''] = path.split('?')
  return `${method} ${scheme}://${host}${plain.length > SHOWN ? `${plain.slice(0, SHOWN)}…` : plain}`
}

/** @param hosts of the object's rules. One without a host answers for everybody's hosts, and a probe would be about theirs. */
export function concerns({ host }: Pick<Probe, 'host'>, hosts: Iterable<string>): boolean {
  const parent = host.slice(host.indexOf('.'))
  for (const of of hosts) if (of === host || (of.startsWith('*.') && of.slice(1) === parent)) return true
  return false
}
