/** What the scenes act on: kubectl with its output shown, the journal, the screen. */
import { relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CAST } from './events.ts'
import type { DemoEvent, Part, RolloutEvent } from './events.ts'
import { DemoError } from './journal.ts'
import type { Journal } from './journal.ts'
import type { Kubectl, Outcome } from './kubectl.ts'
import type { Screen } from './screen.ts'
import { rolloutOf, warningOf } from './watched.ts'

const FINAL: ReadonlySet<string> = new Set(['Complete', 'RolledBack', 'Superseded', 'Held', 'Paused'])

export class Stage {
  readonly journal: Journal
  readonly screen: Screen
  readonly #kubectl: Kubectl
  readonly #folder: string
  readonly #warnings = new Set<string>()

  constructor(parts: {
    readonly journal: Journal
    readonly screen: Screen
    readonly kubectl: Kubectl
    readonly folder: string
  }) {
    this.journal = parts.journal
    this.screen = parts.screen
    this.#kubectl = parts.kubectl
    this.#folder = relative(process.cwd(), parts.folder) || '.'
  }

  /** Writes down every IngressRollout and every warning of the demo's namespace from now on. */
  watch(): void {
    this.#kubectl.watch(['ingressrollouts', '-n', CAST.namespace], document => {
      const event = rolloutOf(document, performance.now())
      if (event !== null) this.journal.add(event)
    })
    this.#kubectl.watch(['events', '-n', CAST.namespace, '--field-selector', 'type=Warning'], document => {
      const event = warningOf(document, performance.now())
      // A watch that starts again lists what was said before.
      const text = event === null ? '' : `${event.object} ${event.reason} ${event.message}`
      if (event === null || this.#warnings.has(text)) return
      this.#warnings.add(text)
      this.journal.add(event)
    })
  }

  begin(part: Part, title: string | null): void {
    if (title !== null) this.screen.title(title)
    this.journal.add({ type: 'part', at: performance.now(), part })
  }

  /** Runs kubectl and shows command and output. */
  async type(args: readonly string[], signal?: AbortSignal): Promise<Outcome> {
    const line = `$ kubectl ${args.map(quote).join(' ')}`
    const outcome = await this.#kubectl.run(args, signal)
    const shown = signal?.aborted === true ? '(given up)' : outcome.output
    this.screen.say('', this.screen.paint('strong', line), ...shown.split('\n').map(text => `  ${text}`), '')
    return outcome
  }

  /** @throws DemoError if the API server refuses the file */
  async apply(file: string): Promise<void> {
    const { code, output } = await this.type(['apply', '-f', `${this.#folder}/${file}`])
    if (code !== 0) throw new DemoError(`kubectl apply -f ${file} failed: ${output}`)
  }

  /** Applies the file and returns the rollout that the operator makes of it. @throws DemoError */
  async change(file: string, kind: RolloutEvent['kind']): Promise<RolloutEvent> {
    const known = this.journal.rolloutNames
    const isNew = (event: DemoEvent): event is RolloutEvent =>
      event.type === 'rollout' && event.kind === kind && !known.has(event.name)
    const [rollout] = await Promise.all([
      this.journal.next(`an IngressRollout for the ${kind}`, 20_000, isNew),
      this.apply(file),
    ])
    return rollout
  }

  /** Types `kubectl wait` for the condition; gives up when the rollout ends otherwise. Returns how it ended. */
  async ends(rollout: RolloutEvent, condition: 'Complete' | 'RolledBack'): Promise<RolloutEvent> {
    const isEnd = (event: DemoEvent): event is RolloutEvent =>
      event.type === 'rollout' && event.name === rollout.name && FINAL.has(event.phase)
    const already = this.journal.rollout(rollout.name)
    const end =
      already !== undefined && isEnd(already)
        ? Promise.resolve(already)
        : this.journal.next(`the end of ${rollout.name}`, 120_000, isEnd)
    const giveUp = new AbortController()
    const waiting = this.type(
      ['wait', `--for=condition=${condition}`, `ingressrollout/${rollout.name}`, '-n', CAST.namespace, '--timeout=2m'],
      giveUp.signal,
    )
    try {
      const ended = await end
      // kubectl hears of it a moment later than our own watch.
      if (ended.phase === condition) await Promise.race([waiting, sleep(5_000, undefined, { ref: false })])
      return ended
    } finally {
      giveUp.abort()
      await waiting
    }
  }
}

/** As a shell would need it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
