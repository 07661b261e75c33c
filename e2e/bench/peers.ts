/**
 * The other proxies, and the upstream, configured as somebody would who knows them: one worker on one core, no access log,
 * kept-alive connections to the upstream, one rule that asks for the host, and the usual forwarding headers.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Leaf } from '../pki/pki.ts'
import type { Ends } from './ends.ts'
import { Connection } from './http-answer.ts'
import { debian, freePort, output, start, traefik, untilTrue } from './programs.ts'
import type { Program } from './programs.ts'
import type { Entrant } from './rounds.ts'

export const HOST = 'bench.example'
/** 1 KiB. */
export const BODY = 'sluice-bench-16\n'.repeat(64)

export interface Server {
  readonly name: string
  readonly version: string
  /** Of the process whose tree is measured. */
  readonly pid: number
  readonly port: number
}

export interface Place {
  readonly ends: Ends
  readonly folder: string
  readonly core: number
}

/** Of the certificate that a peer serves, in PEM. */
export interface TlsFiles {
  readonly chain: string
  readonly key: string
  /** One file with both, as HAProxy wants it. */
  readonly both: string
  readonly authority: string
}

export async function writeTlsFiles(folder: string, leaf: Leaf, authority: string): Promise<TlsFiles> {
  const place = (name: string): string => join(folder, name)
  const files = { chain: place('tls.crt'), key: place('tls.key'), both: place('tls.pem'), authority: place('ca.crt') }
  await writeFile(files.chain, leaf.chain)
  await writeFile(files.key, leaf.privateKey)
  await writeFile(files.both, `${leaf.chain.trim()}\n${leaf.privateKey}`)
  await writeFile(files.authority, authority)
  return files
}

/** What all peers are told. */
interface Service {
  /** The upstream's port. */
  readonly upstream: number
  /** Null: plain HTTP. */
  readonly tls: TlsFiles | null
}

/** @param tls null: plain HTTP */
export function peersOf(place: Place, upstream: number, tls: TlsFiles | null): readonly Entrant[] {
  const service = { upstream, tls }
  return [
    { name: 'nginx', start: () => startNginxProxy(place, service) },
    { name: 'HAProxy', start: () => startHaproxy(place, service) },
    { name: 'Caddy', start: () => startCaddy(place, service) },
    { name: 'Traefik', start: () => startTraefik(place, service) },
  ]
}

/** Places of files that nginx would otherwise look for in the system's folders. */
const nginxBase = (folder: string): string => `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 16384; }
`
const nginxHttp = (folder: string): string => `
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
`

/** With these servers. */
export function nginxAt(place: Place, port: number, http: string): Promise<Server> {
  return startNginx(place, 'nginx', port, null, () => http)
}

async function startNginx(
  place: Place,
  name: string,
  port: number,
  tls: TlsFiles | null,
  http: (folder: string) => string,
): Promise<Server> {
  const nginx = await debian('nginx', 'nginx-light')
  const version = /nginx\/(\S+)/.exec(await output(nginx, ['-v']))?.[1] ?? 'unknown'
  const folder = join(place.folder, name)
  await mkdir(folder)
  const file = join(folder, 'nginx.conf')
  await writeFile(file, `${nginxBase(folder)}http {${nginxHttp(folder)}${http(folder)}}\n`)
  // Also what is said before the file is read has a place to go.
  return serving(place, { name, version, port }, [nginx, '-e', 'stderr', '-p', folder, '-c', file], { tls })
}

