/** An address of which the kernel drops whatever comes, as that of a lost node. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import type { Ends } from './harness.ts'

/** Its queue is full and nobody empties it. @returns `ip:port` */
export async function blackHole(ends: Ends): Promise<string> {
  // Node accepts whatever comes as long as its loop turns: that of this thread stands still.
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer()
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port)
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
    })`,
    { eval: true },
  )
  ends.add(() => worker.terminate())
  const [port] = (await once(worker, 'message')) as [number]
  for (let i = 0; i < 20; i++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    ends.add(() => socket.destroy())
    const full = await Promise.race([
      once(socket, 'connect').then(() => false),
      new Promise<boolean>(resolve => setTimeout(() => resolve(true), 300)),
    ])
    if (full) return `127.0.0.1:${port}`
  }
  throw new Error('the queue never filled')
}
