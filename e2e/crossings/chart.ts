/** A chart as its user would write it: an Ingress, and the hook of docs/gitops.md word for word, but for its image. Pure. */
import { parse, stringify } from 'yaml'
import { ingress } from '../node/harness/manifests.ts'
import { ROLLOUT_GROUP } from '../node/harness/group.ts'

export interface ChartOptions {
  /** Of the Job in docs/gitops.md. */
  readonly hook: string
  readonly image: string
  readonly host: string
}

interface Job {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly [{ image: string; imagePullPolicy?: string }] }
    }
  }
}

/** Files of the chart by path. */
export function chartOf({ hook, image, host }: ChartOptions): Readonly<Record<string, string>> {
  const web = ingress({ namespace: '{{ .Release.Namespace }}', name: 'web', host, to: 'TO' })
  const job = parse(hook) as Job
  const [container] = job.spec.template.spec.containers
  container.image = image
  container.imagePullPolicy = 'Never'
  const account = { name: 'web-rollout', namespace: '{{ .Release.Namespace }}' }
  const rules = [
    { apiGroups: [ROLLOUT_GROUP], resources: ['ingressrollouts'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['networking.k8s.io'], resources: ['ingresses'], verbs: ['get'] },
  ]
  const rbac = 'rbac.authorization.k8s.io'
  const documents = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: account, rules },
    {
      ...{ apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata: account },
      roleRef: { apiGroup: rbac, kind: 'Role', name: account.name },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    },
  ]
  return {
    'Chart.yaml': stringify({ apiVersion: 'v2', name: 'web', version: '1.0.0' }),
    'values.yaml': stringify({ to: 'v1' }),
    'templates/web.yaml': stringify(web).replace('echo-TO', 'echo-{{ .Values.to }}'),
    'templates/account.yaml': documents.map(one => stringify(one)).join('---\n'),
    'templates/hook.yaml': stringify(job, { lineWidth: 0 }),
  }
}