async function serving(
  { ends, core }: Place,
  server: Omit<Server, 'pid'>,
  command: readonly string[],
  { tls = null, env = {} }: { readonly tls?: TlsFiles | null; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Server> {
  const program: Program = start({ ends, core, command, env })
  await untilTrue(program, 'serving', () => serves(server.port, tls))
  return { ...server, pid: program.pid }
}

/** A listener alone is not enough: rules may come later. */
async function serves(port: number, tls: TlsFiles | null): Promise<boolean> {
  try {
    const connection = await (tls === null
      ? Connection.open(port)
      : Connection.openTls(port, HOST, await readFile(tls.authority, 'utf8')))
    const { status } = await connection.ask(HOST).finally(() => connection.end())
    return status === 200
  } catch {
    return false
  }
}

/** Answers 200 and BODY to everything. */
export async function startUpstream(place: Place): Promise<Server> {
  const port = await freePort()
  const body = BODY.replaceAll('\n', '\\n')
  const answer = `default_type text/plain; location / { return 200 "${body}"; }`
  return startNginx(place, 'upstream', port, null, () => `server { listen 127.0.0.1:${port} backlog=4096; ${answer} }`)
}

async function startNginxProxy(place: Place, { upstream, tls }: Service): Promise<Server> {
  const port = await freePort()
  const certificate =
    tls === null
      ? ''
      : `ssl_certificate ${tls.chain}; ssl_certificate_key ${tls.key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:10m;
  ssl_prefer_server_ciphers off;`
  const listen = `listen 127.0.0.1:${port}${tls === null ? '' : ' ssl'}`
  return startNginx(
    ...[place, 'nginx', port, tls],
    () => `
  upstream web {
    server 127.0.0.1:${upstream};
    keepalive 128;
    keepalive_requests 1000000000;
  }
  ${certificate}
  server { ${listen} default_server backlog=4096; return 404; }
  server {
    ${listen};
    server_name ${HOST};
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
`,
  )
}

async function startHaproxy(place: Place, { upstream, tls }: Service): Promise<Server> {
  const frontend = `use_backend web if { req.hdr(host) -i ${HOST} }`
  return haproxyAt(place, await freePort(), { global: '', frontend, upstream, tls })
}

interface HaproxyRules extends Omit<Service, 'tls'> {
  /** Lines of the section. */
  readonly global: string
  /** The rule that chooses the backend `web`. */
  readonly frontend: string
  readonly tls?: TlsFiles | null
}

export async function haproxyAt(
  place: Place,
  port: number,
  { global, frontend, upstream, tls = null }: HaproxyRules,
): Promise<Server> {
  const haproxy = await debian('haproxy', 'haproxy')
  const version = /version (\S+?)[- ]/.exec(await output(haproxy, ['-v']))?.[1] ?? 'unknown'
  const file = join(place.folder, 'haproxy.cfg')
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 4096
  ${global}defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend web
  bind 127.0.0.1:${port}${tls === null ? '' : ` ssl crt ${tls.both} alpn http/1.1 ssl-min-ver TLSv1.2`}
  http-request set-header X-Forwarded-Proto ${tls === null ? 'http' : 'https'}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  ${frontend}
backend web
  server web 127.0.0.1:${upstream}
`,
  )
  return serving(place, { name: 'HAProxy', version, port }, [haproxy, '-db', '-f', file], { tls })
}

async function startTraefik(place: Place, { upstream, tls }: Service): Promise<Server> {
  const files = tls === null ? '' : `{ certFile: ${JSON.stringify(tls.chain)}, keyFile: ${JSON.stringify(tls.key)} }`
  const rules = `http:
  routers:
    web: { rule: "Host(\`${HOST}\`)", entryPoints: [web], service: web${tls === null ? '' : ', tls: {}'} }
  services:
    web: { loadBalancer: { servers: [{ url: "http://127.0.0.1:${upstream}" }] } }
${tls === null ? '' : `tls: { certificates: [${files}] }\n`}`
  return (await traefikAt(place, await freePort(), rules, tls)).server
}

/** @returns with the file of its rules, which it watches */
export async function traefikAt(
  place: Place,
  port: number,
  rulesText: string,
  tls: TlsFiles | null = null,
): Promise<{ readonly server: Server; readonly file: string }> {
  const binary = await traefik()
  const version = /Version:\s+(\S+)/.exec(await output(binary, ['version']))?.[1] ?? 'unknown'
  const file = join(place.folder, 'traefik.yaml')
  const rules = join(place.folder, 'traefik-rules.yaml')
  await writeFile(
    file,
    `global: { checkNewVersion: false, sendAnonymousUsage: false }
log: { level: ERROR }
entryPoints: { web: { address: "127.0.0.1:${port}" } }
providers: { file: { filename: ${JSON.stringify(rules)} } }
`,
  )
  await writeFile(rules, rulesText)
  const command = [binary, `--configFile=${file}`]
  const server = await serving(place, { name: 'Traefik', version, port }, command, { tls, env: { GOMAXPROCS: '1' } })
  return { server, file: rules }
}

/** @param config in its own JSON */
export async function caddyAt(place: Place, port: number, config: string): Promise<Server> {
  const file = join(place.folder, 'caddy.json')
  await writeFile(file, config)
  return runCaddy(place, port, ['--config', file], null)
}

async function runCaddy(place: Place, port: number, args: readonly string[], tls: TlsFiles | null): Promise<Server> {
  const caddy = await debian('caddy', 'caddy')
  const version = /v?(\d\S*)/.exec(await output(caddy, ['version']))?.[1] ?? 'unknown'
  const env = { GOMAXPROCS: '1', HOME: place.folder }
  return serving(place, { name: 'Caddy', version, port }, [caddy, 'run', ...args], { tls, env })
}

async function startCaddy(place: Place, { upstream, tls }: Service): Promise<Server> {
  const port = await freePort()
  const folder = join(place.folder, 'caddy')
  await mkdir(folder)
  const file = join(folder, 'Caddyfile')
  await writeFile(
    file,
    `{
  admin off
  auto_https off
  storage file_system ${folder}
  log {
    level ERROR
  }
  servers {
    protocols h1
  }
}
${tls === null ? 'http' : 'https'}://${HOST}:${port} {
  bind 127.0.0.1
  ${tls === null ? '' : `tls ${tls.chain} ${tls.key}`}
  reverse_proxy 127.0.0.1:${upstream} {
    transport http {
      keepalive_idle_conns_per_host 128
    }
  }
}
`,
  )
  return runCaddy(place, port, ['--adapter', 'caddyfile', '--config', file], tls)
}
