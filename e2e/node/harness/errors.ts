/** What goes wrong in the harness itself, or takes longer than a test may wait. */

export type HarnessErrorCode = 'E2E_NODE' | 'E2E_KUBECTL' | 'E2E_API' | 'E2E_TIMEOUT' | 'E2E_CHANGED'

export class HarnessError extends Error {
  override readonly name = 'HarnessError'
  readonly code: HarnessErrorCode

  constructor(code: HarnessErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Of anything thrown; not by instanceof, which fails for errors of another realm (jest). */
export function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error)
}
