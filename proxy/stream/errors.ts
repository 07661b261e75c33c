/** Why a connection to the operator failed or ended. Messages hold addresses and statuses, never a token. */
export type StreamErrorCode =
  /** Token or authority could not be read. */
  | 'SLUICE_STREAM_FILE'
  /** No answer in time. */
  | 'SLUICE_STREAM_TIMEOUT'
  /** Answered with a status that is no success. */
  | 'SLUICE_STREAM_STATUS'
  /** Open, but nothing comes any more. */
  | 'SLUICE_STREAM_SILENT'
  /** The operator ended the stream. */
  | 'SLUICE_STREAM_ENDED'
  /** Closed by this proxy. */
  | 'SLUICE_STREAM_CLOSED'

export class StreamError extends Error {
  override readonly name = 'StreamError'
  readonly code: StreamErrorCode

  constructor(code: StreamErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
