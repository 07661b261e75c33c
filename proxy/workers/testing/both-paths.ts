/** The same cases on both ways that a request may take through the proxy. */
import { afterAll, beforeAll, describe } from '@jest/globals'
import { REQUEST_PATHS, type RequestPath } from '../../gateway/transport.ts'

const [DEFAULT] = REQUEST_PATHS
let current: RequestPath = DEFAULT

/** Of data planes that tests start. */
export function pathUnderTest(): RequestPath {
  return current
}

/** @param body is called once for each path: it may keep nothing between its calls */
export function describeOnBoth(name: string, body: () => void): void {
  describe.each(REQUEST_PATHS)(`${name} (%s)`, path => {
    beforeAll(() => {
      current = path
    })
    afterAll(() => {
      current = DEFAULT
    })
    body()
  })
}
