/** A client that looks at every byte: keep-alive HTTP/1.1, answers with Content-Length only. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Answer {
  readonly status: number
  readonly body: string
  /** Head and body, in bytes. */
  readonly bytes: number
  /** It says that its connection ends. */
  readonly last: boolean
}

/** Null: not all of it is there yet. @throws if it is not an answer whose length is known */
export function parseAnswer(text: string): Answer | null {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return null
  const head = text.slice(0, end)
  const status = /^HTTP\/1\.1 ([0-9]{3})/.exec(head)?.[1]
  const length = /^content-length: *([0-9]+)$/im.exec(head)?.[1]
  if (status === undefined || length === undefined) throw new Error(`an answer without a length: ${head.slice(0, 200)}`)
  const bytes = end + 4 + Number(length)
  const last = /^connection: *close$/im.test(head)
  return text.length < bytes ? null : { status: Number(status), body: text.slice(end + 4, bytes), bytes, last }
}

/** One request after the other on one connection. */
export class Connection {
  readonly socket: Socket
  #received = ''
  #closed: Error | null = null
  #waiting: { readonly resolve: (answer: Answer) => void; readonly reject: (error: Error) => void } | null = null

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      this.#received += chunk
      this.#look()
    })
    socket.on('error', error => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new Connection(socket)
  }

  /** TLS 1.3. @param ca PEM: who signed the certificate, which is looked at */
  static async openTls(port: number, host: string, ca: string): Promise<Connection> {
    const tls = { ca, servername: host, ALPNProtocols: ['http/1.1'], minVersion: 'TLSv1.3' } as const
    const socket = connectTls({ host: '127.0.0.1', port, ...tls })
    await once(socket, 'secureConnect')
    return new Connection(socket)
  }

  get closed(): boolean {
    return this.#closed !== null
  }

  /** GET /. @throws if the connection ends first */
  ask(host: string): Promise<Answer> {
    return this.exchange(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  }

  /** @param request head and body, one character per byte. @throws if the connection ends first */
  exchange(request: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== null) {
        reject(this.#closed)
        return
      }
      this.#waiting = { resolve, reject }
      this.socket.write(request, 'latin1')
    })
  }

  end(): void {
    this.socket.destroy()
  }

  #look(): void {
    try {
      const answer = parseAnswer(this.#received)
      if (answer === null) return
      if (answer.bytes !== this.#received.length || this.#waiting === null) throw new Error('bytes nobody asked for')
      this.#received = ''
      const { resolve } = this.#waiting
      this.#waiting = null
      resolve(answer)
    } catch (error) {
      this.#fail(error as Error)
      this.socket.destroy()
    }
  }

  #fail(error: Error): void {
    this.#closed ??= error
    this.#waiting?.reject(this.#closed)
    this.#waiting = null
  }
}

/** @throws if it is not what the upstream said */
export function expectBody({ status, body }: Pick<Answer, 'status' | 'body'>, expected: string): void {
  if (status !== 200) throw new Error(`status ${status}: ${body.slice(0, 100)}`)
  if (body !== expected) throw new Error(`a body of ${body.length} bytes that is not the upstream's`)
}
