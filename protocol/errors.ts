/** What is wrong with something that came over the stream. Messages name type and path, never a value: one may be a private key. */
export type ProtocolErrorCode =
  /** Not JSON, or not what the schema of its type says. */
  | 'SLUICE_SCHEMA'
  /** A type of message that this version does not know: a newer operator speaks. */
  | 'SLUICE_MESSAGE_UNKNOWN'
  /** A line longer than the limit. */
  | 'SLUICE_LINE_TOO_LONG'

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolErrorCode
  /** `type` of the message; empty if it could not be read. */
  readonly messageType: string
  /** JSON pointer of the first field at fault; empty for the message as a whole. */
  readonly path: string

  constructor(code: ProtocolErrorCode, message: string, at: { readonly type?: string; readonly path?: string } = {}) {
    super(message)
    this.code = code
    this.messageType = at.type ?? ''
    this.path = at.path ?? ''
  }
}

/** By code, as jest and bundles may hold the class twice. */
export function isProtocolError(error: unknown): error is ProtocolError {
  return error instanceof Error && error.name === 'ProtocolError'
}
