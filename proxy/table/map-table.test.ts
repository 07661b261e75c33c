import { describe, expect, it, jest } from '@jest/globals'
import type { Fragment } from '../../protocol/objects.ts'
import { EMPTY_UPDATE } from './update.ts'
import { fragment, host, path, upsert } from './testing/fixtures.ts'
import { MapTable } from './map-table.ts'
import { FakeClusters } from './testing/clusters.ts'
import { tableCases } from './testing/table.cases.ts'

describe('MapTable', () => {
  it('merges the Ingresses of a host when it is asked for, once, and those of no other host', () => {
    const table = new MapTable(new FakeClusters())
    const names = Array.from({ length: 2_000 }, (_, i) => `h${i}.example`)
    const one = (i: string): readonly Fragment[] =>
      names.map((name, n) => fragment(`${i}-${n}`, [host(name, path(`Prefix /${i}`))]))
    const merged = jest.spyOn(Array.prototype, 'sort')
    try {
      table.apply(upsert(...one('a'), ...one('b'), ...one('c')))
      expect(merged).toHaveBeenCalledTimes(0)
      table.route('h7.example', '/a')
      const first = merged.mock.contexts.map(list => (list as readonly unknown[]).length)
      expect(Math.max(...first)).toBe(3)
      merged.mockClear()
      for (let i = 0; i < 10; i++) expect(table.route('h7.example', '/b/x')?.object).toBe('Ingress/ns/b-7')
      expect(merged).toHaveBeenCalledTimes(0)
      table.apply(upsert(fragment('d', [host('h7.example', path('Prefix /b/x'))])))
      expect(merged).toHaveBeenCalledTimes(0)
      expect(table.route('h7.example', '/b/x')?.object).toBe('Ingress/ns/d')
      expect(table.route('h8.example', '/c')?.object).toBe('Ingress/ns/c-8')
      // Of each its shares, then its places.
      expect(merged.mock.contexts.map(list => (list as readonly unknown[]).length)).toEqual([4, 4, 3, 3])
    } finally {
      merged.mockRestore()
    }
  })

  it('keeps the oldest first on a host of thousands of Ingresses, whichever come and go', () => {
    const table = new MapTable(new FakeClusters())
    const share = (n: number): Fragment =>
      fragment(`web-${n}`, [host('a.example', path('Prefix /'), path(`Prefix /p${n}`))], {
        createdAt: (n * 7_919) % 3_001,
      })
    const all = Array.from({ length: 3_000 }, (_, n) => share(n))
    table.apply(upsert(...all))
    let left = all.toSorted((a, b) => a.createdAt - b.createdAt)
    for (let round = 0; round < 20; round++) {
      expect(table.route('a.example', '/x')?.object).toBe(left[0]?.key)
      const gone = [left[0], left[1_000], left.at(-1)].flatMap(f => f?.key ?? [])
      table.apply({ ...EMPTY_UPDATE, fragments: { upsert: [], remove: gone } })
      left = left.filter(({ key }) => !gone.includes(key))
    }
    table.apply(upsert(...all))
    expect(table.route('a.example', '/x')?.object).toBe('Ingress/ns/web-0')
  })
})

tableCases('MapTable', (clusters = new FakeClusters()) => new MapTable(clusters))
