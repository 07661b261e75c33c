import type { Assignment, Certificate, Fragment } from '../../protocol/objects.ts'

/** One object: what is assigned, with its compiled form; payload is null if and only if nothing is assigned. */
export interface Entry {
  readonly assignment: Assignment
  readonly payload: Fragment | Certificate | null
}
