import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { KubeClient } from './client.ts'
import { connect } from './connect.ts'
import type { Handler } from './handler.ts'
import type { ConfigMap, KubeObject } from './objects.ts'
import { Reflector } from './reflector.ts'
import { silentLog } from './log.ts'
import type { ReflectorOptions } from './reflector.ts'
import { resources } from './resources.ts'
import { until } from './testing/fake-clock.ts'
import { FakeServer, sendJson, sendStatus } from './testing/fake-server.ts'
import { reset } from '../../protocol/testing/reset.ts'

let server: FakeServer
let client: KubeClient
let reflectors: Reflector<ConfigMap>[]
let calls: string[]
let unhandled: unknown[]
const onUnhandled = (error: unknown): void => void unhandled.push(error)

beforeEach(async () => {
  server = await FakeServer.start()
  client = connect(server.config(), { timeoutMs: 500 })
  reflectors = []
  calls = []
  unhandled = []
  process.on('unhandledRejection', onUnhandled)
})

afterEach(async () => {
  await Promise.all(reflectors.map(r => r.stop()))
  await client.close()
  await server.stop()
  process.off('unhandledRejection', onUnhandled)
  expect(unhandled).toEqual([])
})

const version = (o: ConfigMap | undefined): string => o?.data?.['v'] ?? '-'
const recorder: Handler<ConfigMap> = {
  upsert: (o, old) => void calls.push(`${o.metadata.name}:${version(old)}>${version(o)}`),
  remove: o => void calls.push(`${o.metadata.name}:gone`),
  synced: () => void calls.push('synced'),
}

function reflect(options: Partial<ReflectorOptions<ConfigMap>> = {}): Reflector<ConfigMap> {
  const reflector = new Reflector<ConfigMap>({
    client,
    resource: resources.configMaps,
    handler: recorder,
    backoff: { minMs: 4, maxMs: 40 },
    ...options,
  })
  reflectors.push(reflector)
  return reflector
}

async function watching(nth = 1): Promise<void> {
  await until(`watch ${nth}`, () => server.watches.length >= nth)
}

/** A reflector that has synced a (v 1) and watches. */
async function synced(options: Partial<ReflectorOptions<ConfigMap>> = {}): Promise<Reflector<ConfigMap>> {
  server.put('a', { v: '1' })
  const reflector = reflect(options)
  reflector.start()
  await watching()
  return reflector
}

