import { expect, it } from '@jest/globals'
import { OnceATurn } from './once-a-turn.ts'

it('is computed once for all who ask in one turn, and anew in the next one or when it is to be', async () => {
  let computed = 0
  const once = new OnceATurn(() => ++computed)
  expect(computed).toBe(0)
  expect(Array.from({ length: 1_000 }, () => once.value)).toEqual(new Array(1_000).fill(1))
  once.renew()
  expect([once.value, once.value]).toEqual([2, 2])
  await new Promise(resolve => setImmediate(resolve))
  expect(once.value).toBe(3)
})
