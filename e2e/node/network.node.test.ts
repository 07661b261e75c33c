import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Cluster } from './harness/cluster.ts'

/** A pod's end of the bridge with the lowest address that there is. */
const PORT = { name: 'lowest', address: '02:00:00:00:00:01' }

describe('the network of the local node', () => {
  let cluster: Cluster
  const ip = (...args: readonly string[]): Promise<string> => cluster.script(['in-node', 'ip', ...args])
  const address = async (): Promise<string> =>
    /link\/ether ([0-9a-f:]+)/.exec(await ip('-o', 'link', 'show', 'sluice0'))?.[1] ?? 'none'

  beforeAll(async () => {
    cluster = await Cluster.connect()
  })
  afterAll(async () => {
    await ip('link', 'del', PORT.name).catch(() => undefined)
    cluster.close()
  })

  // If it changes, pods send to the old one for as long as they remember it: to all clients no pod answers for half a minute.
  it('keeps the address of its bridge when pods come and go', async () => {
    const before = await address()
    await ip('link', 'add', PORT.name, 'address', PORT.address, 'type', 'veth', 'peer', 'name', 'beyond')
    await ip('link', 'set', PORT.name, 'master', 'sluice0')
    const meanwhile = await address()
    await ip('link', 'del', PORT.name)
    expect([before, meanwhile, await address()]).toEqual([before, before, before])
    expect(before).not.toBe('none')
  })
})