describe('list', () => {
  it('hands over everything, then says synced, then watches from the list with bookmarks and a time limit', async () => {
    server.put('b', { v: '1' })
    const reflector = await synced()
    expect(calls).toEqual(['b:->1', 'a:->1', 'synced'])
    expect(reflector.get('ns/a')?.data).toEqual({ v: '1' })
    expect(reflector.get('ns/a')?.metadata.managedFields).toBeUndefined()
    expect(reflector.get('ns/a')?.kind).toBe('ConfigMap')
    const query = server.watches[0]!.url.searchParams
    expect(query.get('resourceVersion')).toBe('102')
    expect(query.get('allowWatchBookmarks')).toBe('true')
    expect(Number(query.get('timeoutSeconds'))).toBeGreaterThan(255)
    expect(Number(query.get('timeoutSeconds'))).toBeLessThanOrEqual(290)
  })

  it('reads in pages and passes the selection on', async () => {
    for (let i = 0; i < 7; i++) server.put(`o${i}`)
    const reflector = reflect({ pageSize: 3, namespace: 'ns', labelSelector: 'x=y', fieldSelector: 'type=z' })
    reflector.start()
    await watching()
    expect(reflector.size).toBe(7)
    expect(server.lists.map(u => u.searchParams.get('continue'))).toEqual([null, '3', '6'])
    for (const url of [...server.lists, server.watches[0]!.url]) {
      expect(url.pathname).toBe('/api/v1/namespaces/ns/configmaps')
      expect(url.searchParams.get('labelSelector')).toBe('x=y')
      expect(url.searchParams.get('fieldSelector')).toBe('type=z')
    }
  })

  it('asks for metadata alone of a kind of which it wants no more, and takes what comes then', async () => {
    const accepted: (string | undefined)[] = []
    const kind = 'PartialObjectMetadata'
    const stub = (name: string): object => ({
      ...{ apiVersion: 'meta.k8s.io/v1', kind },
      metadata: { name, namespace: 'ns', uid: name, resourceVersion: '7' },
    })
    server.nextOthers.push((url, response, request) => {
      expect(url.pathname).toBe('/api/v1/secrets')
      accepted.push(request.headers.accept)
      sendJson(response, 200, { kind: `${kind}List`, metadata: { resourceVersion: '8' }, items: [stub('a')] })
    })
    server.nextWatches.push((_url, response, request) => {
      accepted.push(request.headers.accept)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write(`${JSON.stringify({ type: 'ADDED', object: stub('b') })}\n`)
    })
    const handler = recorder as unknown as Handler<KubeObject>
    const reflector = new Reflector<KubeObject>({ client, resource: resources.secretMetadata, handler })
    reflectors.push(reflector)
    reflector.start()
    await until('b', () => calls.includes('b:->-'))
    expect(calls).toEqual(['a:->-', 'synced', 'b:->-'])
    expect(accepted).toEqual([
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    ])
  })

  it('starts again when the continue token expires, without pages when that repeats', async () => {
    for (let i = 0; i < 5; i++) server.put(`o${i}`)
    const normal = server.nextLists
    const page = (_url: URL, response: Parameters<(typeof normal)[number]>[1]): void =>
      sendJson(response, 200, {
        metadata: { resourceVersion: '50', continue: 'x' },
        items: [{ metadata: { name: 'void', namespace: 'ns', uid: 'u', resourceVersion: '1' } }],
      })
    const gone: (typeof normal)[number] = (_url, response) => sendStatus(response, 410, 'Expired', 'token too old')
    normal.push(page, gone, page, gone)
    const reflector = reflect({ pageSize: 2 })
    reflector.start()
    await watching()
    expect(calls).toEqual(['o0:->-', 'o1:->-', 'o2:->-', 'o3:->-', 'o4:->-', 'synced'])
    expect(server.lists.map(u => u.searchParams.get('limit'))).toEqual(['2', '2', '2', '2', null])
    expect(reflector.status().errors).toMatchObject({ list: 0, gone: 0 })
  })

  it('lives with a malformed object among good ones, and takes nothing for deleted that it could not read', async () => {
    const reflector = await synced()
    server.put('b', { v: '1' })
    server.nextLists.push((_url, response) =>
      sendJson(response, 200, {
        metadata: { resourceVersion: '200' },
        items: [null, 7, { metadata: { namespace: 'ns' } }, server.objects.get('b')],
      }),
    )
    server.watches[0]!.event('ERROR', { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' })
    await watching(2)
    expect(calls).toEqual(['a:->1', 'synced', 'b:->1'])
    expect(reflector.size).toBe(2)
    expect(reflector.status().errors.malformed).toBe(3)
  })

  it('keeps the last good state of an object that became malformed, also over a list, and follows when it is mended', async () => {
    const transform = (o: ConfigMap): ConfigMap => {
      if (o.data?.['v'] === 'bad') throw new Error('v is bad')
      return o
    }
    const reflector = await synced({ transform })
    server.watches[0]!.event('MODIFIED', server.put('a', { v: 'bad' }))
    server.watches[0]!.event('ADDED', server.put('b', { v: '1' }))
    await until('b', () => calls.includes('b:->1'))
    server.watches[0]!.event('ERROR', { code: 410 })
    await watching(2)
    expect(version(reflector.get('ns/a'))).toBe('1')
    server.watches[1]!.event('MODIFIED', server.put('a', { v: '2' }))
    await until('a', () => calls.includes('a:1>2'))
    expect(calls).toEqual(['a:->1', 'synced', 'b:->1', 'a:1>2'])
    expect(reflector.status().errors.malformed).toBe(2)
  })

  it.each([
    ['503', 503, 'ServiceUnavailable', 'list'],
    ['429', 429, 'TooManyRequests', 'throttled'],
    ['401', 401, 'Unauthorized', 'denied'],
    ['403', 403, 'Forbidden', 'denied'],
    ['404 (no such kind yet)', 404, 'NotFound', 'list'],
  ] as const)('goes on after HTTP %s', async (_name, code, reason, counted) => {
    server.nextLists.push(
      (_url, response) => sendStatus(response, code, reason, 'no'),
      (_url, response) => sendStatus(response, code, reason, 'no'),
    )
    const reflector = await synced()
    expect(calls).toEqual(['a:->1', 'synced'])
    expect(reflector.status().errors[counted]).toBe(2)
  })

  it.each([
    ['an empty answer', ''],
    ['half an answer', '{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"x"'],
    ['another document', '{"kind":"Status"}'],
    ['a page of a proxy', '<html>hello</html>'],
  ])('believes no %s', async (_name, text) => {
    server.nextLists.push((_url, response) => response.end(text))
    const reflector = await synced()
    expect(calls).toEqual(['a:->1', 'synced'])
    expect(reflector.status().errors.list).toBe(1)
  })

  it('believes an empty list', async () => {
    const reflector = await synced()
    server.drop('a')
    server.watches[0]!.event('ERROR', { code: 410 })
    await watching(2)
    expect(calls).toEqual(['a:->1', 'synced', 'a:gone'])
    expect(reflector.size).toBe(0)
  })

  it('waits as long as a throttling server asks', async () => {
    const at: number[] = []
    server.nextLists.push((_url, response) => {
      at.push(performance.now())
      sendStatus(response, 429, 'TooManyRequests', 'slow down', { 'retry-after': '1' })
    })
    await synced()
    expect(performance.now() - at[0]!).toBeGreaterThanOrEqual(950)
  })
})

describe('watch', () => {
  it('follows additions, changes, deletions and bookmarks, however the bytes are cut', async () => {
    const reflector = await synced()
    const watch = server.watches[0]!
    const text = [
      { type: 'ADDED', object: server.put('ü', { v: '1' }) },
      { type: 'MODIFIED', object: server.put('ü', { v: '2' }) },
      { type: 'DELETED', object: server.drop('ü') },
      { type: 'BOOKMARK', object: { kind: 'ConfigMap', metadata: { resourceVersion: '999' } } },
    ]
      .map(e => `${JSON.stringify(e)}\n`)
      .join('')
    for (const byte of Buffer.from(text)) {
      watch.raw(Uint8Array.of(byte))
      if (byte % 16 === 0) await new Promise<void>(resolve => setImmediate(resolve))
    }
    await until('events', () => calls.length === 5)
    expect(calls.slice(2)).toEqual(['ü:->1', 'ü:1>2', 'ü:gone'])
    // An end that comes after the bookmark; a reset could overtake it.
    watch.end()
    await watching(2)
    expect(server.watches[1]!.url.searchParams.get('resourceVersion')).toBe('999')
    expect(server.lists).toHaveLength(1)
    expect(reflector.status().reconnects).toBe(1)
  })

  it('goes on from the last event after a reset in the middle of a line', async () => {
    await synced()
    const b = server.put('b', { v: '1' })
    const line = JSON.stringify({ type: 'ADDED', object: b })
    server.watches[0]!.raw(line.slice(0, 40))
    await new Promise(resolve => setTimeout(resolve, 20))
    server.watches[0]!.reset()
    await watching(2)
    expect(server.watches[1]!.url.searchParams.get('resourceVersion')).toBe('101')
    server.watches[1]!.raw(`${line}\n`)
    await until('b', () => calls.includes('b:->1'))
    expect(server.lists).toHaveLength(1)
  })

  it('does not take a cut last line for an event, even if it parses', async () => {
    await synced()
    server.watches[0]!.raw(JSON.stringify({ type: 'DELETED', object: server.objects.get('a') }))
    server.watches[0]!.end()
    await watching(2)
    expect(calls).toEqual(['a:->1', 'synced'])
  })

  it('skips garbage between good events, and lists soon after as nobody knows what it was', async () => {
    const reflector = await synced()
    const watch = server.watches[0]!
    watch.raw('%%% not json %%%\n{"type":"NONSENSE","object":{}}\n\n[]\n')
    server.drop('a')
    watch.event('ADDED', server.put('b', { v: '1' }))
    await until('b', () => calls.includes('b:->1'))
    expect(watch.closed).toBe(false)
    watch.end()
    await watching(2)
    expect(calls).toEqual(['a:->1', 'synced', 'b:->1', 'a:gone'])
    expect(reflector.status().errors.malformed).toBe(3)
  })

  it('lists again by itself after garbage, though the watch stays open', async () => {
    await synced()
    server.drop('a')
    server.watches[0]!.raw('garbage\n')
    await until('list', () => calls.includes('a:gone'), 8_000)
    expect(server.watches[0]!.closed).toBe(true)
  }, 10_000)

  it('finds what was deleted, created anew and changed while nothing was watched', async () => {
    server.put('b', { v: '1' })
    server.put('c', { v: '1' })
    server.put('d', { v: '1' })
    await synced()
    server.drop('a')
    server.drop('b')
    server.put('b', { v: '2' }, 'another-uid')
    server.put('c', { v: '2' })
    server.watches[0]!.event('ERROR', { kind: 'Status', code: 410, reason: 'Expired' })
    await watching(2)
    expect(calls.slice(calls.indexOf('synced') + 1)).toEqual(['c:1>2', 'b:gone', 'b:->2', 'a:gone'].sort(byCall(calls)))
    expect(new Set(calls.slice(5))).toEqual(new Set(['b:gone', 'b:->2', 'c:1>2', 'a:gone']))
    expect(calls.indexOf('b:gone')).toBeLessThan(calls.indexOf('b:->2'))
  })

  it('takes 410 as the status of a watch for the same', async () => {
    const reflector = await synced()
    server.nextWatches.push((_url, response) => sendStatus(response, 410, 'Expired', 'too old resource version'))
    server.drop('a')
    server.watches[0]!.end()
    await watching(2)
    expect(calls).toEqual(['a:->1', 'synced', 'a:gone'])
    expect(reflector.status().errors.gone).toBe(1)
  })

  it('lists at once when a server that was away says that the version is too old', async () => {
    const delays: unknown[] = []
    const warn = (fields: object): void => void delays.push(Object.entries(fields).filter(([name]) => name !== 'error'))
    await synced({ backoff: { minMs: 8, maxMs: 60_000, random: () => 1 }, log: { ...silentLog, warn } })
    const down = (_url: URL, response: Parameters<typeof sendStatus>[0]): void =>
      sendStatus(response, 503, 'ServiceUnavailable', 'away')
    server.nextWatches.push(down, down, (_url, response) => sendStatus(response, 410, 'Expired', 'too old'))
    server.drop('a')
    server.watches[0]!.end()
    await watching(2)
    const said = delays.map(fields => Object.fromEntries(fields as [string, unknown][]))
    expect(said.filter(({ reason }) => reason === 'gone')).toEqual([
      { kind: 'ConfigMap', reason: 'gone', retryInMs: 8 },
    ])
    expect(said.at(-2)).toMatchObject({ reason: 'watch' })
    expect(Number(said.at(-2)?.['retryInMs'])).toBeGreaterThan(8)
  })

  it('keeps the cache and comes back while the server refuses, resets or says nothing at all', async () => {
    const reflector = await synced()
    server.nextWatches.push(
      (_url, response) => sendStatus(response, 500, 'InternalError', 'boom'),
      (_url, response) => {
        if (response.socket) reset(response.socket)
      },
      () => undefined,
      (_url, response) => response.end(),
    )
    server.watches[0]!.reset()
    await watching(2)
    expect(reflector.size).toBe(1)
    expect(calls).toEqual(['a:->1', 'synced'])
    server.watches[1]!.event('MODIFIED', server.put('a', { v: '2' }))
    await until('a', () => calls.includes('a:1>2'))
    expect(server.lists).toHaveLength(1)
  })

  it('lists when the server keeps refusing the version it knows (restored from a backup)', async () => {
    await synced()
    const refuse = (_url: URL, response: Parameters<typeof sendStatus>[0]): void =>
      sendStatus(response, 504, 'Timeout', 'Too large resource version: 101, current: 7')
    server.nextWatches.push(refuse, refuse, refuse)
    server.resourceVersion = 7
    server.watches[0]!.reset()
    await watching(2)
    expect(server.lists).toHaveLength(2)
    expect(server.watches[1]!.url.searchParams.get('resourceVersion')).toBe('7')
  })

  it('ends a watch that is silent, and goes on from where it was', async () => {
    const reflector = await synced({ stallMs: 60 })
    server.watches[0]!.event('ADDED', server.put('b', { v: '1' }))
    await watching(2)
    await until('closed', () => server.watches[0]!.closed)
    expect(server.watches[1]!.url.searchParams.get('resourceVersion')).toBe('102')
    expect(server.lists).toHaveLength(1)
    expect(reflector.status().errors.stall).toBeGreaterThan(0)
  })

  it('does not end a watch that has nothing but bookmarks', async () => {
    await synced({ stallMs: 150 })
    for (let i = 0; i < 12; i++) {
      await new Promise(resolve => setTimeout(resolve, 30))
      server.watches[0]!.event('BOOKMARK', { metadata: { resourceVersion: String(200 + i) } })
    }
    expect(server.watches[0]!.closed).toBe(false)
    expect(server.watches).toHaveLength(1)
  })

  it('does not hammer a server that ends every watch at once', async () => {
    const end = (_url: URL, response: Parameters<typeof sendStatus>[0]): void => void response.writeHead(200).end()
    server.nextWatches.push(...Array.from({ length: 200 }, () => end))
    const reflector = await synced2({ backoff: { minMs: 20, maxMs: 1_000, random: () => 0 } })
    await new Promise(resolve => setTimeout(resolve, 400))
    // 10, 20, 40, 80, 160, 320 ms: not 200 watches.
    expect(200 - server.nextWatches.length).toBeLessThan(10)
    expect(reflector.status().errors.watch).toBeGreaterThan(2)
  })

  async function synced2(options: Partial<ReflectorOptions<ConfigMap>>): Promise<Reflector<ConfigMap>> {
    server.put('a', { v: '1' })
    const reflector = reflect(options)
    reflector.start()
    await until('synced', () => reflector.synced)
    return reflector
  }
})

describe('a handler that throws', () => {
  it('gets the newest state again, with what it last accepted, while the others go on', async () => {
    let broken = true
    const reflector = await synced({
      handler: {
        ...recorder,
        upsert: (o, old) => {
          if (o.metadata.name === 'b' && broken) throw new Error('not now')
          recorder.upsert(o, old)
        },
      },
    })
    const watch = server.watches[0]!
    watch.event('ADDED', server.put('b', { v: '1' }))
    watch.event('MODIFIED', server.put('b', { v: '2' }))
    watch.event('MODIFIED', server.put('a', { v: '2' }))
    await until('a', () => calls.includes('a:1>2'))
    await until('errors', () => reflector.status().errors.handler > 3)
    expect(version(reflector.get('ns/b'))).toBe('2')
    broken = false
    await until('b', () => calls.some(c => c.startsWith('b')))
    await new Promise(resolve => setTimeout(resolve, 60))
    expect(calls).toEqual(['a:->1', 'synced', 'a:1>2', 'b:->2'])
  })

  it('in remove is told again', async () => {
    let left = 3
    await synced({
      handler: {
        ...recorder,
        remove: o => {
          if (left-- > 0) throw new Error('not now')
          recorder.remove(o)
        },
      },
    })
    server.watches[0]!.event('DELETED', server.drop('a'))
    await until('a', () => calls.includes('a:gone'))
    expect(left).toBe(-1)
  })

  it('in synced does not stop the rest', async () => {
    const reflector = await synced({
      handler: {
        ...recorder,
        synced: () => {
          throw new Error('no')
        },
      },
    })
    server.watches[0]!.event('MODIFIED', server.put('a', { v: '2' }))
    await until('a', () => calls.includes('a:1>2'))
    expect(reflector.status().errors.handler).toBe(1)
  })
})

describe('start and stop', () => {
  it('stop during a list leaves nothing open', async () => {
    let asked = false
    server.nextLists.push(() => (asked = true))
    const reflector = reflect()
    reflector.start()
    await until('list', () => asked)
    await reflector.stop()
    await until('sockets', () => server.sockets.size === 0)
    expect(server.watches).toHaveLength(0)
    expect(calls).toEqual([])
    expect(reflector.status().state).toBe('stopped')
  })

  it('start twice is one watch, and stop closes it', async () => {
    const reflector = await synced()
    reflector.start()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(server.openWatches).toHaveLength(1)
    await reflector.stop()
    await until('closed', () => server.openWatches.length === 0)
  })

  it('stop and start in any order and speed leaves one watch, and hands over the differences alone', async () => {
    const reflector = await synced()
    for (let i = 0; i < 10; i++) {
      void reflector.stop()
      reflector.start()
      if (i % 3 === 0) await new Promise(resolve => setTimeout(resolve, i))
    }
    await reflector.stop()
    server.put('a', { v: '2' })
    calls.length = 0
    reflector.start()
    // Not "the next watch": one that was stopped may still be on its way to the server.
    await until('synced', () => calls.includes('synced'))
    await until('one watch', () => server.openWatches.length === 1)
    expect(calls).toEqual(['a:1>2', 'synced'])
  })

  it('stop while it waits ends the waiting', async () => {
    server.nextLists.push((_url, response) =>
      sendStatus(response, 429, 'TooManyRequests', 'x', { 'retry-after': '60' }),
    )
    const reflector = reflect()
    reflector.start()
    await until('waiting', () => reflector.status().state === 'waiting')
    await reflector.stop()
    expect(reflector.status().state).toBe('stopped')
  })

  it('no handler is called after stop() has resolved', async () => {
    const reflector = await synced()
    const watch = server.watches[0]!
    const flood = setInterval(() => watch.event('MODIFIED', server.put('a', { v: 'x' })), 1)
    await until('flood', () => calls.length > 5)
    await reflector.stop()
    const count = calls.length
    await new Promise(resolve => setTimeout(resolve, 50))
    clearInterval(flood)
    expect(calls).toHaveLength(count)
  })
})

/** Keeps the order in which the calls were made. */
function byCall(made: readonly string[]): (a: string, b: string) => number {
  return (a, b) => made.indexOf(a) - made.indexOf(b)
}
