/** Errors of the model: an object that is not even shaped like what it should be. */

/** Thrown for an object whose JSON does not have the shape of its kind. Names object and field; carries no values. */
export class ModelError extends Error {
  readonly code = 'SLUICE_MALFORMED_OBJECT'
  override readonly name = 'ModelError'
  /** `<kind> <namespace>/<name>`, as far as it could be read. */
  readonly object: string
  /** JSON path of the field at fault. */
  readonly field: string

  constructor(object: string, field: string, reason: string, options?: ErrorOptions) {
    super(`${object}: ${field} ${reason}`, options)
    this.object = object
    this.field = field
  }
}
