/** The programs that meet Sluice, as processes on this machine with the node's kubeconfig. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Authority } from '../pki/pki.ts'
import { HarnessError } from '../node/harness/errors.ts'
import { waitFor } from '../node/harness/wait.ts'
import { HealthProgram } from './health-program.ts'

/** The ClusterIP of the proxies' Service on the local node: what every name of the test DNS is. */
export const SERVICE_ADDRESS = '198.19.0.80'
const DNS = '127.0.0.1:8053'
const ACME = 'https://localhost:14000'
const ACME_MANAGEMENT = 'https://localhost:15000'
export const ISSUER = 'pebble'
export const WAITING_ISSUER = 'pebble-waits'

export interface Ran {
  readonly code: number | null
  readonly output: string
  readonly seconds: number
}

export class Programs {
  /** With `bin/`, `crds/`, and the images' names and archives. */
  readonly folder: string
  readonly logs: string
  readonly #env: Readonly<Record<string, string>>
  readonly #children = new Map<string, ChildProcess>()
  #health: HealthProgram | null = null
  /** PEM of Pebble's root. */
  root = ''
  /** PEM of who signed the certificate of Pebble's own API. */
  #api = ''

  constructor(folder: string, logs: string, env: Readonly<Record<string, string>>) {
    this.folder = folder
    this.logs = logs
    this.#env = env
  }

  async startAcme(): Promise<void> {
    const directory = join(this.logs, 'pebble')
    await mkdir(directory, { recursive: true })
    const authority = await Authority.root('Crossings API')
    const leaf = await authority.issue({ hosts: ['localhost'] })
    this.#api = authority.pem
    const profile = { description: 'as most authorities', validityPeriod: 90 * 86_400 }
    const config = {
      listenAddress: '127.0.0.1:14000',
      managementListenAddress: '127.0.0.1:15000',
      certificate: join(directory, 'api.pem'),
      privateKey: join(directory, 'api.key'),
      httpPort: 80,
      tlsPort: 443,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
      keyAlgorithm: 'ecdsa',
      profiles: { default: profile },
    }
    await writeFile(config.certificate, leaf.chain)
    await writeFile(config.privateKey, leaf.privateKey, { mode: 0o600 })
    await writeFile(join(directory, 'config.json'), JSON.stringify({ pebble: config }))
    const off = ['-http01', '', '-https01', '', '-tlsalpn01', '', '-doh', '']
    this.start('pebble-challtestsrv', [
      ...['-dnsserver', DNS, '-management', '127.0.0.1:8055', '-defaultIPv4', SERVICE_ADDRESS, '-defaultIPv6', ''],
      ...off,
    ])
    this.start('pebble', ['-config', join(directory, 'config.json'), '-dnsserver', DNS], {
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_AUTHZREUSE: '0',
      PEBBLE_WFE_NONCEREJECT: '0',
      PEBBLE_CHAIN_LENGTH: '2',
    })
    const root = (): Promise<string> => getText(`${ACME_MANAGEMENT}/roots/0`, this.#api)
    this.root = await waitFor('Pebble answers', root, text => text.includes('BEGIN CERTIFICATE'), { timeoutMs: 20_000 })
  }

  startCertManager(): void {
    this.start('cert-manager', [
      ...['-kubeconfig', this.kubeconfig, '-solver-image', this.#env['CROSSINGS_SOLVER_IMAGE'] ?? ''],
      ...['-nameserver', DNS],
    ])
  }

  /** ClusterIssuers for the class `sluice`, as its documentation writes them. */
  issuers(): readonly object[] {
    const issuer = (name: string, more: object): object => ({
      apiVersion: 'cert-manager.io/v1',
      kind: 'ClusterIssuer',
      metadata: { name },
      spec: {
        acme: {
          server: `${ACME}/dir`,
          caBundle: Buffer.from(this.#api).toString('base64'),
          privateKeySecretRef: { name: `${name}-account` },
          solvers: [{ http01: { ingress: { ingressClassName: 'sluice' } }, ...more }],
        },
      },
    })
    return [issuer(ISSUER, {}), issuer(WAITING_ISSUER, { waitInsteadOfSelfCheck: '5s' })]
  }

  /** An image with a shell and kubectl. */
  get kubectlImage(): string {
    return this.#env['CROSSINGS_KUBECTL_IMAGE'] ?? ''
  }

  get kubeconfig(): string {
    return this.#env['KUBECONFIG'] ?? ''
  }

  /** Starts a program that runs until the end; its output goes to a file. */
  start(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
    const file = join(this.logs, `${name}.log`)
    const log = createWriteStream(file)
    const child = spawn(join(this.folder, 'bin', name), args, {
      env: { ...this.#env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    child.on('error', error => log.write(`${error.message}\n`))
    child.on('exit', code => log.write(`ended: ${String(code)}\n`))
    this.#children.set(name, child)
    return file
  }

  /** @throws HarnessError if one of them has ended by itself */
  alive(): void {
    for (const [name, child] of this.#children)
      if (child.exitCode !== null || child.signalCode !== null)
        throw new HarnessError('E2E_NODE', `${name} has ended: ${join(this.logs, `${name}.log`)}`)
  }

  async stop(name: string): Promise<void> {
    const child = this.#children.get(name)
    this.#children.delete(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill('SIGTERM')
    await Promise.race([ended, sleep(5_000)])
    child.kill('SIGKILL')
  }

  async close(): Promise<void> {
    this.#health?.close()
    await Promise.all([...this.#children.keys()].map(name => this.stop(name)))
  }

  /** Runs one to its end; never rejects for what it says. */
  run(name: string, args: readonly string[]): Promise<Ran> {
    const started = performance.now()
    const child = spawn(join(this.folder, 'bin', name), args, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const collect = (chunk: string): void => void (output += chunk)
    child.stdout.setEncoding('utf8').on('data', collect)
    child.stderr.setEncoding('utf8').on('data', collect)
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', code => resolve({ code, output, seconds: (performance.now() - started) / 1_000 }))
    })
  }

  /** kstatus and Argo CD's rules, which live until the end. */
  get health(): HealthProgram {
    this.#health ??= new HealthProgram(join(this.folder, 'bin/health'))
    return this.#health
  }

  text(file: string): Promise<string> {
    return readFile(join(this.logs, file), 'utf8')
  }
}

function getText(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { ca, timeout: 5_000 }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
      response.on('error', reject)
      response.on('end', () => resolve(text))
    })
    call.on('timeout', () => call.destroy())
    call.on('error', reject)
    call.end()
  })
}
