import { describe, expect, it } from '@jest/globals'
import { endpointsOf } from './endpoints.ts'

const service = {
  spec: {
    ports: [
      { name: 'http', port: 80, targetPort: 'web' },
      { name: 'admin', port: 9000 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  },
}
interface Conditions {
  readonly ready?: boolean | null
  readonly serving?: boolean
  readonly terminating?: boolean
}
const slice = (endpoints: readonly [string, Conditions?][], change: object = {}): object => ({
  addressType: 'IPv4',
  ports: [
    { name: 'admin', port: 9001 },
    { name: 'http', port: 8080 },
  ],
  endpoints: endpoints.map(([address, conditions]) => ({
    addresses: [address],
    ...(conditions === undefined ? {} : { conditions }),
  })),
  ...change,
})
const ready = { ready: true, serving: true, terminating: false }
const notReady = { ready: false, serving: false, terminating: false }
const leaving = { ready: false, serving: true, terminating: true }
const gone = { ready: false, serving: false, terminating: true }

describe('endpointsOf', () => {
  it('finds the port by number and by name, with the number of the pods', () => {
    const slices = [
      slice([
        ['10.0.0.2', ready],
        ['10.0.0.1', ready],
      ]),
    ]
    expect(endpointsOf(service, slices, 80)).toEqual({ endpoints: ['10.0.0.1:8080', '10.0.0.2:8080'], problem: null })
    expect(endpointsOf(service, slices, '80').endpoints).toHaveLength(2)
    expect(endpointsOf(service, slices, 'admin').endpoints).toEqual(['10.0.0.1:9001', '10.0.0.2:9001'])
  })

  it('takes an unnamed port of a Service with one port', () => {
    const slices = [slice([['10.0.0.1', ready]], { ports: [{ name: '', port: 8080 }] })]
    expect(endpointsOf({ spec: { ports: [{ port: 80 }] } }, slices, 80).endpoints).toEqual(['10.0.0.1:8080'])
  })

  it('joins slices with different numbers, IPv4 and IPv6, without duplicates', () => {
    const slices = [
      slice([
        ['10.0.0.1', ready],
        ['10.0.0.1', ready],
      ]),
      slice([['10.0.0.9', ready]], { ports: [{ name: 'http', port: 8081 }] }),
      slice([['fd00::1', ready]], { addressType: 'IPv6' }),
      slice([['web.example.com', ready]], { addressType: 'FQDN' }),
      slice([['10.0.0.7', ready]], { ports: [{ name: 'other', port: 1 }] }),
    ]
    expect(endpointsOf(service, slices, 80).endpoints).toEqual(['10.0.0.1:8080', '10.0.0.9:8081', '[fd00::1]:8080'])
  })

  it.each<[string, readonly [string, Conditions?][], string[]]>([
    [
      'ready ones only',
      [
        ['10.0.0.1', ready],
        ['10.0.0.2', notReady],
      ],
      ['10.0.0.1:8080'],
    ],
    [
      'unknown readiness counts as ready',
      [['10.0.0.1'], ['10.0.0.2', { ready: null }]],
      ['10.0.0.1:8080', '10.0.0.2:8080'],
    ],
    [
      'no terminating one while another serves',
      [
        ['10.0.0.1', ready],
        ['10.0.0.2', leaving],
      ],
      ['10.0.0.1:8080'],
    ],
    [
      'terminating ones that serve where nobody else does',
      [
        ['10.0.0.2', leaving],
        ['10.0.0.3', gone],
        ['10.0.0.4', notReady],
      ],
      ['10.0.0.2:8080'],
    ],
    [
      'a terminating one that counts as ready comes last, too',
      [
        ['10.0.0.1', ready],
        ['10.0.0.2', { ready: true, serving: true, terminating: true }],
      ],
      ['10.0.0.1:8080'],
    ],
    [
      'nobody',
      [
        ['10.0.0.3', gone],
        ['10.0.0.4', notReady],
      ],
      [],
    ],
  ])('%s', (_name, endpoints, expected) => {
    expect(endpointsOf(service, [slice(endpoints)], 80)).toEqual({ endpoints: expected, problem: null })
  })

  it.each<[string, unknown, string | number, string]>([
    ['no Service', null, 80, 'ServiceNotFound'],
    ['no such number', service, 81, 'ServicePortNotFound'],
    ['no such name', service, 'web', 'ServicePortNotFound'],
    ['a UDP port', service, 53, 'ServicePortNotFound'],
    ['an ExternalName', { spec: { type: 'ExternalName', externalName: 'x.y' } }, 80, 'ServiceUnsupported'],
    ['a malformed Service', { spec: { ports: 'x' } }, 80, 'ServiceUnsupported'],
  ])('%s is a problem', (_name, of, port, reason) => {
    expect(endpointsOf(of, [slice([['10.0.0.1', ready]])], port)).toMatchObject({ endpoints: [], problem: { reason } })
  })

  it('leaves a malformed slice among good ones out', () => {
    expect(
      endpointsOf(
        service,
        [null, { endpoints: 5 }, slice([['10.0.0.1', ready]]), { addressType: 'IPv4', endpoints: null }],
        80,
      ).endpoints,
    ).toEqual(['10.0.0.1:8080'])
  })
})
