import { describe, expect, it } from '@jest/globals'
import { splitChallenges } from './challenges.ts'
import { parseIngress } from './ingress.ts'
import { CONTROLLER_NAME } from './ingress-class.ts'
import type { IngressContent, IngressPath, IngressSpec, SourceObject } from './types.ts'

const TOKEN = '/.well-known/acme-challenge/l0ng-T0ken_'
const backend = { service: { name: 'web', port: { number: 80 } } }
const solver = { service: { name: 'cm-acme-http-solver-x', port: { number: 8089 } } }
const app: IngressPath = { path: '/', pathType: 'Prefix', backend }
const challenge: IngressPath = { path: TOKEN, pathType: 'ImplementationSpecific', backend: solver }
const found = { host: 'a.example', path: TOKEN, service: 'cm-acme-http-solver-x', port: 8089 }

const content = (spec: IngressSpec, annotations: IngressContent['annotations'] = {}): IngressContent => ({
  kind: 'Ingress',
  ...{ annotations, spec },
})
const at = (...paths: readonly IngressPath[]): IngressSpec => ({ rules: [{ host: 'A.example', http: { paths } }] })

describe('ACME challenges of an Ingress', () => {
  it('are taken out of the rules that they stand in, and with a rule that has nothing else', () => {
    const plain = content({ ...at(app), tls: [{ hosts: ['a.example'], secretName: 'tls' }] })
    const edited = content({ ...plain.spec, ...at(challenge, app) })
    expect(splitChallenges(edited)).toEqual({ content: plain, challenges: [found] })
    const rule = { host: 'b.example', http: { paths: [{ ...challenge, pathType: 'Exact' }] } }
    const another = content({ ...plain.spec, rules: [...(plain.spec.rules ?? []), rule] })
    expect(splitChallenges(another)).toEqual({ content: plain, challenges: [{ ...found, host: 'b.example' }] })
  })

  it('leave no empty list of rules behind: the API server writes none', () => {
    const { content: left } = splitChallenges(content({ defaultBackend: backend, ...at(challenge) }))
    expect(left.spec).toEqual({ defaultBackend: backend })
  })

  it('are none where the content would be another thing without them: it is the same object', () => {
    const others: readonly IngressPath[] = [
      app,
      { ...challenge, pathType: 'Prefix' },
      ...['/', '/%61', '/..', '/a/b', '/a/', '/a?', '/a;b', '/.'].map(end => ({
        ...challenge,
        path: `/.well-known/acme-challenge${end}`,
      })),
      { ...challenge, path: '/.well-known//acme-challenge/token' },
      { ...challenge, backend: { service: { name: 'web' } } },
      { ...challenge, backend: { service: { name: 'web', port: { number: 0 } } } },
      { ...challenge, backend: { resource: {} } },
    ]
    for (const path of others) {
      const whole = content(at(path))
      expect([path, splitChallenges(whole).challenges]).toEqual([path, []])
      expect(splitChallenges(whole).content).toBe(whole)
    }
    for (const host of ['', '*.example', '192.0.2.1', 'a b']) {
      const whole = content({ rules: [{ host, http: { paths: [challenge] } }] })
      expect(splitChallenges(whole).content).toBe(whole)
    }
    const canary = content(at(challenge), { 'nginx.ingress.kubernetes.io/canary': 'true' })
    expect(splitChallenges(canary).content).toBe(canary)
  })

  it('change no revision', () => {
    const parsed = (spec: IngressSpec): SourceObject =>
      parseIngress(
        {
          metadata: {
            ...{ name: 'web', namespace: 'shop', uid: 'u', resourceVersion: '1' },
            creationTimestamp: '2026-01-01T00:00:00Z',
          },
          spec: { ingressClassName: 'sluice', ...spec },
        },
        { classes: [{ metadata: { name: 'sluice' }, spec: { controller: CONTROLLER_NAME } }] },
      )
    const plain = parsed(at(app))
    const edited = parsed(at(challenge, app))
    expect(edited.revision).toBe(plain.revision)
    expect(plain).not.toHaveProperty('challenges')
    expect(edited.challenges?.paths).toEqual([found])
    expect(edited.challenges?.asContent).not.toBe(plain.revision)
  })
})
