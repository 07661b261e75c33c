#!/usr/bin/env bash
# Finding: node 26.9.0 (npm package `node`), Linux. No input but one connection of a process to itself on loopback.
#
# socket.resetAndDestroy() while a shutdown of the socket is pending (end() was called and is not finished) loses the handle:
# - uv_tcp_close_reset answers EINVAL, because a socket that is being shut down is not reset (libuv 1.52.1 forbids it);
# - the stream reports `error EINVAL reset`, forgets its handle, and never says 'close';
# - the handle, with its descriptor, is never closed: it stays in process.getActiveResourcesInfo();
# - the handle counts as closing for Node, so that its clean-up at the natural end of the process waits for it for ever, in a
#   loop at full CPU. process.exit() ends the process all the same.
# destroy() in the place of resetAndDestroy() does none of this.
#
# Seen:
#   reset:   v26.9.0 uv 1.52.1 error=EINVAL/reset closed=false left=1, the end: never, stopped after 5 s
#   destroy: v26.9.0 uv 1.52.1 error=none closed=true left=0, the end: by itself
#
# Exits 0 as long as it is so, 1 if the behaviour changes (then proxy/testing/hostile/reset.ts can go), 2 if it cannot tell.
# Needs npm and its registry.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
echo '{"private":true,"allowScripts":{"node":true}}' >package.json
npm install --no-audit --no-fund --loglevel=error node@26.9.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
node=node_modules/node/bin/node
[ "$("$node" --version)" = v26.9.0 ] || { echo 'not the pinned Node' >&2; exit 2; }

cat >case.cjs <<'JS'
const net = require('node:net')
const how = process.argv[2]
let error = 'none'
let closed = false
const server = net.createServer({ allowHalfOpen: true })
server.once('connection', peer => {
  peer.on('error', () => undefined)
  peer.resume()
  // By then whatever was done to the client is over; the server's own handles go first.
  setTimeout(() => {
    peer.destroy()
    server.close()
  }, 300)
})
server.listen(0, '127.0.0.1', () => {
  const client = net.connect(server.address().port, '127.0.0.1')
  client.on('error', ({ code, syscall }) => (error = `${code}/${syscall}`))
  client.on('close', () => (closed = true))
  client.once('connect', () => {
    client.end()
    if (how === 'reset') client.resetAndDestroy()
    else client.destroy()
  })
})
setTimeout(() => {
  const left = process.getActiveResourcesInfo().filter(kind => kind === 'TCPSocketWrap').length
  console.log(`${process.version} uv ${process.versions.uv} error=${error} closed=${closed} left=${left}`)
}, 800)
JS

# Prints what the case says and how the process ended.
try() {
  local said code=0
  said=$(timeout 5 "$node" case.cjs "$1") || code=$?
  case $code in
    0) echo "$said, the end: by itself" ;;
    124) echo "$said, the end: never, stopped after 5 s" ;;
    *) echo "$said, the end: code $code" ;;
  esac
}

reset=$(try reset)
destroy=$(try destroy)
echo "reset:   $reset"
echo "destroy: $destroy"
[ "$reset" = 'v26.9.0 uv 1.52.1 error=EINVAL/reset closed=false left=1, the end: never, stopped after 5 s' ] &&
  [ "$destroy" = 'v26.9.0 uv 1.52.1 error=none closed=true left=0, the end: by itself' ] ||
  { echo 'the behaviour changed' >&2; exit 1; }
