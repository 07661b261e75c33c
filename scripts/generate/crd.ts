/** A CustomResourceDefinition, as far as the generator reads it. */

/** A structural schema, or a JSON schema made from one. */
export interface Schema {
  readonly [keyword: string]: unknown
  readonly title?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly additionalProperties?: Schema | boolean
  readonly required?: readonly string[]
}

export interface Crd {
  readonly kind: string
  readonly group: string
  readonly version: string
  readonly namespaced: boolean
  readonly schema: Schema
}

interface Manifest {
  readonly kind?: string
  readonly spec?: {
    readonly group: string
    readonly scope: string
    readonly names: { readonly kind: string }
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[]
  }
}

/** @throws TypeError if a document is no CRD of exactly one version. */
export function crdsFrom(documents: readonly unknown[]): readonly Crd[] {
  return documents.map(document => {
    const { kind, spec } = document as Manifest
    const version = spec?.versions[0]
    if (
      kind !== 'CustomResourceDefinition' ||
      spec === undefined ||
      version === undefined ||
      spec.versions.length !== 1
    ) {
      throw new TypeError('expected a CustomResourceDefinition of one version')
    }
    return {
      kind: spec.names.kind,
      group: spec.group,
      version: version.name,
      namespaced: spec.scope === 'Namespaced',
      schema: version.schema.openAPIV3Schema,
    }
  })
}
