import { describe, expect, it } from '@jest/globals'
import { ABSENT_REVISION } from '../../protocol/objects.ts'
import { annotationProblems, contentAnnotations, roleOf } from './annotations.ts'
import { durationMs } from './duration.ts'
import { ModelError } from './errors.ts'
import { parseIngress } from './ingress.ts'
import { revisionOf } from './revision.ts'
import { parseSecret } from './secret.ts'
import { parseGoBoolean, parseStamp } from './stamp.ts'
import type { IngressContent } from './types.ts'

const P = 'nginx.ingress.kubernetes.io'
const metadata = {
  name: 'web',
  namespace: 'shop',
  uid: 'u1',
  resourceVersion: '7',
  creationTimestamp: '2026-01-02T03:04:05Z',
}
const spec = {
  ingressClassName: 'sluice',
  rules: [
    {
      host: 'a.example.com',
      http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] },
    },
  ],
}
const classes = [
  { metadata: { name: 'sluice' }, spec: { controller: 'tengine.taobao.org/sluice' } },
  { metadata: { name: 'nginx' }, spec: { controller: 'k8s.io/ingress-nginx' } },
]
const defaultClass = {
  metadata: { name: 'main', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
  spec: { controller: 'tengine.taobao.org/sluice' },
}

describe('parseStamp', () => {
  it.each(['1', 't', 'T', 'TRUE', 'true', 'True'])('reads the flag %s as true', text => {
    expect(parseGoBoolean(text)).toBe(true)
  })
  it.each(['0', 'f', 'F', 'FALSE', 'false', 'False'])('reads the flag %s as false', text => {
    expect(parseGoBoolean(text)).toBe(false)
  })
  it.each(['yes', 'tRUE', '', ' true', 'on', '2', 'constructor'])('takes the flag %p for none', text => {
    expect(parseGoBoolean(text)).toBeNull()
  })

  it.each([
    ['-1', -1],
    ['0', 0],
    ['3', 3],
    ['+3', 3],
    ['007', 7],
    ['-0', 0],
    ['-2', null],
    ['abc', null],
    ['1.0', null],
    ['', null],
    ['1e3', null],
    [' 1', null],
    ['99999999999', null],
  ])('reads the index %p as %p', (text, value) => {
    const { index } = parseStamp({ [`${P}/ingress-rollout-index-id`]: text }, 'Ingress')
    expect(index).toEqual(value === null ? { state: 'invalid', text } : { state: 'valid', value })
  })

  it('reads names of revisions, of both kinds, under another prefix', () => {
    const annotations = {
      'x/secret-rollout-update-revision': 'ingress-revision-0cfoyid0ze',
      'x/secret-rollout-current-revision': 'a,b',
      'x/ingress-rollout': 'true',
    }
    expect(parseStamp(annotations, 'Secret', 'x')).toEqual({
      flag: { state: 'absent' },
      update: { state: 'valid', value: 'ingress-revision-0cfoyid0ze' },
      current: { state: 'invalid', text: 'a,b' },
      index: { state: 'absent' },
    })
  })
})

describe('parseIngress', () => {
  const parse = (change: object = {}, of: readonly unknown[] = classes): ReturnType<typeof parseIngress> =>
    parseIngress({ metadata, spec, ...change }, { classes: of })

  it('gives key, times and content', () => {
    expect(parse()).toMatchObject({
      key: 'Ingress/shop/web',
      uid: 'u1',
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5),
      ours: true,
      className: 'sluice',
      deleting: false,
      content: { kind: 'Ingress', annotations: {}, spec },
    })
  })

  it.each<[string, object, readonly unknown[], boolean, string | null]>([
    ['class of another controller', { spec: { ingressClassName: 'nginx' } }, classes, false, 'nginx'],
    ['class that does not exist', { spec: { ingressClassName: 'gone' } }, classes, false, 'gone'],
    ['no class, no default', { spec: {} }, classes, false, null],
    ['no class, ours is the default', { spec: {} }, [...classes, defaultClass], true, 'main'],
    ['a default that is not ours', { spec: {} }, [{ ...defaultClass, spec: { controller: 'other' } }], false, null],
    [
      'old annotation',
      { metadata: { ...metadata, annotations: { 'kubernetes.io/ingress.class': 'sluice' } }, spec: {} },
      classes,
      true,
      'sluice',
    ],
    [
      'old annotation of somebody else, although ours is the default',
      { metadata: { ...metadata, annotations: { 'kubernetes.io/ingress.class': 'nginx' } }, spec: {} },
      [...classes, defaultClass],
      false,
      'nginx',
    ],
    ['a malformed class among good ones', {}, [{ nonsense: 1 }, null, ...classes], true, 'sluice'],
  ])('%s', (_name, change, of, ours, className) => {
    const parsed = parse(change, of)
    expect(parsed).toMatchObject({ ours, className })
    expect(parsed.revision === ABSENT_REVISION).toBe(!ours)
  })

  it('of an object that is being deleted is absent', () => {
    expect(parse({ metadata: { ...metadata, deletionTimestamp: '2026-01-03T00:00:00Z' } })).toMatchObject({
      deleting: true,
      revision: ABSENT_REVISION,
    })
  })

  it.each<[unknown, string]>([
    [null, 'Ingress ?/?: the object must be object'],
    [{ metadata: { ...metadata, uid: undefined }, spec }, 'Ingress shop/web: metadata.uid is missing'],
    [{ metadata, spec: { rules: [{ host: 5 }] } }, 'Ingress shop/web: spec.rules[0].host must be string'],
    [{ metadata, spec: { rules: [{ http: {} }] } }, 'Ingress shop/web: spec.rules[0].http.paths is missing'],
    [
      { metadata: { ...metadata, annotations: { 'a/b': 1 } }, spec },
      'Ingress shop/web: metadata.annotations[a/b] must be string',
    ],
    [{ metadata: { ...metadata, creationTimestamp: 'x' }, spec }, 'metadata.creationTimestamp is not a time'],
    [{ metadata: { ...metadata, name: 'a/b' }, spec }, 'metadata.name'],
  ])('names object and field of a malformed one', (raw, message) => {
    const parsing = (): unknown => parseIngress(raw, { classes })
    expect(parsing).toThrow(ModelError)
    expect(parsing).toThrow(message)
  })
})

