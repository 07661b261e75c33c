/** A worker whose loop stops turning when a test says so: what an endless regular expression does. */
import { BroadcastChannel } from 'node:worker_threads'
import '../../worker.ts'

const channel = new BroadcastChannel('sluice-test-hang')
channel.unref()
channel.onmessage = () => {
  for (;;);
}
