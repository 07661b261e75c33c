/** What the end of a TLS connection says of the host's certificate: the figures that take a rollout back. Pure. */

export interface TlsEnding {
  /** The handshake was finished. */
  readonly secured: boolean
  /** Of a session that began before: no certificate was shown. */
  readonly resumed: boolean
  /** A byte of a request came, or of an answer went out: who is turned away has a reason to go. */
  readonly spoken: boolean
  /**
   * `alert`: OpenSSL gave up, or the client said that it does; `left`: the client closed without a word; `timeout`: it
   * kept silent for too long; `ours`: we closed, for reasons of ours (limits, a drain, its time without a request).
   */
  readonly by: 'alert' | 'left' | 'timeout' | 'ours'
  /** For how long our event loop was late while it went on, in milliseconds. */
  readonly lag: number
}

/**
 * `failure`: counts against the certificate; `slow`: it may have been us whom the client had no patience with; `nothing`.
 *
 * Clients refuse a certificate by an alert or, after the handshake, by going without a word (DESIGN). Whoever asked for
 * something, or saw no certificate, has refused none. An alert is a word, however late we read it.
 * @param patience lag from which on silence says nothing, in milliseconds
 */
export function verdictOf(
  { secured, resumed, spoken, by, lag }: TlsEnding,
  patience: number,
): 'failure' | 'slow' | 'nothing' {
  if (by === 'ours' || (secured && (spoken || resumed))) return 'nothing'
  if (by === 'alert') return 'failure'
  return lag >= patience ? 'slow' : 'failure'
}
