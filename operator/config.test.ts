import { describe, expect, it } from '@jest/globals'
import { readConfig } from './config.ts'

const env = { POD_NAME: 'a', POD_NAMESPACE: 'sluice-system', POD_IP: '127.0.0.1' }

describe('DEFAULT_SSL_CERTIFICATE', () => {
  it.each([
    [undefined, null],
    ['', null],
    ['shop/tls', 'Secret/shop/tls'],
  ])('%p is %p', (value, key) => {
    expect(readConfig({ ...env, DEFAULT_SSL_CERTIFICATE: value }).defaultCertificate).toBe(key)
  })

  it.each(['tls', '/tls', 'shop/', 'a/b/c'])('%p is refused', value => {
    expect(() => readConfig({ ...env, DEFAULT_SSL_CERTIFICATE: value })).toThrow(
      `DEFAULT_SSL_CERTIFICATE=${value} must be <namespace>/<name>`,
    )
  })
})
