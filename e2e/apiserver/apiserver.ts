/**
 * A real API server and its etcd for tests that need no Pod: no controllers, no kubelet, an empty cluster of its own
 * for each test file, on loopback, gone with the test. With SLUICE_CLUSTER=<kubeconfig> tests use that cluster.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join, resolve as absolute } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { findBinaries } from './binaries.ts'
import { compactEtcd } from './compact.ts'
import { Component } from './component.ts'
import { ApiServerError } from './errors.ts'
import { freePorts } from './ports.ts'

export type ComponentName = 'etcd' | 'kube-apiserver'

export interface ApiServer {
  /** Of an administrator. */
  readonly kubeconfig: string
  /** The kubectl to use with it. */
  readonly kubectl: string
  /** `https://127.0.0.1:port`. */
  readonly address: string
  /** SIGKILL; resolves when the process is gone. */
  kill(component: ComponentName): Promise<void>
  /** Starts it again over the same data; resolves when the API server answers, if both run. */
  start(component: ComponentName): Promise<void>
  /** etcd forgets all states but the present one; a running API server still answers from its memory. */
  compact(): Promise<void>
  stop(): Promise<void>
}

/** True: tests must neither stop nor disturb the cluster, as it is somebody's. */
export const foreignCluster = (process.env['SLUICE_CLUSTER'] ?? '') !== ''

const READY_MS = 60_000

/** @throws ApiServerError */
export async function startApiServer(): Promise<ApiServer> {
  const named = process.env['SLUICE_CLUSTER'] ?? ''
  return named === '' ? await startOwn() : foreign(absolute(named))
}

async function startOwn(): Promise<ApiServer> {
  const binaries = await findBinaries()
  const folder = await mkdtemp(join(tmpdir(), 'sluice-apiserver-'))
  const [port = 0, client = 0, peer = 0] = await freePorts(3)
  const address = `https://127.0.0.1:${port}`
  const etcdAddress = `http://127.0.0.1:${client}`
  const token = randomBytes(24).toString('hex')
  await writeCredentials(folder, token)
  const components: Readonly<Record<ComponentName, Component>> = {
    etcd: new Component(etcdCommand(binaries, folder, client, peer), join(folder, 'etcd.log')),
    'kube-apiserver': new Component(
      apiServerCommand(binaries, folder, etcdAddress, port),
      join(folder, 'kube-apiserver.log'),
    ),
  }
  const all = Object.values(components)
  const ready = async (): Promise<void> => {
    const end = performance.now() + READY_MS
    while (!(await answers(address))) {
      const ended = Object.entries(components).find(([, component]) => !component.running)
      if (ended === undefined && performance.now() < end) {
        await sleep(50)
        continue
      }
      const [name, component] = ended ?? ['kube-apiserver', components['kube-apiserver']]
      throw new ApiServerError(
        'APISERVER_NOT_READY',
        `${name} ${ended === undefined ? `is not ready after ${READY_MS} ms` : 'ended'}:\n${await component.lastWords()}`,
      )
    }
  }
  const stop = async (): Promise<void> => {
    await Promise.all(all.map(component => component.kill()))
    await rm(folder, { recursive: true, force: true })
  }
  const kubeconfig = join(folder, 'kubeconfig')
  try {
    await Promise.all(all.map(component => component.start()))
    await ready()
    // The API server made its certificate itself; it is there by now, and stays over its restarts.
    await writeKubeconfig(kubeconfig, address, await readFile(join(folder, 'apiserver.crt')), token)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    kubeconfig,
    kubectl: join(binaries, 'bin/kubectl'),
    address,
    kill: name => components[name].kill(),
    start: async name => {
      await components[name].start()
      if (all.every(component => component.running)) await ready()
    },
    compact: () => compactEtcd(etcdAddress),
    stop,
  }
}

function foreign(kubeconfig: string): ApiServer {
  const refuse = (): Promise<never> =>
    Promise.reject(new ApiServerError('APISERVER_FOREIGN', 'SLUICE_CLUSTER is not ours to stop or to compact'))
  const stop = (): Promise<void> => Promise.resolve()
  return { kubeconfig, kubectl: 'kubectl', address: '', kill: refuse, start: refuse, compact: refuse, stop }
}

function etcdCommand(binaries: string, folder: string, client: number, peer: number): readonly string[] {
  const clients = `http://127.0.0.1:${client}`
  const peers = `http://127.0.0.1:${peer}`
  return [
    join(binaries, 'etcd'),
    `--data-dir=${join(folder, 'etcd')}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
  ]
}

function apiServerCommand(binaries: string, folder: string, etcd: string, port: number): readonly string[] {
  return [
    join(binaries, 'kube-apiserver'),
    `--etcd-servers=${etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
    // Nobody needs the Service `kubernetes`, and a loopback address may not be its endpoint.
    '--endpoint-reconciler-type=none',
    '--authorization-mode=RBAC',
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--service-cluster-ip-range=198.19.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(folder, 'accounts.key')}`,
    `--service-account-signing-key-file=${join(folder, 'accounts.key')}`,
  ]
}

async function writeCredentials(folder: string, token: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await writeFile(join(folder, 'accounts.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  await writeFile(join(folder, 'tokens.csv'), `${token},admin,admin,system:masters\n`, { mode: 0o600 })
}

async function writeKubeconfig(file: string, server: string, certificate: Buffer, token: string): Promise<void> {
  const name = 'sluice-test'
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster: { server, 'certificate-authority-data': certificate.toString('base64') } }],
    users: [{ name, user: { token } }],
  }
  await writeFile(file, stringify(config), { mode: 0o600 })
}

/** True if the API server says that it is ready. Nothing secret is sent, so nothing is verified. */
function answers(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const asked = request(`${address}/readyz`, { rejectUnauthorized: false, timeout: 2_000 }, response => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
    asked.end()
  })
}
