/** The same cases on every way that a request may take through the proxy. */
import { afterAll, beforeAll, describe } from '@jest/globals'

interface Way {
  readonly name: string
  /** Settings of the data plane. */
  readonly env: { readonly REQUEST_PATH: 'full' | 'relay'; readonly SOCKET_IO: 'streams' | 'direct' }
  /** Clients' bytes come encrypted. */
  readonly overTls: boolean
  /** What is asked by `ask` is asked over HTTP/2. */
  readonly http2?: boolean
}

function way(REQUEST_PATH: Way['env']['REQUEST_PATH'], SOCKET_IO: Way['env']['SOCKET_IO'], overTls = false): Way {
  return {
    name: [REQUEST_PATH, SOCKET_IO, ...(overTls ? ['TLS'] : [])].join(', '),
    env: { REQUEST_PATH, SOCKET_IO },
    overTls,
  }
}

const DEFAULT = way('relay', 'streams')
const WAYS = [DEFAULT, way('full', 'streams'), way('relay', 'direct')]

let current = DEFAULT

/** Of data planes that tests start. */
export function wayUnderTest(): Way {
  return current
}

/** @param body is called once for each way: it may keep nothing between its calls */
export function describeOnAll(name: string, body: () => void): void {
  describeOn(WAYS, name, body)
}

/** The same where nothing depends on whether connections are encrypted. */
export function describeOnAllAndTls(name: string, body: () => void): void {
  describeOn([...WAYS, way('relay', 'direct', true)], name, body)
}

/** The same where clients ask by `ask` alone. */
export function describeOnAllAndHttp2(name: string, body: () => void): void {
  describeOn([...WAYS, { ...DEFAULT, name: 'relay, HTTP/2', http2: true }], name, body)
}

function describeOn(ways: readonly Way[], name: string, body: () => void): void {
  describe.each(ways)(`${name} ($name)`, one => {
    beforeAll(() => {
      current = one
    })
    afterAll(() => {
      current = DEFAULT
    })
    body()
  })
}
