/** What the stages of `make test` came to, and how it is said. Pure. */

export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export const NOTHING: Tally = { passed: 0, failed: 0, skipped: 0 }

export function add(a: Tally, b: Tally): Tally {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped }
}

/** What is read of the file that `jest --json --outputFile` writes. */
export interface JestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly unknown[]
  }[]
}

export interface JestOutcome {
  readonly tally: Tally
  /** What failed beside single tests, which jest has named itself. */
  readonly problems: readonly string[]
}

/**
 * Null for a report that jest did not write (it crashed, or found no tests). A file without tests, a file that could
 * not be run, and a run without any test are failures: each would otherwise look like success.
 */
export function jestOutcome(report: JestReport | null, exitCode: number | null): JestOutcome {
  if (report === null) {
    return { tally: { ...NOTHING, failed: 1 }, problems: [`jest wrote no report (exit status ${String(exitCode)})`] }
  }
  const problems = report.testResults
    .filter(file => file.assertionResults.length === 0)
    .map(file => `${file.name}: ${file.status === 'failed' ? 'could not be run' : 'ran no test'}`)
  const skipped = report.numPendingTests + report.numTodoTests
  if (report.numPassedTests + report.numFailedTests + skipped === 0 && problems.length === 0)
    problems.push('no test was run')
  if (exitCode !== 0 && report.numFailedTests === 0 && problems.length === 0) {
    problems.push(`jest ended with status ${String(exitCode)} though no test failed`)
  }
  return {
    tally: { passed: report.numPassedTests, failed: report.numFailedTests + problems.length, skipped },
    problems,
  }
}

/** The last line of the whole output. */
export function tallyLine(tally: Tally): string {
  const skipped = tally.skipped === 0 ? '' : `, ${tally.skipped} skipped`
  return `${tally.passed} passed, ${tally.failed} failed${skipped}`
}

/** Did the demo, with its gates off, fail for the right reason? Null: yes; else what is wrong. */
export function gatesOffProblem(report: DemoReport | null, exitCode: number | null): string | null {
  if (exitCode === 0) return 'the demo succeeded though nothing could fail a gate'
  if (report === null) return `the demo broke off before its summary (exit status ${String(exitCode)})`
  const failedIn = (part: string): readonly string[] =>
    report.parts
      .find(one => one.part === part)
      ?.checks.filter(check => !check.ok)
      .map(check => check.name) ?? []
  if (failedIn('good').length > 0) return `the good change failed too: ${failedIn('good').join(', ')}`
  const missed = ['only the first batch ever served it', 'rollout RolledBack'].filter(
    name => !failedIn('bad').includes(name),
  )
  return missed.length === 0 ? null : `these checks passed with the gates off: ${missed.join(', ')}`
}

/** What is read of the file that the demo writes for DEMO_REPORT. */
export interface DemoReport {
  readonly parts: readonly {
    readonly part: string
    readonly checks: readonly { readonly name: string; readonly ok: boolean }[]
  }[]
}
