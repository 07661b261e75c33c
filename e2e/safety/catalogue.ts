/** All kinds of bad change. To add one: a value in the list of its family, in kinds/. docs/safety.md */
import type { Kind } from './kind.ts'
import { BACKENDS } from './kinds/backends.ts'
import { CERTIFICATES } from './kinds/certificates.ts'
import { DISTURBED } from './kinds/disturbed.ts'
import { PATHS } from './kinds/paths.ts'
import { POLICIES } from './kinds/policies.ts'

export const CATALOGUE: readonly Kind[] = [...BACKENDS, ...PATHS, ...CERTIFICATES, ...POLICIES, ...DISTURBED]
