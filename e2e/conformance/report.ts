/** What the suite reports (Cucumber's JSON, one file per feature), as far as a run is judged by it. Pure. */

export interface Scenario {
  readonly feature: string
  readonly name: string
  /** Null: passed. Else the step that did not, and why. */
  readonly failure: string | null
}

interface Step {
  readonly keyword?: string
  readonly name?: string
  readonly result?: { readonly status?: string; readonly error_message?: string }
}

interface Feature {
  readonly name?: string
  readonly elements?: readonly { readonly name?: string; readonly type?: string; readonly steps?: readonly Step[] }[]
}

/** The scenarios of one report; null: it is not complete yet. */
export function scenariosOf(text: string): readonly Scenario[] | null {
  let features: readonly Feature[]
  try {
    features = JSON.parse(text) as readonly Feature[]
  } catch {
    return null
  }
  return features.flatMap(({ name: feature = '', elements = [] }) =>
    elements
      .filter(({ type }) => type !== 'background')
      .map(({ name = '', steps = [] }) => ({ feature, name, failure: failureOf(steps) })),
  )
}

/** A scenario without steps, or with one that was not run, has proved nothing. */
function failureOf(steps: readonly Step[]): string | null {
  if (steps.length === 0) return 'it has no steps'
  const bad = steps.find(({ result }) => result?.status !== 'passed')
  if (bad === undefined) return null
  const said = bad.result?.error_message ?? bad.result?.status ?? 'no result'
  return `${(bad.keyword ?? '').trim()} ${bad.name ?? ''}: ${said}`.trim()
}

/** A line of the list. */
export function lineOf({ name, failure }: Scenario): string {
  return failure === null ? `  passed  ${name}` : `  FAILED  ${name}\n          ${failure}`
}

/** Above the scenarios of a feature, and the sum below all of them. */
export function summaryOf(scenarios: readonly Scenario[]): string {
  const failed = scenarios.filter(({ failure }) => failure !== null).length
  return `${scenarios.length - failed} passed, ${failed} failed`
}
