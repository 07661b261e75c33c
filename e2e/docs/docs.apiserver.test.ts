/** Every manifest that README and docs show is one that a real API server accepts. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parseAllDocuments } from 'yaml'
import { startApiServer } from '../apiserver/apiserver.ts'

const root = join(__dirname, '../..')
const run = promisify(execFile)

let server: Awaited<ReturnType<typeof startApiServer>>
let folder: string

async function kubectl(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(server.kubectl, ['--kubeconfig', server.kubeconfig, ...args])
  return stdout + stderr
}

async function pages(): Promise<readonly string[]> {
  const docs = await readdir(join(root, 'docs'))
  return ['README.md', 'deploy/README.md', ...docs.filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]
}

/** Fenced blocks of YAML that hold whole objects of Kubernetes; kustomizations are for kustomize. */
async function manifests(): Promise<readonly { readonly page: string; readonly text: string }[]> {
  const found: { page: string; text: string }[] = []
  for (const page of await pages()) {
    const text = await readFile(join(root, page), 'utf8')
    for (const [, block = ''] of text.matchAll(/```yaml\n([\s\S]*?)```/g)) {
      const whole = parseAllDocuments(block).every(document => {
        const kind: unknown = document.get('kind')
        return document.has('apiVersion') && kind !== undefined && kind !== 'Kustomization'
      })
      if (whole) found.push({ page, text: block })
    }
  }
  return found
}

beforeAll(async () => {
  server = await startApiServer()
  folder = await mkdtemp(join(tmpdir(), 'sluice-docs-'))
  await kubectl('apply', '--server-side', '-k', join(root, 'crds'))
  await kubectl('wait', '--for=condition=Established', '--timeout=30s', 'crd', '--all')
}, 600_000)
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await server.stop()
})

describe('manifests in the documentation', () => {
  it('there are some', async () => {
    const kinds = (await manifests()).map(({ page }) => page)
    expect(kinds).toEqual(expect.arrayContaining(['README.md', 'docs/rollout-policy.md']))
  })

  it('are accepted as they stand', async () => {
    for (const [i, { page, text }] of (await manifests()).entries()) {
      const file = join(folder, `${i}.yaml`)
      await writeFile(file, text)
      const said = await kubectl('apply', '--server-side', '--dry-run=server', '-f', file).catch(
        (error: unknown) => `${page}: ${String(error)}`,
      )
      expect(said).toContain('serverside-applied')
    }
  }, 60_000)
})
