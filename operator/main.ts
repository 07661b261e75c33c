/** Entry of the operator's image: `main.js` runs it, `main.js uninstall` takes its traces off the cluster's objects. */
import { pino } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { ConfigError, readConfig } from './config.ts'
import { run } from './run.ts'
import { connect, loadKubeConfig } from './kube/connect.ts'
import { describeError } from './kube/errors.ts'
import { uninstall } from './uninstall.ts'

async function main(args: readonly string[]): Promise<void> {
  const config = readConfig(process.env)
  const log = pino({ level: config.logLevel, base: null, messageKey: 'message' })
  if (args[0] === 'uninstall') {
    const client = connect(loadKubeConfig())
    await uninstall({ client, config, say: line => console.log(line) })
    await client.close()
    return
  }
  if (args[0] !== undefined) throw new ConfigError(`unknown command ${args[0]}: there is none, or uninstall`)
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error(
        { error: describeError(error), stack: error instanceof Error ? error.stack : '' },
        'a defect: this process ends',
      )
      process.exit(1)
    })
  }
  const running = await run({ config, log, version: packageJson.version })
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1)
      stopping = true
      log.info({ signal }, 'stopping')
      running.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ error: describeError(error) }, 'could not stop in good order')
          process.exit(1)
        },
      )
    })
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof ConfigError ? `sluice-operator: ${error.message}` : error)
  process.exit(1)
})
