import { describe, expect, it } from '@jest/globals'
import type { Fragment } from '../../protocol/objects.ts'
import { MOST_CANARIES } from '../../protocol/canary-shares.ts'
import type { IngressContent } from '../model/types.ts'
import { CanaryNeighbours } from './canary-neighbours.ts'

const P = 'nginx.ingress.kubernetes.io'
const content: IngressContent = { kind: 'Ingress', annotations: { [`${P}/canary-weight`]: '1' }, spec: {} }

function canary(name: string, createdAt: number, weight: number, total = 100, path = '/'): Fragment {
  const paths = [{ type: 'Prefix', path, backend: { service: 'ns/web:80' } }] as const
  return {
    ...{ key: `Ingress/ns/${name}`, revision: 'r', createdAt, governed: false, hosts: [], tls: [] },
    canary: { rule: { weight, total }, hosts: [{ host: 'a.example', paths }] },
  }
}

describe('CanaryNeighbours', () => {
  const put = (weights: CanaryNeighbours, one: Fragment): readonly string[] => weights.replace(one.key, one)
  const wrong = (weights: CanaryNeighbours, ...names: readonly string[]): readonly string[] =>
    names.filter(name => weights.problems(`Ingress/ns/${name}`, content).length > 0)

  it('refuses the younger one beyond the total, and says so at its field', () => {
    const weights = new CanaryNeighbours()
    expect(put(weights, canary('b', 2, 50))).toEqual([])
    expect(put(weights, canary('a', 1, 70))).toEqual(['Ingress/ns/b'])
    expect(wrong(weights, 'a', 'b')).toEqual(['b'])
    expect(weights.problems('Ingress/ns/b', content)).toEqual([
      {
        ...{ key: 'Ingress/ns/b', field: `metadata.annotations[${P}/canary-weight]`, effect: 'warn' },
        ...{ reason: 'CanaryWeightExceeded', message: expect.stringContaining('50 of 100') },
      },
    ])
    // One that fits behind it counts all the same.
    put(weights, canary('c', 3, 30))
    expect(wrong(weights, 'a', 'b', 'c')).toEqual(['b'])
    expect(put(weights, canary('a', 1, 20))).toEqual(['Ingress/ns/b', 'Ingress/ns/c'])
    expect(wrong(weights, 'a', 'b', 'c')).toEqual([])
    expect(put(weights, canary('a', 1, 20))).toEqual([])
  })

  it('asks of each path, and adds up exactly', () => {
    const weights = new CanaryNeighbours()
    for (let i = 0; i < 10; i++) put(weights, canary(`w${i}`, i, 1, 10))
    put(weights, canary('x', 10, 1, 1_000_000))
    put(weights, canary('y', 11, 100, 100, '/y'))
    expect(wrong(weights, 'w9', 'x', 'y')).toEqual(['x'])
    expect(weights.replace('Ingress/ns/w0', null)).toContain('Ingress/ns/x')
    expect(wrong(weights, 'x')).toEqual([])
  })

  it('says of those behind the two hundredth of a path that they take nothing, whatever they ask for', () => {
    const all = new CanaryNeighbours()
    for (let i = 0; i < MOST_CANARIES; i++) put(all, canary(`w${i}`, i, i === 7 ? 1 : 0))
    put(all, canary('same', 900, 0, 100, '/y'))
    expect(put(all, canary('x', 1_000, 1))).toContain('Ingress/ns/w7')
    expect(wrong(all, 'w0', 'w7', 'w199', 'same', 'x')).toEqual(['x'])
    expect(all.problems('Ingress/ns/x', { ...content, annotations: { [`${P}/canary`]: 'true' } })).toEqual([
      {
        ...{ key: 'Ingress/ns/x', field: `metadata.annotations[${P}/canary]`, effect: 'warn' },
        ...{
          reason: 'CanariesTooMany',
          message: expect.stringContaining('200 older canaries are on a.example, Prefix /:'),
        },
      },
    ])
    expect(all.replace('Ingress/ns/w3', null)).toContain('Ingress/ns/x')
    expect(wrong(all, 'x')).toEqual([])
  })
})
