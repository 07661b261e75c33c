/**
 * `make soak`: a proxy under an even load while something changes all the time, watched for errors and growth. docs/soak.md
 * MINUTES=30 CHANGES=10 LOAD=70 HOSTS=5000 SEED=1 WARMUP=300 SAMPLE=5; WRITE=1 updates the document.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ends } from '../bench/ends.ts'
import { machine } from '../bench/machine.ts'
import { twoCores } from '../bench/proc.ts'
import { output } from '../bench/programs.ts'
import { progress } from '../bench/row.ts'
import { SettingError } from '../bench/settings.ts'
import { bundleSluice } from '../bench/sluice.ts'
import { withSection } from '../bench/table.ts'
import { doubtsOf, errorsOf, renderSoak, trendsOf } from './report.ts'
import { commandOf, settingsFrom } from './settings.ts'
import { soak } from './soak.ts'

const DOCUMENT = join(import.meta.dirname, '../../docs/soak.md')

async function main(): Promise<number> {
  const settings = settingsFrom(process.env)
  const load = loadavg()[0] ?? 0
  const cores = twoCores()
  const all = new Ends()
  const interrupted = (): void => void all.all().finally(() => process.exit(130))
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  progress('bundling the proxy…')
  await bundleSluice()
  // With all its threads: clients, backend and the operator's side share a core.
  await output('taskset', ['-a', '-c', '-p', String(cores.loadCore), String(process.pid)])
  const outcome = await all.during(async ends => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-soak-'))
    ends.add(() => rm(folder, { recursive: true }))
    return soak({
      ...{ ...cores, ends, folder, say: progress, hosts: settings.hosts, changes: settings.changes },
      ...{ load: { share: settings.load / 100 }, seed: settings.seed },
      ...{ runMs: settings.minutes * 60_000, sampleMs: settings.sample * 1_000 },
    })
  })
  const trends = trendsOf(outcome.samples, settings.warmUp * 1_000)
  const text = [
    renderSoak(outcome, trends, settings.warmUp * 1_000),
    '',
    `\`${commandOf(settings)}\` on ${new Date().toISOString().slice(0, 10)}; Sluice ${outcome.version}.`,
    machine(load),
  ].join('\n')
  console.log(`\n${text}\n`)
  const problems = [...errorsOf(outcome), ...doubtsOf(outcome, trends)]
  for (const problem of problems) console.log(`  not as it should be: ${problem}`)
  if (settings.write) await writeFile(DOCUMENT, withSection(await readFile(DOCUMENT, 'utf8'), 'soak', text))
  return problems.length === 0 ? 0 : 1
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof SettingError ? error.message : error)
  return error instanceof SettingError ? 2 : 1
})
