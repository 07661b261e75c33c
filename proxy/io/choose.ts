import { describe } from '../errors.ts'
import type { SocketIo, SocketIoName } from './contract.ts'
import { directIo } from './direct.ts'
import { tryOut } from './self-test.ts'
import { STREAMS } from './streams.ts'

/** @throws Error if this Node has not what is needed: ask `working` first */
export function ioOf(name: SocketIoName): SocketIo {
  return name === 'direct' ? directIo() : STREAMS
}

/** What is asked for if it works here, else the public way. @param onWarning told why it is not what was asked for */
export async function working(name: SocketIoName, onWarning: (message: string) => void): Promise<SocketIoName> {
  if (name === 'streams') return name
  try {
    await tryOut(ioOf(name))
    return name
  } catch (error) {
    onWarning(`SOCKET_IO=${name} is not used: ${describe(error)}`)
    return 'streams'
  }
}
