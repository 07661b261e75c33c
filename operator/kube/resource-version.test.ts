import { describe, expect, it } from '@jest/globals'
import { isNewer } from './resource-version.ts'

describe('a resource version', () => {
  it.each<[string, string | null, boolean]>([
    ['2', '1', true],
    ['10', '9', true],
    ['9', '10', false],
    ['7', '7', false],
    // Beyond what a number holds exactly.
    ['90071992547409931', '90071992547409930', true],
    ['90071992547409930', '90071992547409931', false],
    ['1', null, true],
    // What is no version is another one, and no more is known of it.
    ['a', 'b', true],
    ['a', 'a', false],
    ['0', '5', true],
    ['01', '5', true],
    ['3', '', true],
  ])('%s is newer than %s: %s', (version, held, expected) => {
    expect(isNewer(version, held)).toBe(expected)
  })
})
