/** Sluice with the operator's own stream server, which lives in the bench: every change goes the way that it goes in a cluster. */
import { Cleanup, Operator, SERVICE, Wire, prepare } from '../stream/rig.ts'
import { TestWorld } from '../stream/world.ts'
import { fragment, host, path } from '../../proxy/table/testing/fixtures.ts'
import type { Fragment } from '../../protocol/objects.ts'
import type { Changing } from './changes.ts'
import type { Ends } from './ends.ts'
import type { Place } from './peers.ts'
import { startSluice } from './sluice.ts'
import type { SluicePlace } from './sluice.ts'

const SERVICE_KEY = 'bench/web:80'

export interface StreamOfBench {
  /** Where a proxy is told to find it. */
  readonly stream: NonNullable<SluicePlace['stream']>
  /** All that changed in the world since the last time, to whoever is connected: one update. */
  readonly publish: () => void
}

/** The operator's own stream server with this world, published. */
export async function startStreamServer(ends: Ends, world: TestWorld): Promise<StreamOfBench> {
  const cleanup = new Cleanup()
  ends.add(() => cleanup.run())
  const site = await prepare(cleanup)
  const operator = await Operator.start(cleanup, site.leaf)
  const publish = (): void => operator.server.publish(world.change())
  publish()
  return { publish, stream: { address: `${SERVICE}:${operator.port}`, folder: site.folder } }
}

/** The same, and the bytes that went through it to clients, with all that TLS and HTTP add. */
export async function counted(
  ends: Ends,
  { address, folder }: StreamOfBench['stream'],
): Promise<{ readonly stream: StreamOfBench['stream']; readonly bytes: () => number }> {
  const cleanup = new Cleanup()
  ends.add(() => cleanup.run())
  const wire = await Wire.start(cleanup, () => Number(address.split(':')[1]))
  return { stream: { address: `${SERVICE}:${wire.port}`, folder }, bytes: () => wire.bytes }
}

const ingressOf = (name: string): Fragment =>
  fragment(name.replaceAll('.', '-'), [host(name, path('Prefix /', SERVICE_KEY))], { governed: false })

/** On the relay; each host is an Ingress of its own. */
export async function startSluiceChanges(place: Place, upstream: number, before: readonly string[]): Promise<Changing> {
  const world = new TestWorld()
  world.release(...before.map(ingressOf))
  world.setEndpoints(SERVICE_KEY, [`127.0.0.1:${upstream}`])
  const { stream, publish } = await startStreamServer(place.ends, world)
  const server = await startSluice({ ...place, stream, probe: false, path: 'relay' })
  const add = (hosts: readonly string[]): Promise<void> => {
    const added = hosts.map(ingressOf)
    world.version++
    world.release(...added)
    publish()
    return Promise.resolve()
  }
  return { server, way: 'its stream, one by one', batched: false, add }
}
