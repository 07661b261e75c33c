/** What goes into the books of a finished exchange. Heads, targets and headers are tested from outside (gateway/). */
import { describe, expect, it } from '@jest/globals'
import type { FinishedRequest } from '../report/recorder.ts'
import type { AnswerCause } from './decide.ts'
import { finish, type Exchange, type ExchangeContext } from './exchange.ts'

const ROUTE = { object: 'Ingress/ns/web', revision: 'v1' }

function booked(cause: AnswerCause, status: number, method = 'GET', ok = true): FinishedRequest | undefined {
  const requests: FinishedRequest[] = []
  const exchange = {
    ...{ head: { bytes: 10, method }, target: { ok }, decision: { kind: 'answer', cause, status, route: ROUTE } },
    ...{ countedHost: 'a.example', status, failure: null, startedAt: 0 },
    ...{ bodyBytesIn: 0, headBytesOut: 0, bodyBytesOut: 0, endpoints: [], connectMs: null, firstByteMs: null },
  }
  const context = {
    recorder: { request: (request: FinishedRequest) => requests.push(request) },
    accessLog: { write: () => undefined },
  }
  finish(exchange as unknown as Exchange, context as unknown as ExchangeContext)
  return requests[0]
}

describe('an answer of our own', () => {
  it('that its route led to counts for host and route', () => {
    expect(booked('no-endpoint', 503)).toMatchObject({ host: 'a.example', route: ROUTE, upstreamError: true })
  })

  it('on a closed path counts for host and route, apart from failures', () => {
    const expected = { host: 'a.example', route: ROUTE, status: 503, internal: false, upstreamError: false }
    expect(booked('closed', 503)).toMatchObject({ ...expected, closed: true })
    for (const cause of ['no-endpoint', 'busy', 'no-route', 'max-forwards'] as const) {
      expect([cause, booked(cause, 503)?.closed]).toEqual([cause, false])
    }
  })

  it('about ourselves counts for nobody: no revision gets a success that no backend gave', () => {
    expect(booked('max-forwards', 204)).toMatchObject({ host: null, route: null, status: 204, internal: false })
    // Nor a failure that a client made by its own words.
    for (const of of [
      booked('loop', 508),
      booked('method', 405, 'TRACE'),
      booked('bad-request', 400, 'get'),
      booked('bad-request', 400, 'GET', false),
    ]) {
      expect(of).toMatchObject({ host: null, route: null, internal: false })
    }
  })

  it('that the table led to counts for its host: a path that has become ambiguous is a lost one', () => {
    expect(booked('bad-request', 400)).toMatchObject({ host: 'a.example', status: 400 })
    expect(booked('no-route', 404)).toMatchObject({ host: 'a.example', notFound: true })
  })

  it('for want of something of ours is marked as that', () => {
    expect(booked('busy', 503)).toMatchObject({ route: ROUTE, internal: true })
    expect(booked('memory', 503)).toMatchObject({ route: ROUTE, internal: true })
  })
})
