import type { LeaseRequest } from '../contract.ts'

/** A wish without any of its own. */
export const PLAIN_REQUEST: LeaseRequest = Object.freeze({
  ...{ exclude: null, fresh: false, unrepeatable: false, on: null },
  ...{ attempts: 0, connecting: null, balance: null, key: 0 },
})
