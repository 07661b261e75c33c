/** What a carrier does when something of ours fails: from outside that cannot be seen. */
import { describe, expect, it } from '@jest/globals'
import { ClientLines } from '../exchange/headers.ts'
import type { ClientConnection } from '../connection/client-connection.ts'
import { DataPlaneError } from '../errors.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Cluster } from '../upstream/contract.ts'
import { Forward, type ForwardContext } from './forward.ts'

interface Told {
  readonly defects: unknown[]
  readonly counted: { readonly status: number; readonly internal: boolean; readonly upstreamError: boolean }[]
  readonly sent: (string | number)[]
}

function carrier(
  lease: Cluster['lease'],
  answer: () => void = () => undefined,
  more: object = {},
): { forward: Forward; told: Told } {
  const told: Told = { defects: [], counted: [], sent: [] }
  const client = {
    ...{ answered: false, written: 0, blocked: false, greatestStatus: 999 },
    answer: (status: number) => {
      told.sent.push(status)
      answer()
    },
    body: () => true,
    end: () => told.sent.push('end'),
    cut: () => told.sent.push('cut'),
  }
  const exchange = {
    head: { method: 'GET', target: '/', minor: 1, fields: [], bodyLength: 0, bytes: 10, upgrade: null },
    decision: { kind: 'forward', route: null, canary: null },
    ...{ id: 'id', status: 0, failure: null, startedAt: 0, countedHost: null, endpoints: [], bodyBytesOut: 0 },
    ...more,
  }
  const forward = {
    maxResponseHeadBytes: 1_000,
    maxBody: Infinity,
    own: [[], []],
    connecting: null,
    onStatus: null,
    balancing: null,
    affinity: null,
  }
  const context = {
    clientLines: new ClientLines(),
    recorder: {
      request: (request: Told['counted'][number]) => told.counted.push(request),
      failure: () => undefined,
    },
    accessLog: { write: () => undefined },
    date: { text: () => 'now' },
    forward,
    routes: { of: () => forward },
    onDefect: (error: unknown) => told.defects.push(error),
  }
  const carrying = new Forward(
    client as unknown as ClientConnection,
    exchange as unknown as Exchange,
    { lease } as unknown as Cluster,
    context as unknown as ForwardContext,
  )
  return { forward: carrying, told }
}

describe('a defect of ours', () => {
  const defect = new TypeError('a defect')

  it('is a 500, counted as our own fault and as nobody else’s', () => {
    const { forward, told } = carrier(() => () => undefined)
    forward.start()
    forward.defect(defect)
    expect(told.sent).toEqual([500, 'end'])
    expect(told.counted).toMatchObject([{ status: 500, internal: true, upstreamError: false }])
    expect(told.defects).toEqual([defect])
  })

  it('or a lack of ours is a 500, too, and no evidence against the endpoint that it kept us from (finding 10)', () => {
    const { forward, told } = carrier((_request, waiter) => {
      waiter.failed(new DataPlaneError('SLUICE_LOCAL_RESOURCES', 'EMFILE'))
      return () => undefined
    })
    forward.start()
    expect(told.sent).toEqual([500, 'end'])
    expect(told.counted).toMatchObject([{ status: 500, internal: true, upstreamError: false }])
  })

  it('in a lease that is handed over ends the exchange and gives the lease back, once', () => {
    const given: string[] = []
    const { forward, told } = carrier((_request, waiter) => {
      // Without a target the head cannot be written: that throws.
      waiter.leased({
        ...{ address: '127.0.0.1:1', reused: false, connectMs: 1, done: (result: string) => given.push(result) },
        connection: { reader: null, socket: {} },
      } as never)
      return () => undefined
    })
    forward.start()
    expect([told.defects.length, told.sent, given]).toEqual([1, [500, 'end'], ['close']])
    forward.onGone('client-gone')
    forward.onClose()
    expect(told.counted).toHaveLength(1)
  })

  it('in the answer to a defect cuts the connection and throws nothing', () => {
    const { forward, told } = carrier(
      () => () => undefined,
      () => {
        throw defect
      },
    )
    forward.start()
    forward.defect(defect)
    expect(told.sent).toEqual([500, 'cut'])
  })

  it('an exchange whose client went before it was begun is not begun', () => {
    let leased = 0
    const { forward, told } = carrier(() => {
      leased++
      return () => undefined
    })
    forward.onGone('client-gone')
    forward.start()
    expect([leased, told.counted.length]).toEqual([0, 1])
  })
})

describe('a kept connection that breaks before one byte of an answer', () => {
  const forwarded = {
    client: '',
    authority: 'a',
    host: 'a',
    scheme: '',
    port: '',
    requestId: '',
    prefix: null,
    hops: 1,
  }
  const broken = (method: string): readonly string[] => {
    const given: string[] = []
    const head = { ...{ method, target: '/', minor: 1, fields: [], bodyLength: 0 }, ...{ bytes: 9, upgrade: null } }
    const { forward, told } = carrier(
      (_request, waiter) => {
        waiter.leased({
          ...{ address: '127.0.0.1:1', reused: given.length === 0, at: 1, connectMs: 1 },
          done: (result: string) => given.push(result),
          connection: { reader: null, socket: { destroyed: false, writable: true }, out: { write: () => true } },
        } as never)
        return () => undefined
      },
      () => undefined,
      { head: { ...head, connectionOptions: null }, forwarded, target: { ok: true, forward: '/' } },
    )
    forward.start()
    forward.onClose()
    expect(told.defects).toEqual([])
    return given
  }

  it('was closed meanwhile, for all that is known, where the request is sent once more', () => {
    expect(broken('GET')).toEqual(['stale'])
  })

  it('is a failure of its endpoint where the request cannot be sent again: it was lent as one in use', () => {
    expect(broken('POST')).toEqual(['failed'])
  })
})
