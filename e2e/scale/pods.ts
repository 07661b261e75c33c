/** Proxy pods without a proxy: each has a pod's name and token and reads its stream, as fast as it can. */
import { execFile } from 'node:child_process'
import { get } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { AUTHORITY_NAME } from '../../operator/authority/authority.ts'
import type { KubeClient } from '../../operator/kube/client.ts'
import { as, resources } from '../../operator/kube/resources.ts'
import type { KubeObject } from '../../operator/kube/objects.ts'
import { STREAM_AUDIENCE } from '../../operator/stream/auth.ts'
import { ZSTD, zstdText } from '../../protocol/zstd.ts'
import type { ApiServer } from '../apiserver/apiserver.ts'

export const SYSTEM = 'sluice-system'
const FLEET = 'sluice-proxy'
/** As a proxy's first retry, and no longer: what is measured is the operator. Milliseconds. */
const RETRY_MS = 200
const NEW_LINE = 0x0a
/** Nobody runs it, but the namespace admits nothing less restricted. */
const POD_SECURITY = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }
const CONTAINER = {
  ...{ name: 'proxy', image: 'none' },
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
}

export interface Credentials {
  readonly name: string
  readonly token: string
  /** PEM of the stream's authority. */
  readonly authority: string
}

/** Pods of the fleet, ready as far as the API server knows, and a token of each. */
export async function createFleet(
  server: ApiServer,
  client: KubeClient,
  count: number,
): Promise<readonly Credentials[]> {
  const { data = {} } = await client.get(resources.configMaps, { namespace: SYSTEM, name: AUTHORITY_NAME })
  const pods = as<KubeObject>(resources.pods)
  const fleet: Credentials[] = []
  for (let ordinal = 0; ordinal < count; ordinal++) {
    const name = `${FLEET}-${ordinal}`
    const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: FLEET, uid: 'fleet', controller: true }
    await client.create(pods, {
      metadata: { name, namespace: SYSTEM, ownerReferences: [owner] },
      spec: { serviceAccountName: FLEET, securityContext: POD_SECURITY, containers: [CONTAINER] },
    } as unknown as KubeObject)
    const conditions = [{ type: 'Ready', status: 'True' }]
    await client.patchStatus(pods, { namespace: SYSTEM, name }, { phase: 'Running', conditions })
    const bound = ['--bound-object-kind', 'Pod', '--bound-object-name', name, '--audience', STREAM_AUDIENCE]
    const args = ['--kubeconfig', server.kubeconfig, 'create', 'token', FLEET, '-n', SYSTEM, '--duration', '10h']
    const { stdout } = await promisify(execFile)(server.kubectl, [...args, ...bound])
    fleet.push({ name, token: stdout.trim(), authority: data['ca.crt'] ?? '' })
  }
  return fleet
}

/** What came over one connection. */
export interface Connected {
  /** A snapshot came; else the state was resumed. */
  readonly whole: boolean
  readonly bytes: number
}

export class StreamingPod {
  readonly #credentials: Credentials
  readonly #port: number
  #request: ClientRequest | null = null
  #stateHash: string | null = null
  #ended = false
  #rest: Buffer[] = []
  #bytes = 0
  #whole = false
  /** What somebody waits for in a line of a delta. */
  #wanted: { readonly text: string; readonly seen: () => void } | null = null
  #current: (() => void) | null = null

  constructor(credentials: Credentials, port: number) {
    this.#credentials = credentials
    this.#port = port
  }

  /** Hash of the state that it has; null: none. */
  get stateHash(): string | null {
    return this.#stateHash
  }

  /** Asks for the stream until there is one, and resolves when it is current. @param resume goes on from what it has */
  async connect(resume: boolean): Promise<Connected> {
    this.#bytes = 0
    this.#whole = false
    const current = new Promise<void>(resolve => (this.#current = resolve))
    if (!resume) this.#stateHash = null
    void this.#ask()
    await current
    return { whole: this.#whole, bytes: this.#bytes }
  }

  /** Resolves when a change with this text in it came. */
  sees(text: string): Promise<void> {
    return new Promise(resolve => (this.#wanted = { text, seen: resolve }))
  }

  end(): void {
    this.#ended = true
    this.#request?.destroy()
  }

  async #ask(): Promise<void> {
    while (!this.#ended) {
      const response = await this.#open().catch(() => null)
      if (response?.statusCode === 200) {
        await this.#read(response)
        return
      }
      response?.destroy()
      await sleep(RETRY_MS)
    }
  }

  #open(): Promise<IncomingMessage> {
    const { token, authority } = this.#credentials
    const query = this.#stateHash === null ? '' : `?stateHash=${this.#stateHash}`
    return new Promise((resolve, reject) => {
      this.#request = get(
        {
          ...{ host: '127.0.0.1', port: this.#port, path: `/v1/stream${query}`, agent: false },
          ...{ ca: authority, servername: `sluice-operator.${SYSTEM}.svc` },
          headers: { authorization: `Bearer ${token}`, 'accept-encoding': ZSTD },
        },
        resolve,
      ).on('error', reject)
    })
  }

  async #read(response: IncomingMessage): Promise<void> {
    this.#rest = []
    try {
      response.on('data', (chunk: Buffer) => (this.#bytes += chunk.length))
      for await (const chunk of zstdText(response) as AsyncIterable<Buffer>) this.#take(chunk)
    } catch {
      // The operator ended: whoever drives this pod connects it again.
    }
  }

  #take(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(NEW_LINE); at >= 0; at = chunk.indexOf(NEW_LINE, from)) {
      const line = Buffer.concat([...this.#rest, chunk.subarray(from, at)])
      this.#rest = []
      from = at + 1
      this.#line(line)
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from))
  }

  #line(line: Buffer): void {
    const type = /^\{"type":"([a-z-]+)"/.exec(line.toString('latin1', 0, 40))?.[1] ?? ''
    if (type === 'snapshot-begin') this.#whole = true
    if (type === 'snapshot-end' || type === 'delta') {
      const hash = /"stateHash":"([0-9a-f]+)"/.exec(line.toString('latin1', Math.max(0, line.length - 200)))?.[1]
      if (hash !== undefined) this.#stateHash = hash
    }
    if (type === 'delta' && this.#wanted !== null && line.includes(this.#wanted.text)) {
      const { seen } = this.#wanted
      this.#wanted = null
      seen()
    }
    // What comes after it is what there is to observe: the state is whole, or confirmed.
    if (type === 'observe') {
      this.#current?.()
      this.#current = null
    }
  }
}
