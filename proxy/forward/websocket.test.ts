import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { FrameReader, goingAway, goingAwayMasked } from './websocket.ts'

interface Frame {
  readonly opcode: number
  readonly masked: boolean
  readonly length: number
}

/** RFC 6455 5.2. The payload is what a reader that is lost would take for a head. */
function frame({ opcode, masked, length }: Frame): Buffer {
  const bit = masked ? 0x80 : 0
  const head =
    length < 126
      ? Buffer.from([0x80 | opcode, bit | length])
      : length < 65_536
        ? Buffer.from([0x80 | opcode, bit | 126, length >> 8, length & 0xff])
        : Buffer.from([0x80 | opcode, bit | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff])
  return Buffer.concat([head, Buffer.alloc(length + (masked ? 4 : 0), 0x88)])
}

const frames = fc.array(
  fc.record({
    opcode: fc.constantFrom(0, 1, 2, 9, 10),
    masked: fc.boolean(),
    length: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(65_535, 65_536, 70_000)),
  }),
  { maxLength: 8 },
)

describe('FrameReader', () => {
  it('sees where frames end, however they are cut into pieces', () => {
    fc.assert(
      fc.property(
        frames,
        fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 20 }),
        (all, sizes) => {
          const bytes = Buffer.concat(all.map(frame))
          let end = 0
          const expected = all.map(one => (end += frame(one).length))
          const [reader, passing] = [new FrameReader(), new FrameReader()]
          const found: number[] = []
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const piece = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1))
            for (let from = 0; from < piece.length;) {
              const place = reader.toEnd(piece, from)
              if (place === -1) break
              found.push(at + place)
              from = place
            }
            passing.pass(piece)
            at += piece.length
            const between = at === 0 || expected.includes(at)
            if (reader.between !== between || passing.between !== between) return false
          }
          expect(found).toEqual(expected)
          return !reader.closed
        },
      ),
      { numRuns: 200 },
    )
  })

  it('knows that a direction said its last word', () => {
    const reader = new FrameReader()
    reader.pass(frame({ opcode: 2, masked: false, length: 300 }))
    expect(reader.closed).toBe(false)
    reader.pass(goingAway())
    expect([reader.closed, reader.between]).toEqual([true, true])
  })

  it('takes any length for one', () => {
    const reader = new FrameReader()
    reader.pass(Buffer.from([0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]))
    expect(reader.between).toBe(false)
  })
})

describe('what says goodbye', () => {
  it('is a Close frame with 1001, masked for backends', () => {
    expect(goingAway()).toEqual(Buffer.from([0x88, 2, 0x03, 0xe9]))
    const masked = goingAwayMasked(Buffer.from([1, 2, 3, 4]))
    expect(masked).toEqual(Buffer.from([0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe9 ^ 2]))
    expect(goingAwayMasked()).toHaveLength(8)
  })
})
