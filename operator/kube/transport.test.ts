import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { KubeConfig } from '@kubernetes/client-node'
import type { KubeClient } from './client.ts'
import { connect } from './connect.ts'
import { describeError } from './errors.ts'
import type { KubeError } from './errors.ts'
import { resources } from './resources.ts'
import { until } from './testing/fake-clock.ts'
import { FakeServer, sendJson, sendStatus } from './testing/fake-server.ts'
import { reset } from '../../protocol/testing/reset.ts'

const TARGET = { name: 'a', namespace: 'ns' }

let server: FakeServer
let clients: KubeClient[]

beforeEach(async () => {
  server = await FakeServer.start()
  clients = []
})

afterEach(async () => {
  await Promise.all(clients.map(c => c.close()))
  await server.stop()
})

function clientOf(config: KubeConfig = server.config(), timeoutMs = 500): KubeClient {
  const client = connect(config, { timeoutMs })
  clients.push(client)
  return client
}

const refused = async (request: Promise<unknown>): Promise<KubeError> =>
  await request.then(
    () => Promise.reject(new Error('it was accepted')),
    (error: unknown) => error as KubeError,
  )
const object = (response: ServerResponse): void => sendJson(response, 200, { metadata: TARGET, data: { v: '1' } })

describe('what is sent', () => {
  it('carries the token, and is JSON in both directions', async () => {
    const seen: IncomingHttpHeaders[] = []
    const answer = (_url: URL, response: ServerResponse, request: { readonly headers: IncomingHttpHeaders }): void => {
      seen.push(request.headers)
      object(response)
    }
    server.nextOthers.push(answer, answer)
    const client = clientOf()
    await client.get(resources.configMaps, TARGET)
    await client.mergePatch(resources.configMaps, TARGET, { data: { v: null } })
    expect(seen[0]).toMatchObject({ authorization: 'Bearer secret-token', accept: 'application/json' })
    expect(seen[0]).not.toHaveProperty('content-type')
    expect(seen[1]).toMatchObject({ 'content-type': 'application/merge-patch+json' })
  })

  it('goes over connections that are kept', async () => {
    const client = clientOf()
    for (let i = 0; i < 20; i++) {
      server.nextOthers.push((_url, response) => object(response))
      await client.get(resources.configMaps, TARGET)
    }
    // A second one is made when the first is not yet given back.
    expect(server.sockets.size).toBeLessThanOrEqual(2)
  })

  it('keeps names with odd characters in their place', async () => {
    const paths: string[] = []
    server.nextOthers.push((url, response) => {
      paths.push(url.pathname)
      object(response)
    })
    await clientOf().get(resources.configMaps, { name: 'a/../b?c', namespace: 'n#s' })
    expect(paths).toEqual(['/api/v1/namespaces/n%23s/configmaps/a%2F..%2Fb%3Fc'])
  })
})

