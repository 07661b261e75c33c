/** The same cases on every way that a request may take through the proxy. */
import { afterAll, beforeAll, describe } from '@jest/globals'

/** Settings of the data plane. */
const WAYS = [
  { REQUEST_PATH: 'full', SOCKET_IO: 'streams' },
  { REQUEST_PATH: 'relay', SOCKET_IO: 'streams' },
  { REQUEST_PATH: 'relay', SOCKET_IO: 'direct' },
] as const

const [DEFAULT] = WAYS
let current: (typeof WAYS)[number] = DEFAULT

/** Of data planes that tests start. */
export function wayUnderTest(): (typeof WAYS)[number] {
  return current
}

/** @param body is called once for each way: it may keep nothing between its calls */
export function describeOnAll(name: string, body: () => void): void {
  describe.each(WAYS)(`${name} ($REQUEST_PATH, $SOCKET_IO)`, way => {
    beforeAll(() => {
      current = way
    })
    afterAll(() => {
      current = DEFAULT
    })
    body()
  })
}
