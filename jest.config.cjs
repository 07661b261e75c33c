// One jest run serves unit tests (beside the code) and the tests that need an API server or a node (e2e).
// Packages that are published as ES modules only are transformed to CommonJS together with our own code:
// @dot-i/k8s-operator is CommonJS and requires @kubernetes/client-node, which jest's ESM mode cannot do.
const esmOnly = [
  '@kubernetes/client-node', 'openid-client', 'oauth4webapi', 'jose', 'js-yaml', 'jsonpath-plus', 'rfc4648',
  'socks-proxy-agent', 'agent-base', 'proxy-agent', '@peculiar', 'tsyringe', 'fast-check', 'pure-rand',
];
const swc = (syntax) => ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax } }, module: { type: 'commonjs' }, sourceMaps: 'inline' }];

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/{operator,proxy,protocol,crds,scripts,e2e}/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.sluice/'],
  transform: { '\\.ts$': swc('typescript'), '\\.m?js$': swc('ecmascript') },
  transformIgnorePatterns: [`/node_modules/(?!(${esmOnly.join('|')})/)`],
  extensionsToTreatAsEsm: [],
  collectCoverageFrom: ['{operator,proxy,protocol}/**/*.ts', '!**/*.test.ts', '!**/generated/**'],
  coverageProvider: 'v8',
  coverageReporters: ['text-summary', 'json-summary'],
};
