import { describe, expect, it } from '@jest/globals'
import type { IngressContent } from '../types.ts'
import { routeSettingsOf } from './settings.ts'

const P = 'nginx.ingress.kubernetes.io'
type Annotations = Readonly<Record<string, string>>

function parsed(annotations: Annotations): ReturnType<typeof routeSettingsOf> {
  const named = Object.entries(annotations).map(([name, value]) => [`${P}/${name}`, value] as const)
  const content: IngressContent = { kind: 'Ingress', annotations: Object.fromEntries<string>(named), spec: {} }
  return routeSettingsOf('Ingress/shop/web', content)
}
const hash = (...parts: readonly object[]): object => ({ balance: { by: 'hash', parts } })

describe('how an endpoint is chosen', () => {
  it.each<[Annotations, object]>([
    [{ 'load-balance': 'round_robin' }, { balance: { by: 'round_robin' } }],
    [{ 'load-balance': 'ewma' }, { balance: { by: 'ewma' } }],
    [{ 'upstream-hash-by': '$request_uri' }, hash({ of: 'request_uri' })],
    [{ 'upstream-hash-by': '${uri}' }, hash({ of: 'uri' })],
    [{ 'upstream-hash-by': '$binary_remote_addr' }, hash({ of: 'client' })],
    [{ 'upstream-hash-by': 'constant' }, hash({ text: 'constant' })],
    [
      { 'upstream-hash-by': '$host/$remote_addr-${arg_User}x$http_x_user$cookie_sid' },
      hash(
        ...[{ of: 'host' }, { text: '/' }, { of: 'client' }, { text: '-' }, { of: 'query', name: 'user' }],
        ...[{ text: 'x' }, { of: 'header', name: 'x_user' }, { of: 'cookie', name: 'sid' }],
      ),
    ],
    [
      { 'upstream-hash-by': '$uri', 'upstream-hash-by-subset': 'true' },
      { balance: { by: 'hash', parts: [{ of: 'uri' }], subset: 3 } },
    ],
    [
      { 'upstream-hash-by': '$uri', 'upstream-hash-by-subset': 'true', 'upstream-hash-by-subset-size': '5' },
      { balance: { by: 'hash', parts: [{ of: 'uri' }], subset: 5 } },
    ],
    [{ canary: 'true', 'canary-weight': '1', 'load-balance': 'ewma' }, { balance: { by: 'ewma' } }],
  ])('%j', (annotations, settings) => {
    expect(parsed(annotations)).toEqual({ settings, problems: [] })
  })

  it.each<[string, string]>([
    ...['ip_hash', 'nonsense', 'EWMA'].map((value): [string, string] => ['load-balance', value]),
    ...['$request_id', '$', '${uri', '$arg_', '${}', 'a\nb', 'ä', '$upstream_addr'].map((value): [string, string] => [
      'upstream-hash-by',
      value,
    ]),
    ['upstream-hash-by-subset', 'yes'],
    ['upstream-hash-by-subset-size', '0'],
  ])('%s: %j is refused', (name, value) => {
    const { problems } = parsed({ 'upstream-hash-by': '$uri', 'upstream-hash-by-subset': 'true', [name]: value })
    expect(problems.filter(({ effect }) => effect === 'reject')).toMatchObject([
      { field: `metadata.annotations[${P}/${name}]`, reason: 'InvalidAnnotation' },
    ])
  })

  it.each<[Annotations, string]>([
    [{ 'load-balance': 'ewma', 'upstream-hash-by': '$uri' }, 'load-balance'],
    [{ 'upstream-hash-by-subset': 'true' }, 'upstream-hash-by-subset'],
    [{ 'upstream-hash-by': '$uri', 'upstream-hash-by-subset-size': '5' }, 'upstream-hash-by-subset-size'],
  ])('%j: %s has no effect', (annotations, name) => {
    expect(parsed(annotations).problems).toMatchObject([
      { field: `metadata.annotations[${P}/${name}]`, reason: 'AnnotationWithoutEffect', effect: 'warn' },
    ])
  })
})
