import { describe, expect, it } from '@jest/globals'
import { CATALOGUE } from './catalogue.ts'
import { FAMILIES } from './kind.ts'

describe('the catalogue', () => {
  it('has at least 36 kinds, of every family', () => {
    expect(CATALOGUE.length).toBeGreaterThanOrEqual(36)
    expect(new Set(CATALOGUE.map(kind => kind.family))).toEqual(new Set(FAMILIES))
  })

  it('names each kind once, so that it can be an Ingress and a host', () => {
    const names = CATALOGUE.map(kind => kind.name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9-]{1,50}$/)
  })

  it('says of each kind what is changed, by manifest or by hand', () => {
    expect(CATALOGUE.filter(kind => kind.change === undefined && kind.act === undefined)).toEqual([])
  })

  it('lets play alone what has to be put right afterwards', () => {
    expect(CATALOGUE.filter(kind => kind.restore !== undefined && kind.alone !== true)).toEqual([])
  })
})
