/** Settings of a run, from its environment. Pure. */
import { integer } from '../bench/settings.ts'
import type { Environment } from '../bench/settings.ts'

export interface Settings {
  /** Of load and changes, after the pace was found. */
  readonly minutes: number
  /** Seconds of them that no line is fitted to: caches fill, compilers and pools settle. */
  readonly warmUp: number
  /** A second. */
  readonly changes: number
  /** Percent of a core that the serving worker is to use. */
  readonly load: number
  readonly hosts: number
  /** Seconds from one sample to the next. */
  readonly sample: number
  readonly seed: number
  /** Put the table into docs/soak.md. */
  readonly write: boolean
}

/** @throws SettingError naming variable, value and what is allowed */
export function settingsFrom(env: Environment): Settings {
  const minutes = integer(env, 'MINUTES', 30, 1, 10_080)
  return {
    minutes,
    warmUp: integer(env, 'WARMUP', minutes * 10, 0, minutes * 50),
    changes: integer(env, 'CHANGES', 10, 1, 100),
    load: integer(env, 'LOAD', 70, 1, 95),
    hosts: integer(env, 'HOSTS', 5_000, 100, 200_000),
    sample: integer(env, 'SAMPLE', 5, 1, 10),
    seed: integer(env, 'SEED', 1, 0, 4_294_967_295),
    write: env['WRITE'] === '1',
  }
}

/** What to type to measure this again. */
export function commandOf({ minutes, warmUp, changes, load, hosts, sample, seed }: Settings): string {
  const more = [warmUp === minutes * 10 ? '' : `WARMUP=${warmUp} `, sample === 5 ? '' : `SAMPLE=${sample} `].join('')
  return `MINUTES=${minutes} CHANGES=${changes} LOAD=${load} HOSTS=${hosts} SEED=${seed} ${more}make soak`
}
