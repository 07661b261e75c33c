/** The other proxies with many hosts, and how each is told of more of them by somebody who knows it. */
import { writeFile, rename } from 'node:fs/promises'
import { request } from 'node:http'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { freePort } from './programs.ts'
import { caddyAt, haproxyAt, nginxAt, traefikAt } from './peers.ts'
import type { Place, Server } from './peers.ts'

export interface Changing {
  readonly server: Server
  /** How it is told, in a word or two. */
  readonly way: string
  /** All changes of a second in one go: each costs it the whole of its configuration. */
  readonly batched: boolean
  /** These hosts are to be served, too. Resolves when it was told, which is not when it serves them. */
  readonly add: (hosts: readonly string[]) => Promise<void>
}

/** Replaces a file in one go: nobody reads a half of it. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file)
}

/** A new worker takes over, and the old one ends with its connections. */
export async function startNginxChanges(place: Place, upstream: number, before: readonly string[]): Promise<Changing> {
  const port = await freePort()
  const file = join(place.folder, 'nginx-hosts.conf')
  const all = [...before]
  const text = (): string =>
    all.map(host => `server { listen 127.0.0.1:${port}; server_name ${host}; include ${file}.location; }\n`).join('')
  await writeFile(
    `${file}.location`,
    `location / {
  proxy_pass http://web;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
}
`,
  )
  await writeFile(file, text())
  const server = await nginxAt(
    place,
    port,
    `
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
  upstream web { server 127.0.0.1:${upstream}; keepalive 128; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port} default_server; return 404; }
  include ${file};
`,
  )
  const add = async (hosts: readonly string[]): Promise<void> => {
    all.push(...hosts)
    await replace(file, text())
    process.kill(server.pid, 'SIGHUP')
  }
  return { server, way: 'reload, one a second', batched: true, add }
}

/** A map of hosts, which the runtime API adds to. */
export async function startHaproxyChanges(
  place: Place,
  upstream: number,
  before: readonly string[],
): Promise<Changing> {
  const port = await freePort()
  const [map, socket] = [join(place.folder, 'hosts.map'), join(place.folder, 'haproxy.sock')]
  await writeFile(map, before.map(host => `${host} web\n`).join(''))
  const server = await haproxyAt(place, port, {
    global: `stats socket ${socket} mode 600 level admin\n`,
    frontend: `use_backend %[req.hdr(host),lower,map(${map})] if { req.hdr(host),lower,map(${map}) -m found }`,
    upstream,
  })
  const add = async (hosts: readonly string[]): Promise<void> => {
    for (const host of hosts) {
      const connection = createConnection(socket)
      connection.end(`add map ${map} ${host} web\n`)
      connection.resume()
      await once(connection, 'close')
    }
  }
  return { server, way: 'runtime API', batched: false, add }
}

/** Its admin server takes a whole configuration. */
export async function startCaddyChanges(place: Place, upstream: number, before: readonly string[]): Promise<Changing> {
  const [port, admin] = [await freePort(), await freePort()]
  const all = [...before]
  const config = (): string => {
    const handle = [{ handler: 'reverse_proxy', upstreams: [{ dial: `127.0.0.1:${upstream}` }] }]
    const routes = all.map(host => ({ match: [{ host: [host] }], handle, terminal: true }))
    const web = { listen: [`127.0.0.1:${port}`], routes, automatic_https: { disable: true } }
    return JSON.stringify({ admin: { listen: `127.0.0.1:${admin}` }, apps: { http: { servers: { web } } } })
  }
  const server = await caddyAt(place, port, config())
  const add = async (hosts: readonly string[]): Promise<void> => {
    all.push(...hosts)
    const headers = { 'Content-Type': 'application/json' }
    const asked = request({ host: '127.0.0.1', port: admin, path: '/load', method: 'POST', headers })
    asked.end(config())
    const [answer] = (await once(asked, 'response')) as [{ readonly statusCode?: number; readonly resume: () => void }]
    answer.resume()
    if (answer.statusCode !== 200) throw new Error(`the admin API answered ${answer.statusCode ?? 0}`)
  }
  return { server, way: 'admin API, once a second', batched: true, add }
}

/** It watches a file of rules. */
export async function startTraefikChanges(
  place: Place,
  upstream: number,
  before: readonly string[],
): Promise<Changing> {
  const port = await freePort()
  const all = [...before]
  const rules = (): string => {
    const routers = all.map((host, n) => {
      const rule = JSON.stringify(`Host(\`${host}\`)`)
      return `    r${n}: { rule: ${rule}, entryPoints: [web], service: web }\n`
    })
    return `http:\n  routers:\n${routers.join('')}  services:\n    web: { loadBalancer: { servers: [{ url: "http://127.0.0.1:${upstream}" }] } }\n`
  }
  const { server, file } = await traefikAt(place, port, rules())
  const add = async (hosts: readonly string[]): Promise<void> => {
    all.push(...hosts)
    await replace(file, rules())
  }
  return { server, way: 'file provider, one a second', batched: true, add }
}
