import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { ObjectKey } from '../../protocol/objects.ts'
import { Ahead } from './ahead.ts'

const WEB: ObjectKey = 'Ingress/shop/web'
const API: ObjectKey = 'Ingress/shop/api'

let changed: number
let ahead: Ahead
let agrees: boolean

beforeEach(() => {
  jest.useFakeTimers()
  changed = 0
  agrees = true
  ahead = new Ahead({ changed: () => changed++, agrees: () => agrees, longestMs: 250 })
})

afterEach(() => {
  ahead.stop()
  jest.useRealTimers()
})

interface Write {
  readonly done: Promise<string>
  end(error?: Error): void
}

/** A record on its way to the store. */
function write(id: string | null, key = WEB): Write {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const done = ahead
    .during(key, id, () => promise)
    .then(
      () => 'stored',
      (error: unknown) => (error as Error).message,
    )
  return { done, end: error => (error === undefined ? resolve() : reject(error)) }
}

describe('while a record is on its way to the store', () => {
  it('its ID is the one to come, until what was stored is seen', async () => {
    const { done, end } = write('shop/web:2')
    expect([...ahead.ids()]).toEqual([[WEB, 'shop/web:2']])
    expect(changed).toBe(1)
    end()
    expect(await done).toBe('stored')
    // Seen in the next turn of the event loop: what is published does not go back and forth.
    expect(ahead.ids().size).toBe(1)
    await jest.advanceTimersByTimeAsync(0)
    expect(ahead.ids().size).toBe(0)
    expect(changed).toBe(2)
  })

  it('nothing is published ahead where the ID stays, or is not known', async () => {
    const { done, end } = write(null)
    end()
    await done
    await jest.advanceTimersByTimeAsync(1_000)
    expect([ahead.ids().size, changed]).toEqual([0, 0])
  })

  it('nor for longer than others can wait, and not at all behind a write that took so long', async () => {
    const { done, end } = write('shop/web:2')
    await jest.advanceTimersByTimeAsync(250)
    expect([ahead.ids().size, changed]).toEqual([0, 2])
    end()
    expect(await done).toBe('stored')
    await jest.advanceTimersByTimeAsync(1_000)
    expect(changed).toBe(2)
    expect(await stored(write('shop/web:3'))).toBe(0)
    expect(await stored(write('shop/web:4'))).toBe(1)
  })

  it('what could not be stored is not to come, and the next one is waited for', async () => {
    const first = write('shop/web:2')
    first.end(new Error('refused'))
    expect(await first.done).toBe('refused')
    expect([ahead.ids().size, changed]).toEqual([0, 2])
    const second = await stored(write('shop/api:2', API))
    expect(second).toBe(0)
    expect(await stored(write('shop/api:3', API))).toBe(1)
  })

  it('of an object whose record is refused again and again nothing is, also where others come between', async () => {
    write('shop/web:2').end(new Error('refused'))
    await stored(write('shop/api:2', API))
    expect(await stored(write('shop/api:3', API))).toBe(1)
    expect(await stored(write('shop/web:2'))).toBe(0)
    expect(await stored(write('shop/web:3'))).toBe(1)
  })

  it('of two that overlap only the first is, until both are seen', async () => {
    const first = write('shop/web:2')
    const second = write('shop/api:2', API)
    expect([...ahead.ids()]).toEqual([[WEB, 'shop/web:2']])
    first.end()
    await first.done
    // Stored, and not seen yet.
    const third = write('shop/web:3')
    expect([...ahead.ids()]).toEqual([[WEB, 'shop/web:2']])
    await jest.advanceTimersByTimeAsync(0)
    expect(ahead.ids().size).toBe(0)
    second.end()
    await second.done
    await jest.advanceTimersByTimeAsync(0)
    const fourth = write('shop/api:3', API)
    expect(ahead.ids().size).toBe(0)
    third.end()
    fourth.end()
    await Promise.all([third.done, fourth.done])
    await jest.advanceTimersByTimeAsync(0)
    expect(await stored(write('shop/web:4'))).toBe(1)
  })

  it('nothing is while pods wait for what is published anyway', async () => {
    agrees = false
    expect(await stored(write('shop/web:2'))).toBe(0)
    expect(changed).toBe(0)
  })
})

/** Ends it well, and says how many IDs were published ahead meanwhile. */
async function stored({ done, end }: Write): Promise<number> {
  const { size } = ahead.ids()
  end()
  expect(await done).toBe('stored')
  await jest.advanceTimersByTimeAsync(0)
  return size
}
