/**
 * How bytes get out of a socket and into it. Whoever owns a socket destroys it itself and hears of its end, its
 * errors and its close; every byte, and the end behind them, goes through here. `streams.ts` takes the public way, `direct.ts` a shorter one.
 */
import type { Socket } from 'node:net'

/** `streams`: those of Node · `direct`: past them, where that works */
export const SOCKET_IOS = ['streams', 'direct'] as const
export type SocketIoName = (typeof SOCKET_IOS)[number]

export interface SocketWriter {
  /** Bytes that were written and that the kernel did not take yet. */
  readonly unsent: number
  /** Write no more before `onDrain`. */
  readonly blocked: boolean
  /** @param data a text stands for one byte per character (latin1) @returns false: wait for `onDrain` */
  write(data: string | Buffer): boolean
  /** Pieces that belong together, as one write where that can be done. @returns false: wait for `onDrain` */
  writeAll(pieces: readonly (string | Buffer)[]): boolean
  /** Nothing is written any more: the other side hears of the end behind all that was. */
  end(): void
  /** The same, and closes the socket then. */
  endAndClose(): void
}

export interface SocketReader {
  /** True of what the next read overwrites, and of every view of it: what is kept has to be copied. */
  lends(bytes: Buffer): boolean
  pause(): void
  resume(): void
}

export interface SocketIo {
  /** @param onDrain everything that was written is on its way */
  writer(socket: Socket, onDrain: () => void): SocketWriter
  /** From now on what comes goes to `onData`, which must not throw. */
  reader(socket: Socket, onData: (chunk: Buffer) => void): SocketReader
}
