/** One message of HTTP/1 as the tests compare it, and how our own readers read it. */
import { BodyReader } from '../body-reader.ts'
import type { Fields, RequestHead, ResponseHead } from '../contract.ts'
import { RequestHeadReader, ResponseHeadReader } from '../head-reader.ts'

export interface Message {
  /** First line: method and target, or status and reason. */
  readonly line: readonly [string, string]
  readonly minor: number
  readonly fields: Fields
  readonly body: string
  readonly trailers: Fields
  readonly keepAlive: boolean
  /** Where the bytes behind the message begin. */
  readonly end: number
}

export type Outcome =
  | { readonly state: 'message'; readonly message: Message }
  | { readonly state: 'more' }
  | { readonly state: 'refused'; readonly code: string }

/** What is read: requests, or answers to a method. */
export type Kind = 'request' | { readonly answerTo: string }

/** @param chunks all there is; behind it the connection ends */
export type Reader = (kind: Kind, chunks: readonly Buffer[]) => Outcome

const LIMIT = 65_536
const MORE = { state: 'more' } as const

export const readOurs: Reader = (kind, chunks) => {
  const reader = newHeadReader(kind)
  let head: RequestHead | ResponseHead | null = null
  let body: BodyReader | null = null
  let data = ''
  let [position, skipped] = [0, 0]
  for (const chunk of chunks) {
    let rest = chunk
    position += chunk.length
    if (head === null) {
      const result = reader.read(chunk)
      if (result.state === 'refused') return { state: 'refused', code: result.refusal.code }
      if (result.state === 'more') continue
      ;({ head, rest } = result)
      skipped = position - rest.length
      body = new BodyReader(head.bodyLength, LIMIT)
    }
    const result = body?.read(rest, piece => (data += piece.toString('latin1'))) ?? MORE
    if (result.state === 'refused') return { state: 'refused', code: result.refusal.code }
    if (result.state === 'end') return ended(head, data, body?.trailers ?? [], position - result.rest.length)
  }
  if (head === null || body?.finish() !== true) return MORE
  if (head.bytes !== skipped) throw new Error('a head of another length than the bytes that were taken')
  return ended(head, data, body.trailers, position)
}

function newHeadReader(kind: Kind): RequestHeadReader | ResponseHeadReader {
  if (kind === 'request') return new RequestHeadReader({ head: LIMIT, line: LIMIT })
  const reader = new ResponseHeadReader(LIMIT)
  reader.requestMethod = kind.answerTo
  return reader
}

function ended(head: RequestHead | ResponseHead, body: string, trailers: Fields, end: number): Outcome {
  const line = 'method' in head ? ([head.method, head.target] as const) : ([String(head.status), head.reason] as const)
  const { minor, fields, keepAlive } = head
  return { state: 'message', message: { line, minor, fields, body, trailers, keepAlive, end } }
}
