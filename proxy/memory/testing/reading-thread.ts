/** Reads the scheduled map without a pause, and takes a message now and then. Says of every generation how many names were wrong. */
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import { SharedMemory } from '../shared-memory.ts'
import { VersionedReader } from '../versions.ts'
import { numberOf } from './numbers.ts'
import { NAMES, scheduled } from './schedule.ts'

export interface ReadingSetup {
  readonly buffer: SharedArrayBuffer
  readonly root: number
  /** Generations come over it. */
  readonly port: MessagePort
  /** The last generation. */
  readonly last: number
  /** Names that it reads between two looks for a message. */
  readonly names: number
}

export interface Read {
  readonly generation: number
  readonly reads: number
  readonly wrong: readonly string[]
}

const { buffer, root, port, last, names } = workerData as ReadingSetup
const memory = new SharedMemory(buffer)
const reader = new VersionedReader(memory, root)
let index = 0
while (reader.generation < last) {
  const received = receiveMessageOnPort(port) as { readonly message: number } | undefined
  if (received !== undefined) reader.advance(received.message)
  const wrong: string[] = []
  for (let i = 0; i < names; i++) {
    index = (index + 1) % NAMES.length
    const name = NAMES[index] ?? ''
    const [seen, right] = [numberOf(memory, reader, name), scheduled(index, reader.generation)]
    if (seen !== right)
      wrong.push(`${name} is ${String(seen)}, in generation ${reader.generation} it is ${String(right)}`)
  }
  if (received !== undefined || wrong.length > 0) {
    port.postMessage({ generation: reader.generation, reads: names, wrong: wrong.slice(0, 3) } satisfies Read)
  }
}
port.close()
