/** What /hosts says, of one data plane. All of a proxy: start-proxy.test.ts. */
import { afterEach, describe, expect, it } from '@jest/globals'
import { Authority } from '../../e2e/pki/pki.ts'
import {
  certificate,
  certificates,
  closed,
  endpoints,
  fragment,
  host,
  path,
  tls,
  upsert,
} from '../table/testing/fixtures.ts'
import { mergeDescriptions, type HostDescription } from './describe-host.ts'
import { Ends, startPlane, type Rig } from './testing/harness.ts'

const ends = new Ends()
afterEach(() => ends.all())

async function rigOf(): Promise<Rig> {
  const rig = await startPlane(ends)
  const leaf = await (await Authority.root('test')).issue({ hosts: ['tls.example', '*.wild.example'] })
  rig.apply(certificates([certificate('s', 'ECDSA', leaf)]))
  rig.apply(endpoints({ 'ns/web:80': ['127.0.0.1:1', '127.0.0.1:2'] }))
  rig.apply(
    upsert(
      fragment(
        'web',
        [
          host('a.example', path('Prefix /'), closed('Prefix /closed')),
          host('*.wild.example', path('Prefix /')),
          host('x.wild.example', path('Prefix /own', 'ns/gone:80')),
          host('', path('Default /')),
        ],
        { tls: [tls('s', 'tls.example', '*.wild.example')] },
      ),
    ),
  )
  return rig
}

describe('a host', () => {
  it.each([
    ['a.example', { host: 'a.example', by: 'exact' }, ['/closed', '/']],
    ['y.wild.example', { host: '*.wild.example', by: 'wildcard' }, ['/']],
    ['*.wild.example', { host: '*.wild.example', by: 'exact' }, ['/']],
    // A host that has rules of its own is not left for others.
    ['x.wild.example', { host: 'x.wild.example', by: 'exact' }, ['/own']],
    ['tls.example', { host: 'tls.example', by: 'certificate' }, []],
  ])('%s is told as %j', async (name, expected, paths) => {
    const described = (await rigOf()).plane.describeHost(name)
    expect(described).toMatchObject(expected)
    expect(described?.routes.map(route => route.path).sort()).toEqual([...paths].sort())
  })

  it('is none that only the rules for all hosts answer', async () => {
    const { plane } = await rigOf()
    for (const name of ['b.example', 'x.y.wild.example', '*.example']) expect(plane.describeHost(name)).toBeNull()
  })

  it('says what is closed, which Services have no endpoints, and nothing of a key', async () => {
    const { plane } = await rigOf()
    const described = plane.describeHost('a.example')
    expect(described?.routes.find(route => route.path === '/closed')).toMatchObject({ service: null, closed: {} })
    expect(described?.services.map(({ service, endpoints: all }) => [service, all.length])).toEqual([['ns/web:80', 2]])
    expect(plane.describeHost('x.wild.example')?.services).toEqual([{ service: 'ns/gone:80', endpoints: [] }])
    const secured = plane.describeHost('tls.example')
    expect(secured?.certificate).toMatchObject({ from: 'Ingress', certificates: [{ secret: 'ns/s' }] })
    expect(JSON.stringify(secured)).not.toContain('PRIVATE')
  })

  it('has the canaries of its paths, and their endpoints', async () => {
    const rig = await rigOf()
    const rule = { weight: 5, total: 100 }
    const hosts = [host('a.example', path('Prefix /', 'ns/next:80'))]
    rig.apply(endpoints({ 'ns/next:80': ['127.0.0.1:3'] }))
    rig.apply(upsert(fragment('next', [], { createdAt: 2_000, canary: { rule, hosts } })))
    const described = rig.plane.describeHost('a.example')
    expect(described?.routes.find(route => route.path === '/')?.canaries).toEqual([
      { ingress: 'ns/next', revision: 'r1', service: 'ns/next:80' },
    ])
    expect(described?.services.find(({ service }) => service === 'ns/next:80')?.endpoints).toMatchObject([
      { address: '127.0.0.1:3' },
    ])
  })

  it('is what all workers see of its endpoints; where they differ it says so', async () => {
    const { plane } = await rigOf()
    const one = plane.describeHost('a.example')!
    const resting: HostDescription = {
      ...one,
      services: one.services.map(({ service, endpoints: all }) => ({
        service,
        endpoints: all.map(endpoint => ({ ...endpoint, suspect: true, open: 2 })),
      })),
    }
    expect(mergeDescriptions([one, resting], 3)).toMatchObject({
      services: [{ endpoints: [{ address: '127.0.0.1:1', restsIn: 1, open: 2 }, { restsIn: 1 }] }],
      workers: { asked: 3, answered: 2, agree: true },
    })
    expect(mergeDescriptions([one, { ...one, routes: [] }], 2).workers.agree).toBe(false)
  })
})
