/** The parameters of /route. */
import { FIELD_NAME } from '../../protocol/marks.ts'
import { inBytes } from '../../protocol/patterns.ts'
import type { Question } from '../workers/explain.ts'

const NAMES: ReadonlySet<string> = new Set(['host', 'path', 'header'])
const USE = 'use /route?host=a.example&path=/some/path&header=X-Canary:always'

/** @returns the question, or what is wrong with the parameters */
export function routeQuestion(parameters: URLSearchParams): Question | { readonly error: string } {
  for (const name of new Set(parameters.keys())) {
    if (!NAMES.has(name)) return { error: `parameter ${JSON.stringify(name)} is not known: ${USE}` }
    if (name !== 'header' && parameters.getAll(name).length > 1) {
      return { error: `parameter "${name}" is given more than once` }
    }
  }
  const host = parameters.get('host')
  const path = parameters.get('path') ?? '/'
  if (host === null || host === '') return { error: `parameter "host" is missing: ${USE}` }
  if (!path.startsWith('/')) return { error: 'parameter "path" must start with a slash' }
  const fields: string[] = []
  for (const header of parameters.getAll('header')) {
    const colon = header.indexOf(':')
    const name = header.slice(0, Math.max(colon, 0))
    if (!FIELD_NAME.test(name)) return { error: `parameter "header" must be name:value: ${USE}` }
    fields.push(name, inBytes(header.slice(colon + 1).trim()))
  }
  // As parsers of HTTP/1 give it: one character per byte.
  return { host, path: inBytes(path), fields }
}
