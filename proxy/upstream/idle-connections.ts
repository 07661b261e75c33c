/** Connections of one endpoint that are not lent. */
import type { Connection } from './backend-connection.ts'
import type { UpstreamSettings } from './settings.ts'

type Ages = Pick<UpstreamSettings, 'idleTimeout' | 'maxAge'>

export class IdleConnections {
  /** Used last comes last. */
  readonly idle: Connection[] = []
  /** Being opened for somebody who went away. */
  readonly untaken: Connection[] = []

  /**
   * The one that was used last: the others get old, and go when they are not needed any more.
   * @param within it was used in so many milliseconds
   */
  take(now: number, within: number, ages: Ages): Connection | null {
    for (;;) {
      const last = this.idle.at(-1)
      if (last === undefined) return null
      if (now - last.idleSince >= within) {
        // Another one is opened in its place, and comes back to the list: it must not grow with every request.
        if (this.idle.length > 1) this.idle.shift()?.socket.destroy()
        return null
      }
      const connection = this.idle.pop()
      if (connection === undefined) return null
      if (connection.sound && !isOld(connection, now, ages)) return connection
      connection.socket.destroy()
    }
  }

  /** @param most so many at most: the one that was not used for longest makes room */
  keep(connection: Connection, most: number): void {
    if (this.idle.length >= most) this.idle.shift()?.socket.destroy()
    this.idle.push(connection)
  }

  /** Closes what was idle for too long. */
  sweep(now: number, ages: Ages): void {
    for (const connection of this.idle.filter(one => isOld(one, now, ages))) {
      forget(this.idle, connection)
      connection.socket.destroy()
    }
  }

  /** One that is being opened for nobody, and gives up when its new taker would: after `timeout` milliseconds. */
  takeUntaken(timeout: number): Connection | null {
    const connection = this.untaken.findLast(one => one.timeout === timeout)
    if (connection === undefined) return null
    forget(this.untaken, connection)
    return connection
  }

  closeAll(): void {
    for (const connection of this.idle.splice(0)) connection.socket.destroy()
    for (const connection of this.untaken.splice(0)) connection.socket.destroy()
  }

  /** It is open, or never will be. */
  taken(connection: Connection): void {
    forget(this.untaken, connection)
  }

  lost(connection: Connection): void {
    forget(this.idle, connection)
  }
}

export function isOld(connection: Connection, now: number, { idleTimeout, maxAge }: Ages): boolean {
  return now - connection.idleSince >= idleTimeout || (maxAge > 0 && now - connection.begun >= maxAge)
}

function forget(list: Connection[], connection: Connection): void {
  const index = list.indexOf(connection)
  if (index >= 0) list.splice(index, 1)
}
