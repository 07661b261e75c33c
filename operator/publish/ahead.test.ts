import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { ObjectKey } from '../../protocol/objects.ts'
import { Ahead } from './ahead.ts'

const WEB: ObjectKey = 'Ingress/shop/web'

let changed: number
let ahead: Ahead

beforeEach(() => {
  jest.useFakeTimers()
  changed = 0
  ahead = new Ahead({ changed: () => changed++, longestMs: 250 })
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
    const next = write('shop/web:3')
    expect(ahead.ids().size).toBe(0)
    next.end()
    await next.done
    const third = write('shop/web:4')
    expect([...ahead.ids()]).toEqual([[WEB, 'shop/web:4']])
    third.end()
    await third.done
  })

  it('what could not be stored is not to come, and the next one is waited for', async () => {
    const first = write('shop/web:2')
    first.end(new Error('refused'))
    expect(await first.done).toBe('refused')
    expect([ahead.ids().size, changed]).toEqual([0, 2])
    const second = write('shop/web:2')
    expect(ahead.ids().size).toBe(0)
    second.end()
    expect(await second.done).toBe('stored')
    const third = write('shop/web:3')
    expect([...ahead.ids()]).toEqual([[WEB, 'shop/web:3']])
    third.end()
    await third.done
  })

  it('the end of an older write ends nothing of a newer one', async () => {
    const first = write('shop/web:2')
    first.end()
    await first.done
    const second = write('shop/web:3')
    await jest.advanceTimersByTimeAsync(0)
    expect([...ahead.ids()]).toEqual([[WEB, 'shop/web:3']])
    second.end()
    await second.done
    await jest.advanceTimersByTimeAsync(0)
    expect(ahead.ids().size).toBe(0)
  })
})
