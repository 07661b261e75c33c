import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { BodyReader } from './body-reader.ts'
import { CHUNKED } from './contract.ts'
import { Gathered, Pieces } from './pieces.ts'

describe('the pieces of one read', () => {
  it('are one piece: that which came, where it is the only one', () => {
    const pieces = new Pieces()
    expect(pieces.take()).toBeNull()
    const only = Buffer.from('only')
    pieces.add(only)
    expect(pieces.take()).toBe(only)
    for (const text of ['a', 'b', 'c']) pieces.add(Buffer.from(text))
    expect(pieces.take()?.toString()).toBe('abc')
    expect(pieces.take()).toBeNull()
  })

  it('of a body in chunks of a byte each are one piece, too', () => {
    const body = new BodyReader(CHUNKED, 1_024)
    const pieces = new Pieces()
    expect(body.read(Buffer.from('1\r\nx\r\n'.repeat(1_000) + '0\r\n\r\n'), pieces.add).state).toBe('end')
    expect(pieces.take()?.toString()).toBe('x'.repeat(1_000))
  })
})

describe('what is gathered', () => {
  it('is what was added, and nothing that was added is written to', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 })), arrays => {
        const gathered = new Gathered()
        const added = arrays.map(array => Buffer.from(array))
        for (const piece of added) gathered.add(piece)
        const all = Buffer.concat(arrays)
        expect(gathered.bytes ?? Buffer.alloc(0)).toEqual(all)
        expect(gathered.length).toBe(all.length)
        expect(Buffer.concat(added)).toEqual(all)
      }),
    )
  })

  it('holds a first piece that is a view, and what lies behind it stays', () => {
    const memory = Buffer.from('headBODYrest')
    const gathered = new Gathered()
    gathered.add(memory.subarray(4, 8))
    gathered.add(Buffer.from('MORE'))
    expect([gathered.bytes?.toString(), memory.toString()]).toEqual(['BODYMORE', 'headBODYrest'])
  })

  it('of a byte each is as long as it is, and no hundred times that', () => {
    const gathered = new Gathered()
    for (let i = 0; i < 65_536; i++) gathered.add(Buffer.from('x'))
    expect(gathered.bytes?.buffer.byteLength).toBeLessThanOrEqual(2 * 65_536)
  })
})
