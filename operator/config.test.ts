import { describe, expect, it } from '@jest/globals'
import { ConfigError, readConfig } from './config.ts'

const NEEDED = { POD_NAME: 'sluice-operator-0', POD_NAMESPACE: 'sluice-system', POD_IP: '192.0.2.1' }

describe('DEFAULT_SSL_CERTIFICATE', () => {
  it.each([
    [undefined, null],
    ['', null],
    ['shop/tls', 'Secret/shop/tls'],
  ])('%p is %p', (value, key) => {
    expect(readConfig({ ...NEEDED, DEFAULT_SSL_CERTIFICATE: value }).defaultCertificate).toBe(key)
  })

  it.each(['tls', '/tls', 'shop/', 'a/b/c'])('%p is refused', value => {
    expect(() => readConfig({ ...NEEDED, DEFAULT_SSL_CERTIFICATE: value })).toThrow(
      `DEFAULT_SSL_CERTIFICATE=${value} must be <namespace>/<name>`,
    )
  })
})

describe('PUBLISH_STATUS_ADDRESS', () => {
  it('is a list, by default an empty one', () => {
    expect(readConfig(NEEDED).publishAddresses).toEqual([])
    expect(readConfig({ ...NEEDED, PUBLISH_STATUS_ADDRESS: '' }).publishAddresses).toEqual([])
    const set = { ...NEEDED, PUBLISH_STATUS_ADDRESS: '203.0.113.1, lb.example' }
    expect(readConfig(set).publishAddresses).toEqual([{ ip: '203.0.113.1' }, { hostname: 'lb.example' }])
  })

  it('is refused with the variable, its value and what is allowed', () => {
    const bad = { ...NEEDED, PUBLISH_STATUS_ADDRESS: '203.0.113.1:443', LOG_LEVEL: 'loud' }
    expect(() => readConfig(bad)).toThrow(ConfigError)
    expect(() => readConfig(bad)).toThrow(
      'PUBLISH_STATUS_ADDRESS=203.0.113.1:443: "203.0.113.1:443" is neither an IP address nor a host name; ' +
        'allowed are IP addresses and host names, separated by commas or spaces; ' +
        'LOG_LEVEL=loud must be one of info, debug, warn, error',
    )
  })
})
