/** A port that takes plain bytes and hands them to a TLS port, both ways: clients of tests that speak plain HTTP speak HTTPS by it. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const HALF_OPEN = { allowHalfOpen: true, noDelay: true } as const

/** An end, and a close that is none, on one side is one on the other. @returns the port, and how to end what is open */
export async function overTls(https: number): Promise<{ readonly port: number; readonly end: () => void }> {
  const open = new Set<Socket>()
  const server = createServer(HALF_OPEN, plain => {
    const below = connect({ port: https, host: '127.0.0.1', ...HALF_OPEN })
    const options = { socket: below, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], ...HALF_OPEN }
    const tls = connectTls(options)
    for (const socket of [plain, below, tls]) open.add(socket)
    plain.on('error', () => undefined)
    tls.on('error', () => plain.destroy())
    below.on('error', () => plain.resetAndDestroy())
    plain.on('close', failed => {
      if (failed) below.resetAndDestroy()
      else tls.destroy()
      for (const socket of [plain, below, tls]) open.delete(socket)
    })
    tls.on('close', () => plain.destroy())
    plain.pipe(tls)
    tls.pipe(plain)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const end = (): void => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  return { port: (server.address() as AddressInfo).port, end }
}
