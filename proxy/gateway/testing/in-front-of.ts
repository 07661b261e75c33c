/** A data plane with one host, in front of backends that a test starts. */
import {
  bodyOf,
  site,
  startBackend,
  startPlane,
  type Ends,
  type Environment,
  type Rig,
} from '../../workers/testing/harness.ts'

/** What an echoing backend saw of a request: its answer, as JSON. */
export interface Echo {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** Host a.example, with everything under / at these addresses. */
export async function inFrontOf(
  ends: Ends,
  addresses: readonly string[],
  env: Environment = {},
  setup: Parameters<typeof startPlane>[2] = {},
): Promise<Rig> {
  const rig = await startPlane(ends, env, setup)
  for (const update of site('a.example', addresses)) rig.apply(update)
  return rig
}

/** Host a.example in front of a backend that answers with what it saw. */
export async function echoing(ends: Ends, env: Environment = {}): Promise<Rig> {
  const address = await startBackend(ends, (request, response) => {
    const { method, url, headers, rawHeaders } = request
    bodyOf(request).then(
      body => response.end(JSON.stringify({ method, url, headers, rawHeaders, body }), 'latin1'),
      () => response.destroy(),
    )
  })
  return inFrontOf(ends, [address], env)
}
