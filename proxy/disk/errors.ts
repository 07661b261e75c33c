/** What is wrong with the copy on disk. Messages never quote it: it holds private keys. */
export type DiskErrorCode =
  /** Written by another version. */
  | 'SLUICE_DISK_FORMAT'
  | 'SLUICE_DISK_TRUNCATED'
  | 'SLUICE_DISK_DIGEST'
  /** The system could not read or unpack it. */
  | 'SLUICE_DISK_READ'
  | 'SLUICE_DISK_WRITE'
  /** It was served, and what it says is not what was proven once: what it was made with, or what reads it, is wrong. */
  | 'SLUICE_DISK_UNPROVEN'
  /** A write takes longer than what it writes may be kept for. */
  | 'SLUICE_DISK_SLOW'

export class DiskError extends Error {
  override readonly name = 'DiskError'
  readonly code: DiskErrorCode

  constructor(code: DiskErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
