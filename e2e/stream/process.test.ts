/** The proxy as a process: restarted with nobody there to ask it serves what it served, whatever its number of workers. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createServer, get } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { fragment, host, path } from '../../proxy/table/testing/fixtures.ts'
import { Cleanup, Operator, POD, prepare, SERVICE, until } from './rig.ts'
import type { Site } from './rig.ts'
import { TestWorld } from './world.ts'

const MAIN = join(__dirname, '../../proxy/main.ts')

let cleanup: Cleanup
let site: Site
beforeEach(async () => {
  cleanup = new Cleanup()
  site = await prepare(cleanup)
})
afterEach(() => cleanup.run())

interface Line {
  readonly message?: string
  /** Of the admin server. */
  readonly port?: number
  readonly ports?: { readonly http: number; readonly https: number; readonly admin: number }
}

class Process {
  readonly lines: Line[] = []
  readonly #child: ChildProcess
  readonly exited: Promise<number | null>

  constructor(operatorPort: number, workers: number, more: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(process.execPath, [MAIN], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...{ POD_NAME: POD, SLUICE_OPERATOR: `${SERVICE}:${operatorPort}`, WORKERS: String(workers) },
        ...{ TOKEN_FILE: join(site.folder, 'token'), CA_FILE: join(site.folder, 'ca.crt') },
        ...{ STATE_DIR: join(site.folder, 'state'), LISTEN_ADDRESS: '127.0.0.1', ACCESS_LOG: 'off' },
        ...{ HTTP_PORT: '0', HTTPS_PORT: '0', ADMIN_PORT: '0', DRAIN_DELAY: '0', DRAIN_TIMEOUT: '1s', ...more },
      },
    })
    this.exited = once(this.#child, 'exit').then(([code]) => code as number | null)
    createInterface(this.#child.stdout!).on('line', line => this.lines.push(JSON.parse(line) as Line))
    cleanup.add(() => this.#child.kill('SIGKILL'))
  }

  has(message: string): boolean {
    return this.lines.some(line => line.message?.includes(message))
  }

  async ports(): Promise<NonNullable<Line['ports']>> {
    await until('serving', () => this.has('serving'), 20_000)
    return this.lines.find(line => line.ports !== undefined)!.ports!
  }

  async adminPort(): Promise<number> {
    await until('started', () => this.has('started'), 20_000)
    return this.lines.find(line => line.port !== undefined)!.port!
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }
}

/** Status and body. */
function ask(port: number, path: string, hostName = 'web.test'): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers: { host: hostName }, agent: false }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      response.on('end', () => resolve(`${response.statusCode ?? 0} ${body.trim()}`))
    }).on('error', reject)
  })
}

async function untilAnswered(port: number, path: string, answer: string): Promise<void> {
  let last = ''
  const end = performance.now() + 20_000
  while (last !== answer && performance.now() < end) last = await ask(port, path)
  expect(last).toBe(answer)
}

async function startOperator(): Promise<Operator> {
  const backend = createServer((_request, response) => response.end('from the backend'))
  backend.listen(0, '127.0.0.1')
  await once(backend, 'listening')
  cleanup.add(() => {
    backend.close()
    backend.closeAllConnections()
  })
  const world = new TestWorld()
  world.release(fragment('web', [host('web.test', path('Prefix /', 'ns/web:80'))]))
  world.setEndpoints('ns/web:80', [`127.0.0.1:${(backend.address() as AddressInfo).port}`])
  const operator = await Operator.start(cleanup, site.leaf)
  operator.server.publish(world.change())
  return operator
}

describe('the proxy process', () => {
  it('serves after a restart with the operator away, with more workers than before', async () => {
    const operator = await startOperator()
    const first = new Process(operator.port, 1)
    const before = await first.ports()
    await untilAnswered(before.admin, '/readyz', '200 ok')
    expect(await ask(before.http, '/')).toBe('200 from the backend')
    await until('reported', () => operator.reports.some(r => r.source === 'stream'))
    first.signal('SIGTERM')
    expect(await first.exited).toBe(0)
    await operator.server.close()

    const second = new Process(operator.port, 3)
    const after = await second.ports()
    await untilAnswered(after.admin, '/readyz', '200 ok')
    for (let i = 0; i < 12; i++) expect(await ask(after.http, '/')).toBe('200 from the backend')
    expect(JSON.parse((await ask(after.admin, '/table')).slice(4))).toMatchObject({
      ...{ source: 'disk', revisions: { 'Ingress/ns/web': 'r1' }, workers: { wanted: 3, listening: 3 } },
    })
    second.signal('SIGINT')
    expect(await second.exited).toBe(0)
  }, 60_000)

  it('starts without a table where there is none: alive, not ready, and patient', async () => {
    const proxy = new Process(1, 1, { STATE_DIR: '', DRAIN_DELAY: '30s' })
    const admin = await proxy.adminPort()
    expect(await ask(admin, '/healthz')).toBe('200 ok')
    expect(await ask(admin, '/readyz')).toBe('503 no table yet')
    await until('tried', () => proxy.has('trying again'))
    await new Promise(resolve => setTimeout(resolve, 1_500))
    expect(proxy.lines.filter(line => line.message?.includes('trying again')).length).toBeLessThanOrEqual(2)
    expect(proxy.has('serving')).toBe(false)
    // Nobody was sent here who would have to be sent elsewhere.
    proxy.signal('SIGTERM')
    expect(await proxy.exited).toBe(0)
  }, 60_000)

  it('ends no worker after the whole process was stopped, and does not wait after a second signal', async () => {
    const operator = await startOperator()
    const proxy = new Process(operator.port, 2, { DRAIN_DELAY: '30s', WORKER_STALL_TIMEOUT: '1s' })
    const { http } = await proxy.ports()
    proxy.signal('SIGSTOP')
    await new Promise(resolve => setTimeout(resolve, 3_000))
    proxy.signal('SIGCONT')
    expect(await ask(http, '/')).toBe('200 from the backend')
    await new Promise(resolve => setTimeout(resolve, 1_500))
    expect(proxy.has('hangs')).toBe(false)
    proxy.signal('SIGTERM')
    await until('draining', () => proxy.has('draining'))
    proxy.signal('SIGTERM')
    expect(await proxy.exited).toBe(1)
  }, 60_000)

  it.each([
    ['POD_NAME', ''],
    ['SLUICE_OPERATOR', 'nowhere'],
    ['WORKERS', 'many'],
  ])(
    'does not start with %s=%s, and names it',
    async (name, value) => {
      const proxy = new Process(1, 1, { [name]: value })
      expect(await proxy.exited).toBe(1)
      await until('told', () => proxy.has('the proxy cannot start'))
      expect(JSON.stringify(proxy.lines)).toContain(`${name}=`)
    },
    30_000,
  )
})
