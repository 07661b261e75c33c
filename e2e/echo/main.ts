import { echoConfig } from './config.ts'
import { EchoServer } from './server.ts'

const config = echoConfig(process.env)
const server = new EchoServer(config)
const port = await server.listen()
console.log(
  JSON.stringify({ message: 'listening', port, version: config.version, pod: config.pod, status: config.status }),
)

let ending = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (ending) return
    ending = true
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
}
