/** Why a run cannot go on. What the proxy did wrong is no error here, but counted. */
export type SoakErrorCode =
  /** Clients and backend ended. */
  | 'SLUICE_SOAK_TRAFFIC'
  /** The proxy's admin server does not say what it has to. */
  | 'SLUICE_SOAK_ADMIN'

export class SoakError extends Error {
  override readonly name = 'SoakError'
  readonly code: SoakErrorCode

  constructor(code: SoakErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