describe('an API server that', () => {
  it('is not there is KUBE_UNAVAILABLE, with the reason', async () => {
    const config = server.config()
    await server.stop()
    const error = await refused(clientOf(config).get(resources.configMaps, TARGET))
    expect(error).toMatchObject({ name: 'KubeError', code: 'KUBE_UNAVAILABLE', status: 0 })
    expect(error.message).toBe('get ConfigMap ns/a: no answer from the API server (ECONNREFUSED)')
    expect(describeError(error)).not.toContain('secret-token')
  })

  it.each([
    ['says nothing', () => undefined],
    [
      'stops in the middle of its answer',
      (_url: URL, response: ServerResponse) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        response.write('{"metadata":')
      },
    ],
  ])('%s is given up on in time', async (_, answer) => {
    server.nextOthers.push(answer)
    const error = await refused(clientOf(server.config(), 100).get(resources.configMaps, TARGET))
    expect(error).toMatchObject({
      code: 'KUBE_UNAVAILABLE',
      message: 'get ConfigMap ns/a: no answer within 100 ms',
    })
    await until('no socket is left', () => server.sockets.size === 0)
  })

  it('answers with something that is no JSON is KUBE_PROTOCOL, and nothing of the answer is told', async () => {
    server.nextOthers.push((_url, response) => void response.end('<html>private</html>'))
    const error = await refused(clientOf().get(resources.secrets, TARGET))
    expect(error.code).toBe('KUBE_PROTOCOL')
    expect(describeError(error)).not.toContain('private')
  })

  it.each([
    [400, 'BadRequest', 'KUBE_INVALID'],
    [401, 'Unauthorized', 'KUBE_UNAUTHORIZED'],
    [403, 'Forbidden', 'KUBE_FORBIDDEN'],
    [404, 'NotFound', 'KUBE_NOT_FOUND'],
    [409, 'Conflict', 'KUBE_CONFLICT'],
    [409, 'AlreadyExists', 'KUBE_ALREADY_EXISTS'],
    [410, 'Expired', 'KUBE_GONE'],
    [422, 'Invalid', 'KUBE_INVALID'],
    [429, 'TooManyRequests', 'KUBE_THROTTLED'],
    [500, 'InternalError', 'KUBE_UNAVAILABLE'],
    [503, 'ServiceUnavailable', 'KUBE_UNAVAILABLE'],
    [302, '', 'KUBE_PROTOCOL'],
  ] as const)('answers HTTP %s %s is %s', async (status, reason, code) => {
    server.nextOthers.push((_url, response) => sendStatus(response, status, reason, 'said so', { 'retry-after': '3' }))
    const error = await refused(clientOf().get(resources.configMaps, TARGET))
    expect(error).toMatchObject({ code, status, reason, retryAfterMs: 3_000 })
    expect(error.message).toContain('said so')
  })

  it('closes a kept-alive connection under a read is asked once more', async () => {
    const asked: string[] = []
    server.nextOthers.push(
      (url, response) => {
        asked.push(url.pathname)
        if (response.socket) reset(response.socket)
      },
      (url, response) => {
        asked.push(url.pathname)
        object(response)
      },
    )
    expect((await clientOf().get(resources.configMaps, TARGET)).data).toEqual({ v: '1' })
    expect(asked).toHaveLength(2)
  })

  it('closes it under a write is not asked again: the write may have taken effect', async () => {
    const asked: string[] = []
    const cut = (url: URL, response: ServerResponse): void => {
      asked.push(url.pathname)
      if (response.socket) reset(response.socket)
    }
    server.nextOthers.push(cut, cut)
    const error = await refused(clientOf().mergePatch(resources.configMaps, TARGET, {}))
    expect(error.code).toBe('KUBE_UNAVAILABLE')
    expect(asked).toHaveLength(1)
  })
})

describe('ending', () => {
  it('by the signal is KUBE_ABORTED, and the connection is gone', async () => {
    let asked = false
    server.nextOthers.push(() => (asked = true))
    const controller = new AbortController()
    const request = refused(clientOf().get(resources.configMaps, TARGET, { signal: controller.signal }))
    await until('asked', () => asked)
    controller.abort()
    expect((await request).code).toBe('KUBE_ABORTED')
    await until('no socket is left', () => server.sockets.size === 0)
  })

  it('by close fails what is under way', async () => {
    let asked = false
    server.nextOthers.push(() => (asked = true))
    const client = clientOf()
    const request = refused(client.get(resources.configMaps, TARGET))
    await until('asked', () => asked)
    await client.close()
    expect((await request).code).toBe('KUBE_UNAVAILABLE')
    await until('no socket is left', () => server.sockets.size === 0)
  })
})

describe('a kubeconfig that', () => {
  it('names no cluster is KUBE_CONFIG', async () => {
    const error = await refused(clientOf(new KubeConfig()).get(resources.configMaps, TARGET))
    expect(error).toMatchObject({ code: 'KUBE_CONFIG', message: expect.stringContaining('set current-context') })
  })

  it('would send credentials in the clear is refused before anything is sent', async () => {
    const config = new KubeConfig()
    config.loadFromClusterAndUser(
      { name: 'plain', server: server.address, skipTLSVerify: false },
      { name: 'u', token: 't' },
    )
    const error = await refused(clientOf(config).get(resources.configMaps, TARGET))
    expect(error).toMatchObject({ code: 'KUBE_CONFIG', message: expect.stringContaining('in the clear') })
    expect(server.sockets.size).toBe(0)
  })

  it('names a program for credentials that is not there is KUBE_CONFIG', async () => {
    const config = new KubeConfig()
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: '/nowhere/credentials', args: [], env: [] }
    config.loadFromClusterAndUser(
      { name: 'fake', server: server.address, skipTLSVerify: true },
      { name: 'u', exec: { ...exec, interactiveMode: 'Never' } },
    )
    const error = await refused(clientOf(config).get(resources.configMaps, TARGET))
    expect(error.code).toBe('KUBE_CONFIG')
    expect(error.message).toContain('credentials')
  })

  it('names a proxy that we cannot use is KUBE_CONFIG', async () => {
    const config = new KubeConfig()
    config.loadFromClusterAndUser(
      { name: 'fake', server: server.address, skipTLSVerify: true, proxyUrl: 'socks5://127.0.0.1:1' },
      { name: 'u', token: 't' },
    )
    const error = await refused(clientOf(config).get(resources.configMaps, TARGET))
    expect(error).toMatchObject({ code: 'KUBE_CONFIG', message: expect.stringContaining('must be http or https') })
  })
})
