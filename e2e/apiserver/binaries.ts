/** Where the programs of the local node are; built by the first who asks. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ApiServerError } from './errors.ts'

const script = join(import.meta.dirname, '../cluster/cluster')

/** Shows progress on standard error while it builds. @throws ApiServerError */
export async function findBinaries(): Promise<string> {
  const child = spawn(script, ['build'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let folder = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (folder += text))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new ApiServerError('APISERVER_NO_BINARIES', 'cluster build failed; it has said why')
  return folder.trim()
}
