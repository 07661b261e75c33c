/** A verified state for tests, with its objects in a table of its own, as the receiver has it. */
import { smallWriter } from '../../table/testing/one-thread.ts'
import { EMPTY_UPDATE } from '../../table/update.ts'
import { EMPTY_STATE, type Changes, type Step, type StreamState } from '../state.ts'

export class TestState {
  readonly #table = smallWriter()
  #state: StreamState = { ...EMPTY_STATE, objects: this.#table.objects() }

  get state(): StreamState {
    return this.#state
  }

  commit({ state, changes }: Step): Changes {
    this.#table.apply({ ...EMPTY_UPDATE, objects: changes.objects }, this.#table.generation)
    this.#state = { ...state, objects: this.#table.objects() }
    return changes
  }
}
