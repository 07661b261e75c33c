/** The stages of `make test`. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Processes } from './processes.ts'
import { NOTHING, add, gatesOffProblem, jestOutcome } from './results.ts'
import type { DemoReport, JestReport, Tally } from './results.ts'

export interface Context {
  readonly root: string
  readonly processes: Processes
  readonly say: (line: string) => void
  /** Somebody wants it to end: what is set up is taken down, and nothing else begins. */
  readonly interrupted: () => boolean
  /** Where reports of this run go. */
  readonly folder: string
}

export interface Stage {
  readonly name: string
  readonly title: string
  readonly run: (context: Context) => Promise<Tally>
}

const NEEDS_MORE = String.raw`\.(apiserver|node)\.test\.ts$`

export const STAGES: readonly Stage[] = [
  { name: 'checks', title: 'checks: types, lint, format, imports, generated files', run: checks },
  { name: 'unit', title: 'unit tests, with coverage of the product', run: unit },
  { name: 'apiserver', title: 'tests against a real API server', run: apiserver },
  { name: 'node', title: 'tests on a real Kubernetes node', run: onNode },
]

async function checks(context: Context): Promise<Tally> {
  const bin = (path: string): string => join(context.root, 'node_modules', path)
  const lint: Check = ['lint', [bin('eslint/bin/eslint.js'), '.']]
  const others: readonly Check[] = [
    ['types', [bin('typescript/bin/tsc'), '-p', 'tsconfig.json']],
    ['format', [bin('prettier/bin/prettier.cjs'), '--check', '.']],
    [
      'imports',
      [
        bin('dependency-cruiser/bin/dependency-cruiser.mjs'),
        ...['--config', '.dependency-cruiser.cjs', 'operator', 'proxy', 'protocol', 'e2e', 'scripts'],
      ],
    ],
    ['generated files', ['scripts/generate.ts', '--check']],
  ]
  const lane = async (checks: readonly Check[]): Promise<Tally> => {
    let tally = NOTHING
    for (const one of checks) tally = add(tally, await check(context, one))
    return tally
  }
  // The longest beside all others: on two cores that is as long as it takes alone.
  const [first, second] = await Promise.all([lane([lint]), lane(others)])
  return add(first, second)
}

/** What it is called, and what Node is to run. */
type Check = readonly [name: string, args: readonly string[]]

