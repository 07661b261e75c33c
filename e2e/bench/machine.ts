/** What a table says of the machine that it was measured on. */
import { cpus, release } from 'node:os'

/** Processes that want a core, for each core there is, above which a machine is not this run's alone. */
const BUSY = 0.25

/** No name of the machine, no path: the document is public. @param load average before the measurement */
export function machine(load: number): string {
  const all = cpus()
  const busy = load > BUSY * all.length ? ': the machine was busy with other work, compare ratios alone' : ''
  const model = all[0]?.model.trim() ?? 'unknown'
  return (
    `${all.length} cores, ${model}, Linux ${release().split('-')[0] ?? ''}, Node ${process.versions.node}; ` +
    `load average before: ${load.toFixed(1)}${busy}.`
  )
}
