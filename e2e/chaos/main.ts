/**
 * `make chaos`: thirty changes, good and bad, with three operators of which the leader is killed or stands still every 20 s. All have
 * to end right, and nothing may be stored that somebody decided who did not lead any more. docs/safety.md
 * CHANGES=30; SEED=1; KEEP=1 leaves the node up.
 */
import { fileURLToPath } from 'node:url'
import { Cluster as Node } from '../demo/cluster.ts'
import { Space } from '../node/harness/space.ts'
import { randomOf } from '../../protocol/testing/random.ts'
import { chaos } from './chaos.ts'
import { problemsOf, textOf } from './outcome.ts'

const FLEET = 5
const OPERATORS = 3
const HOSTS = 6
const EVERY_MS = 20_000
const root = fileURLToPath(new URL('../../', import.meta.url))
const { env } = process
const say = (line: string): void => console.log(line)

async function run(): Promise<boolean> {
  const space = await Space.open('chaos')
  try {
    const random = randomOf(Number(env['SEED'] ?? 1))
    const outcome = await chaos(space, {
      ...{ changes: Number(env['CHANGES'] ?? 30), disturbances: 2, hosts: HOSTS },
      ...{ everyMs: EVERY_MS, leastMs: 0, random, say },
    })
    const problems = problemsOf(outcome)
    say('')
    say(textOf(outcome))
    problems.forEach(text => say(`  not as it should be: ${text}`))
    return problems.length === 0
  } finally {
    await space.close()
  }
}

async function main(): Promise<number> {
  const node = new Node(root)
  // A cluster that was up already is not ours to end.
  const wasUp = await node.isUp()
  if (!wasUp) await node.up(FLEET, OPERATORS)
  try {
    return (await run()) ? 0 : 1
  } finally {
    if (!wasUp && env['KEEP'] !== '1') await node.down()
  }
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(`chaos: ${error instanceof Error ? error.message : String(error)}`)
  return 1
})
