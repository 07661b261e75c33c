/** One connection to an endpoint, from the SYN to its end. */
import type { Socket } from 'node:net'
import { DataPlaneError, errorCode } from '../errors.ts'
import type { SocketIo, SocketWriter } from '../io/contract.ts'
import type { BackendConnection, BackendReader } from './contract.ts'

/** Who waits for a connection that is being opened. */
export interface Taker {
  connected(connection: Connection): void
  refused(error: DataPlaneError): void
}

/** What a connection tells the endpoint that owns it. */
export interface ConnectionOwner {
  /** It is open; its taker is told by the owner. */
  opened(connection: Connection): void
  /** It never opened. */
  refused(connection: Connection, cause: Error): void
  /** The first bytes since it was lent. */
  answered(): void
  /** It was open, nobody reads it, and it is over. */
  lost(connection: Connection): void
}

/** How a connection is opened and written to. */
export interface Opening {
  /** Gives a socket on its way to be connected, with allowHalfOpen, nothing listened to. @param onData gets what arrives */
  readonly open: (onData: (chunk: Buffer) => void) => Socket
  readonly io: SocketIo
  /** Milliseconds. */
  readonly timeout: number
}

export class Connection implements BackendConnection {
  readonly socket: Socket
  readonly out: SocketWriter
  reader: BackendReader | null = null
  /** While it is being opened: null when nobody waits any more. */
  taker: Taker | null
  /** It is, or was opened as, the probe of a suspect endpoint. */
  probe: boolean
  /** Bytes came since it was lent. */
  answered = false
  /** Exchanges that it carried. */
  exchanges = 0
  /** When it was begun to be opened. */
  readonly begun: number
  /** How long that may take, in milliseconds. */
  readonly timeout: number
  /** When it became idle. */
  idleSince = 0
  readonly #owner: ConnectionOwner
  #connectTimer: NodeJS.Timeout | null
  #error: Error | null = null

  constructor(owner: ConnectionOwner, { open, io, timeout }: Opening, taker: Taker, probe: boolean, now: number) {
    const socket = open(chunk => this.#data(chunk))
    this.socket = socket
    this.out = io.writer(socket, () => this.reader?.onDrain())
    this.taker = taker
    this.probe = probe
    this.begun = now
    this.timeout = timeout
    this.#owner = owner
    this.#connectTimer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }))
    }, timeout)
    socket.on('connect', () => {
      this.#opened()
      owner.opened(this)
    })
    socket.on('end', () => {
      if (this.reader !== null) this.reader.onEnd()
      else socket.destroy()
    })
    socket.on('error', error => (this.#error = error))
    socket.on('close', () => this.#closed())
  }

  /** True if nothing is known against lending it. */
  get sound(): boolean {
    return this.socket.readable && this.socket.writable
  }

  #data(chunk: Buffer): void {
    if (!this.answered) {
      this.answered = true
      this.#owner.answered()
    }
    if (this.reader !== null) this.reader.onData(chunk)
    else this.socket.destroy()
  }

  #opened(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer)
    this.#connectTimer = null
  }

  #closed(): void {
    if (this.#connectTimer !== null) {
      this.#opened()
      this.#owner.refused(this, this.#error ?? new Error('closed before it was open'))
      return
    }
    const reader = this.reader
    this.reader = null
    if (reader !== null) reader.onClose(this.#error)
    else this.#owner.lost(this)
  }
}

/** What says that we, not the endpoint, cannot open a connection: descriptors, memory, ports (see connect(2), socket(2)). */
const LOCAL: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EADDRNOTAVAIL', 'ENOBUFS', 'EAGAIN'])

export function connectFailure(address: string, cause: Error): DataPlaneError {
  const code = errorCode(cause)
  if (LOCAL.has(code)) {
    return new DataPlaneError('SLUICE_LOCAL_RESOURCES', `no means to connect to ${address}: ${cause.message}`, {
      cause,
    })
  }
  return code === 'ETIMEDOUT'
    ? new DataPlaneError('SLUICE_CONNECT_TIMEOUT', `connecting to ${address} took too long`, { cause })
    : new DataPlaneError('SLUICE_CONNECT_FAILED', `cannot connect to ${address}: ${cause.message}`, { cause })
}
