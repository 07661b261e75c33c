import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { foreignCluster, startApiServer } from './apiserver.ts'
import type { ApiServer } from './apiserver.ts'
import { Component } from './component.ts'

const describeOwn = foreignCluster ? describe.skip : describe

describeOwn('an API server of our own', () => {
  let server: ApiServer

  beforeAll(async () => {
    server = await startApiServer()
  }, 600_000)
  afterAll(() => server.stop())

  const kubectl = async (...args: readonly string[]): Promise<string> =>
    (await promisify(execFile)(server.kubectl, ['--kubeconfig', server.kubeconfig, ...args])).stdout

  it('is a whole one, and an administrator is let in', async () => {
    expect(await kubectl('auth', 'can-i', '*', '*')).toBe('yes\n')
    expect(await kubectl('get', 'namespace', 'default', '-o', 'name')).toBe('namespace/default\n')
  })

  it('keeps its data, its address and its certificate over a crash of either process', async () => {
    await kubectl('create', 'configmap', 'kept', '--from-literal=a=1')
    await server.kill('kube-apiserver')
    await expect(kubectl('get', 'configmap', 'kept')).rejects.toThrow('refused')
    await server.kill('etcd')
    await server.start('etcd')
    await server.start('kube-apiserver')
    expect(await kubectl('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}')).toBe('1')
  }, 60_000)

  it('forgets what was, when told to', async () => {
    const version = await kubectl('get', 'configmap', 'kept', '-o', 'jsonpath={.metadata.resourceVersion}')
    await kubectl('annotate', 'configmap', 'kept', 'x=y')
    const past = `/api/v1/namespaces/default/configmaps?resourceVersion=${version}&resourceVersionMatch=Exact`
    expect(await kubectl('get', '--raw', past)).toContain('kept')
    await server.compact()
    await server.kill('kube-apiserver')
    await server.start('kube-apiserver')
    await expect(kubectl('get', '--raw', past)).rejects.toThrow('too old')
  }, 60_000)

  it('leaves neither process nor file', async () => {
    const other = await startApiServer()
    expect(existsSync(other.kubeconfig)).toBe(true)
    await other.stop()
    expect(existsSync(dirname(other.kubeconfig))).toBe(false)
    await expect(fetch(other.address)).rejects.toThrow('fetch failed')
  }, 60_000)
})

describe('a component', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-component-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const alive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }
  const waitFor = async (what: () => boolean): Promise<void> => {
    const end = performance.now() + 5_000
    while (!what()) {
      if (performance.now() > end) throw new Error('waited in vain')
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }

  it('is noticed when it ends by itself, and its last words are known', async () => {
    const component = new Component(['sh', '-c', 'echo one; echo two; exit 3'], join(folder, 'short.log'))
    await component.start()
    await waitFor(() => !component.running)
    expect(await component.lastWords(1)).toBe('two')
  })

  it('ends with the process that started it, also if that one is killed', async () => {
    const program = join(folder, 'starter.mjs')
    const source = `import { Component } from ${JSON.stringify(join(__dirname, 'component.ts'))}
await new Component(['sh', '-c', 'echo $$; exec sleep 600'], ${JSON.stringify(join(folder, 'long.log'))}).start()
setInterval(() => undefined, 1000)`
    await writeFile(program, source)
    const starter = spawn(process.execPath, [program], { stdio: 'inherit' })
    const observer = new Component([], join(folder, 'long.log'))
    let pid = 0
    for (let i = 0; i < 250 && pid === 0; i++) {
      pid = Number(await observer.lastWords(1))
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    expect(alive(pid)).toBe(true)
    starter.kill('SIGKILL')
    await waitFor(() => !alive(pid))
  }, 20_000)
})
