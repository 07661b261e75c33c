/** A worker that fills its heap when a test says so. */
import { BroadcastChannel } from 'node:worker_threads'
import '../../worker.ts'

const channel = new BroadcastChannel('sluice-test-eat')
channel.unref()
channel.onmessage = () => {
  const kept: object[] = []
  for (;;) kept.push({ kept: kept.length, more: [kept.length] })
}
