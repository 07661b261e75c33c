/** Opening a connection to an endpoint, so that "could not connect" is told apart from everything after the first byte. */
import { connect, type Socket } from 'node:net'
import { buildConnector } from 'undici'
import { DataPlaneError, errorCode } from '../errors.ts'
import { splitAddress } from './address.ts'

/** True if nothing was sent: another endpoint may be tried. */
export function isConnectFailure(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'SLUICE_CONNECT_FAILED' || code === 'SLUICE_CONNECT_TIMEOUT'
}

function connectError(address: string, cause: Error): DataPlaneError {
  const timeout = errorCode(cause) === 'UND_ERR_CONNECT_TIMEOUT' || errorCode(cause) === 'ETIMEDOUT'
  return timeout
    ? new DataPlaneError('SLUICE_CONNECT_TIMEOUT', `connecting to ${address} took too long`, { cause })
    : new DataPlaneError('SLUICE_CONNECT_FAILED', `cannot connect to ${address}: ${cause.message}`, { cause })
}

/** A connector for undici whose every error is a connect failure of ours. */
export function endpointConnector(address: string, timeoutMs: number): buildConnector.connector {
  const base = buildConnector({ timeout: timeoutMs })
  return (options, callback) => {
    base(options, (...args: buildConnector.CallbackArgs) => {
      const [error, socket] = args
      if (error) callback(connectError(address, error), null)
      else callback(null, socket)
    })
  }
}

/** A raw connection, for upgrades. Rejects with a connect failure. */
export function connectEndpoint(address: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port } = splitAddress(address)
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 })
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
      timeoutMs,
    )
    const failed = (error: Error): void => {
      clearTimeout(timer)
      reject(connectError(address, error))
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', failed)
      resolve(socket)
    })
  })
}
