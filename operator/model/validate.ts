/** What is wrong with the content of an Ingress, field by field. Kubernetes' own rules and what this version can serve. */
import { isIP } from 'node:net'
import type { ObjectKey } from '../../protocol/objects.ts'
import { annotationProblems, roleOf } from './annotations.ts'
import type { IngressBackend, IngressContent, IngressPath, Problem } from './types.ts'

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const PATH_TYPES: ReadonlySet<string> = new Set(['Exact', 'Prefix', 'ImplementationSpecific'])

type Report = (field: string, reason: string, message: string, effect?: Problem['effect']) => void

/** All Problems of an Ingress's content, those of its annotations included. Whether Services exist is not looked at. */
export function validateIngress(key: ObjectKey, content: IngressContent): readonly Problem[] {
  const problems: Problem[] = [...annotationProblems(key, content)]
  const report: Report = (field, reason, message, effect = 'reject') => {
    problems.push({ key, field, reason, message, effect })
  }
  const { spec } = content
  if (spec.defaultBackend !== undefined) checkBackend('spec.defaultBackend', spec.defaultBackend, report)
  const seen = new Map<string, string>()
  for (const [i, rule] of (spec.rules ?? []).entries()) {
    const field = `spec.rules[${i}]`
    if (rule.host !== undefined && rule.host !== '') checkHost(`${field}.host`, rule.host, report)
    for (const [j, path] of (rule.http?.paths ?? []).entries()) {
      const at = `${field}.http.paths[${j}]`
      checkPath(at, path, report)
      const identity = JSON.stringify([rule.host?.toLowerCase() ?? '', path.pathType, path.path ?? ''])
      const first = seen.get(identity)
      if (first === undefined) seen.set(identity, at)
      else report(at, 'DuplicatePath', `the same host, path and pathType as ${first}, which wins`, 'warn')
    }
  }
  checkTls(content, report)
  if (roleOf(content) === 'normal' && spec.defaultBackend === undefined && (spec.rules ?? []).length === 0) {
    report('spec', 'NothingToServe', 'neither rules nor defaultBackend: this Ingress serves nothing', 'warn')
  }
  return problems
}

/** Null if the host may stand in an Ingress; else what is wrong with it. RFC 1123; `*` only as the whole first label. */
export function hostProblem(host: string): string | null {
  const text = host.toLowerCase()
  const name = text.startsWith('*.') ? text.slice(2) : text
  if (isIP(text) !== 0) return 'is an IP address; a host must be a DNS name'
  if (name.includes('*')) return 'may have a * only as its whole first label, for example *.example.com'
  if (text.length > 253) return 'is longer than 253 characters'
  const bad = name.split('.').find(label => !LABEL.test(label))
  if (bad === undefined) return null
  return bad === ''
    ? 'has an empty label'
    : 'is not a DNS name (letters, digits and - in labels of at most 63 characters that neither start nor end with -)'
}

function checkHost(field: string, host: string, report: Report): void {
  const problem = hostProblem(host)
  if (problem !== null) report(field, 'InvalidHost', `${JSON.stringify(shorten(host))} ${problem}`)
}

function checkPath(field: string, path: IngressPath, report: Report): void {
  if (!PATH_TYPES.has(path.pathType)) {
    report(
      `${field}.pathType`,
      'InvalidPathType',
      `${JSON.stringify(shorten(path.pathType))} is none of Exact, Prefix, ImplementationSpecific`,
    )
  }
  const text = path.path ?? ''
  if (text === '' ? path.pathType === 'Exact' || path.pathType === 'Prefix' : !text.startsWith('/')) {
    report(`${field}.path`, 'InvalidPath', `${JSON.stringify(shorten(text))} must start with /`)
  }
  if (/[;\\]|%(?:2f|5c|3b|3f|23)/i.test(text)) {
    const message = `${JSON.stringify(shorten(text))} can be read in two ways: requests for it are refused`
    report(`${field}.path`, 'AmbiguousPath', message, 'warn')
  }
  if (hasControlCharacter(text)) report(`${field}.path`, 'InvalidPath', 'holds a control character or a blank')
  checkBackend(`${field}.backend`, path.backend, report)
}

function checkBackend(field: string, backend: IngressBackend, report: Report): void {
  if (backend.service !== undefined) {
    const { name, port } = backend.service
    if (name === '') report(`${field}.service.name`, 'ServiceMissing', 'names no Service')
    const number = port?.number
    if (number === undefined && (port?.name === undefined || port.name === '')) {
      report(`${field}.service.port`, 'ServicePortMissing', `Service ${name} needs a port, by number or by name`)
    } else if (number !== undefined && (number < 1 || number > 65535)) {
      report(`${field}.service.port.number`, 'InvalidPort', `${number} is not a port (1 to 65535)`)
    }
  } else if (backend.resource !== undefined) {
    report(`${field}.resource`, 'ResourceBackend', 'resource backends are not supported: its paths answer 503', 'warn')
  } else {
    report(field, 'ServiceMissing', 'names neither a service nor a resource')
  }
}

function checkTls(content: IngressContent, report: Report): void {
  const ruleHosts = (content.spec.rules ?? []).some(rule => rule.host !== undefined && rule.host !== '')
  for (const [i, tls] of (content.spec.tls ?? []).entries()) {
    const field = `spec.tls[${i}]`
    if (tls.secretName === undefined || tls.secretName === '') {
      report(`${field}.secretName`, 'SecretMissing', 'names no Secret: its hosts get the default certificate', 'warn')
    }
    const hosts = tls.hosts ?? []
    for (const [j, host] of hosts.entries()) checkHost(`${field}.hosts[${j}]`, host, report)
    if (hosts.length === 0 && !ruleHosts) {
      report(`${field}.hosts`, 'TlsWithoutHost', 'names no host and no rule has one: the Secret is not used', 'warn')
    }
  }
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 0x20 || code === 0x7f) return true
  }
  return false
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}
