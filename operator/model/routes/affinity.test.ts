import { describe, expect, it } from '@jest/globals'
import { parseStreamMessage } from '../../../protocol/schemas.ts'
import { canaryRuleOf } from '../canary.ts'
import type { IngressContent } from '../types.ts'
import { routeSettingsOf } from './settings.ts'

const P = 'nginx.ingress.kubernetes.io'
type Annotations = Readonly<Record<string, string>>

function contentOf(annotations: Annotations): IngressContent {
  const named = Object.entries(annotations).map(([name, value]) => [`${P}/${name}`, value] as const)
  return { kind: 'Ingress', annotations: Object.fromEntries<string>(named), spec: {} }
}
const parsed = (annotations: Annotations): ReturnType<typeof routeSettingsOf> =>
  routeSettingsOf('Ingress/shop/web', contentOf(annotations))
const USUAL = { mode: 'balanced', name: 'INGRESSCOOKIE' }

describe('sessions that stay', () => {
  it.each<[Annotations, object]>([
    [{}, USUAL],
    [{ 'affinity-mode': 'persistent' }, { ...USUAL, mode: 'persistent' }],
    [
      { 'session-cookie-name': 'route', 'session-cookie-path': '/app' },
      { ...USUAL, name: 'route', path: '/app' },
    ],
    [{ 'session-cookie-domain': '.shop.example' }, { ...USUAL, domain: '.shop.example' }],
    [
      { 'session-cookie-expires': '172800', 'session-cookie-max-age': '-1' },
      { ...USUAL, expires: 172_800, maxAge: -1 },
    ],
    [{ 'session-cookie-samesite': 'strict' }, { ...USUAL, sameSite: 'Strict' }],
    [
      { 'session-cookie-samesite': 'None', 'session-cookie-conditional-samesite-none': 'true' },
      { ...USUAL, sameSite: 'None', conditionalNone: true },
    ],
    [{ 'session-cookie-secure': 'false' }, { ...USUAL, secure: false }],
    [
      { 'session-cookie-secure': '1', 'session-cookie-change-on-failure': 'T' },
      { ...USUAL, secure: true, changeOnFailure: true },
    ],
  ])('%j', (annotations, affinity) => {
    const { settings, problems } = parsed({ affinity: 'cookie', ...annotations })
    expect({ settings, problems }).toEqual({ settings: { affinity }, problems: [] })
    const fragment = { key: 'Ingress/a/b', revision: 'r', createdAt: 0, governed: false, hosts: [], tls: [], settings }
    const items = { assignments: [], fragments: [fragment], certificates: [], endpoints: {} }
    const line = JSON.stringify({ type: 'snapshot-items', ...items })
    expect(parseStreamMessage(line)).toEqual(JSON.parse(line))
  })

  it.each<[string, string]>([
    ['affinity', 'ip'],
    ['affinity-mode', 'sticky'],
    ...['a b', 'a;b', 'ä', 'a='].map((value): [string, string] => ['session-cookie-name', value]),
    ...['app', '/a;Domain=x', '/a b', '/a\r\nX: y', '/a,b'].map((value): [string, string] => [
      'session-cookie-path',
      value,
    ]),
    ...['a.example; Secure', '-x', 'a_b'].map((value): [string, string] => ['session-cookie-domain', value]),
    ['session-cookie-expires', '2d'],
    ['session-cookie-max-age', '1.5'],
    ['session-cookie-samesite', 'Maybe'],
    ['session-cookie-secure', 'yes'],
    ['session-cookie-change-on-failure', 'on'],
    ['session-cookie-conditional-samesite-none', '2'],
  ])('%s: %j is refused', (name, value) => {
    const { problems } = parsed({ affinity: 'cookie', [name]: value })
    expect(problems.filter(({ effect }) => effect === 'reject')).toMatchObject([
      { field: `metadata.annotations[${P}/${name}]`, reason: 'InvalidAnnotation' },
    ])
  })

  it.each<[Annotations, string]>([
    [{ 'session-cookie-name': 'x' }, 'session-cookie-name'],
    [{ affinity: 'cookie', 'load-balance': 'ewma' }, 'load-balance'],
    [{ affinity: 'cookie', 'upstream-hash-by': '$uri' }, 'upstream-hash-by'],
    [{ canary: 'true', 'canary-weight': '1', affinity: 'cookie' }, 'affinity'],
  ])('%j: %s has no effect', (annotations, name) => {
    expect(parsed(annotations).problems).toMatchObject([
      { field: `metadata.annotations[${P}/${name}]`, reason: 'AnnotationWithoutEffect', effect: 'warn' },
    ])
  })

  it.each<[string, object]>([
    ['legacy', { weight: 1, total: 100, affinity: 'legacy' }],
    ['sticky', { weight: 1, total: 100 }],
  ])('affinity-canary-behavior: %s of a canary', (value, rule) => {
    const annotations = { canary: 'true', 'canary-weight': '1', 'affinity-canary-behavior': value }
    expect(canaryRuleOf('Ingress/shop/web', contentOf(annotations))).toEqual({ rule, problems: [] })
  })
})
