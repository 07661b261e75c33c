/**
 * Writes operator/model/generated/ from crds/ (the types of our objects, and their schemas for ajv), and docs/metrics.md
 * from the code. `--check` writes nothing and fails if a file differs. The output depends on nothing else.
 */
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { crdsFrom } from './generate/crd.ts'
import { metricsDocument } from './generate/metrics.ts'
import { schemasModule } from './generate/schemas.ts'
import { typesModule } from './generate/types.ts'

const root = new URL('../', import.meta.url)
const MODEL = 'operator/model/generated/'

async function readCrds(): Promise<ReturnType<typeof crdsFrom>> {
  const folder = new URL('crds/', root)
  const names = (await readdir(folder)).filter(name => name.endsWith('.yaml') && name !== 'kustomization.yaml').sort()
  const documents = names.map(async name => parse(await readFile(new URL(name, folder), 'utf8')) as unknown)
  return crdsFrom(await Promise.all(documents))
}

async function current(file: URL): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

const crds = await readCrds()
const files: readonly (readonly [string, string])[] = [
  [`${MODEL}crds.ts`, await typesModule(crds)],
  [`${MODEL}schemas.ts`, await schemasModule(crds)],
  ['docs/metrics.md', await metricsDocument()],
]
const stale: string[] = []
await mkdir(new URL(MODEL, root), { recursive: true })
for (const [name, text] of files) {
  const file = new URL(name, root)
  if ((await current(file)) === text) continue
  stale.push(name)
  if (!process.argv.includes('--check')) await writeFile(file, text)
}
if (!process.argv.includes('--check')) {
  console.log(stale.length === 0 ? 'generated files: nothing changed' : `written: ${stale.join(', ')}`)
} else if (stale.length > 0) {
  console.error(
    `generated files differ from what they are made from: ${stale.join(', ')}\nrun \`make generate\` and commit the result`,
  )
  process.exitCode = 1
}
