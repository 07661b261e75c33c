import { describe, expect, it } from '@jest/globals'
import {
  ownAddressFields,
  parseAddresses,
  sameAddresses,
  shownAddresses,
  showsOurs,
  wantedAddresses,
} from './addresses.ts'
import type { Address } from './addresses.ts'

/** An entry of metadata.managedFields as the API server writes it. */
const managed = (change: object = {}): object => ({
  manager: 'sluice-operator',
  operation: 'Update',
  apiVersion: 'networking.k8s.io/v1',
  fieldsType: 'FieldsV1',
  fieldsV1: { 'f:status': { 'f:loadBalancer': { 'f:ingress': {} } } },
  subresource: 'status',
  ...change,
})

describe('parseAddresses', () => {
  it.each<readonly [string, readonly Address[]]>([
    ['', []],
    [' , ', []],
    ['203.0.113.1', [{ ip: '203.0.113.1' }]],
    ['2001:db8::1', [{ ip: '2001:db8::1' }]],
    ['2001:DB8::1', [{ ip: '2001:db8::1' }]],
    ['LB.example', [{ hostname: 'lb.example' }]],
    ['localhost', [{ hostname: 'localhost' }]],
    ['203.0.113.1,lb.example', [{ ip: '203.0.113.1' }, { hostname: 'lb.example' }]],
    ['203.0.113.1, lb.example', [{ ip: '203.0.113.1' }, { hostname: 'lb.example' }]],
    ['b.example\n\ta.example', [{ hostname: 'b.example' }, { hostname: 'a.example' }]],
    ['a.example A.example', [{ hostname: 'a.example' }]],
  ])('%j', (text, addresses) => expect(parseAddresses(text)).toEqual({ ok: true, addresses }))

  it.each([
    ['203.0.113.300', '"203.0.113.300" is neither an IP address nor a host name'],
    ['010.0.0.1', '"010.0.0.1" is neither an IP address nor a host name'],
    ['203.0.113.1:80', '"203.0.113.1:80" is neither an IP address nor a host name'],
    ['http://lb.example', '"http://lb.example" is neither an IP address nor a host name'],
    ['lb.example.', '"lb.example." is neither an IP address nor a host name'],
    ['lb_1.example', '"lb_1.example" is neither an IP address nor a host name'],
    ['*.example', '"*.example" is no single host'],
    ['fe80::1%eth0', '"fe80::1%eth0" has a zone, which means nothing elsewhere'],
    ['::ffff:203.0.113.1', '"::ffff:203.0.113.1" is an IPv4 address written as IPv6'],
    ['0:0:0:0:0:FFFF:cb00:7101', '"0:0:0:0:0:FFFF:cb00:7101" is an IPv4 address written as IPv6'],
    [
      'ok.example -x y;z',
      '"-x" is neither an IP address nor a host name, "y;z" is neither an IP address nor a host name',
    ],
  ])('refuses %j', (text, problem) => expect(parseAddresses(text)).toEqual({ ok: false, problem }))
})

describe('wantedAddresses', () => {
  const fixed = [{ hostname: 'edge.example' }]
  const balanced = {
    status: { loadBalancer: { ingress: [{ ip: '192.0.2.1', ports: [] }, { hostname: 'lb.example' }] } },
  }
  const external = { spec: { externalIPs: ['198.51.100.1', '192.0.2.1'] } }

  it.each<readonly [string, readonly Address[], unknown, readonly Address[] | null]>([
    ['nothing is known before the Service is', [], undefined, null],
    ['a Service without any', [], { spec: {} }, []],
    ['its load balancer, without ports', [], balanced, [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }]],
    ['its external addresses', [], external, [{ ip: '198.51.100.1' }, { ip: '192.0.2.1' }]],
    [
      'both, each once',
      [],
      { ...balanced, ...external },
      [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }, { ip: '198.51.100.1' }],
    ],
    ['what was set counts alone', fixed, { ...balanced, ...external }, fixed],
    ['what was set needs no Service', fixed, undefined, fixed],
  ])('%s', (_, set, service, wanted) => expect(wantedAddresses(set, service)).toEqual(wanted))
})

describe('whose addresses an Ingress shows', () => {
  const shows = (
    managedFields: readonly object[] | undefined,
    ingress: readonly Address[] = [{ ip: '192.0.2.1' }],
  ): boolean =>
    showsOurs({ ...{ status: { loadBalancer: { ingress } } }, metadata: { ...(managedFields && { managedFields }) } })

  it.each<readonly [string, boolean, readonly object[] | undefined]>([
    ['ours', true, [managed({ manager: 'kubectl', subresource: undefined }), managed()]],
    ['ours, applied', true, [managed({ operation: 'Apply' })]],
    ['both wrote the same', true, [managed({ manager: 'nginx' }), managed()]],
    ['another controller’s', false, [managed({ manager: 'nginx-ingress-controller' })]],
    [
      'we manage annotations, another the addresses',
      false,
      [managed({ subresource: undefined }), managed({ manager: 'x' })],
    ],
    ['we manage another part of the status', false, [managed({ fieldsV1: { 'f:status': { 'f:other': {} } } })]],
    ['nobody knows', false, undefined],
    ['nobody knows (2)', false, [{}]],
  ])('%s: %s', (_, ours, fields) => expect(shows(fields)).toBe(ours))

  it('nobody’s if it shows none', () => expect(shows([managed()], [])).toBe(false))

  it('is all that is kept of managedFields', () => {
    expect(ownAddressFields([managed({ manager: 'kubectl' }), managed(), managed({ subresource: '' })])).toEqual([
      managed(),
    ])
    expect(ownAddressFields(undefined)).toEqual([])
  })
})

it('the order of addresses is part of what is shown', () => {
  expect(shownAddresses({})).toEqual([])
  expect(sameAddresses([{ ip: 'a' }, { ip: 'b' }], [{ ip: 'b' }, { ip: 'a' }])).toBe(false)
  expect(sameAddresses([{ ip: 'a' }], [{ ip: 'a' }])).toBe(true)
  expect(sameAddresses(null, [])).toBe(false)
})
