import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { Receiver } from '../stream/receiver.ts'
import { checksumsOf, entry, FakeLog, FakeSink, hashOf, ReceiverRig } from '../stream/testing/messages.ts'
import { site, SILENT, snapshot, unassigned } from '../stream/testing/messages.ts'
import type { Entry } from '../table/entry.ts'
import { certificate } from '../table/testing/fixtures.ts'
import { smallWriter } from '../table/testing/one-thread.ts'
import type { ImageSteps } from '../table/stored.ts'
import type { PinnedContents, TableContents } from './contents.ts'
import { contentsOf, found, type Found } from './testing/contents.ts'
import { WriteBehind } from './write-behind.ts'
import { LastTable } from './last-table.ts'

const addresses = { 'ns/web:80': ['10.0.0.1:80', '[fd00::1]:80'], 'ns/gone:80': [] }
const secret = { ...certificate('web', 'RSA'), privateKey: 'PRIVATE\nKEY' }

function said(...names: readonly string[]): Found {
  const entries = [...names.map(name => entry(site(name))), entry(secret), unassigned('Ingress/ns/next', 'r1')]
  const endpoints = Object.entries(addresses)
  return { entries, endpoints, checksums: checksumsOf(entries), stateHash: hashOf(entries) }
}

function contents(...names: readonly string[]): PinnedContents {
  const { entries, ...others } = said(...names)
  return contentsOf(entries, others, smallWriter())
}

function byKey(list: readonly Entry[]): ReadonlyMap<string, Entry> {
  return new Map(list.map(one => [one.assignment.key, one]))
}

async function expectFound(file_: LastTable, expected: Found): Promise<void> {
  const { entries, ...others } = (await found(file_))!
  expect(byKey(entries)).toEqual(byKey(expected.entries))
  const { entries: _, ...rest } = expected
  expect(others).toEqual(rest)
}

let folder: string
let file: LastTable
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'))
  file = new LastTable(folder)
})
afterEach(() => rm(folder, { recursive: true }))

/** What is in a file, unpacked, to be changed and packed again as if it had been written so. */
interface Unpacked {
  readonly head: Record<string, unknown>
  readonly content: Buffer
  readonly lengths: readonly [image: number, content: number]
}

const [FRAME, TAIL] = [8, 56]

async function unpacked(): Promise<Unpacked> {
  const whole = await readFile(file.path)
  const at = FRAME + whole.readUInt32LE(4)
  const end = whole.length - TAIL
  return {
    head: JSON.parse(whole.toString('utf8', FRAME, at)) as Record<string, unknown>,
    content: zstdDecompressSync(whole.subarray(at, end)),
    lengths: [Number(whole.readBigUInt64LE(end + FRAME)), Number(whole.readBigUInt64LE(end + FRAME + 8))],
  }
}

async function pack({ head, content, lengths }: Unpacked): Promise<void> {
  const text = Buffer.from(JSON.stringify(head))
  const begin = Buffer.alloc(FRAME)
  begin.writeUInt32LE(0x184d2a50, 0)
  begin.writeUInt32LE(text.length, 4)
  const tail = Buffer.alloc(TAIL - 32)
  tail.writeUInt32LE(0x184d2a51, 0)
  tail.writeUInt32LE(TAIL - FRAME, 4)
  for (const [i, length] of lengths.entries()) tail.writeBigUInt64LE(BigInt(length), FRAME + 8 * i)
  const params = { [constants.ZSTD_c_compressionLevel]: 1 }
  const all = Buffer.concat([begin, text, zstdCompressSync(content, { params }), tail])
  await writeFile(file.path, Buffer.concat([all, createHash('sha256').update(all).digest()]))
}

