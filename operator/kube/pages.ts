/** Reads a whole collection in pages of one consistent state. */
import type { Page, PageOptions, Selection } from './client.ts'
import { isKubeError } from './errors.ts'
import type { Resource } from './resources.ts'

/** client-go's page size: about 1 MB of Ingresses, parsed in some 10 ms. */
export const PAGE_SIZE = 500

export interface PageSource {
  page(resource: Resource<unknown>, options: PageOptions): Promise<Page>
}

export interface PageSink {
  page(items: readonly unknown[]): void | Promise<void>
  /** The collection moved on under the reader: all pages so far are void. */
  restart(): void
}

/**
 * Returns the resourceVersion to watch from. A continue token that expired (410) starts the list again; when that
 * happens twice the list is read in one piece, as the changes are faster than the pages.
 */
export async function readPages(
  source: PageSource,
  resource: Resource<unknown>,
  options: Selection & { readonly signal?: AbortSignal | undefined; readonly pageSize?: number | undefined },
  sink: PageSink,
): Promise<string> {
  const { pageSize = PAGE_SIZE, ...selection } = options
  let limit: number | undefined = pageSize
  let restarts = 0
  let continueToken: string | undefined
  for (;;) {
    let page: Page
    try {
      page = await source.page(resource, { ...selection, limit, continueToken })
    } catch (error) {
      if (continueToken === undefined || !isKubeError(error, 'KUBE_GONE')) throw error
      continueToken = undefined
      if (++restarts >= 2) limit = undefined
      sink.restart()
      continue
    }
    await sink.page(page.items)
    if (page.continueToken === '') return page.resourceVersion
    continueToken = page.continueToken
  }
}