describe('revisionOf', () => {
  const of = (annotations: Record<string, string>, rules: unknown = spec): string =>
    parseIngress({ metadata: { ...metadata, annotations }, spec: rules }, { classes }).revision

  it('is short, lower case, and the same for the same content in another order', () => {
    const turned = { rules: spec.rules, ingressClassName: 'sluice' }
    expect(of({})).toMatch(/^[0-9a-v]{10}$/)
    expect(of({}, turned)).toBe(of({}))
    expect(of({ [`${P}/a`]: '1', [`${P}/b`]: '2' })).toBe(of({ [`${P}/b`]: '2', [`${P}/a`]: '1' }))
  })

  it('changes with spec and with annotations of ours, not with stamps, version and those of others', () => {
    const base = of({})
    expect(of({}, { ...spec, tls: [] })).not.toBe(base)
    expect(of({ [`${P}/canary`]: 'true' })).not.toBe(base)
    expect(of({ [`${P}/ingress-rollout`]: 'true', [`${P}/ingress-rollout-index-id`]: '3' })).toBe(base)
    expect(of({ [`${P}/ingress-rollout-current-revision`]: 'a', [`${P}/ingress-rollout-update-revision`]: 'b' })).toBe(
      base,
    )
    expect(of({ [`${P}/version`]: '4', 'example.com/owner': 'me' })).toBe(base)
  })

  it('of a Secret is that of its chain, whatever its key and line breaks', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n'
    const secret = (chain: string, privateKey: string): string => revisionOf({ kind: 'Secret', chain, privateKey })
    expect(secret(pem, 'one')).toBe(secret(`# leaf\r\n${pem.replaceAll('\n', '\r\n')}`, 'two'))
    expect(secret(pem, 'one')).not.toBe(secret(pem + pem, 'one'))
    expect(secret('no pem', '')).not.toBe(secret('no pem either', ''))
  })
})

