/** Fields of answers as HTTP/2 has them (RFC 9113 8.2): names in lower case, none of a connection. */
import type { Fields } from '../http1/contract.ts'
import { CONNECTION_FIELDS } from './request-head.ts'

/**
 * @param lines of fields as HTTP/1 writes them: `name: value`, each with its line end
 * @returns [name, value, name, value …], the status first
 */
export function http2ResponseFields(status: number, lines: string): string[] {
  const fields = [':status', String(status)]
  for (let at = 0; at < lines.length;) {
    const colon = lines.indexOf(':', at)
    const end = lines.indexOf('\r\n', colon)
    const name = lines.slice(at, colon).toLowerCase()
    if (isOfStream(name)) fields.push(name, lines.slice(colon + 2, end))
    at = end + 2
  }
  return fields
}

/** As Node wants what comes before and behind an answer: repeated fields as a list. */
export function asRecord(fields: Fields): Record<string, string | string[]> {
  // A field may be named as what every object inherits.
  const record = Object.create(null) as Record<string, string[]>
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] ?? '').toLowerCase()
    if (isOfStream(name)) (record[name] ??= []).push(fields[i + 1] ?? '')
  }
  return record
}

const isOfStream = (name: string): boolean => !CONNECTION_FIELDS.has(name) && name !== 'te'
