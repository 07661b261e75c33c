/** JSON documents one after the other, as `kubectl get --watch -o json` prints them: the last line of each is `}`. */
export class DocumentSplitter {
  #lines: string[] = []
  #rest = ''

  /** Returns the documents that this chunk completes. @throws SyntaxError */
  push(chunk: string): readonly unknown[] {
    const documents: unknown[] = []
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      this.#lines.push(line)
      if (line !== '}' && !(this.#lines.length === 1 && line.startsWith('{') && line.endsWith('}'))) continue
      documents.push(JSON.parse(this.#lines.join('\n')))
      this.#lines = []
    }
    return documents
  }
}
