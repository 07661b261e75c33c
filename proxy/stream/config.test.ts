import { describe, expect, it } from '@jest/globals'
import { parseAddress } from './address.ts'
import { streamConfig } from './config.ts'

const least = { POD_NAME: 'sluice-proxy-0', SLUICE_OPERATOR: 'sluice-operator.sluice-system.svc:8443' }

describe('streamConfig', () => {
  it('has defaults that suit the pod', () => {
    expect(streamConfig(least)).toEqual({
      pod: 'sluice-proxy-0',
      operator: { host: 'sluice-operator.sluice-system.svc', port: 8443 },
      tokenFile: '/var/run/secrets/sluice/token',
      caFile: '/etc/sluice/stream-ca/ca.crt',
      stateDir: '/var/lib/sluice',
      logLevel: 'info',
    })
  })

  it('takes what is set; an empty STATE_DIR keeps nothing', () => {
    const set = { TOKEN_FILE: '/t', CA_FILE: '/c', STATE_DIR: '', LOG_LEVEL: 'warn' }
    expect(streamConfig({ ...least, ...set })).toMatchObject({
      ...{ tokenFile: '/t', caFile: '/c', stateDir: null, logLevel: 'warn' },
    })
  })

  it.each([
    ['POD_NAME', undefined],
    ['POD_NAME', 'Sluice Proxy'],
    ['SLUICE_OPERATOR', undefined],
    ['SLUICE_OPERATOR', 'sluice-operator'],
    ['SLUICE_OPERATOR', 'https://sluice-operator:8443'],
    ['TOKEN_FILE', 'token'],
    ['CA_FILE', './ca.crt'],
    ['STATE_DIR', 'state'],
    ['LOG_LEVEL', 'loud'],
  ])('%s=%s is refused by name', (name, value) => {
    expect(() => streamConfig({ ...least, [name]: value })).toThrow(
      expect.objectContaining({ code: 'SLUICE_CONFIG', message: expect.stringContaining(name) as unknown }),
    )
  })
})

describe('parseAddress', () => {
  it.each([
    ['10.0.0.1:8443', { host: '10.0.0.1', port: 8443 }],
    ['[fd00::1]:8443', { host: 'fd00::1', port: 8443 }],
    ['operator.ns.svc:1', { host: 'operator.ns.svc', port: 1 }],
    ['fd00::1:8443', null],
    ['[operator]:8443', null],
    ['operator', null],
    ['operator:0', null],
    ['operator:65536', null],
    [':8443', null],
    ['a/b:8443', null],
    ['', null],
  ])('%s', (text, address) => {
    expect(parseAddress(text)).toEqual(address)
  })
})
