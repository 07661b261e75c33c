import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { acceptsZstd, zstdInto, zstdText } from './zstd.ts'

interface Way {
  readonly wire: PassThrough
  readonly to: ReturnType<typeof zstdInto>
  readonly text: ReturnType<typeof zstdText>
}

function way(): Way {
  const wire = new PassThrough()
  return { wire, to: zstdInto(wire), text: zstdText(wire) }
}

/** Two seconds alone, ten beside ten busy processes. */
const LIMIT_MS = 60_000

describe('the stream on its way', () => {
  it(
    'brings each line when it was written, whatever came before',
    async () => {
      const line = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.integer({ min: 0, max: 20_000 }).map(n => `{"key":"Ingress/ns/web-${n}"}`.repeat(n / 4)),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(line, { maxLength: 6 }), async lines => {
          const { to, text } = way()
          let read = ''
          let sent = ''
          text.setEncoding('utf8').on('data', (chunk: string) => (read += chunk))
          for (const one of lines) {
            sent += one
            to.write(one)
            while (read.length < sent.length) await once(text, 'data')
            expect(read).toBe(sent)
          }
          to.end('end')
          await once(text, 'end')
          expect(read).toBe(`${sent}end`)
        }),
        { numRuns: 50 },
      )
    },
    LIMIT_MS,
  )

  it('makes a snapshot small', async () => {
    const { wire, to, text } = way()
    let bytes = 0
    wire.on('data', (chunk: Buffer) => (bytes += chunk.length))
    const item = (i: number): object => ({ key: `Ingress/ns/web-${i}`, governed: false, hosts: [`${i}.example`] })
    const sent = JSON.stringify(Array.from({ length: 1_000 }, (_, i) => item(i)))
    to.end(sent)
    expect((await text.toArray()).join('')).toBe(sent)
    expect(bytes).toBeLessThan(sent.length / 5)
  })

  it('fails on both sides where it is cut, or is none', async () => {
    const cut = way()
    const reading = cut.text.toArray()
    cut.to.write('begun')
    cut.wire.destroy(new Error('cut'))
    await expect(reading).rejects.toThrow('cut')
    await new Promise(resolve => setImmediate(resolve))
    expect(cut.to.destroyed).toBe(true)
    const other = new PassThrough()
    const none = zstdText(other).toArray()
    other.write('{"type":"ping"}\n')
    await expect(none).rejects.toMatchObject({ code: expect.stringContaining('ZSTD') as unknown })
    expect(other.destroyed).toBe(true)
    const given = way()
    const closed = once(given.wire, 'close').catch(() => undefined)
    given.text.on('error', () => undefined).destroy(new Error('nobody reads'))
    await closed
    expect(given.wire.destroyed).toBe(true)
  })
})

it.each([
  [undefined, false],
  ['', false],
  ['zstd', true],
  ['gzip, ZSTD;q=0.5', true],
  ['zstd;q=0', false],
  ['zstd; q=0.000', false],
  ['x-zstd', false],
  ['*', false],
] as const)('Accept-Encoding %j: %j', (header, accepted) => {
  expect(acceptsZstd(header)).toBe(accepted)
})
