import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { foreignCluster, startApiServer } from '../../e2e/apiserver/apiserver.ts'
import type { ApiServer } from '../../e2e/apiserver/apiserver.ts'
import { Component } from '../../e2e/apiserver/component.ts'
import { Gate } from '../../e2e/apiserver/gate.ts'
import type { KubeClient } from './client.ts'
import { connect, loadKubeConfig } from './connect.ts'
import { ADDRESS_ANNOTATION, LeaderElector } from './leader.ts'
import type { LeaderOptions } from './leader.ts'
import { resources } from './resources.ts'
import { until } from './testing/fake-clock.ts'
import { through } from './testing/through.ts'

const describeOwn = foreignCluster ? describe.skip : describe

/** Short enough for a test; the Lease itself counts in whole seconds. */
const TIMES = { leaseMs: 2_000, renewDeadlineMs: 1_200, renewMs: 300, retryMs: 100 } as const

describeOwn('two electors and a real Lease', () => {
  let server: ApiServer
  let gate: Gate
  let direct: KubeClient
  let gated: KubeClient
  let folder: string
  let namespace: string
  let electors: LeaderElector[]
  /** `a+`, `a-`: begins, ends to lead; `a:b`: a believes that b leads. */
  let events: string[]
  let both: boolean
  let watcher: NodeJS.Timeout
  let count = 0

  beforeAll(async () => {
    server = await startApiServer()
    gate = await Gate.to(server.address)
    direct = connect(loadKubeConfig(server.kubeconfig))
    gated = connect(through(gate.address, loadKubeConfig(server.kubeconfig)))
    folder = await mkdtemp(join(tmpdir(), 'sluice-leader-'))
  }, 600_000)

  afterAll(async () => {
    await gated.close()
    await direct.close()
    await gate.close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  beforeEach(async () => {
    gate.open()
    namespace = `leader-${++count}`
    await direct.create(resources.namespaces, { metadata: { name: namespace } })
    electors = []
    events = []
    both = false
    watcher = setInterval(() => (both ||= electors.filter(e => e.isLeader()).length > 1), 5)
  })

  afterEach(async () => {
    gate.open()
    await Promise.all(electors.map(e => e.stop()))
    clearInterval(watcher)
    expect(both).toBe(false)
  })

  function elector(identity: string, client: LeaderOptions['client'], leaseMs: number = TIMES.leaseMs): LeaderElector {
    const one = new LeaderElector({
      ...TIMES,
      leaseMs,
      client,
      namespace,
      identity,
      address: `${identity}:8443`,
      callbacks: {
        onStartedLeading: () => void events.push(`${identity}+`),
        onStoppedLeading: () => void events.push(`${identity}-`),
        onLeader: address => void events.push(`${identity}:${address?.split(':')[0] ?? 'nobody'}`),
      },
    })
    electors.push(one)
    one.start()
    return one
  }

  const lease = async (): Promise<{ readonly holder: string | undefined; readonly address: string | undefined }> => {
    const found = await direct.get(resources.leases, { name: 'sluice-operator', namespace })
    return { holder: found.spec?.holderIdentity, address: found.metadata.annotations?.[ADDRESS_ANNOTATION] }
  }

  it('one leads, both know where, for as long as it renews', async () => {
    const a = elector('a', direct)
    await until('a leads', () => a.isLeader())
    const b = elector('b', gated)
    await until('b knows', () => events.includes('b:a'))
    await new Promise(resolve => setTimeout(resolve, TIMES.leaseMs + 500))
    expect([a.isLeader(), b.isLeader()]).toEqual([true, false])
    expect(await lease()).toEqual({ holder: 'a', address: 'a:8443' })
    expect(events.filter(e => /[+-]$/.test(e))).toEqual(['a+'])
  }, 20_000)

  it('the other follows when the leader ends, and waits for no Lease', async () => {
    const leaseMs = 3_600_000
    const a = elector('a', direct, leaseMs)
    await until('a leads', () => a.isLeader())
    const b = elector('b', gated, leaseMs)
    await until('b knows', () => events.includes('b:a'))
    await a.stop()
    await until('b leads', () => b.isLeader())
    expect(await lease()).toEqual({ holder: 'b', address: 'b:8443' })
    expect(events.filter(e => /[+-]$/.test(e))).toEqual(['a+', 'a-', 'b+'])
  }, 20_000)

  it('a leader that is cut off ends before the other begins, and follows it when it is back', async () => {
    const a = elector('a', gated)
    await until('a leads', () => a.isLeader())
    const b = elector('b', direct)
    await until('b knows', () => events.includes('b:a'))
    gate.shut()
    await until('b leads', () => b.isLeader())
    expect(events.filter(e => /[+-]$/.test(e))).toEqual(['a+', 'a-', 'b+'])
    expect(events).toContain('b:b')
    gate.open()
    await until('a knows', () => events.includes('a:b'))
    await new Promise(resolve => setTimeout(resolve, TIMES.leaseMs))
    expect([a.isLeader(), b.isLeader()]).toEqual([false, true])
  }, 20_000)

  it('while the API server is away nobody leads for long; afterwards one does', async () => {
    const a = elector('a', direct)
    await until('a leads', () => a.isLeader())
    elector('b', gated)
    await until('b knows', () => events.includes('b:a'))
    await server.kill('kube-apiserver')
    await until('a ends', () => events.includes('a-'))
    expect(electors.some(e => e.isLeader())).toBe(false)
    await server.start('kube-apiserver')
    await until('one leads', () => electors.some(e => e.isLeader()), 10_000)
  }, 30_000)

  it('a process that is killed is followed after its Lease, and not sooner', async () => {
    const program = join(folder, 'elector.mjs')
    const at = (file: string): string => JSON.stringify(join(__dirname, file))
    await writeFile(
      program,
      `import { connect, loadKubeConfig } from ${at('connect.ts')}
import { LeaderElector } from ${at('leader.ts')}
new LeaderElector({
  ...${JSON.stringify(TIMES)}, client: connect(loadKubeConfig(${JSON.stringify(server.kubeconfig)})),
  namespace: ${JSON.stringify(namespace)}, identity: 'other', address: 'other:8443',
  callbacks: { onStartedLeading: () => console.log('leading'), onStoppedLeading: () => console.log('ended') },
}).start()
setInterval(() => undefined, 1000)`,
    )
    const log = join(folder, 'elector.log')
    const other = new Component([process.execPath, program], log)
    await other.start()
    try {
      for (let i = 0; i < 200 && (await readFile(log, 'utf8')) !== 'leading\n'; i++)
        await new Promise(resolve => setTimeout(resolve, 50))
      const b = elector('b', direct)
      await until('b knows', () => events.includes('b:other'))
      await new Promise(resolve => setTimeout(resolve, TIMES.leaseMs + 500))
      expect(b.isLeader()).toBe(false)
      await other.kill()
      const killed = performance.now()
      await until('b leads', () => b.isLeader(), 10_000)
      const took = performance.now() - killed
      // The last renewal was at most one interval (and a request) before the end.
      expect(took).toBeGreaterThan(TIMES.leaseMs - TIMES.renewMs - 300)
      expect(took).toBeLessThan(TIMES.leaseMs + 1_000)
      expect(await readFile(log, 'utf8')).not.toContain('ended')
    } finally {
      await other.kill()
    }
  }, 40_000)
})