describe('parseSecret', () => {
  const data = { 'tls.crt': Buffer.from('CRT').toString('base64'), 'tls.key': Buffer.from('KEY').toString('base64') }

  it('decodes certificate and key', () => {
    expect(parseSecret({ metadata, type: 'kubernetes.io/tls', data })).toMatchObject({
      key: 'Secret/shop/web',
      ours: true,
      className: null,
      content: { kind: 'Secret', chain: 'CRT', privateKey: 'KEY' },
    })
  })

  it('takes Secrets of every type, and those without data for empty', () => {
    const { revision } = parseSecret({ metadata, type: 'kubernetes.io/tls', data })
    expect(parseSecret({ metadata, type: 'Opaque', data })).toMatchObject({ ours: true, revision })
    expect(parseSecret({ metadata, type: 'kubernetes.io/tls' })).toMatchObject({
      content: { chain: '', privateKey: '' },
    })
  })

  it('says nothing of the values of a malformed one', () => {
    const parsing = (): unknown => parseSecret({ metadata, type: 'kubernetes.io/tls', data: { 'tls.key': ['geheim'] } })
    expect(parsing).toThrow('Secret shop/web: data[tls.key] must be string')
    expect(parsing).not.toThrow('geheim')
  })
})

describe('annotations', () => {
  const content = (annotations: Record<string, string>): IngressContent => ({
    kind: 'Ingress',
    annotations: Object.fromEntries(Object.entries(annotations).map(([name, value]) => [`${P}/${name}`, value])),
    spec: {},
  })
  const effects = (annotations: Record<string, string>): string[] =>
    annotationProblems('Ingress/shop/web', content(annotations)).map(p => `${p.reason} ${p.effect}`)

  it.each([
    ['whitelist-source-range', '10.0.0.0/8'],
    ['allowlist-source-range', 'nonsense'],
    ['denylist-source-range', '10.0.0.0/8'],
    ['auth-url', 'http://auth'],
    ['auth-type', 'basic'],
    ['auth-tls-secret', 'shop/ca'],
    ['satisfy', 'any'],
    ['limit-rps', '5'],
    ['backend-protocol', 'HTTPS'],
    ['backend-protocol', 'grpcs'],
    ['proxy-ssl-verify', 'on'],
    ['proxy-ssl-secret', 'shop/ca'],
    ['enable-modsecurity', 'true'],
    ['enable-modsecurity', 'yes'],
    ['ssl-passthrough', 'true'],
    ['configuration-snippet', 'deny all;'],
    ['server-snippet', 'if ($http_x != "1") { return 403; }'],
    ['auth-something-new', 'x'],
    ['whitelist-source-range', '0.0.0.0/0'],
    ['whitelist-source-range', '::/0'],
    ['allowlist-source-range', ''],
    ['allowlist-source-range', '0.0.0.0/0,::/0,example.com'],
    ['allowlist-source-range', '0.0.0.0/0,::/0,'],
    ['allowlist-source-range', '0.0.0.0/1,128.0.0.0/1,::/0'],
    ['allowlist-source-range', '0.0.0.0/0/0,::/0'],
    ['allowlist-source-range', '0.0.0.0/00x,::/0'],
    ['allowlist-source-range', '0.0.0.0/0 ::/0'],
    ['denylist-source-range', '0.0.0.0/0,::/0'],
    ['satisfy', 'some'],
    ['enable-global-auth', 'true'],
    ['modsecurity-snippet', 'SecRuleEngine On'],
    ['modsecurity-snippet', 'SecRuleEngine Off\nSecRule ARGS "@rx x" "id:1,deny"'],
    ['auth-tls-verify-client', 'optional'],
    ['auth-tls-verify-client', 'Off'],
    ['auth-tls-pass-certificate-to-upstream', 'true'],
    ['auth-url', ''],
    ['limit-rps', '-1'],
    ['limit-rpm', 'none'],
    ['limit-connections', '1'],
    ['proxy-ssl-verify', 'nonsense'],
  ])('%s: %s closes', (name, value) => {
    expect(effects({ [name]: value })).toEqual(['UnsupportedAnnotation close'])
  })

  it.each([
    ['rewrite-target', '/', 'UnsupportedAnnotation warn'],
    ['ssl-redirect', 'true', 'UnsupportedAnnotation warn'],
    ['force-ssl-redirect', 'true', 'UnsupportedAnnotation warn'],
    ['backend-protocol', 'GRPC', 'UnsupportedAnnotation warn'],
    ['configuration-snippet', 'more_set_headers "X: y";', 'UnsupportedAnnotation warn'],
    ['canary-weight', '5', 'AnnotationWithoutEffect warn'],
    ['canary', 'true', 'NothingToServe warn'],
    ['canary', 'maybe', 'InvalidAnnotation reject'],
    ['rewrite-tarjet', '/', 'UnknownAnnotation warn'],
  ])('%s: %s warns', (name, value, effect) => {
    expect(effects({ [name]: value })).toEqual([effect])
  })

  it.each([
    ['backend-protocol', 'HTTP'],
    ['canary', 'false'],
    ['enable-modsecurity', 'false'],
    ['ssl-passthrough', '0'],
    // What cert-manager writes on the Ingress of its HTTP-01 solver.
    ['whitelist-source-range', '0.0.0.0/0,::/0'],
    ['whitelist-source-range', ' ::/0 , 0.0.0.0/0 '],
    ['allowlist-source-range', '0.0.0.0/0, ::/0, 10.0.0.0/8, 2001:db8::1'],
    ['allowlist-source-range', '0:0:0:0:0:0:0:0/0,10.1.2.3/0'],
    ['satisfy', 'all'],
    ['enable-global-auth', 'false'],
    ['enable-owasp-core-rules', 'F'],
    ['modsecurity-snippet', '# nothing\n  SecRuleEngine Off\n'],
    ['modsecurity-snippet', ''],
    ['auth-tls-verify-client', 'off'],
    ['auth-tls-pass-certificate-to-upstream', 'false'],
    ['limit-rps', '0'],
    ['limit-rpm', '0'],
    ['limit-connections', ' 0'],
    ['limit-rate', '0'],
    ['global-rate-limit', '0'],
    ['proxy-ssl-verify', 'off'],
    ['proxy-ssl-server-name', 'off'],
    ['force-ssl-redirect', 'false'],
    ['ssl-redirect', 'false'],
    ['enable-cors', 'false'],
    ['use-regex', 'false'],
  ])('%s: %s asks for nothing', (name, value) => {
    expect(effects({ [name]: value })).toEqual([])
  })

  it('asks an open allow list before the old name of it, as ingress-nginx', () => {
    const everybody = '::/0,0.0.0.0/0'
    expect(effects({ 'allowlist-source-range': everybody, 'whitelist-source-range': '10.0.0.0/8' })).toEqual([])
    expect(effects({ 'allowlist-source-range': '10.0.0.0/8', 'whitelist-source-range': everybody })).toEqual([
      'UnsupportedAnnotation close',
    ])
  })

  it('asks for nothing of client certificates where none is asked for, but for what would still refuse', () => {
    const off = { 'auth-tls-secret': 'shop/ca', 'auth-tls-verify-client': 'off', 'auth-tls-verify-depth': '1' }
    expect(effects(off)).toEqual([])
    expect(effects({ ...off, 'auth-tls-match-cn': 'CN=me' })).toEqual(['UnsupportedAnnotation close'])
    expect(effects({ ...off, 'auth-tls-verify-client': 'on' })).toHaveLength(3)
  })

  it('names the annotation as the field', () => {
    expect(annotationProblems('Ingress/shop/web', content({ satisfy: 'any' }))[0]).toMatchObject({
      key: 'Ingress/shop/web',
      field: `metadata.annotations[${P}/satisfy]`,
      message: expect.stringContaining('503'),
    })
  })

  it('takes a canary that does not parse for a canary, never for the main Ingress', () => {
    expect(roleOf(content({}))).toBe('normal')
    expect(roleOf(content({ canary: 'false', 'canary-weight': '10' }))).toBe('normal')
    expect(roleOf(content({ canary: 'true' }))).toBe('canary')
    expect(roleOf(content({ canary: 'yes' }))).toBe('canary')
  })

  it('keeps only what is under the prefix', () => {
    expect(contentAnnotations({ 'x/a': '1', 'xx/a': '2', 'x/version': '3', 'x/secret-rollout': 'true' }, 'x')).toEqual({
      'x/a': '1',
    })
  })
})

describe('durationMs', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['2m', 120_000],
    ['1h30m', 5_400_000],
    ['0s', 0],
    ['30', null],
    ['-1s', null],
    ['1.5h', null],
    ['', null],
  ])('%p is %p', (text, value) => {
    expect(durationMs(text)).toBe(value)
  })
})
