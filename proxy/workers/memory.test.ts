import { totalmem } from 'node:os'
import { describe, expect, it } from '@jest/globals'
import { memoryReader } from './memory.ts'

describe('memoryReader', () => {
  it('tells what is used, and of limits only those that are some', () => {
    const { rss, limit, heapUsed, heapLimit } = memoryReader()()
    expect(rss).toBeGreaterThan(0)
    expect(heapUsed).toBeGreaterThan(0)
    expect(heapLimit).toBeGreaterThan(heapUsed)
    expect(limit).toBeGreaterThanOrEqual(0)
    expect(limit).toBeLessThanOrEqual(totalmem())
  })

  it('takes the limit of the container', () => {
    const real = process.constrainedMemory
    try {
      process.constrainedMemory = () => 1_048_576
      expect(memoryReader()().limit).toBe(1_048_576)
      process.constrainedMemory = () => 2 ** 64
      expect(memoryReader()().limit).toBe(0)
    } finally {
      process.constrainedMemory = real
    }
  })
})
