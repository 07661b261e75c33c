import { chmod, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { Receiver } from '../stream/receiver.ts'
import { checksumsOf, entry, FakeLog, FakeSink, hashOf, ReceiverRig } from '../stream/testing/messages.ts'
import { site, SILENT, snapshot, unassigned } from '../stream/testing/messages.ts'
import { certificate } from '../table/testing/fixtures.ts'
import type { PinnedContents, StoredContents } from './contents.ts'
import { WriteBehind } from './write-behind.ts'
import { LastTable } from './last-table.ts'

const addresses = { 'ns/web:80': ['10.0.0.1:80', '[fd00::1]:80'], 'ns/gone:80': [] }
const secret = { ...certificate('web', 'RSA'), privateKey: 'PRIVATE\nKEY' }

function contents(...names: readonly string[]): StoredContents {
  const entries = [...names.map(name => entry(site(name))), entry(secret), unassigned('Ingress/ns/next', 'r1')]
  const endpoints = Object.entries(addresses)
  return { entries, endpoints, checksums: checksumsOf(entries), stateHash: hashOf(entries) }
}

let folder: string
let file: LastTable
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'))
  file = new LastTable(folder)
})
afterEach(() => rm(folder, { recursive: true }))

describe('the file', () => {
  it('brings back what was written, and proves right', async () => {
    const written = contents('web', 'shop')
    await file.write(written)
    const read = await file.read()
    expect(read).toEqual(written)
    const sink = new FakeSink()
    const nothing = (): number => 0
    const events = {
      ...{ served: nothing, refusals: nothing, observe: nothing, leader: nothing, tickets: nothing, changed: nothing },
    }
    expect(await new Receiver({ sink, log: SILENT, events }).restore(read!)).toBe(true)
    expect(sink.table.snapshot().objects.upsert.map(e => e.payload)).toContainEqual(secret)
    expect(sink.table.snapshot().endpoints.upsert).toEqual(new Map(Object.entries(addresses)))
  })

  it('holds many objects, in lines of which none is long', async () => {
    const written = contents(...Array.from({ length: 5_000 }, (_, i) => `web-${i}`))
    await file.write(written)
    expect(await file.read()).toEqual(written)
    const lines = gunzipSync(await readFile(file.path))
      .toString()
      .split('\n')
    expect(Math.max(...lines.map(line => line.length))).toBeLessThan(2_000)
  })

  it('is nobody else’s to read, also where one with another mode was left behind', async () => {
    await writeFile(`${file.path}.tmp`, 'left behind by a crash', { mode: 0o644 })
    await chmod(`${file.path}.tmp`, 0o644)
    await file.write(contents('web'))
    expect((await stat(file.path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['table.ndjson.gz'])
  })

  it('that is not there is no table, also where its folder is not there', async () => {
    expect(await file.read()).toBeNull()
    expect(await new LastTable(join(folder, 'none')).read()).toBeNull()
  })

  it('makes its folder', async () => {
    const deeper = new LastTable(join(folder, 'a', 'b'))
    await deeper.write(contents('web'))
    expect(await deeper.read()).toEqual(contents('web'))
  })

  it('stays as it was when a write fails', async () => {
    await file.write(contents('web'))
    const broken = { ...contents('shop') }
    Object.defineProperty(broken, 'entries', {
      get: () => {
        throw new Error('gone')
      },
    })
    await expect(file.write(broken)).rejects.toMatchObject({ code: 'SLUICE_DISK_WRITE' })
    expect(await file.read()).toEqual(contents('web'))
  })

  it('cut anywhere is refused', async () => {
    await file.write(contents('web'))
    const whole = await readFile(file.path)
    for (let bytes = 0; bytes < whole.length; bytes += 7) {
      await writeFile(file.path, whole)
      await truncate(file.path, bytes)
      await expect(file.read()).rejects.toMatchObject({ name: 'DiskError' })
    }
  })

  it('with any byte changed is refused', async () => {
    await file.write(contents('web'))
    const whole = await readFile(file.path)
    const text = gunzipSync(whole)
    for (let at = 0; at < text.length; at += 11) {
      const changed = Buffer.from(text)
      changed[at] = (changed[at] ?? 0) ^ 1
      await writeFile(file.path, gzipSync(changed))
      await expect(file.read()).rejects.toMatchObject({ name: 'DiskError' })
    }
  })

  it.each([
    ['another version', (text: string) => text.replace('"version":1', '"version":2'), 'SLUICE_DISK_FORMAT'],
    ['a line less', (text: string) => text.replace(/\n.*ns\/shop.*(?=\n)/, ''), 'SLUICE_DISK_DIGEST'],
    ['no tail', (text: string) => text.replace(/\{"sha256.*\n$/, ''), 'SLUICE_DISK_TRUNCATED'],
    ['nothing in it', () => '', 'SLUICE_DISK_TRUNCATED'],
    [
      'no JSON',
      (text: string) => text.replace('{"type":"snapshot-items"', '{"type":snapshot-items'),
      'SLUICE_DISK_READ',
    ],
  ])('with %s is refused by code', async (_name, change, code) => {
    await file.write(contents('web', 'shop'))
    const before = gunzipSync(await readFile(file.path)).toString()
    expect(change(before)).not.toBe(before)
    await writeFile(file.path, gzipSync(change(before)))
    await expect(file.read()).rejects.toMatchObject({ code })
  })

  it('that is no gzip is refused without quoting it', async () => {
    await writeFile(file.path, 'PRIVATE KEY')
    const error = await file.read().catch((e: unknown) => e as Error)
    expect(error).toMatchObject({ code: 'SLUICE_DISK_READ' })
    expect((error as Error).message).not.toContain('PRIVATE')
  })
})

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
    const entries = [entry(site('web', 'r1')), entry(site('api', 'r1')), entry(site('www', 'r1'))]
    const read: string[] = []
    let reads = entries
    jest.useFakeTimers()
    const log = new FakeLog()
    const hang = Promise.withResolvers<void>()
    const closed: number[] = []
    let writes = 0
    const copy = new WriteBehind({
      log,
      contents: () => ({
        ...contents('web'),
        entries: (function* () {
          for (const one of reads) {
            read.push(one.assignment.key)
            yield one
          }
        })(),
        close: () => void closed.push(performance.now()),
      }),
      file: {
        write: async ({ entries: given }) => {
          writes++
          for (const one of given) if (one === entries[1] && writes === 1) await hang.promise
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
        write: async ({ entries }) => {
          writes++
          expect([...entries]).toHaveLength(3)
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
    const { entries, endpoints, checksums, stateHash } = rig.receiver.contents()!
    expect(await file.read()).toEqual({ entries: [...entries], endpoints, checksums, stateHash })
    expect(stateHash).toBe(hashOf([entry(site('web', 'r19')), entry(secret)]))
    expect(rig.log.lines).toEqual([])
  })
})
