/**
 * Bundles the programs that run in images: one file each under dist/, so that an image needs neither npm nor
 * node_modules. `node scripts/bundle.ts [name…]`, names as in ENTRIES; none for all.
 */
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

interface Entry {
  readonly name: string
  readonly source: string
  readonly target: string
}

const ENTRIES: readonly Entry[] = [
  { name: 'operator', source: 'operator/main.ts', target: 'dist/operator/main.js' },
  { name: 'proxy', source: 'proxy/main.ts', target: 'dist/proxy/main.js' },
  { name: 'proxy', source: 'proxy/worker.ts', target: 'dist/proxy/worker.js' },
  { name: 'echo', source: 'e2e/echo/main.ts', target: 'dist/echo/main.js' },
]

// Packages that are CommonJS ask for require and __dirname, which an ES module does not have.
const BANNER = `import { createRequire as sluiceCreateRequire } from 'node:module';
const require = sluiceCreateRequire(import.meta.url);
const sluiceDirname = import.meta.dirname, sluiceFilename = import.meta.filename;`

const root = fileURLToPath(new URL('../', import.meta.url))

async function bundle(entry: Entry): Promise<void> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry.source],
    outfile: entry.target,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'esm',
    sourcemap: 'external',
    legalComments: 'none',
    banner: { js: BANNER },
    define: { __dirname: 'sluiceDirname', __filename: 'sluiceFilename' },
    logLevel: 'warning',
    metafile: true,
  })
  const bytes = result.metafile.outputs[entry.target]?.bytes ?? 0
  console.log(`${entry.target}  ${(bytes / 1024).toFixed(0)} KiB`)
}

const wanted = new Set(process.argv.slice(2))
for (const name of wanted) {
  if (!ENTRIES.some(entry => entry.name === name)) {
    console.error(`no program "${name}"; there are ${[...new Set(ENTRIES.map(entry => entry.name))].join(', ')}`)
    process.exit(2)
  }
}
const entries = ENTRIES.filter(entry => wanted.size === 0 || wanted.has(entry.name))
for (const folder of new Set(entries.map(entry => dirname(entry.target)))) {
  await rm(`${root}${folder}`, { recursive: true, force: true })
}
for (const entry of entries) {
  if (!existsSync(`${root}${entry.source}`)) {
    console.log(`${entry.target}  skipped, there is no ${entry.source}`)
    continue
  }
  await mkdir(dirname(`${root}${entry.target}`), { recursive: true })
  // Node takes .js for CommonJS unless the nearest package.json says otherwise.
  await writeFile(`${root}${dirname(entry.target)}/package.json`, '{"type":"module"}\n')
  await bundle(entry)
}
