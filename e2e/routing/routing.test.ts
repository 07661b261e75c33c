/**
 * cases.yaml through compiler, table and gateway, on every way that a request takes: which backend gets it, what it receives, and what
 * the client gets back. One backend per Service, which answers with its name and what it saw.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Fragment } from '../../protocol/objects.ts'
import { compileIngress } from '../../operator/compile/compile.ts'
import type { IngressContent, IngressPath, Problem } from '../../operator/model/types.ts'
import { endpoints, upsert } from '../../proxy/table/testing/fixtures.ts'
import { Ends, ask, startBackend, startPlane, type Rig } from '../../proxy/workers/testing/harness.ts'
import { describeOnAllAndHttp2 } from '../../proxy/workers/testing/ways.ts'
import { documented } from './annotated.ts'

const P = 'nginx.ingress.kubernetes.io'
/** Services with a backend; every other one has no endpoints. */
const SERVICES = ['main', 'one', 'two', 'other'] as const

/** `host: [<pathType> <path> <service>]`; the empty host is that of every other host, `Default` the defaultBackend. */
type Rules = Readonly<Record<string, readonly string[]>>
interface Ingress {
  readonly annotations?: Readonly<Record<string, string | number | boolean>>
  readonly rules?: Rules
}
/** Beside these, what begins with a capital letter is a header that is sent; several values: several fields. */
interface Case {
  readonly get?: string
  readonly host?: string
  /** Service, or the status that nobody but the proxy gives. */
  readonly to: string | number
  /** At the backend: `target`, and fields by name in lower case; null: it has none. */
  readonly got?: Readonly<Record<string, string | null>>
  /** Fields of the answer. */
  readonly answered?: Readonly<Record<string, string | null>>
}
interface Group {
  readonly name: string
  /** Ingresses by name, the oldest first. Left out: `main`, host a.example, Prefix / to Service main. */
  readonly ingresses?: Readonly<Record<string, Ingress>>
  /** Canaries of Prefix / on a.example, younger than `ingresses`, each to the Service of its name: their annotations. */
  readonly canaries?: Readonly<Record<string, Ingress['annotations']>>
  /** Ingresses that are not served, with the annotation that is wrong. */
  readonly refused?: Readonly<Record<string, string>>
  readonly cases: readonly Case[]
}

const MAIN: Readonly<Record<string, Ingress>> = { main: { rules: { 'a.example': ['Prefix / main'] } } }
const groups = parse(readFileSync(join(import.meta.dirname, 'cases.yaml'), 'utf8')) as readonly Group[]

function ingressesOf({ ingresses = MAIN, canaries = {} }: Group): ReadonlyMap<string, Ingress> {
  const own = Object.entries(canaries).map(([name, annotations = {}]): [string, Ingress] => [
    name,
    { annotations: { canary: 'true', ...annotations }, rules: { 'a.example': [`Prefix / ${name}`] } },
  ])
  return new Map([...Object.entries(ingresses), ...own])
}

function contentOf({ annotations = {}, rules = {} }: Ingress): IngressContent {
  const backend = (service: string): IngressPath['backend'] => ({ service: { name: service, port: { number: 80 } } })
  const paths = Object.entries(rules).flatMap(([host, own]) =>
    own.map(text => {
      const [pathType = '', path = '', service = ''] = text.split(' ')
      return { host, pathType, path, service }
    }),
  )
  const last = paths.find(({ pathType }) => pathType === 'Default')
  const rule = paths.filter(one => one !== last)
  return {
    kind: 'Ingress',
    annotations: Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [`${P}/${name}`, String(value)]),
    ),
    spec: {
      ...(last === undefined ? {} : { defaultBackend: backend(last.service) }),
      rules: rule.map(({ host, pathType, path, service }) => ({
        ...(host === '' ? {} : { host }),
        http: { paths: [{ path, pathType, backend: backend(service) }] },
      })),
    },
  }
}

function compiled(group: Group): { readonly fragments: readonly Fragment[]; readonly problems: readonly Problem[] } {
  const all = [...ingressesOf(group)].map(([name, ingress], i) =>
    compileIngress({ key: `Ingress/ns/${name}`, createdAt: 1_000 + i }, 'r1', contentOf(ingress), false),
  )
  return {
    fragments: all.flatMap(({ fragment }) => fragment ?? []),
    problems: all.flatMap(({ problems }) => problems),
  }
}

interface Seen {
  readonly service: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
}

function sentWith(one: Case): Record<string, string | readonly string[]> {
  return Object.fromEntries(
    Object.entries(one)
      .filter(([name]) => /^[A-Z]/.test(name))
      .map(([name, value]: [string, unknown]) => [name, Array.isArray(value) ? value.map(String) : String(value)]),
  )
}

describeOnAllAndHttp2('routing and splitting', () => {
  const ends = new Ends()
  let rig: Rig
  const at: Record<string, readonly string[]> = { 'ns/none:80': [] }
  beforeAll(async () => {
    rig = await startPlane(ends)
    for (const service of SERVICES) {
      at[`ns/${service}:80`] = [
        await startBackend(ends, ({ url, headers }, response) => {
          response.setHeader('X-Own', 'backend')
          response.end(JSON.stringify({ service, target: url, headers }))
        }),
      ]
    }
  })
  afterAll(() => ends.all())

  describe.each(groups)('$name', group => {
    beforeAll(() => rig.apply({ ...endpoints(at), objects: upsert(...compiled(group).fragments).objects, reset: true }))

    it.each(group.cases)('%j', async one => {
      const answer = await ask(rig.http, {
        host: one.host ?? 'a.example',
        path: one.get ?? '/',
        headers: sentWith(one) as never,
      })
      if (typeof one.to === 'number') {
        expect(answer.status).toBe(one.to)
        return
      }
      expect(answer.status).toBe(200)
      const seen = JSON.parse(answer.body) as Seen
      const got = Object.keys(one.got ?? {}).map(name => [
        name,
        name === 'target' ? seen.target : (seen.headers[name] ?? null),
      ])
      const answered = Object.keys(one.answered ?? {}).map(name => [name, answer.headers[name] ?? null])
      expect({
        to: seen.service,
        got: Object.fromEntries(got) as unknown,
        answered: Object.fromEntries(answered) as unknown,
      }).toEqual({
        ...{ to: one.to, got: one.got ?? {}, answered: one.answered ?? {} },
      })
    })
  })
})

it('the Ingresses of docs/canary.md are served as they stand', () => {
  expect(documented('canary.md').map(({ fragment, problems }) => [fragment?.canary?.rule, problems])).toEqual([
    [undefined, []],
    [{ header: { name: 'X-Next' }, cookie: { name: 'next' }, weight: 5, total: 100 }, []],
  ])
})

describe('cases.yaml', () => {
  it('has at least 200 cases', () => {
    expect(groups.reduce((sum, { cases }) => sum + cases.length, 0)).toBeGreaterThanOrEqual(200)
  })

  it.each(groups)('$name: what is refused is refused for what is wrong, and nothing else is', group => {
    const refused = compiled(group)
      .problems.filter(({ effect }) => effect === 'reject')
      .map(({ key, field }) => [key.slice('Ingress/ns/'.length), field])
    const expected = Object.entries(group.refused ?? {}).map(([name, annotation]) => [
      ...[name, `metadata.annotations[${P}/${annotation}]`],
    ])
    expect(refused).toEqual(expected)
  })
})
