import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'

const DOCKERFILE = join(import.meta.dirname, '../deploy/images/Dockerfile')

it('the image lets the heap have three quarters of the memory that the container may use', () => {
  const text = readFileSync(DOCKERFILE, 'utf8')
  const options = /^FROM runtime AS operator\n(?:(?!FROM )[^\n]*\n)*?ENV NODE_OPTIONS="([^"]+)"$/m.exec(text)?.[1]
  const limit = execFileSync(
    process.execPath,
    ['-p', 'require("node:v8").getHeapStatistics().heap_size_limit'],
    // An option that this Node does not know, or does not take from there, ends it.
    { env: { NODE_OPTIONS: options }, encoding: 'utf8' },
  )
  const constrained = process.constrainedMemory()
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  const share = Number(limit) / memory
  expect(share).toBeGreaterThan(0.74)
  // And what is young.
  expect(share).toBeLessThan(0.9)
})
