#!/usr/bin/env bash
# Node 26.9.0 (npm package `node`), tls.TLSSocket around an accepted net.Socket, as a server does that looks at the
# ClientHello before it chooses a certificate and gives it back with `socket.unshift()`.
#
# Seen: a ClientHello that is given back in one piece fills the first buffer of the connection, which is made to its size
# (at least 1 KiB); a second one of 16 KiB is made at once and never used, and the connection keeps it for as long as it
# lives. Since clients send ML-KEM key shares nearly every ClientHello is larger than 1 KiB. Given back in pieces below
# 1 KiB the second buffer is not made: 500 idle connections cost about 50 and 39 KiB of RSS each.
#
# Needs npm and openssl. Exit status 1: it is not so any more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@26.9.0
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=a.example 2>/dev/null

cat >server.mjs <<'EOF'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { TLSSocket, createSecureContext } from 'node:tls'
const size = Number(process.argv[2])
const secureContext = createSecureContext({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') })
const open = []
const server = createServer(socket => {
  socket.once('data', hello => {
    socket.pause()
    for (let end = hello.length; end > 0; end -= size) socket.unshift(hello.subarray(Math.max(0, end - size), end))
    const tls = new TLSSocket(socket, { isServer: true, secureContext })
    tls.on('error', () => undefined).on('data', () => tls.write('answer'))
    open.push(tls)
  })
})
server.listen(0, '127.0.0.1', () => process.send(server.address().port))
process.on('message', () => {
  for (let i = 0; i < 3; i++) globalThis.gc()
  process.send(Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))
})
EOF
cat >measure.mjs <<'EOF'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:tls'
const COUNT = 500
const costs = async size => {
  const server = fork('server.mjs', [String(size)], { execArgv: ['--expose-gc'] })
  const [port] = await once(server, 'message')
  const open = async count => {
    const sockets = []
    for (let i = 0; i < count; i++) {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false })
      await once(socket, 'secureConnect')
      socket.write('question')
      await once(socket, 'data')
      sockets.push(socket)
    }
    return sockets
  }
  const rss = async () => (server.send('rss'), (await once(server, 'message'))[0])
  for (const socket of await open(100)) socket.destroy()
  const before = await rss()
  const sockets = await open(COUNT)
  const each = ((await rss()) - before) / COUNT
  for (const socket of sockets) socket.destroy()
  server.kill()
  return each
}
const whole = await costs(1e9)
const pieces = await costs(1000)
console.log(`Node ${process.versions.node}, OpenSSL ${process.versions.openssl}, KiB of RSS per idle connection:`)
console.log(`ClientHello given back in one piece ${whole.toFixed(1)}, in pieces of 1000 bytes ${pieces.toFixed(1)}`)
process.exit(whole - pieces > 6 ? 0 : 1)
EOF
node_modules/.bin/node measure.mjs
