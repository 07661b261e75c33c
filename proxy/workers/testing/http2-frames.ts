/** A client of HTTP/2 that writes frames (RFC 9113 4.1), for what Node's own does not let out. */
import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect } from 'node:tls'
import { eventually, type Ends } from './harness.ts'

export const FRAMES = {
  ...{
    DATA: 0,
    HEADERS: 1,
    PRIORITY: 2,
    RST_STREAM: 3,
    SETTINGS: 4,
    PING: 6,
    GOAWAY: 7,
    WINDOW_UPDATE: 8,
    CONTINUATION: 9,
  },
} as const
export const END_STREAM = 1
export const END_HEADERS = 4

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

export function frame(type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, payload])
}

/** Fields that no table knows (RFC 7541 6.2.2), each of less than 127 bytes. */
export function fieldBlock(fields: Readonly<Record<string, string>>): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')])
  return Buffer.concat(
    Object.entries(fields).map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])),
  )
}

export const GET: Readonly<Record<string, string>> = {
  ...{ ':method': 'GET', ':scheme': 'https', ':authority': 'a.example', ':path': '/' },
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

export class FrameClient {
  readonly socket: Socket
  readonly got: Frame[] = []
  #bytes: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.write(Buffer.concat([PREFACE, frame(FRAMES.SETTINGS, 0, 0)]))
  }

  static async open(ends: Ends, port: number, servername = 'a.example'): Promise<FrameClient> {
    const tls = { servername, ALPNProtocols: ['h2'], rejectUnauthorized: false }
    const socket = connect({ port, host: '127.0.0.1', ...tls })
    ends.add(() => socket.destroy())
    await once(socket, 'secureConnect')
    return new FrameClient(socket)
  }

  /** Without TLS. */
  static async openPlain(ends: Ends, port: number): Promise<FrameClient> {
    const socket = connectPlain(port, '127.0.0.1')
    ends.add(() => socket.destroy())
    await once(socket, 'connect')
    return new FrameClient(socket)
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  get(id: number, fields: Readonly<Record<string, string>> = {}): void {
    this.send(frame(FRAMES.HEADERS, END_STREAM | END_HEADERS, id, fieldBlock({ ...GET, ...fields })))
  }

  /** The first frame of this type, on this stream, once it is there. */
  async until(type: number, id = 0): Promise<Frame> {
    const find = (): Frame | undefined => this.got.find(one => one.type === type && one.id === id)
    await eventually(() => find() !== undefined || this.socket.closed)
    const found = find()
    if (found === undefined) throw new Error(`no frame of type ${type} came on stream ${id}`)
    return found
  }

  async ended(): Promise<void> {
    await eventually(() => this.socket.closed)
  }

  /** Of RST_STREAM, or of GOAWAY, where it stands behind the last stream. */
  static codeOf({ type, payload }: Frame): number {
    return payload.readUInt32BE(type === FRAMES.GOAWAY ? 4 : 0)
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    for (;;) {
      const bytes = this.#bytes
      const end = bytes.length < 9 ? Infinity : 9 + bytes.readUIntBE(0, 3)
      if (bytes.length < end) return
      const [type = 0, flags = 0] = bytes.subarray(3, 5)
      this.got.push({ type, flags, id: bytes.readUInt32BE(5), payload: bytes.subarray(9, end) })
      this.#bytes = bytes.subarray(end)
    }
  }
}
