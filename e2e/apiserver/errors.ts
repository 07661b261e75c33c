export type ApiServerErrorCode =
  /** The binaries are not there and cannot be built here. */
  | 'APISERVER_NO_BINARIES'
  /** A component ended at its start, or did not become ready in time. */
  | 'APISERVER_NOT_READY'
  /** A named cluster is not ours to stop or to compact. */
  | 'APISERVER_FOREIGN'

export class ApiServerError extends Error {
  override readonly name = 'ApiServerError'
  readonly code: ApiServerErrorCode

  constructor(code: ApiServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
