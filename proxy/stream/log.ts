/** The part of a pino logger that the stream uses. Certificates and tables never go into it. */
export interface StreamLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
