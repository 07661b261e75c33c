import { EventEmitter, once } from 'node:events'
import { Writable } from 'node:stream'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import type { ObjectKey } from '../../protocol/objects.ts'
import { zstdInto } from '../../protocol/zstd.ts'
import { Connection } from './connection.ts'
import { ServedWorld } from './testing/world.ts'

/** A client that reads when it is told to. */
class FakeResponse extends EventEmitter {
  readonly lines: string[] = []
  destroyed = false
  reads = true

  write(line: string): boolean {
    this.lines.push(line)
    return this.reads
  }

  end(): void {
    this.lines.push('end')
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.lines.push('destroyed')
  }
}

it('a line that must arrive waits for a client that is behind, one that need not is left out', () => {
  const response = new FakeResponse()
  const pod = { name: 'sluice-proxy-0', uid: 'uid', ordinal: 0 }
  const connection = new Connection({
    ...{
      pod,
      to: response as unknown as Writable,
      response: response as unknown as Writable,
      clientHash: null,
      now: () => 0,
    },
  })
  connection.tell('first')
  response.reads = false
  connection.say('hello')
  connection.say('ping')
  connection.tell('secret')
  connection.tell('other secret')
  expect(response.lines).toEqual(['first', 'hello'])
  response.emit('drain')
  expect(response.lines).toEqual(['first', 'hello', 'secret'])
  response.reads = true
  response.emit('drain')
  expect(response.lines).toEqual(['first', 'hello', 'secret', 'other secret'])
  connection.say('ping')
  expect(response.lines.at(-1)).toBe('ping')
})

it('is cut with all that is stuck behind its encoder, which has ended', async () => {
  // Takes nothing, as a socket whose client reads nothing.
  const response = new Writable({ highWaterMark: 1_000_000, write: () => undefined })
  const to = zstdInto(response)
  const pod = { name: 'sluice-proxy-0', uid: 'uid', ordinal: 0 }
  const connection = new Connection({ ...{ pod, to, response, clientHash: null, now: () => 0 } })
  connection.tell('x'.repeat(100_000))
  connection.end()
  await once(to, 'close')
  expect(response.destroyed).toBe(false)
  connection.destroy()
  expect(response.destroyed).toBe(true)
})

describe('a change of which a pod serves nothing yet', () => {
  const A = 'Ingress/shop/a'
  let served = new Map<ObjectKey, string>()
  const open = (): {
    readonly response: FakeResponse
    readonly connection: Connection
    readonly change: (announced: string) => void
  } => {
    jest.useFakeTimers()
    const world = new ServedWorld([[A, 'r1']])
    served = world.served
    const response = new FakeResponse()
    const pod = { name: 'sluice-proxy-1', uid: 'uid', ordinal: 1 }
    const connection = new Connection({
      ...{
        pod,
        to: response as unknown as Writable,
        response: response as unknown as Writable,
        clientHash: null,
        now: () => 0,
      },
    })
    connection.publish(world.change([], { observe: true }))
    response.lines.length = 0
    const change = (announced: string): void => connection.publish(world.change([A], {}, announced))
    return { response, connection, change }
  }
  const revisions = ({ lines }: FakeResponse): readonly unknown[] =>
    lines.map(
      line =>
        (JSON.parse(line) as { readonly assignments: readonly { readonly announced: string }[] }).assignments[0]
          ?.announced,
    )
  afterEach(() => void jest.useRealTimers())

  it('comes a tenth of a second later, whatever else of this kind comes meanwhile', () => {
    const { response, change } = open()
    change('r2')
    jest.advanceTimersByTime(60)
    change('r3')
    expect(jest.getTimerCount()).toBe(1)
    jest.advanceTimersByTime(39)
    expect(response.lines).toEqual([])
    jest.advanceTimersByTime(1)
    expect(revisions(response)).toEqual(['r3'])
    jest.advanceTimersByTime(1_000)
    expect(response.lines).toHaveLength(1)
    change('r4')
    jest.advanceTimersByTime(100)
    expect(revisions(response)).toEqual(['r3', 'r4'])
  })

  it('comes at once with one that it serves', () => {
    const { response, change } = open()
    change('r2')
    served.set(A, 'r2')
    change('r2')
    expect(revisions(response)).toEqual(['r2'])
    jest.advanceTimersByTime(1_000)
    expect(response.lines).toHaveLength(1)
  })

  it('comes before the end of the connection, so that another replica goes on from there', () => {
    const { response, connection, change } = open()
    change('r2')
    connection.end()
    expect(response.lines).toHaveLength(2)
    expect(response.lines[1]).toBe('end')
    expect(jest.getTimerCount()).toBe(0)
  })

  it('is forgotten with a connection that is cut', () => {
    const { response, connection, change } = open()
    change('r2')
    connection.destroy()
    expect(jest.getTimerCount()).toBe(0)
    expect(response.lines).toEqual(['destroyed'])
  })
})
