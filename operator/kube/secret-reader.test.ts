import { describe, expect, it } from '@jest/globals'
import { KubeError } from './errors.ts'
import { silentLog } from './log.ts'
import type { Secret } from './objects.ts'
import { SecretReader } from './secret-reader.ts'
import { FakeClock } from './testing/fake-clock.ts'

const TARGET = { namespace: 'shop', name: 'tls' }
const version = (resourceVersion: string): Secret => ({ metadata: { ...TARGET, resourceVersion } })

/** A reader of an API server whose answers come when the test says so. */
class Reading {
  readonly clock = new FakeClock()
  readonly read: string[] = []
  readonly #waiting: { readonly resolve: (secret: Secret | null) => void; readonly reject: (error: Error) => void }[] =
    []
  settled = 0
  asked = 0
  readonly reader = new SecretReader({
    client: {
      find: <T>(): Promise<T | null> => {
        this.asked++
        return new Promise((resolve, reject) => {
          this.#waiting.push({ resolve: resolve as (secret: Secret | null) => void, reject })
        })
      },
    },
    read: secret => void this.read.push(secret.metadata.resourceVersion ?? ''),
    settled: () => this.settled++,
    clock: this.clock,
    log: silentLog,
  })

  constructor() {
    this.reader.start()
  }

  async answer(answer: Secret | null | Error): Promise<void> {
    await this.clock.advance(0)
    const next = this.#waiting.shift()
    if (answer instanceof Error) next?.reject(answer)
    else next?.resolve(answer)
    await this.clock.advance(0)
  }
}

describe('SecretReader', () => {
  it('reads what it is asked for, once', async () => {
    const reading = new Reading()
    reading.reader.ask(TARGET)
    reading.reader.ask(TARGET)
    expect(reading.reader.waiting).toBe(true)
    await reading.answer(version('1'))
    expect([reading.read, reading.asked, reading.reader.waiting]).toEqual([['1'], 1, false])
  })

  it('does not take an answer for that to a later question', async () => {
    const reading = new Reading()
    reading.reader.ask(TARGET)
    await reading.clock.advance(0)
    expect(reading.asked).toBe(1)
    reading.reader.ask(TARGET)
    await reading.answer(version('1'))
    expect([reading.asked, reading.reader.waiting]).toEqual([2, true])
    await reading.answer(version('2'))
    expect(reading.read).toEqual(['1', '2'])
    expect(reading.reader.waiting).toBe(false)
  })

  it('tells nothing of one that is gone', async () => {
    const reading = new Reading()
    reading.reader.ask(TARGET)
    await reading.answer(null)
    expect([reading.read, reading.settled, reading.reader.waiting]).toEqual([[], 1, false])
  })

  it('tries again, and nobody waits for ever', async () => {
    const reading = new Reading()
    reading.reader.ask(TARGET)
    for (let failures = 1; failures <= 3; failures++) {
      await reading.clock.advance(60_000)
      await reading.answer(new KubeError('KUBE_UNAVAILABLE', 'away'))
      expect([reading.settled, reading.reader.waiting]).toEqual([failures, failures < 3])
    }
    await reading.clock.advance(60_000)
    await reading.answer(version('7'))
    expect(reading.read).toEqual(['7'])
    await reading.reader.stop()
  })
})
