/** Asks all proxies for one host as fast as is useful, on kept-alive connections, to see when content arrives. */
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkAddress } from '../../load/targets.ts'
import type { Target } from '../../load/targets.ts'
import { HarnessError } from './errors.ts'

/** Between two questions to one proxy: the resolution of what is measured. Milliseconds. */
const EVERY_MS = 5

export class HostPoller {
  readonly #targets: readonly Target[]
  readonly #everyMs: number
  #closed = false
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 })

  constructor(targets: readonly Target[], everyMs = EVERY_MS) {
    for (const target of targets) checkAddress(target.address)
    this.#targets = targets
    this.#everyMs = everyMs
  }

  /** Whoever waits is told that it does not come. */
  close(): void {
    this.#closed = true
    this.#agent.destroy()
  }

  /** When the last proxy first answered from the version, in milliseconds of performance.now(). @throws HarnessError */
  async until(host: string, version: string, timeoutMs: number): Promise<number> {
    const arrivals = await Promise.all(this.#targets.map(target => this.#one(target, host, version, timeoutMs)))
    return Math.max(...arrivals)
  }

  async #one(target: Target, host: string, version: string, timeoutMs: number): Promise<number> {
    const until = performance.now() + timeoutMs
    for (;;) {
      if ((await this.#ask(target, host)) === version) return performance.now()
      if (this.#closed || performance.now() > until) {
        throw new HarnessError('E2E_TIMEOUT', `proxy ${target.ordinal} does not serve ${host} from ${version}`)
      }
      await sleep(this.#everyMs)
    }
  }

  #ask(target: Target, host: string): Promise<string | null> {
    return new Promise(resolve => {
      const options = { host: target.address, port: target.port, headers: { host }, agent: this.#agent, timeout: 5_000 }
      const call = get(options, response => {
        const version = response.headers['x-echo-version']
        response.resume().on('end', () => resolve(typeof version === 'string' ? version : null))
      })
      call.on('timeout', () => call.destroy())
      call.on('error', () => resolve(null))
      call.on('close', () => resolve(null))
    })
  }
}
