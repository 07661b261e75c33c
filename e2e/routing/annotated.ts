/** Ingresses with annotations, compiled as the operator does it, on a data plane: what they do from outside. */
import { afterAll, afterEach, beforeAll } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { Fragment } from '../../protocol/objects.ts'
import { compileIngress } from '../../operator/compile/compile.ts'
import type { IngressContent } from '../../operator/model/types.ts'
import { endpoints, upsert } from '../../proxy/table/testing/fixtures.ts'
import { Ends, startPlane, type Rig } from '../../proxy/workers/testing/harness.ts'

interface Manifest {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> }
  readonly spec: IngressContent['spec']
}

/** The Ingresses of the first block of a page of docs/, compiled as they stand there. */
export function documented(page: string): readonly ReturnType<typeof compileIngress>[] {
  const text = readFileSync(join(import.meta.dirname, '../../docs', page), 'utf8')
  const [, block = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? []
  return parseAllDocuments(block).map(document => {
    const { metadata, spec } = document.toJSON() as Manifest
    const content: IngressContent = { kind: 'Ingress', annotations: metadata.annotations ?? {}, spec }
    return compileIngress({ key: `Ingress/shop/${metadata.name}`, createdAt: 1 }, 'r1', content, false)
  })
}

const P = 'nginx.ingress.kubernetes.io'

export type Annotations = Readonly<Record<string, string>>

/** The Ingress `name` in namespace `ns`: all paths of `host` below `path` go to Service `ns/<name>:80`. */
export function ingress(name: string, annotations: Annotations, host = 'a.example', path = '/'): Fragment {
  const backend = { service: { name, port: { number: 80 } } }
  const content: IngressContent = {
    kind: 'Ingress',
    annotations: Object.fromEntries(Object.entries(annotations).map(([short, value]) => [`${P}/${short}`, value])),
    spec: { rules: [{ host, http: { paths: [{ path, pathType: 'Prefix', backend }] } }] },
  }
  const { fragment, problems } = compileIngress({ key: `Ingress/ns/${name}`, createdAt: 1_000 }, 'r1', content, false)
  if (fragment === null) throw new Error(problems.map(({ message }) => message).join('; '))
  return fragment
}

/** One Ingress for a.example with these annotations, and its endpoints, and nothing else. */
export function serve(rig: Rig, annotations: Annotations, addresses: readonly string[]): void {
  rig.apply({
    ...endpoints({ 'ns/web:80': addresses }),
    objects: upsert(ingress('web', annotations)).objects,
    reset: true,
  })
}

/** A data plane for all tests of a block. What is given to `ends` ends with each of them. */
export function planeForAll(): { readonly ends: Ends; readonly rig: () => Rig } {
  const forAll = new Ends()
  const ends = new Ends()
  let rig: Rig | null = null
  beforeAll(async () => {
    rig = await startPlane(forAll)
  })
  afterAll(() => forAll.all())
  afterEach(() => ends.all())
  return {
    ends,
    rig: () => {
      if (rig === null) throw new Error('the data plane is there in tests alone')
      return rig
    },
  }
}
