import { describe, expect, it } from '@jest/globals'
import * as fc from 'fast-check'
import { parseStreamMessage } from '../../protocol/schemas.ts'
import { compileIngress } from './compile.ts'
import type { IngressContent } from '../model/types.ts'
import { REQUEST_ANNOTATIONS } from '../model/routes/requests.ts'
import { routeSettingsOf } from '../model/routes/settings.ts'

const P = 'nginx.ingress.kubernetes.io'
type Annotations = Readonly<Record<string, string>>

function contentOf(annotations: Annotations): IngressContent {
  const named = Object.entries(annotations).map(([name, value]) => [`${P}/${name}`, value] as const)
  const backend = { service: { name: 'web', port: { number: 80 } } }
  const rules = [{ host: 'a.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }]
  return { kind: 'Ingress', annotations: Object.fromEntries<string>(named), spec: { rules } }
}
const parsed = (annotations: Annotations): ReturnType<typeof routeSettingsOf> =>
  routeSettingsOf('Ingress/shop/web', contentOf(annotations))
const compiled = (annotations: Annotations, released = false): ReturnType<typeof compileIngress> =>
  compileIngress({ key: 'Ingress/shop/web', createdAt: 1 }, 'r1', contentOf(annotations), false, undefined, released)

describe('settings of requests', () => {
  it.each<[Annotations, object | null]>([
    [{}, null],
    [{ 'proxy-read-timeout': '' }, null],
    [
      { 'proxy-connect-timeout': '1', 'proxy-read-timeout': '3600', 'proxy-send-timeout': '60' },
      { timeouts: { connect: 1_000, read: 3_600_000, send: 60_000 } },
    ],
    [{ 'proxy-body-size': '1k' }, { body: { max: 1_024 } }],
    [{ 'proxy-body-size': '1K' }, { body: { max: 1_024 } }],
    [{ 'proxy-body-size': '8m' }, { body: { max: 8_388_608 } }],
    [{ 'proxy-body-size': '2M' }, { body: { max: 2_097_152 } }],
    [{ 'proxy-body-size': '1g' }, { body: { max: 1_073_741_824 } }],
    [{ 'proxy-body-size': '10' }, { body: { max: 10 } }],
    [{ 'proxy-body-size': '0' }, { body: { max: 0 } }],
    [{ 'client-body-buffer-size': '16k', 'proxy-request-buffering': 'on' }, { body: { buffer: 16_384 } }],
    [{ 'proxy-request-buffering': 'off' }, { body: { streamed: true } }],
    [{ 'proxy-buffering': 'on' }, null],
    [{ 'proxy-buffering': 'off' }, null],
    [{ 'proxy-next-upstream': ' http_503  error error' }, { retry: { on: ['error', 'http_503'] } }],
    [{ 'proxy-next-upstream': 'off' }, { retry: { on: ['off'] } }],
    [{ 'proxy-next-upstream-tries': '0', 'proxy-next-upstream-timeout': '0' }, { retry: { tries: 0, time: 0 } }],
    [{ 'proxy-next-upstream-timeout': '5' }, { retry: { time: 5_000 } }],
  ])('%j', (annotations, settings) => {
    expect(parsed(annotations)).toEqual({ settings, problems: [] })
    expect(compiled(annotations).fragment?.settings ?? null).toEqual(settings)
  })

  it.each<[string, string]>([
    ...['2s', '0', '-1', '1.5', 'abc', ' 5', '2147484'].map((value): [string, string] => ['proxy-read-timeout', value]),
    ...['0', '1m'].map((value): [string, string] => ['proxy-connect-timeout', value]),
    ['proxy-send-timeout', '60;'],
    // Row 57, and what ingress-nginx lets through to stop nginx.
    ...['1Mi', '1 m', 'abc', '-1', '1mb', '1.5m', '1;2', '1b'].map((value): [string, string] => [
      'proxy-body-size',
      value,
    ]),
    ['client-body-buffer-size', '8 k'],
    ['proxy-request-buffering', 'false'],
    ['proxy-buffering', 'yes'],
    ['proxy-next-upstream', 'error http_418'],
    ['proxy-next-upstream', ' '],
    ['proxy-next-upstream-tries', '-1'],
    ['proxy-next-upstream-timeout', '5s'],
  ])('%s: %j refuses the content, and is left out of what was released before', (name, value) => {
    const other = name === 'proxy-connect-timeout' ? 'proxy-read-timeout' : 'proxy-connect-timeout'
    const annotations = { [name]: value, [other]: '7' }
    const { fragment, problems } = compiled(annotations)
    expect(fragment).toBeNull()
    expect(problems).toMatchObject([
      { field: `metadata.annotations[${P}/${name}]`, reason: 'InvalidAnnotation', effect: 'reject' },
    ])
    const timeouts = { [other === 'proxy-read-timeout' ? 'read' : 'connect']: 7_000 }
    expect(compiled(annotations, true).fragment?.settings).toEqual({ timeouts })
  })

  it('what is wrong elsewhere refuses a released content as ever', () => {
    const content: IngressContent = { ...contentOf({}), spec: { rules: [{ host: '*.*' }] } }
    const object = { key: 'Ingress/shop/web', createdAt: 1 }
    expect(compileIngress(object, 'r1', content, false, undefined, true).fragment).toBeNull()
  })

  it('an Ingress without them compiles to what it compiled to before', () => {
    expect(Object.keys(compiled({}).fragment ?? {})).toEqual([
      'key',
      'revision',
      'createdAt',
      'governed',
      'hosts',
      'tls',
    ])
  })

  it('of a canary none has an effect', () => {
    const annotations = { canary: 'true', 'canary-weight': '5', 'proxy-body-size': '1k' }
    const { fragment, problems } = compiled(annotations)
    expect(fragment?.settings).toBeUndefined()
    expect(problems).toMatchObject([{ reason: 'AnnotationWithoutEffect', effect: 'warn' }])
  })

  it('whatever stands in them: it is refused, or a proxy takes what is compiled', () => {
    const words = ['1', '0', '10m', 'on', 'off', 'error', 'http_503 timeout', '60', '', 'x', '-5', '99999999999999']
    const value = fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 8 }))
    const annotations = fc.dictionary(fc.constantFrom(...REQUEST_ANNOTATIONS), value)
    fc.assert(
      fc.property(annotations, given => {
        const { fragment } = compiled(given)
        if (fragment === null) return
        const items = { assignments: [], fragments: [fragment], certificates: [], endpoints: {} }
        const line = JSON.stringify({ type: 'snapshot-items', ...items })
        expect(parseStreamMessage(line)).toEqual(JSON.parse(line))
      }),
    )
  })
})
