import { describe, expect, it } from '@jest/globals'
import { heapPerWorker, memoryLimit } from './heap.ts'

const GIB = 1_073_741_824

describe('heapPerWorker', () => {
  it.each([
    [1, 1, 307],
    [1, 2, 256],
    [1, 8, 256],
    [4, 4, 491],
    [0.5, 2, 128],
    [0.05, 4, 32],
  ])('of %d GiB for %d workers is %d MiB each', (gib, workers, heap) => {
    expect(heapPerWorker(gib * GIB, workers)).toBe(heap)
  })
})

describe('memoryLimit', () => {
  it('is a number of bytes, limited or not', () => {
    expect(memoryLimit()).toBeGreaterThan(64 * 1_048_576)
    expect(memoryLimit()).toBeLessThan(2 ** 50)
  })
})
