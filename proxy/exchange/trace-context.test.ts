import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { traceIdOf } from './trace-context.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

describe('the trace of a request', () => {
  it.each([
    [`00-${TRACE}-${PARENT}-01`, TRACE],
    [`00-${TRACE}-${PARENT}-00`, TRACE],
    [`cc-${TRACE}-${PARENT}-01`, TRACE],
    [`cc-${TRACE}-${PARENT}-01-what-comes-later`, TRACE],
    [`00-${TRACE}-${PARENT}-01-more`, null],
    [`ff-${TRACE}-${PARENT}-01`, null],
    [`00-${'0'.repeat(32)}-${PARENT}-01`, null],
    [`00-${TRACE}-${'0'.repeat(16)}-01`, null],
    [`00-${TRACE.toUpperCase()}-${PARENT}-01`, null],
    [`00-${TRACE}-${PARENT}`, null],
    [`00-${TRACE}-${PARENT}-01more`, null],
    [`${TRACE}-${PARENT}-01`, null],
    ['', null],
  ])('%j: %j', (value, trace) => {
    expect(traceIdOf(['Accept', '*/*', 'TraceParent', value])).toBe(trace)
  })

  it('is nobody’s where there is no field, or more than one', () => {
    const value = `00-${TRACE}-${PARENT}-01`
    expect(traceIdOf(['tracestate', 'a=b'])).toBeNull()
    expect(traceIdOf(['traceparent', value, 'traceparent', value])).toBeNull()
  })

  it('is 32 hex digits, or null, whatever is sent', () => {
    const hex = (length: number): fc.Arbitrary<string> =>
      fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter(text => /[1-9a-f]/.test(text))
    fc.assert(
      fc.property(hex(32), hex(16), (trace, parent) => {
        expect(traceIdOf(['traceparent', `00-${trace}-${parent}-01`])).toBe(trace)
      }),
    )
    fc.assert(
      fc.property(fc.string(), value => expect(traceIdOf(['traceparent', value]) ?? TRACE).toMatch(/^[0-9a-f]{32}$/)),
    )
  })
})
