/** What is added to requests that a canary was chosen for, and to their answers; compiled once, from what the schema let through. */
import type { CanaryMarks } from '../../protocol/objects.ts'
import { fieldLines } from '../http1/write.ts'

/** A field that goes behind the value that is there. */
export interface Appended {
  readonly name: string
  /** `name` in lower case. */
  readonly lower: string
  readonly value: string
}

/** Of one head. */
export interface HeadMarks {
  /** Field lines. */
  readonly added: string
  readonly appended: readonly Appended[]
}

export interface Marks {
  readonly request: HeadMarks
  readonly response: HeadMarks
  /** Behind the query of the target; empty: nothing. */
  readonly query: string
}

type Pairs = CanaryMarks['requestAdd']

/** @throws where the schema let through what may not stand in a head */
export function compileMarks(marks: CanaryMarks): Marks {
  const { requestAdd, requestAppend, responseAdd, responseAppend, query = '' } = marks
  return { request: headMarks(requestAdd, requestAppend), response: headMarks(responseAdd, responseAppend), query }
}

function headMarks(add: Pairs = [], append: Pairs = []): HeadMarks {
  return {
    added: fieldLines(add.flat()),
    appended: append.map(([name, value]) => ({ name, lower: name.toLowerCase(), value })),
  }
}

/** The target as it goes on. @param forward in origin form, or `*` for a server as a whole, which has no query */
export function withQuery(forward: string, query: string): string {
  if (query === '' || forward === '*') return forward
  return `${forward}${forward.includes('?') ? '&' : '?'}${query}`
}
