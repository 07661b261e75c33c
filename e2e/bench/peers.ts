/**
 * The other proxies, and the upstream, configured as somebody would who knows them: one worker on one core, no access log,
 * kept-alive connections to the upstream, one rule that asks for the host, and the usual forwarding headers.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ends } from './ends.ts'
import { Connection } from './http-answer.ts'
import { debian, freePort, output, start, traefik, untilTrue } from './programs.ts'
import type { Program } from './programs.ts'

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

async function startNginx(place: Place, name: string, port: number, http: (folder: string) => string): Promise<Server> {
  const nginx = await debian('nginx', 'nginx-light')
  const version = /nginx\/(\S+)/.exec(await output(nginx, ['-v']))?.[1] ?? 'unknown'
  const folder = join(place.folder, name)
  await mkdir(folder)
  const file = join(folder, 'nginx.conf')
  await writeFile(file, `${nginxBase(folder)}http {${nginxHttp(folder)}${http(folder)}}\n`)
  // Also what is said before the file is read has a place to go.
  return serving(place, { name, version, port }, [nginx, '-e', 'stderr', '-p', folder, '-c', file])
}

async function serving(
  { ends, core }: Place,
  server: Omit<Server, 'pid'>,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const program: Program = start({ ends, core, command, env })
  await untilTrue(program, 'serving', () => serves(server.port))
  return { ...server, pid: program.pid }
}

/** A listener alone is not enough: rules may come later. */
async function serves(port: number): Promise<boolean> {
  try {
    const connection = await Connection.open(port)
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
  return startNginx(place, 'upstream', port, () => `server { listen 127.0.0.1:${port} backlog=4096; ${answer} }`)
}

export async function startNginxProxy(place: Place, upstream: number): Promise<Server> {
  const port = await freePort()
  return startNginx(
    ...[place, 'nginx', port],
    () => `
  upstream web {
    server 127.0.0.1:${upstream};
    keepalive 128;
    keepalive_requests 1000000000;
  }
  server { listen 127.0.0.1:${port} default_server; return 404; }
  server {
    listen 127.0.0.1:${port};
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

export async function startHaproxy(place: Place, upstream: number): Promise<Server> {
  const haproxy = await debian('haproxy', 'haproxy')
  const version = /version (\S+?)[- ]/.exec(await output(haproxy, ['-v']))?.[1] ?? 'unknown'
  const port = await freePort()
  const file = join(place.folder, 'haproxy.cfg')
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend web
  bind 127.0.0.1:${port}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend web if { req.hdr(host) -i ${HOST} }
backend web
  server web 127.0.0.1:${upstream}
`,
  )
  return serving(place, { name: 'HAProxy', version, port }, [haproxy, '-db', '-f', file])
}

export async function startTraefik(place: Place, upstream: number): Promise<Server> {
  const binary = await traefik()
  const version = /Version:\s+(\S+)/.exec(await output(binary, ['version']))?.[1] ?? 'unknown'
  const port = await freePort()
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
  await writeFile(
    rules,
    `http:
  routers:
    web: { rule: "Host(\`${HOST}\`)", entryPoints: [web], service: web }
  services:
    web: { loadBalancer: { servers: [{ url: "http://127.0.0.1:${upstream}" }] } }
`,
  )
  const command = [binary, `--configFile=${file}`]
  return serving(place, { name: 'Traefik', version, port }, command, { GOMAXPROCS: '1' })
}
