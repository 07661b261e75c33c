/** Sluice with the operator's own stream server, which lives in the bench: every change goes the way that it goes in a cluster. */
import { Cleanup, Operator, SERVICE, prepare } from '../stream/rig.ts'
import { TestWorld } from '../stream/world.ts'
import { fragment, host, path } from '../../proxy/table/testing/fixtures.ts'
import type { Fragment } from '../../protocol/objects.ts'
import type { Changing } from './changes.ts'
import type { Place } from './peers.ts'
import { startSluice } from './sluice.ts'

const SERVICE_KEY = 'bench/web:80'

const ingressOf = (name: string): Fragment =>
  fragment(name.replaceAll('.', '-'), [host(name, path('Prefix /', SERVICE_KEY))], { governed: false })

/** On the relay; each host is an Ingress of its own. */
export async function startSluiceChanges(place: Place, upstream: number, before: readonly string[]): Promise<Changing> {
  const cleanup = new Cleanup()
  place.ends.add(() => cleanup.run())
  const site = await prepare(cleanup)
  const world = new TestWorld()
  world.release(...before.map(ingressOf))
  world.setEndpoints(SERVICE_KEY, [`127.0.0.1:${upstream}`])
  const operator = await Operator.start(cleanup, site.leaf)
  operator.server.publish(world.change())
  const stream = { address: `${SERVICE}:${operator.port}`, folder: site.folder }
  const server = await startSluice({ ...place, stream, probe: false, path: 'relay' })
  const add = (hosts: readonly string[]): Promise<void> => {
    const added = hosts.map(ingressOf)
    world.version++
    world.release(...added)
    operator.server.publish(world.change())
    return Promise.resolve()
  }
  return { server, way: 'its stream, one by one', batched: false, add }
}
