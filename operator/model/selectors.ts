/** Label selectors (meta/v1 LabelSelector): all of matchLabels and all of matchExpressions. */
import type { LabelSelector, LabelSelectorRequirement } from './generated/crds.ts'

type Labels = Readonly<Record<string, string>>

/** An empty selector matches everything. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(selector.matchLabels ?? {}).every(([name, value]) => valueOf(labels, name) === value) &&
    (selector.matchExpressions ?? []).every(requirement => meets(requirement, labels))
  )
}

/** How many labels it asks about: the measure of how specific it is. */
export function labelCount(selector: LabelSelector): number {
  return Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length
}

function meets(requirement: LabelSelectorRequirement, labels: Labels): boolean {
  const value = valueOf(labels, requirement.key)
  const values = requirement.values ?? []
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

function valueOf(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined
}
