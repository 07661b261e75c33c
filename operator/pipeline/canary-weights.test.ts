import { describe, expect, it } from '@jest/globals'
import type { Fragment } from '../../protocol/objects.ts'
import type { IngressContent } from '../model/types.ts'
import { CanaryWeights } from './canary-weights.ts'

const P = 'nginx.ingress.kubernetes.io'
const content: IngressContent = { kind: 'Ingress', annotations: { [`${P}/canary-weight`]: '1' }, spec: {} }

function canary(name: string, createdAt: number, weight: number, total = 100, path = '/'): Fragment {
  const paths = [{ type: 'Prefix', path, backend: { service: 'ns/web:80' } }] as const
  return {
    ...{ key: `Ingress/ns/${name}`, revision: 'r', createdAt, governed: false, hosts: [], tls: [] },
    canary: { rule: { weight, total }, hosts: [{ host: 'a.example', paths }] },
  }
}

describe('CanaryWeights', () => {
  const put = (weights: CanaryWeights, one: Fragment): readonly string[] => weights.replace(one.key, one)
  const wrong = (weights: CanaryWeights, ...names: readonly string[]): readonly string[] =>
    names.filter(name => weights.problems(`Ingress/ns/${name}`, content).length > 0)

  it('refuses the younger one beyond the total, and says so at its field', () => {
    const weights = new CanaryWeights()
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
    const weights = new CanaryWeights()
    for (let i = 0; i < 10; i++) put(weights, canary(`w${i}`, i, 1, 10))
    put(weights, canary('x', 10, 1, 1_000_000))
    put(weights, canary('y', 11, 100, 100, '/y'))
    expect(wrong(weights, 'w9', 'x', 'y')).toEqual(['x'])
    expect(weights.replace('Ingress/ns/w0', null)).toContain('Ingress/ns/x')
    expect(wrong(weights, 'x')).toEqual([])
  })
})