async function check(context: Context, [name, args]: Check): Promise<Tally> {
  const started = performance.now()
  const { code, output } = await context.processes.run(process.execPath, args, { quiet: true })
  const ok = code === 0
  context.say(`  ${ok ? 'ok    ' : 'FAILED'}  ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  if (!ok) context.say(output.trimEnd())
  return { ...NOTHING, [ok ? 'passed' : 'failed']: 1 }
}

function unit(context: Context): Promise<Tally> {
  // Left to itself jest leaves one core to others: on two that is one test file at a time.
  return jest(context, 'unit', [`--testPathIgnorePatterns=${NEEDS_MORE}`, '--coverage', '--maxWorkers=2'])
}

async function apiserver(context: Context): Promise<Tally> {
  const pattern = String.raw`\.apiserver\.test\.ts$`
  const missing = await missingFor(context, 'binaries')
  if (missing !== null) return skip(context, pattern, missing)
  // Kubernetes is compiled once, for as long as that takes: within a test it would be a test's time that runs out.
  const built = await context.processes.run(join(context.root, 'e2e/cluster/cluster'), ['build'])
  if (built.code !== 0) {
    context.say('  FAILED  Kubernetes could not be built')
    return { ...NOTHING, failed: 1 }
  }
  return jest(context, 'apiserver', [`--testPathPatterns=${pattern}`, '--runInBand'])
}

async function onNode(context: Context): Promise<Tally> {
  const pattern = String.raw`^.*/e2e/.*\.node\.test\.ts$`
  const missing = await missingFor(context, 'node')
  if (missing !== null) return skip(context, pattern, missing)
  const script = join(context.root, 'e2e/cluster/cluster')
  const { output } = await context.processes.run(script, ['status'], { quiet: true })
  const wasUp = output.trim() === 'up'
  try {
    const up = await context.processes.run(script, ['up'], { env: { PROXIES: '5', OPERATORS: '1' } })
    if (up.code !== 0) {
      context.say('  FAILED  the local node did not come up')
      return { ...NOTHING, failed: 1 }
    }
    const tests = await jest(context, 'node', [`--testPathPatterns=${pattern}`, '--runInBand'])
    return context.interrupted() ? tests : add(tests, await demoWithoutGates(context))
  } finally {
    if (!wasUp) await context.processes.run(script, ['down'])
  }
}

/** The demo must notice when nothing is judged; if it does not, its success means nothing. */
async function demoWithoutGates(context: Context): Promise<Tally> {
  context.say('\n-- the demo with its gates switched off, which has to fail')
  const report = join(context.folder, 'demo.json')
  const env = { DEMO_GATES: 'off', DEMO_REPORT: report, KEEP: '' }
  const { code, output } = await context.processes.run(process.execPath, ['e2e/demo/main.ts'], { env, quiet: true })
  const problem = gatesOffProblem(await json<DemoReport>(report), code)
  context.say(
    `  ${problem === null ? 'ok    ' : 'FAILED'}  the demo fails without gates${problem === null ? '' : `: ${problem}`}`,
  )
  if (problem !== null) context.say(output.trimEnd().split('\n').slice(-60).join('\n'))
  return { ...NOTHING, [problem === null ? 'passed' : 'failed']: 1 }
}

async function jest(context: Context, name: string, args: readonly string[]): Promise<Tally> {
  const report = join(context.folder, `${name}.json`)
  const binary = join(context.root, 'node_modules/jest/bin/jest.js')
  const all = [binary, '--ci', '--json', `--outputFile=${report}`, ...args]
  // jest's JSON goes to the file; what it says to people goes to stderr, as always.
  const { code } = await context.processes.run(process.execPath, all)
  const { tally, problems } = jestOutcome(await json<JestReport>(report), code)
  for (const problem of problems) context.say(`  FAILED  ${problem}`)
  return tally
}

async function json<T>(file: string): Promise<T | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T
  } catch {
    return null
  }
}

/** Lists the test files that cannot be run here; each counts as one that was skipped. */
async function skip(context: Context, pattern: string, why: string): Promise<Tally> {
  const binary = join(context.root, 'node_modules/jest/bin/jest.js')
  const args = [binary, '--listTests', `--testPathPatterns=${pattern}`]
  const { output } = await context.processes.run(process.execPath, args, { quiet: true })
  const files = output.split('\n').filter(line => line.endsWith('.test.ts'))
  context.say(`  skipped: ${why}`)
  for (const file of files) context.say(`  skipped  ${file.replace(`${context.root}/`, '')}`)
  return { ...NOTHING, skipped: files.length }
}

/** What is missing for tests that need the local node's binaries, or the node itself; null: nothing. */
async function missingFor(context: Context, what: 'binaries' | 'node'): Promise<string | null> {
  if (process.env['SLUICE_CLUSTER'])
    return what === 'node' ? 'they stop components, which a named cluster is not ours to do' : null
  if (process.platform !== 'linux') return 'the local node needs Linux'
  if (what === 'node' && process.getuid?.() !== 0) return 'the local node needs root'
  if (inPath('go')) return null
  const { code } = await context.processes.run(join(context.root, 'e2e/cluster/cluster'), ['build'], { quiet: true })
  return code === 0 ? null : 'the local node is built once with Go, and there is no go in PATH'
}

function inPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some(folder => existsSync(join(folder, name)))
}

/** An empty folder for the reports: yesterday's must not be taken for today's. */
export async function reportFolder(root: string): Promise<string> {
  const folder = join(root, '.sluice/test')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  return folder
}
