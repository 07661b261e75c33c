/** `make bench`: Sluice and its peers side by side on this machine. What it measures: docs/benchmarks.md. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ends } from './ends.ts'
import { machine } from './machine.ts'
import { output } from './programs.ts'
import { twoCores } from './proc.ts'
import type { Cores } from './proc.ts'
import type { Bench, Section } from './row.ts'
import { rowA } from './row-a.ts'
import { rowB } from './row-b.ts'
import { rowC } from './row-c.ts'
import { rowD } from './row-d.ts'
import { rowG } from './row-g.ts'
import { rowH } from './row-h.ts'
import { rowI } from './row-i.ts'
import { SettingError, commandOf, settingsFrom } from './settings.ts'
import type { Row, Settings } from './settings.ts'
import { bundleSluice } from './sluice.ts'
import { rowE, rowF } from './tls-rows.ts'
import { withSection } from './table.ts'

const DOCUMENT = join(import.meta.dirname, '../../docs/benchmarks.md')
const MEASURE: Readonly<Record<Row, (bench: Bench) => Promise<Section>>> = {
  ...{ A: rowA, B: rowB, C: rowC, D: rowD, E: rowE, F: rowF, G: rowG, H: rowH, I: rowI },
}

function render(row: Row, section: Section, settings: Settings, load: number): string {
  return [
    `**${row}: ${section.title}**`,
    '',
    section.text,
    '',
    `\`${commandOf(row, settings)}\` on ${new Date().toISOString().slice(0, 10)}; ${section.versions.join(', ')}.`,
    machine(load),
  ].join('\n')
}

async function measured(row: Row, settings: Settings, cores: Cores, all: Ends): Promise<boolean> {
  const load = loadavg()[0] ?? 0
  console.error(`row ${row}…`)
  const section = await all.during(async ends => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
    ends.add(() => rm(folder, { recursive: true }))
    return MEASURE[row]({ settings, ends, folder, ...cores })
  })
  const text = render(row, section, settings, load)
  console.log(`\n${text}\n`)
  if (settings.write) await writeFile(DOCUMENT, withSection(await readFile(DOCUMENT, 'utf8'), row, text))
  return !section.failed
}

async function main(): Promise<number> {
  const settings = settingsFrom(process.env)
  const cores = twoCores()
  const ends = new Ends()
  const interrupted = (): void => {
    void ends.all().finally(() => process.exit(130))
  }
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  console.error('bundling the proxy…')
  await bundleSluice()
  // With all its threads: it is a load generator itself.
  await output('taskset', ['-a', '-c', '-p', String(cores.loadCore), String(process.pid)])
  let failed = 0
  for (const row of settings.rows) {
    try {
      if (!(await measured(row, settings, cores, ends))) failed++
    } catch (error) {
      failed++
      console.error(`row ${row} was not measured:`, error)
    }
  }
  return failed === 0 ? 0 : 1
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof SettingError ? error.message : error)
  return error instanceof SettingError ? 2 : 1
})
