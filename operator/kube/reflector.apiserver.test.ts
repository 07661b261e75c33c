import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { foreignCluster, startApiServer } from '../../e2e/apiserver/apiserver.ts'
import type { ApiServer } from '../../e2e/apiserver/apiserver.ts'
import { Gate } from '../../e2e/apiserver/gate.ts'
import type { KubeClient } from './client.ts'
import { connect, loadKubeConfig } from './connect.ts'
import { isKubeError } from './errors.ts'
import type { ConfigMap } from './objects.ts'
import { Reflector } from './reflector.ts'
import { resources } from './resources.ts'
import { until } from './testing/fake-clock.ts'
import { Mirror, stateOf } from './testing/mirror.ts'
import { through } from './testing/through.ts'

// What kills or compacts an API server cannot be tried on somebody's cluster.
const describeOwn = foreignCluster ? describe.skip : describe

describeOwn('a reflector and a real API server', () => {
  let server: ApiServer
  let gate: Gate
  /** Of the test: goes to the API server past the gate. */
  let direct: KubeClient
  /** Of the reflector: goes through the gate. */
  let client: KubeClient
  let mirror: Mirror<ConfigMap>
  let reflector: Reflector<ConfigMap>
  let namespace: string
  let count = 0

  beforeAll(async () => {
    server = await startApiServer()
    gate = await Gate.to(server.address)
    const config = loadKubeConfig(server.kubeconfig)
    direct = connect(config)
    client = connect(through(gate.address, config))
  }, 600_000)

  afterAll(async () => {
    await client.close()
    await direct.close()
    await gate.close()
    await server.stop()
  })

  beforeEach(async () => {
    namespace = `reflector-${++count}`
    await direct.create(resources.namespaces, { metadata: { name: namespace } })
    mirror = new Mirror()
    reflector = new Reflector<ConfigMap>({
      client,
      resource: resources.configMaps,
      handler: mirror,
      namespace,
      pageSize: 7,
      backoff: { minMs: 20, maxMs: 200 },
    })
  })

  afterEach(async () => {
    await reflector.stop()
    expect(mirror.contradictions).toEqual([])
  })

  const put = async (name: string, v: string): Promise<void> => {
    await direct.apply(resources.configMaps, { metadata: { name, namespace }, data: { v } })
  }
  const drop = (name: string): Promise<boolean> => direct.delete(resources.configMaps, { name, namespace })
  const fresh = async (): Promise<readonly string[]> => stateOf(await direct.list(resources.configMaps, { namespace }))

  async function syncedWith(...names: readonly string[]): Promise<void> {
    for (const name of names) await put(name, '1')
    reflector.start()
    await until('the first list', () => reflector.status().state === 'watching')
    mirror.calls.length = 0
  }

  /** The handler's world and the cache are what a list gives. */
  async function upToDate(): Promise<void> {
    const now = await fresh()
    await until(`as a fresh list:\n${now.join('\n')}`, () => mirror.state.join() === now.join(), 15_000)
    expect(stateOf(reflector.values())).toEqual(now)
  }

  it('hands over what exists, in pages, and then what happens', async () => {
    await syncedWith(...Array.from({ length: 20 }, (_, i) => `c${i}`))
    expect(mirror.objects.size).toBe(20)
    await put('c3', '2')
    await drop('c4')
    await put('new', '1')
    await upToDate()
    expect(mirror.calls).toEqual(['~c3', '-c4', '+new'])
    expect(reflector.status()).toMatchObject({ relists: 1, reconnects: 0, lastError: null })
  })

  it('goes on after a lost connection without a new list, and has lost nothing', async () => {
    await syncedWith('same', 'changed', 'gone', 'another')
    gate.shut()
    await put('changed', '2')
    await drop('gone')
    await drop('another')
    await put('another', '1')
    await put('new', '1')
    await put('brief', '1')
    await drop('brief')
    await until('trouble', () => reflector.status().errors.watch > 1)
    expect(mirror.calls).toEqual([])
    gate.open()
    await upToDate()
    expect(mirror.calls).toEqual(['~changed', '-gone', '-another', '+another', '+new', '+brief', '-brief'])
    expect(reflector.status()).toMatchObject({ relists: 1, errors: { gone: 0, list: 0, malformed: 0 } })
  })

  it('finds out by a list what happened beyond an API server that was killed', async () => {
    await syncedWith('same', 'changed', 'gone', 'another')
    await server.kill('kube-apiserver')
    gate.shut()
    await until('trouble', () => reflector.status().errors.watch > 1)
    expect(mirror.objects.size).toBe(4)
    await server.start('kube-apiserver')
    await put('changed', '2')
    await drop('gone')
    await drop('another')
    await put('another', '1')
    await put('new', '1')
    await put('brief', '1')
    await drop('brief')
    await server.kill('kube-apiserver')
    await server.start('kube-apiserver')
    expect(mirror.calls).toEqual([])
    gate.open()
    await upToDate()
    // The order within one list means nothing, but for an object that took the name of another.
    expect([...mirror.calls].sort()).toEqual(['+another', '+new', '-another', '-gone', '~changed'].sort())
    expect(mirror.calls.indexOf('-another')).toBeLessThan(mirror.calls.indexOf('+another'))
    expect(mirror.calls).not.toContain('~same')
  }, 60_000)

  it('lists again when etcd has forgotten where it was (410), and follows from there', async () => {
    await syncedWith('same', 'changed', 'gone')
    gate.shut()
    await put('changed', '2')
    await drop('gone')
    await put('new', '1')
    await server.compact()
    await server.kill('kube-apiserver')
    await server.start('kube-apiserver')
    gate.open()
    await upToDate()
    expect([...mirror.calls].sort()).toEqual(['+new', '-gone', '~changed'].sort())
    expect(reflector.status()).toMatchObject({ relists: 2 })
    expect(reflector.status().errors.gone).toBeGreaterThan(0)
    await until('watching', () => reflector.status().state === 'watching')
    await drop('same')
    await upToDate()
    expect(mirror.calls.at(-1)).toBe('-same')
    expect(reflector.status().relists).toBe(2)
  }, 60_000)

  it('takes a namespace that was emptied meanwhile for empty', async () => {
    await syncedWith('a', 'b')
    gate.shut()
    await drop('a')
    await drop('b')
    await server.compact()
    await server.kill('kube-apiserver')
    await server.start('kube-apiserver')
    gate.open()
    await upToDate()
    expect(mirror.objects.size).toBe(0)
    expect([...mirror.calls].sort()).toEqual(['-a', '-b'])
  }, 60_000)

  it('keeps what it has while etcd is down, and is right again when it is back', async () => {
    await syncedWith('a', 'b')
    await server.kill('etcd')
    await new Promise(resolve => setTimeout(resolve, 1_000))
    expect(mirror.calls).toEqual([])
    expect(reflector.size).toBe(2)
    await server.start('etcd')
    await put('a', '2')
    await drop('b')
    await upToDate()
    expect(mirror.calls).toEqual(['~a', '-b'])
  }, 60_000)

  it('under constant change, while API server and etcd crash and forget, loses and invents nothing', async () => {
    await syncedWith('c0')
    const over = new AbortController()
    let written = 0
    const write = async (lane: number): Promise<void> => {
      for (let i = 0; !over.signal.aborted; i++) {
        // Names go out of use: a deletion that is lost is not mended by a later one.
        const name = `c${lane}-${Math.floor(i / 15)}-${i % 5}`
        try {
          await (i % 3 === 2 ? drop(name) : put(name, String(i)))
          written++
        } catch (error) {
          // The crashes are the point; a refused write is not.
          if (!isKubeError(error, 'KUBE_UNAVAILABLE', 'KUBE_THROTTLED')) throw error
          await new Promise(resolve => setTimeout(resolve, 20))
        }
      }
    }
    const writers = Promise.all([write(1), write(2), write(3)])
    const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
    await pause(500)
    await server.kill('kube-apiserver')
    await server.start('kube-apiserver')
    await pause(500)
    gate.shut()
    await pause(200)
    await server.compact()
    await server.kill('kube-apiserver')
    await server.kill('etcd')
    await server.start('etcd')
    await server.start('kube-apiserver')
    gate.open()
    await pause(500)
    over.abort()
    await writers
    await upToDate()
    expect(written).toBeGreaterThan(50)
    expect(reflector.status().errors.malformed).toBe(0)
  }, 60_000)
})
