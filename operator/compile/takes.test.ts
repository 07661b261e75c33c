import { describe, expect, it } from '@jest/globals'
import type { Fragment, PathFragment } from '../../protocol/objects.ts'
import { takenBy } from './takes.ts'

const path = (text: string): PathFragment => {
  const [type, at = ''] = text.split(' ')
  return { type: type as PathFragment['type'], path: at, backend: { service: 'shop/web:80' } }
}
type Hosts = Readonly<Record<string, readonly string[]>>

function fragment(hosts: Hosts, names: readonly string[] = []): Fragment {
  return {
    ...{ key: 'Ingress/shop/new', revision: 'r1', createdAt: 1, governed: true },
    hosts: Object.entries(hosts).map(([host, paths]) => ({ host, paths: paths.map(path) })),
    tls: names.length === 0 ? [] : [{ hosts: names, secret: 'Secret/shop/tls' }],
  }
}

function taken(others: Hosts, comes: Fragment, tls: readonly string[] = []): string | null {
  return takenBy(comes, { paths: host => (others[host] ?? []).map(path), hasTls: name => tls.includes(name) })
}

describe('takenBy', () => {
  it.each<[string, Hosts, Hosts, string | null]>([
    ['a host that nobody serves', { 'a.x': ['Prefix /'] }, { 'b.x': ['Prefix /'] }, null],
    ['a host with a wildcard over it', { '*.x': ['Prefix /p'] }, { 'b.x': ['Prefix /q'] }, 'requests of b.x from *.x'],
    ['a host beside a wildcard over others', { '*.y': ['Prefix /'] }, { 'b.x': ['Prefix /'] }, null],
    [
      'any host where one serves all others',
      { '': ['Prefix /p'] },
      { 'b.x': ['Prefix /'] },
      'requests of b.x from every other host',
    ],
    ['a wildcard over hosts that are served themselves', { 'a.x': ['Prefix /'] }, { '*.x': ['Prefix /'] }, null],
    [
      'every other host, beside all that are served',
      { 'a.x': ['Prefix /'], '*.y': ['Prefix /'] },
      { '': ['Prefix /', 'Default /'] },
      null,
    ],
    ['a longer path', { 'a.x': ['Prefix /'] }, { 'a.x': ['Prefix /api'] }, 'requests of a.x/api from its Prefix /'],
    [
      'a longer path, however it is matched',
      { 'a.x': ['ImplementationSpecific /api'] },
      { 'a.x': ['Exact /api/v1'] },
      'requests of a.x/api/v1 from its ImplementationSpecific /api',
    ],
    ['a path beside', { 'a.x': ['Prefix /api'] }, { 'a.x': ['Prefix /apis'] }, null],
    ['a shorter path', { 'a.x': ['Prefix /api', 'Exact /'] }, { 'a.x': ['Prefix /'] }, null],
    [
      'the same path, which age decides: it may be the older',
      { 'a.x': ['Prefix /api'] },
      { 'a.x': ['Prefix /api'] },
      'requests of a.x/api from its Prefix /api',
    ],
    [
      'the same path, exactly',
      { 'a.x': ['Prefix /api'] },
      { 'a.x': ['Exact /api'] },
      'requests of a.x/api from its Prefix /api',
    ],
    [
      'what a default backend had',
      { 'a.x': ['Default /'] },
      { 'a.x': ['Prefix /api'] },
      'requests of a.x/api from its default backend',
    ],
    [
      'what the last resort of all hosts had',
      { 'a.x': ['Exact /'], '': ['Default /'] },
      { 'a.x': ['Prefix /api'] },
      'requests of a.x from every other host',
    ],
    [
      'a host that another serves already, perhaps on some pods alone, below a wildcard',
      { 'b.x': ['Prefix /'], '*.x': ['Prefix /'] },
      { 'b.x': ['Prefix /'] },
      'requests of b.x from *.x',
    ],
  ])('%s', (_, others, comes, expected) => {
    expect(taken(others, fragment(comes))).toBe(expected)
  })

  it('a canary takes requests of a path that is the same in host, type and text, and of no other', () => {
    const canary = (paths: readonly string[]): Fragment => ({
      ...fragment({}),
      canary: { rule: { weight: 1, total: 100 }, hosts: [{ host: 'a.x', paths: paths.map(path) }] },
    })
    const served = { 'a.x': ['Prefix /', 'Exact /api'], '': ['Prefix /b'] }
    expect(taken(served, canary(['Prefix /b', 'Prefix /']))).toBe('requests of a.x from its Prefix /, as a canary')
    expect(taken(served, canary(['Prefix /b', 'Prefix /api', 'Exact /']))).toBeNull()
    expect(taken({}, canary(['Prefix /']))).toBeNull()
  })

  it('a name that a wildcard certificate covered, or that has an owner, which age decides, takes handshakes; another does not', () => {
    const comes = fragment({ 'b.x': ['Prefix /'] }, ['b.x'])
    expect(taken({}, comes, ['*.x'])).toBe('handshakes of b.x from the certificate of *.x')
    expect(taken({}, comes, ['b.x'])).toBe('handshakes of b.x')
    expect(taken({}, comes, ['*.y'])).toBeNull()
  })
})
