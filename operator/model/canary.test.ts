import { describe, expect, it } from '@jest/globals'
import { canaryRuleOf } from './canary.ts'
import type { IngressContent } from './types.ts'

const P = 'nginx.ingress.kubernetes.io'
type Annotations = Readonly<Record<string, string>>

function parsed(annotations: Annotations): ReturnType<typeof canaryRuleOf> {
  const named = Object.entries(annotations).map(([name, value]) => [`${P}/${name}`, value] as const)
  const content: IngressContent = { kind: 'Ingress', annotations: Object.fromEntries<string>(named), spec: {} }
  return canaryRuleOf('Ingress/shop/web', content)
}
const canary = (more: Annotations): ReturnType<typeof canaryRuleOf> => parsed({ canary: 'true', ...more })
const BASE = { weight: 0, total: 100 }
const header = { 'canary-by-header': 'X-Canary' }

describe('canaryRuleOf', () => {
  it.each<[Annotations, object]>([
    [{ 'canary-weight': '10' }, { weight: 10, total: 100 }],
    [
      { 'canary-weight': '0', 'canary-weight-total': '1000' },
      { weight: 0, total: 1000 },
    ],
    [
      { 'canary-weight': '500', 'canary-weight-total': '1000' },
      { weight: 500, total: 1000 },
    ],
    [header, { ...BASE, header: { name: 'X-Canary' } }],
    [
      { ...header, 'canary-by-header-value': '' },
      { ...BASE, header: { name: 'X-Canary' } },
    ],
    [
      { ...header, 'canary-by-header-value': 'yes' },
      { ...BASE, header: { name: 'X-Canary', values: ['yes'] } },
    ],
    [
      { ...header, 'canary-by-header-value': 'a||b|| ||c' },
      { ...BASE, header: { name: 'X-Canary', values: ['a', 'b', 'c'] } },
    ],
    [
      { ...header, 'canary-by-header-pattern': 'v[0-9]+' },
      { ...BASE, header: { name: 'X-Canary', pattern: 'v[0-9]+' } },
    ],
    [
      { 'canary-by-cookie': 'can', 'canary-by-query': 'q', 'canary-by-query-value': '1||2', 'canary-weight': '5' },
      { cookie: { name: 'can' }, query: { name: 'q', values: ['1', '2'] }, weight: 5, total: 100 },
    ],
    [
      { ...header, 'canary-mod-divisor': '100', 'canary-mod-relational-operator': '<', 'canary-mod-remainder': '99' },
      { ...BASE, header: { name: 'X-Canary', modulo: { divisor: 100, operator: '<', remainder: 99 } } },
    ],
    [
      // Values go before the modulo, where there are some.
      {
        ...{ 'canary-by-cookie': 'c', 'canary-by-cookie-value': 'x', 'canary-by-query': 'q' },
        ...{ 'canary-mod-divisor': '2', 'canary-mod-relational-operator': '==' },
      },
      {
        ...{ ...BASE, cookie: { name: 'c', values: ['x'] } },
        query: { name: 'q', modulo: { divisor: 2, operator: '==', remainder: 0 } },
      },
    ],
    [
      {
        ...{ ...header, 'canary-request-add-header': 'X-A:1||X-B: http://b:80', 'canary-request-add-query': 'a=1&b=2' },
        ...{ 'canary-request-append-header': 'Via-X:y', 'canary-response-add-header': 'X-R:r' },
        'canary-response-append-header': 'Vary:X-Canary',
      },
      {
        ...{ ...BASE, header: { name: 'X-Canary' } },
        marks: {
          requestAdd: [
            ['X-A', '1'],
            ['X-B', 'http://b:80'],
          ],
          requestAppend: [['Via-X', 'y']],
          responseAdd: [['X-R', 'r']],
          responseAppend: [['Vary', 'X-Canary']],
          query: 'a=1&b=2',
        },
      },
    ],
  ])('%j is %j', (annotations, rule) => {
    expect(canary(annotations)).toEqual({ rule, problems: [] })
  })

  it.each<[Annotations, string, RegExp]>([
    [{ canary: 'yes' }, 'canary', /true or false/],
    [{ 'canary-weight': 'abc' }, 'canary-weight', /"abc" is not a whole number from 0 to 100/],
    [{ 'canary-weight': '50.5' }, 'canary-weight', /whole number/],
    [{ 'canary-weight': '-5' }, 'canary-weight', /from 0 to 100/],
    [{ 'canary-weight': '101' }, 'canary-weight', /from 0 to 100/],
    [{ 'canary-weight': '1001', 'canary-weight-total': '1000' }, 'canary-weight', /from 0 to 1000/],
    [{ 'canary-weight-total': 'x' }, 'canary-weight-total', /whole number/],
    [{ 'canary-by-header': 'X Canary' }, 'canary-by-header', /not the name of a header/],
    [{ 'canary-by-cookie': 'a=b' }, 'canary-by-cookie', /not the name of a cookie/],
    [{ 'canary-by-query': 'a&b' }, 'canary-by-query', /not the name of a query argument/],
    [{ ...header, 'canary-by-header-value': '||' }, 'canary-by-header-value', /names no value/],
    [
      { ...header, 'canary-by-header-value': Array.from({ length: 21 }, String).join('||') },
      'canary-by-header-value',
      /at most 20/,
    ],
    [{ ...header, 'canary-by-header-pattern': 'v[' }, 'canary-by-header-pattern', /missing closing/],
    [{ ...header, 'canary-by-header-pattern': '(?=a)' }, 'canary-by-header-pattern', /Perl syntax.*RE2/],
    [{ ...header, 'canary-by-header-pattern': '(\\w+\\s*){1000}' }, 'canary-by-header-pattern', /states/],
    [{ ...header, 'canary-by-header-pattern': 'a'.repeat(513) }, 'canary-by-header-pattern', /longer than/],
    [{ ...header, 'canary-mod-divisor': '10' }, 'canary-mod-divisor', /needs canary-mod-relational-operator/],
    [
      { ...header, 'canary-mod-relational-operator': '==' },
      'canary-mod-relational-operator',
      /needs canary-mod-divisor/,
    ],
    [
      { ...header, 'canary-mod-divisor': '10', 'canary-mod-relational-operator': '=' },
      'canary-mod-relational-operator',
      /one of == != > >= < <=/,
    ],
    [
      { ...header, 'canary-mod-divisor': '1', 'canary-mod-relational-operator': '==' },
      'canary-mod-divisor',
      /2 to 100/,
    ],
    [
      { ...header, 'canary-mod-divisor': '101', 'canary-mod-relational-operator': '==' },
      'canary-mod-divisor',
      /2 to 100/,
    ],
    [
      { ...header, 'canary-mod-divisor': '5', 'canary-mod-relational-operator': '==', 'canary-mod-remainder': '5' },
      'canary-mod-remainder',
      /from 0 to 4/,
    ],
    [{ ...header, 'canary-request-add-header': 'X-A' }, 'canary-request-add-header', /name:value/],
    [{ ...header, 'canary-request-add-header': 'X-A:$remote_addr' }, 'canary-request-add-header', /variable/],
    [{ ...header, 'canary-request-add-header': 'X-A:1\r\nX-B:2' }, 'canary-request-add-header', /name:value/],
    [{ ...header, 'canary-request-add-header': 'Host:x' }, 'canary-request-add-header', /proxy alone/],
    [{ ...header, 'canary-request-append-header': 'X-Forwarded-For:1.2.3.4' }, 'canary-request-append-header', /alone/],
    [{ ...header, 'canary-request-add-header': 'X_Real_IP:1' }, 'canary-request-add-header', /alone/],
    [{ ...header, 'canary-request-add-header': 'X_A:1' }, 'canary-request-add-header', /underscore/],
    [{ ...header, 'canary-response-add-header': 'Content-Length:1' }, 'canary-response-add-header', /proxy alone/],
    [{ ...header, 'canary-request-add-header': 'A:1||B:2||C:3' }, 'canary-request-add-header', /at most 2/],
    [{ ...header, 'canary-request-add-query': 'a' }, 'canary-request-add-query', /name=value/],
    [{ ...header, 'canary-request-add-query': 'a=b c' }, 'canary-request-add-query', /name=value/],
    [{ ...header, 'canary-request-add-query': 'a=1&b=2&c=3' }, 'canary-request-add-query', /more than 2/],
  ])('%j is refused at %s', (annotations, field, message) => {
    const { rule, problems } = canary(annotations)
    expect(rule).toBeNull()
    expect(problems.filter(({ effect }) => effect === 'reject')).toEqual([
      {
        ...{ key: 'Ingress/shop/web', reason: 'InvalidAnnotation', effect: 'reject' },
        field: `metadata.annotations[${P}/${field}]`,
        message: expect.stringMatching(message),
      },
    ])
  })

  it.each<[Annotations, string, string]>([
    [{}, 'canary', 'NothingToServe'],
    [{ 'canary-weight': '5', 'canary-weight-total': '10' }, 'canary-weight-total', 'WeightTotalTooSmall'],
    [{ 'canary-weight': '5', 'canary-by-header-value': 'x' }, 'canary-by-header-value', 'AnnotationWithoutEffect'],
    [{ 'canary-weight': '5', 'canary-by-query-value': 'x' }, 'canary-by-query-value', 'AnnotationWithoutEffect'],
    [
      { 'canary-weight': '5', 'canary-request-add-query': 'x=1' },
      'canary-request-add-query',
      'AnnotationWithoutEffect',
    ],
    [
      { ...header, 'canary-by-header-value': 'x', 'canary-by-header-pattern': 'y' },
      'canary-by-header-pattern',
      'AnnotationWithoutEffect',
    ],
  ])('%j is served, and %s said to be %s', (annotations, field, reason) => {
    const { rule, problems } = canary(annotations)
    expect(rule).not.toBeNull()
    expect(problems).toMatchObject([{ field: `metadata.annotations[${P}/${field}]`, reason, effect: 'warn' }])
  })

  it('of an Ingress that is none says what its annotations do not do', () => {
    for (const more of [{}, { canary: 'false' }]) {
      const { rule, problems } = parsed({ ...more, 'canary-weight': 'x' })
      expect([rule, problems.length, problems[0]?.effect]).toEqual([null, 1, 'warn'])
    }
    expect(parsed({ canary: 'false' })).toEqual({ rule: null, problems: [] })
  })
})
