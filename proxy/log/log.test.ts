import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { Ends, eventually, temporaryFile } from '../workers/testing/harness.ts'
import { BatchedLines, LogCredit } from './lines.ts'
import { Output } from './output.ts'

const ends = new Ends()
afterEach(() => {
  jest.restoreAllMocks()
  return ends.all()
})

/** A pipe with a name, and somebody who has it open and reads nothing. */
function pipe(): { readonly path: string; readonly read: () => string } {
  const path = temporaryFile(ends)
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  ends.add(() => closeSync(fd))
  const buffer = Buffer.alloc(65_536)
  const read = (): string => {
    try {
      return buffer.toString('latin1', 0, readSync(fd, buffer))
    } catch {
      return ''
    }
  }
  return { path, read }
}

const line = (n: number): string => `${JSON.stringify({ n, text: 'x'.repeat(200) })}\n`

describe('Output', () => {
  it('writes lines in their order, and says so', async () => {
    const path = temporaryFile(ends)
    const output = new Output({ to: path, limit: 10_000_000 })
    let written = 0
    const lines = Array.from({ length: 5_000 }, (_, n) => line(n))
    for (const text of lines) output.write(text, 1, ok => (written += Number(ok)))
    await output.end(4_000)
    expect(written).toBe(5_000)
    expect(readFileSync(path, 'utf8')).toBe(lines.join(''))
    expect([output.pending, output.dropped]).toEqual([0, 0])
  })

  it('drops what nobody reads, blocks nothing meanwhile, and goes on in whole lines with a reader', async () => {
    const { path, read } = pipe()
    const output = new Output({ to: path, limit: 100_000 })
    let told = 0
    for (let n = 0; n < 2_000; n++) {
      if (n % 2 === 0) output.write(line(n))
      else output.write(line(n), 1, ok => (told += Number(!ok)))
      if (n % 100 === 0) await new Promise(resolve => setImmediate(resolve))
      expect(output.pending).toBeLessThanOrEqual(100_000)
    }
    expect(output.dropped).toBeGreaterThan(500)
    expect(told).toBeGreaterThan(500)
    // The threads that read files are free: more of them than there are.
    await Promise.all(Array.from({ length: 8 }, () => readFile(__filename)))
    const before = output.dropped + told
    let received = ''
    const end = output.end(4_000)
    await eventually(() => {
      received += read()
      return output.pending === 0
    })
    await end
    received += read()
    expect(output.dropped + told).toBe(before)
    const numbers = received
      .trimEnd()
      .split('\n')
      .map(text => (JSON.parse(text) as { n: number }).n)
    expect(numbers).toHaveLength(2_000 - before)
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  }, 15_000)

  it('ends although nobody reads', async () => {
    const { path } = pipe()
    const output = new Output({ to: path, limit: 1_000_000 })
    for (let n = 0; n < 1_000; n++) output.write(line(n))
    await output.end(100)
    // The last try stands still itself: on a clock that only its waits move.
    let now = 0
    const waits: number[] = []
    jest.spyOn(performance, 'now').mockImplementation(() => now)
    jest.spyOn(Atomics, 'wait').mockImplementation((...[, , , ms = Infinity]) => {
      waits.push(ms)
      if (waits.length > 10_000) throw new Error('it waits for ever')
      now += ms
      return 'timed-out'
    })
    output.flushSync()
    expect(output.pending).toBeGreaterThan(0)
    expect(waits.length).toBeGreaterThan(1)
    expect(waits.length).toBeLessThan(1_000)
  })

  it('writes at once before an exit', () => {
    const path = temporaryFile(ends)
    const output = new Output({ to: path, limit: 1_000 })
    output.write('first\n')
    output.write('last\n')
    output.flushSync()
    expect(readFileSync(path, 'utf8')).toMatch(/last\n/)
    expect(output.pending).toBeLessThanOrEqual('first\n'.length)
  })

  it('drops lines while there is no place for them, and tries again', async () => {
    const output = new Output({ to: `${dirname(temporaryFile(ends))}/none/file`, limit: 1_000 })
    output.write('lost\n')
    await eventually(() => output.dropped === 1)
    expect(output.pending).toBe(0)
    output.flushSync()
  })
})

describe('BatchedLines', () => {
  function batched(limit: number) {
    const credit = new LogCredit()
    const main = new LogCredit(credit.memory)
    const posted: { readonly text: string; readonly lines: number; readonly done: () => void }[] = []
    const lines = new BatchedLines({
      ...{ credit, limit },
      post: (data, count) =>
        posted.push({ text: Buffer.from(data).toString(), lines: count, done: () => main.release(data.length) }),
    })
    return { lines, posted, main }
  }

  it('sends many lines as one, soon, and at once when it is told to', async () => {
    const { lines, posted } = batched(1_000_000)
    lines.line('a\n')
    lines.line('ü\n')
    expect(posted).toEqual([])
    await eventually(() => posted.length === 1)
    expect(posted[0]).toMatchObject({ text: 'a\nü\n', lines: 2 })
    lines.line('c\n')
    lines.flush()
    lines.flush()
    expect(posted).toHaveLength(2)
  })

  it('drops and counts what is above its limit until something was written', () => {
    const { lines, posted, main } = batched(100_000)
    for (let n = 0; n < 1_000; n++) lines.line(line(n))
    lines.flush()
    const sent = posted.reduce((sum, { text }) => sum + text.length, 0)
    expect(sent).toBeLessThanOrEqual(100_000)
    expect(main.pending).toBe(sent)
    expect(main.takeDropped()).toBe(1_000 - posted.reduce((sum, p) => sum + p.lines, 0))
    expect(main.takeDropped()).toBe(0)
    for (const { done } of posted) done()
    expect(main.pending).toBe(0)
    lines.line(line(1))
    lines.flush()
    expect(main.takeDropped()).toBe(0)
  })
})
