/** How much memory this process and this thread use, and may use. */
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import type { MemoryReading } from '../connection/memory-pressure.ts'

/** @returns reads; some 20 microseconds each time */
export function memoryReader(): () => MemoryReading {
  // Of the container. Without one it is a number beyond all memory, or none.
  const constrained = process.constrainedMemory()
  const limit = constrained > 0 && constrained <= totalmem() ? constrained : 0
  return () => {
    const { used_heap_size: heapUsed, heap_size_limit: heapLimit } = getHeapStatistics()
    return { rss: process.memoryUsage.rss(), limit, heapUsed, heapLimit }
  }
}
