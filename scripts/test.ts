/**
 * `make test`: all checks and all tests, with what they need set up and taken down again.
 * `node scripts/test.ts [checks|unit|apiserver|node]…` runs some stages. The last line is `N passed, N failed`.
 */
import { fileURLToPath } from 'node:url'
import { Processes } from './test/processes.ts'
import { NOTHING, add, tallyLine } from './test/results.ts'
import { STAGES, reportFolder } from './test/stages.ts'

const root = fileURLToPath(new URL('../', import.meta.url)).replace(/\/$/, '')
const say = (line: string): void => console.log(line)

async function main(wanted: readonly string[]): Promise<number> {
  const unknown = wanted.filter(name => !STAGES.some(stage => stage.name === name))
  if (unknown.length > 0) {
    console.error(`no stage ${unknown.join(', ')}; there are ${STAGES.map(stage => stage.name).join(', ')}`)
    return 2
  }
  const processes = new Processes(root)
  const interruption = new AbortController()
  const interrupted = (): boolean => interruption.signal.aborted
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (interrupted()) process.exit(130)
      interruption.abort()
      say('\ninterrupted: ending what runs')
      // The stage that runs then ends by itself, and takes down what it set up.
      void processes.end()
    })
  }
  const context = { root, processes, say, interrupted, folder: await reportFolder(root) }
  const lines: string[] = []
  let total = NOTHING
  for (const stage of STAGES.filter(one => wanted.length === 0 || wanted.includes(one.name))) {
    if (interrupted()) break
    say(`\n== ${stage.title}`)
    const started = performance.now()
    const tally = await stage.run(context).catch((error: unknown) => {
      say(`  FAILED  ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
      return { ...NOTHING, failed: 1 }
    })
    total = add(total, tally)
    lines.push(`${stage.name.padEnd(10)} ${tallyLine(tally)} (${((performance.now() - started) / 1000).toFixed(0)} s)`)
    say(`-- ${lines.at(-1) ?? ''}`)
  }
  if (interrupted()) total = add(total, { ...NOTHING, failed: 1 })
  say(['', '== all', ...lines, ...(interrupted() ? ['interrupted  1 failed'] : []), tallyLine(total)].join('\n'))
  return interrupted() ? 130 : total.failed > 0 || total.passed === 0 ? 1 : 0
}

process.exitCode = await main(process.argv.slice(2))
