import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, it } from '@jest/globals'
import { Connection } from './connection.ts'

/** A client that reads when it is told to. */
class FakeResponse extends EventEmitter {
  readonly lines: string[] = []
  readonly destroyed = false
  reads = true

  write(line: string): boolean {
    this.lines.push(line)
    return this.reads
  }
}

it('a line that must arrive waits for a client that is behind, one that need not is left out', () => {
  const response = new FakeResponse()
  const pod = { name: 'sluice-proxy-0', uid: 'uid', ordinal: 0 }
  const connection = new Connection({
    ...{ pod, response: response as unknown as ServerResponse, clientHash: null, now: () => 0 },
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
