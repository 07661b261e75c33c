/** The parameters of /route. */
import type { Question } from '../workers/explain.ts'

const NAMES: ReadonlySet<string> = new Set(['host', 'path'])
const USE = 'use /route?host=a.example&path=/some/path'

/** @returns the question, or what is wrong with the parameters */
export function routeQuestion(parameters: URLSearchParams): Question | { readonly error: string } {
  for (const name of new Set(parameters.keys())) {
    if (!NAMES.has(name)) return { error: `parameter ${JSON.stringify(name)} is not known: ${USE}` }
    if (parameters.getAll(name).length > 1) return { error: `parameter "${name}" is given more than once` }
  }
  const host = parameters.get('host')
  const path = parameters.get('path') ?? '/'
  if (host === null || host === '') return { error: `parameter "host" is missing: ${USE}` }
  if (!path.startsWith('/')) return { error: 'parameter "path" must start with a slash' }
  // As parsers of HTTP/1 give it: one character per byte.
  return { host, path: Buffer.from(path, 'utf8').toString('latin1') }
}