describe('the file', () => {
  it('brings back what was written, is served as it is, and proves right', async () => {
    await file.write(contents('web', 'shop'))
    await expectFound(file, said('web', 'shop'))
    const sink = new FakeSink()
    const nothing = (): number => 0
    const events = {
      ...{ served: nothing, refusals: nothing, observe: nothing, leader: nothing, tickets: nothing, changed: nothing },
    }
    const receiver = new Receiver({ sink, log: SILENT, events })
    expect(await receiver.restore(room => file.read(room))).toBe(true)
    const { objects, endpoints } = sink.table.snapshot()
    expect(objects.upsert.map(e => e.payload)).toContainEqual(secret)
    expect(endpoints.upsert).toEqual(new Map(Object.entries(addresses)))
    expect(await receiver.proveRestored(new AbortController().signal)).toBe(4)
  })

  it('holds many objects, packed in one frame', async () => {
    const names = Array.from({ length: 1_000 }, (_, i) => `web-${i}`)
    await file.write(contents(...names))
    await expectFound(file, said(...names))
    const { head, content, lengths } = await unpacked()
    expect(head).toMatchObject({ format: 'sluice-table', version: 2 })
    expect(content).toHaveLength(lengths[1])
    expect((await stat(file.path)).size).toBeLessThan(content.length / 2)
  }, 30_000)

  it('holds nothing that went, as the key of a certificate that was replaced', async () => {
    const rig = new ReceiverRig()
    rig.receiver.connect(null)
    await rig.feed(...snapshot([entry(site('web')), entry({ ...secret, privateKey: 'FORMER-KEY' })]))
    await rig.feed(...snapshot([entry(site('web')), entry({ ...secret, revision: 'r2', privateKey: 'LATER-KEY' })]))
    await rig.receiver.settled()
    const now = rig.receiver.contents()!
    await file.write(now)
    now.close()
    const { content } = await unpacked()
    expect(content.includes('LATER-KEY')).toBe(true)
    expect(content.includes('FORMER-KEY')).toBe(false)
  })

  it('is nobody else’s to read, also where one with another mode was left behind', async () => {
    await writeFile(`${file.path}.tmp`, 'left behind by a crash', { mode: 0o644 })
    await chmod(`${file.path}.tmp`, 0o644)
    await file.write(contents('web'))
    expect((await stat(file.path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['table.zst'])
  })

  it('that is not there is no table, also where its folder is not there', async () => {
    expect(await found(file)).toBeNull()
    expect(await found(new LastTable(join(folder, 'none')))).toBeNull()
    await file.remove()
  })

  it('of the version before is refused by its name, and goes when another one is written: it holds private keys', async () => {
    await writeFile(join(folder, 'table.ndjson.gz'), 'PRIVATE')
    await expect(found(file)).rejects.toMatchObject({
      code: 'SLUICE_DISK_FORMAT',
      message: expect.stringContaining('table.ndjson.gz') as unknown,
    })
    await file.write(contents('web'))
    expect(await readdir(folder)).toEqual(['table.zst'])
    await expectFound(file, said('web'))
  })

  it('that was removed is no table', async () => {
    await file.write(contents('web'))
    await file.remove()
    expect(await readdir(folder)).toEqual([])
    expect(await found(file)).toBeNull()
  })

  it('makes its folder', async () => {
    const deeper = new LastTable(join(folder, 'a', 'b'))
    await deeper.write(contents('web'))
    await expectFound(deeper, said('web'))
    expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o700)
  })

  it('stays as it was when a write fails', async () => {
    await file.write(contents('web'))
    const image = (function* (): ImageSteps {
      yield new Int32Array(10_000)
      throw new Error('gone')
    })()
    await expect(file.write({ ...contents('shop'), image })).rejects.toMatchObject({ code: 'SLUICE_DISK_WRITE' })
    await expectFound(file, said('web'))
  })

  it('cut anywhere is refused', async () => {
    await file.write(contents('web'))
    const whole = await readFile(file.path)
    for (let bytes = 0; bytes < whole.length; bytes += 3) {
      await writeFile(file.path, whole)
      await truncate(file.path, bytes)
      await expect(found(file)).rejects.toMatchObject({ name: 'DiskError' })
    }
    await writeFile(file.path, Buffer.concat([whole, Buffer.alloc(1)]))
    await expect(found(file)).rejects.toMatchObject({ code: 'SLUICE_DISK_TRUNCATED' })
  }, 30_000)

  it('with any byte changed is refused, before any of it is unpacked', async () => {
    await file.write(contents('web'))
    const whole = await readFile(file.path)
    let rooms = 0
    const room = (): Uint8Array => {
      rooms++
      return new Uint8Array()
    }
    for (let at = 0; at < whole.length; at++) {
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      await writeFile(file.path, changed)
      const { code, name } = (await file.read(room).catch((e: unknown) => e)) as { code: string; name: string }
      expect([name, code.startsWith('SLUICE_DISK_')]).toEqual(['DiskError', true])
    }
    expect(rooms).toBe(0)
  }, 30_000)

  it.each<[string, (whole: Unpacked) => Unpacked, string]>([
    ['another version', one => ({ ...one, head: { ...one.head, version: 1 } }), 'SLUICE_DISK_FORMAT'],
    ['an older layout', one => ({ ...one, head: { ...one.head, layout: 0 } }), 'SLUICE_DISK_FORMAT'],
    ['a newer layout', one => ({ ...one, head: { ...one.head, layout: 1e6 } }), 'SLUICE_DISK_FORMAT'],
    ['bytes in another order', one => ({ ...one, head: { ...one.head, endianness: 'BE' } }), 'SLUICE_DISK_FORMAT'],
    ['another name', one => ({ ...one, head: { ...one.head, format: 'else' } }), 'SLUICE_DISK_FORMAT'],
    ['less than it says', one => ({ ...one, content: one.content.subarray(0, -1) }), 'SLUICE_DISK_FORMAT'],
    [
      'an image of another length',
      one => ({
        ...one,
        content: Buffer.from(one.content.toString('latin1').replace(/"words":\d/, '"words":9'), 'latin1'),
      }),
      'SLUICE_DISK_FORMAT',
    ],
    ['a length that is none', one => ({ ...one, lengths: [one.lengths[0] + 1, one.lengths[1]] }), 'SLUICE_DISK_FORMAT'],
    [
      'a line that is no message',
      one => ({
        ...one,
        content: Buffer.from(one.content.toString('latin1').replace('"type":"s', '"type":"x'), 'latin1'),
      }),
      'SLUICE_DISK_READ',
    ],
  ])('with %s is refused by code', async (_name, change, code) => {
    await file.write(contents('web', 'shop'))
    const before = await unpacked()
    await pack(before)
    await expectFound(file, said('web', 'shop'))
    await pack(change(before))
    await expect(found(file)).rejects.toMatchObject({ code })
  })

  it('that is none of ours is refused without quoting it', async () => {
    await writeFile(file.path, 'PRIVATE KEY')
    const error = await found(file).catch((e: unknown) => e as Error)
    expect(error).toMatchObject({ code: 'SLUICE_DISK_FORMAT' })
    expect((error as Error).message).not.toContain('PRIVATE')
  })

  it('that could not be taken up leaves a table as new', async () => {
    await file.write(contents('web'))
    const whole = await unpacked()
    await pack({ ...whole, content: whole.content.subarray(0, -1) })
    const writer = smallWriter()
    const before = writer.sizes
    await expect(writer.restore(room => file.read(room))).rejects.toMatchObject({ code: 'SLUICE_DISK_FORMAT' })
    expect(writer.sizes).toEqual(before)
    expect([writer.generation, writer.fragments]).toEqual([0, 0])
  })
})

function* imageOfPortions(portions: readonly Int32Array[], onRead: (one: Int32Array) => void): ImageSteps {
  for (const one of portions) {
    onRead(one)
    yield one
  }
  const slots = { objects: 0, certificates: 0, hosts: 0, challenges: 0, serverNames: 0 }
  return { words: 0, seed: 0, slots, fragments: 0, names: 0 }
}

describe('the copy', () => {
  afterEach(() => {
    jest.useRealTimers()
  })

  /** Counts writes; each takes its time, and fails if it is told to. */
  function rig(milliseconds = 0) {
    jest.useFakeTimers()
    const log = new FakeLog()
    const closed: number[] = []
    const state = {
      writes: [] as number[],
      fail: null as string | null,
      current: { ...contents('web'), close: () => void closed.push(performance.now()) } as PinnedContents | null,
    }
    const copy = new WriteBehind({
      ...{ log, contents: () => state.current },
      file: {
        write: async () => {
          state.writes.push(performance.now())
          await new Promise(resolve => setTimeout(resolve, milliseconds))
          if (state.fail !== null) throw new Error(state.fail)
        },
      },
    })
    return { copy, log, state, closed, start: performance.now() }
  }

  it('is written once a second at most, however much changes', async () => {
    const { copy, state, start } = rig(300)
    for (let i = 0; i < 100; i++) {
      copy.changed()
      await jest.advanceTimersByTimeAsync(100)
    }
    await jest.advanceTimersByTimeAsync(5_000)
    const gaps = state.writes.slice(1).map((at, i) => at - (state.writes[i] ?? 0))
    expect(state.writes.length).toBeGreaterThan(6)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000)
    // The last change is in the last write.
    expect((state.writes.at(-1) ?? 0) - start).toBeGreaterThan(9_900)
  })

  it('is not written where nothing changes, nor where there is no table', async () => {
    const { copy, state } = rig()
    await jest.advanceTimersByTimeAsync(60_000)
    state.current = null
    copy.changed()
    await jest.advanceTimersByTimeAsync(60_000)
    expect(state.writes).toEqual([])
  })

  it('that fails is a warning, told once, and tried again without a change', async () => {
    const { copy, state, log } = rig()
    state.fail = 'no space'
    copy.changed()
    await jest.advanceTimersByTimeAsync(35_000)
    expect(state.writes.length).toBeGreaterThan(2)
    expect(state.writes.length).toBeLessThan(6)
    expect(log.lines).toEqual(['warn disk copy: no space {}'])
    expect(copy.lastError).toBe('no space')
    state.fail = null
    await jest.advanceTimersByTimeAsync(10_000)
    expect(copy.lastError).toBeNull()
    const { length } = state.writes
    await jest.advanceTimersByTimeAsync(60_000)
    expect(state.writes).toHaveLength(length)
  })

  it('lets go of what it writes when that is written, or could not be', async () => {
    const { copy, state, closed } = rig(300)
    copy.changed()
    await jest.advanceTimersByTimeAsync(1_200)
    expect([state.writes.length, closed.length]).toEqual([1, 0])
    await jest.advanceTimersByTimeAsync(200)
    expect(closed).toHaveLength(1)
    state.fail = 'no space'
    copy.changed()
    await jest.advanceTimersByTimeAsync(2_000)
    expect([state.writes.length, closed.length]).toEqual([2, 2])
  })

  it('that a disk holds up lets go of what it writes, says so, and is written again when the disk is back', async () => {
    const portions = [new Int32Array(1), new Int32Array(2), new Int32Array(3)]
    const read: number[] = []
    let reads = portions
    jest.useFakeTimers()
    const log = new FakeLog()
    const hang = Promise.withResolvers<void>()
    const closed: number[] = []
    let writes = 0
    const copy = new WriteBehind({
      log,
      contents: () => ({
        ...contents('web'),
        image: imageOfPortions(reads, one => read.push(one.length)),
        close: () => void closed.push(performance.now()),
      }),
      file: {
        write: async ({ image }: TableContents) => {
          writes++
          for (const one of image) if (one === portions[1] && writes === 1) await hang.promise
        },
      },
    })
    copy.changed()
    await jest.advanceTimersByTimeAsync(60_000)
    expect(closed).toEqual([])
    await jest.advanceTimersByTimeAsync(1_000)
    expect(closed).toHaveLength(1)
    expect(copy.lastError).toBe('a write takes longer than 60 s: given up')
    expect(log.lines).toEqual([expect.stringContaining('takes longer than 60 s')])
    // Nothing is begun while the old one hangs; its own end is no other reason.
    copy.changed()
    await jest.advanceTimersByTimeAsync(60_000)
    expect([writes, read.length]).toEqual([1, 2])
    hang.resolve()
    reads = []
    await jest.advanceTimersByTimeAsync(11_000)
    expect([writes, read.length, closed.length]).toEqual([2, 2, 2])
    expect(copy.lastError).toBeNull()
    expect(log.lines).toHaveLength(1)
  })

  it('that is read in time and takes long all the same is whole, and not written again', async () => {
    jest.useFakeTimers()
    const log = new FakeLog()
    let [writes, closed] = [0, 0]
    const copy = new WriteBehind({
      log,
      contents: () => ({
        ...contents('web'),
        close: () => {
          closed++
        },
      }),
      file: {
        write: async ({ image }: TableContents) => {
          writes++
          while (image.next().done !== true);
          await new Promise(resolve => setTimeout(resolve, 90_000))
        },
      },
    })
    copy.changed()
    await jest.advanceTimersByTimeAsync(70_000)
    expect([writes, closed, copy.lastError]).toEqual([1, 1, null])
    await jest.advanceTimersByTimeAsync(300_000)
    expect([writes, closed, log.lines]).toEqual([1, 1, []])
    await copy.close()
    expect(writes).toBe(1)
  })

  it('is written at the end, if it is old', async () => {
    const { copy, state } = rig()
    copy.changed()
    const closed = copy.close()
    await jest.advanceTimersByTimeAsync(0)
    await closed
    expect(state.writes).toHaveLength(1)
    await copy.close()
    expect(state.writes).toHaveLength(1)
  })

  it('that a disk holds up keeps nobody from ending', async () => {
    jest.useFakeTimers()
    const log = new FakeLog()
    let closed = 0
    const hangs = new WriteBehind({
      log,
      contents: () => ({ ...contents('web'), close: () => closed++ }),
      file: { write: () => new Promise(() => undefined) },
    })
    hangs.changed()
    await jest.advanceTimersByTimeAsync(1_000)
    let ended = false
    const end = hangs.close().then(() => (ended = true))
    await jest.advanceTimersByTimeAsync(4_900)
    expect([ended, closed]).toEqual([false, 0])
    await jest.advanceTimersByTimeAsync(200)
    await end
    expect(closed).toBe(1)
    expect(log.lines).toEqual([expect.stringContaining('the last write takes longer than 5 s: given up')])
  })

  it('written and read by the real file while changes go on', async () => {
    const rig = new ReceiverRig()
    const copy = new WriteBehind({ file, contents: () => rig.receiver.contents(), log: rig.log, interval: 5 })
    rig.receiver.connect(null)
    for (let i = 0; i < 20; i++) {
      await rig.feed(...snapshot([entry(site('web', `r${i}`)), entry(secret)], addresses))
      copy.changed()
      await sleep(2)
    }
    await copy.close()
    const entries = [entry(site('web', 'r19')), entry(secret)]
    const endpoints = Object.entries(addresses)
    await expectFound(file, { entries, endpoints, checksums: checksumsOf(entries), stateHash: hashOf(entries) })
    expect(rig.log.lines).toEqual([])
  })
})
