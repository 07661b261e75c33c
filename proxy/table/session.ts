/** What a session's cookie says: the endpoint that it is of, and of which Service, as `<endpoint>|<Service>`. */
import { hash } from 'node:crypto'
import type { ServiceKey } from '../../protocol/objects.ts'
import { lowerAscii } from '../http1/fields.ts'
import { READS, type Asked } from './asked.ts'

const DELIMITER = '|'
/** Hexadecimal digits. */
const MARK_LENGTH = 16

export interface Session {
  /** What the endpoint was told by; whatever a client wrote. */
  readonly endpoint: string
  /** serviceMark of its Service, or whatever a client wrote; empty: it names none. */
  readonly service: string
}

/** @param name of the cookie @returns null: the request has none */
export function sessionReader(name: string): (asked: Asked) => Session | null {
  const read = READS.cookie(lowerAscii(name))
  return asked => {
    const value = read(asked)
    if (value === null || value === '') return null
    const end = value.indexOf(DELIMITER)
    return end === -1
      ? { endpoint: value, service: '' }
      : { endpoint: value.slice(0, end), service: value.slice(end + 1) }
  }
}

export function sessionValue({ endpoint, service }: Session): string {
  return `${endpoint}${DELIMITER}${service}`
}

/** Names a Service without saying its name. */
export function serviceMark(service: ServiceKey): string {
  return hash('sha256', service).slice(0, MARK_LENGTH)
}
