/** What kstatus and Argo CD have to say of an IngressRollout, and the rules that docs/gitops.md has for Argo CD. Pure. */
import { parse } from 'yaml'

export interface RolloutObject {
  readonly metadata: { readonly name: string; readonly generation?: number }
  readonly status?: {
    readonly phase?: string
    readonly observedGeneration?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[]
  }
}

export interface Expected {
  readonly kstatus: string
  readonly rule: string
}

const ENDS_BY_ITSELF = ['WaitingForTime', 'OtherRollout', 'InUse'] as const

/** As the tables of docs/gitops.md say; null: nobody has looked at this generation yet. */
export function expectedOf({ metadata, status }: RolloutObject): Expected | null {
  if (status?.phase === undefined || status.observedGeneration !== metadata.generation) return null
  const paused = status.conditions?.find(one => one.type === 'Paused' && one.status === 'True')?.reason
  switch (status.phase) {
    case 'Complete':
    case 'Superseded':
      return { kstatus: 'Current', rule: 'Healthy' }
    case 'RolledBack':
    case 'Held':
      return { kstatus: 'Failed', rule: 'Degraded' }
    case 'Paused':
      return {
        kstatus: ENDS_BY_ITSELF.some(reason => reason === paused) ? 'InProgress' : 'Failed',
        rule: paused === 'GateFailed' ? 'Degraded' : 'Suspended',
      }
    default:
      return { kstatus: 'InProgress', rule: 'Progressing' }
  }
}

/** The health rules of argocd-cm in the document, by `group_Kind`. @throws RangeError if it has none */
export function rulesOf(document: string): Readonly<Record<string, string>> {
  const block = blocksOf(document).find(text => text.includes('resource.customizations.health'))
  if (block === undefined) throw new RangeError('the document has no health rules')
  const { data } = parse(block) as { readonly data: Readonly<Record<string, string>> }
  const prefix = 'resource.customizations.health.'
  const rules = Object.entries(data).filter(([key]) => key.startsWith(prefix))
  return Object.fromEntries(rules.map(([key, rule]) => [key.slice(prefix.length), rule]))
}

/** The Job that lets helm wait, as the document has it. @throws RangeError if it has none */
export function hookOf(document: string): string {
  const block = blocksOf(document).find(text => text.includes('helm.sh/hook:'))
  if (block === undefined) throw new RangeError('the document has no hook for helm')
  return block
}

function blocksOf(document: string): readonly string[] {
  return [...document.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
}
