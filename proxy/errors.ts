/** Errors of the data plane: each has a code to branch on; messages name what failed and what to do. */
export type DataPlaneErrorCode =
  | 'SLUICE_CONFIG'
  | 'SLUICE_CONNECT_FAILED'
  | 'SLUICE_CONNECT_TIMEOUT'
  | 'SLUICE_NO_ENDPOINT'
  | 'SLUICE_ENDPOINTS_FULL'
  | 'SLUICE_LOCAL_RESOURCES'
  | 'SLUICE_UPSTREAM_TIMEOUT'
  | 'SLUICE_UPSTREAM_BROKEN'
  | 'SLUICE_UPSTREAM_HEAD_TOO_BIG'
  | 'SLUICE_CLIENT_GONE'
  | 'SLUICE_CLIENT_TIMEOUT'
  | 'SLUICE_CLIENT_MALFORMED'
  | 'SLUICE_BODY_TOO_BIG'
  | 'SLUICE_HTTP2_FLOOD'
  | 'SLUICE_MESSAGE_UNSAFE'
  | 'SLUICE_DIRECT_IO'
  | 'SLUICE_WORKER_PROTOCOL'
  | 'SLUICE_WORKER_START'
  | 'SLUICE_MEMORY_FULL'
  | 'SLUICE_TABLE_BROKEN'
  | 'SLUICE_NAME_TOO_LONG'
  | 'SLUICE_IMAGE_UNFIT'

export class DataPlaneError extends Error {
  override readonly name = 'DataPlaneError'
  readonly code: DataPlaneErrorCode

  constructor(code: DataPlaneErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The code of anything thrown: compare codes, never classes (jest has Node's own in another realm). */
export function errorCode(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  return typeof code === 'string' ? code : ''
}

/** One line for the log. A failed connection to several addresses is an error without a message of its own. */
export function describe(error: unknown): string {
  // By shape: errors of Node itself are of another realm in tests.
  if (typeof error !== 'object' || error === null || !('message' in error)) return String(error)
  const message = String(error.message)
  if (message === '' && 'errors' in error && Array.isArray(error.errors)) return error.errors.map(describe).join('; ')
  return 'cause' in error && error.cause !== undefined ? `${message}: ${describe(error.cause)}` : message
}
