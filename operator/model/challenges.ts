/**
 * ACME's HTTP-01 challenges (RFC 8555 8.3): paths for minutes, which cert-manager adds to somebody's Ingress
 * (`http01-edit-in-place`) or makes one of their own for. They are no part of an Ingress's content: to hold one back is to hold
 * back the certificate, and what comes and goes by itself must start no rollout (docs/adr/0028-challenges.md).
 */
import type { ObjectKey } from '../../protocol/objects.ts'
import { roleOf } from './annotations.ts'
import type { ChallengePath, IngressContent, IngressPath, IngressRule } from './types.ts'
import { hostProblem } from './validate.ts'

/** Below it there are nothing but challenges. */
export const CHALLENGES = '/.well-known/acme-challenge/'

/** One token, in base64url: no other character, and nothing below it. */
const TOKEN = /^[A-Za-z0-9_-]+$/

/** In no name of Kubernetes. */
const MARK = '~challenges'

/** The key of what is served of an Ingress's challenges, beside the Ingress itself. */
export function challengesKey(ingress: ObjectKey): ObjectKey {
  return ingress + MARK
}

export function isChallengesKey(key: ObjectKey): boolean {
  return key.endsWith(MARK)
}

/** The Ingress whose challenges these are; the key itself if they are nobody's. */
export function ingressOfChallenges(key: ObjectKey): ObjectKey {
  return isChallengesKey(key) ? key.slice(0, -MARK.length) : key
}

/**
 * The content without its challenges, and these. The content is the same object if it has none. What has something wrong with it
 * (a host that is none, a backend without a port) stays in the content, where it is found and said.
 */
export function splitChallenges(content: IngressContent): {
  readonly content: IngressContent
  readonly challenges: readonly ChallengePath[]
} {
  const challenges: ChallengePath[] = []
  const { rules, ...others } = content.spec
  // What a canary is a variant of has its own paths: of the canary none is served.
  if (rules === undefined || roleOf(content) === 'canary') return { content, challenges }
  const kept = rules.flatMap((rule): readonly IngressRule[] => {
    const { http, host = '' } = rule
    if (http === undefined) return [rule]
    const found = http.paths.flatMap(path => challengeOf(host, path) ?? [])
    if (found.length === 0) return [rule]
    challenges.push(...found)
    const paths = http.paths.filter(path => challengeOf(host, path) === null)
    return paths.length === 0 ? [] : [{ ...rule, http: { ...http, paths } }]
  })
  if (challenges.length === 0) return { content, challenges }
  const spec = kept.length === 0 ? others : { ...content.spec, rules: kept }
  return { content: { ...content, spec }, challenges }
}

/** Null: it is none. As the API server has it: nothing in it is decoded or shortened to what it is compared with. */
function challengeOf(host: string, { path = '', pathType, backend }: IngressPath): ChallengePath | null {
  const { service } = backend
  const port = service?.port?.number ?? service?.port?.name
  if (pathType !== 'Exact' && pathType !== 'ImplementationSpecific') return null
  if (!path.startsWith(CHALLENGES) || !TOKEN.test(path.slice(CHALLENGES.length))) return null
  // No authority asks a wildcard, or whoever answers.
  if (host === '' || host.startsWith('*') || hostProblem(host) !== null) return null
  if (service === undefined || service.name === '' || port === undefined || port === '') return null
  if (typeof port === 'number' && (port < 1 || port > 65535)) return null
  return { host: host.toLowerCase(), path, service: service.name, port }
}
