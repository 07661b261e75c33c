// The import rules of DESIGN: one direction, protocol shared, each side blind to the other.
const rule = (name, from, to, comment) => ({ name, severity: 'error', comment, from: { path: from }, to: { path: to } })
module.exports = {
  forbidden: [
    rule('proxy-not-operator', '^proxy/', '^operator/', 'a proxy knows the operator by the protocol alone'),
    rule('operator-not-proxy', '^operator/', '^proxy/', 'the operator knows a proxy by the protocol alone'),
    rule('protocol-is-a-leaf', '^protocol/', '^(operator|proxy|e2e)/', 'protocol imports neither side'),
    rule('memory-is-a-leaf', '^proxy/memory/(?!.*\\.test\\.ts$)', '^proxy/(?!memory/|errors\\.ts)', 'what is shared between threads knows nothing of what it holds'),
    rule('model-is-pure', '^operator/model/', '^operator/(?!model/)', 'model comes first in the flow'),
    rule('compile-is-pure', '^operator/compile/', '^operator/(?!(model|compile)/)', 'compile sees the model alone'),
    rule('rollout-machine-is-pure', '^operator/rollout/machine/(?!.*\\.test\\.ts$)', '^operator/(?!rollout/machine/|model/)', 'the machine imports nothing from kube or stream'),
    rule('stream-not-rollout', '^operator/stream/', '^operator/rollout/(?!machine/)', 'the stream does not know how rollouts are driven'),
    rule('product-not-e2e', '^(operator|proxy|protocol)/(?!.*\\.test\\.ts$)', '^e2e/', 'the product does not import the tests'),
    { name: 'proxy-not-its-test-rigs', severity: 'error', comment: 'what is under testing/ is for tests', from: { path: '^(proxy|protocol)/', pathNot: ['/testing/', '\\.test\\.ts$'] }, to: { path: '^(proxy|protocol)/.*testing/' } },
    { name: 'dot-i-in-one-file', severity: 'error', from: { pathNot: '^operator/kube/base\\.ts$' }, to: { path: 'node_modules/@dot-i' } },
    { name: 'fastify-in-few-places', severity: 'error', comment: 'fast paths do without it: it is for the full path and for people', from: { pathNot: ['^proxy/gateway/full-path\\.ts$', '^(proxy|operator)/admin/'] }, to: { path: 'node_modules/(fastify|@fastify)/' } },
    { name: 'fastify-proxy-in-one-file', severity: 'error', from: { pathNot: '^proxy/gateway/full-path\\.ts$' }, to: { path: 'node_modules/@fastify/http-proxy' } },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
  ],
  options: { tsPreCompilationDeps: true, doNotFollow: { path: 'node_modules' }, tsConfig: { fileName: 'tsconfig.json' }, enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'require', 'default'], extensions: ['.ts', '.js', '.json'] } },
}
