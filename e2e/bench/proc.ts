/** What the kernel accounts to processes. */
import { readFileSync, readdirSync } from 'node:fs'

export interface ProcessStat {
  readonly pid: number
  readonly parent: number
  /** User and system time of all threads, of those that ended too, in microseconds. */
  readonly cpuUs: number
}

/** Of utime and stime in /proc: 100 a second on every platform that Node runs on, whatever the kernel ticks at. */
const US_PER_TICK = 10_000

/** Text of /proc/<pid>/stat. Null: not one. */
export function parseStat(text: string): ProcessStat | null {
  // The name is in brackets, and may hold brackets and spaces itself.
  const [, pid, rest = ''] = /^([0-9]+) \(.*\) (.*)$/s.exec(text.trimEnd()) ?? []
  // Fields 3, 4, …: state, ppid, then eleven more up to utime (14) and stime (15).
  const fields = rest.split(' ')
  const [parent, utime, stime] = [fields[1], fields[11], fields[12]].map(Number)
  if (parent === undefined || utime === undefined || stime === undefined) return null
  if (!Number.isFinite(parent + utime + stime)) return null
  return { pid: Number(pid), parent, cpuUs: (utime + stime) * US_PER_TICK }
}

/** Resident memory in bytes, from the text of /proc/<pid>/status. Null: it does not say. */
export function parseRss(text: string): number | null {
  const kib = /^VmRSS:\s+([0-9]+) kB$/m.exec(text)?.[1]
  return kib === undefined ? null : Number(kib) * 1024
}

/** `0-3,8`: the cores that a process may run on, from the text of /proc/<pid>/status. */
export function parseCores(text: string): readonly number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(text)?.[1] ?? ''
  return list.split(',').flatMap(part => {
    const [, first, last = first] = /^([0-9]+)(?:-([0-9]+))?$/.exec(part) ?? []
    if (first === undefined) return []
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => Number(first) + i)
  })
}

/** `root` and everything below it. */
export function treeOf(root: number, all: readonly ProcessStat[]): readonly ProcessStat[] {
  const found = all.filter(one => one.pid === root)
  for (const { pid } of found) found.push(...all.filter(one => one.parent === pid))
  return found
}

function processes(): readonly ProcessStat[] {
  return readdirSync('/proc').flatMap(name => {
    if (!/^[0-9]+$/.test(name)) return []
    try {
      return parseStat(readFileSync(`/proc/${name}/stat`, 'latin1')) ?? []
    } catch {
      // It ended while we were looking.
      return []
    }
  })
}

/** CPU time of a process and all below it so far, in microseconds. @throws if it is gone */
export function cpuOfTree(pid: number): number {
  const tree = treeOf(pid, processes())
  if (tree.length === 0) throw new Error(`process ${pid} is gone`)
  return tree.reduce((sum, one) => sum + one.cpuUs, 0)
}

/** Resident memory of one process, in bytes. @throws if it is gone */
export function rssOf(pid: number): number {
  const rss = parseRss(readFileSync(`/proc/${pid}/status`, 'latin1'))
  if (rss === null) throw new Error(`process ${pid} is gone`)
  return rss
}

export interface Cores {
  /** The proxy under test has it for itself. */
  readonly proxyCore: number
  /** Load generator, upstream and this process. */
  readonly loadCore: number
}

/** Of those that this process may use: ask before it is pinned. @throws if there is but one */
export function twoCores(): Cores {
  const [proxyCore, loadCore] = parseCores(readFileSync('/proc/self/status', 'latin1'))
  if (proxyCore === undefined || loadCore === undefined)
    throw new Error('two cores are needed: one for the proxy alone')
  return { proxyCore, loadCore }
}
