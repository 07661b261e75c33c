#!/usr/bin/env bash
# Node 26.9.0 (npm package `node`), node:http2, `http2stream.close(code)` of a server in the middle of a body. Its documents say: "Closes
# the Http2Stream instance by sending an RST_STREAM frame to the connected HTTP/2 peer".
#
# Input: an answer without a content-length, of which one piece was written and sent when the server closes the stream with
# NGHTTP2_INTERNAL_ERROR; a client of node:http2.
#
# Seen: the stream is ended in good order first (END_STREAM). The client has `end`, no `aborted` and no `error`, and its rstCode is 0: it
# takes half of a body for the whole of it (RFC 9113, 8.1: END_STREAM says that the message is complete). With `waitForTrailers: true`, or
# with `stream.destroy(error)` in place of `close`, the client hears of the error.
#
# Needs npm. Exit status 1: it is not so any more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@26.9.0

cat >close.mjs <<'MJS'
import { once } from 'node:events'
import { connect, constants, createServer } from 'node:http2'
const close = stream => stream.close(constants.NGHTTP2_INTERNAL_ERROR)
const ways = [
  { name: 'close(INTERNAL_ERROR)', options: {}, cut: close },
  { name: 'close(INTERNAL_ERROR), waitForTrailers', options: { waitForTrailers: true }, cut: close },
  { name: 'destroy(error)', options: {}, cut: stream => stream.destroy(new Error('the rest is missing')) },
]
const server = createServer()
server.on('sessionError', () => {})
server.on('stream', (stream, headers) => {
  const { options, cut } = ways[Number(headers[':path'].slice(1))]
  stream.on('error', () => {})
  stream.respond({ ':status': 200 }, options)
  stream.write('a half')
  // The client has it, and asks for its end.
  server.once('cut', () => cut(stream))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const seen = { node: process.versions.node }
for (const [i, { name }] of ways.entries()) {
  const client = connect(`http://127.0.0.1:${server.address().port}`)
  const request = client.request({ ':path': `/${i}` })
  const events = []
  const closed = new Promise(resolve => request.once('close', resolve))
  for (const event of ['end', 'aborted']) request.on(event, () => events.push(event))
  request.on('error', error => events.push(`error ${error.code}`))
  request.on('data', data => {
    events.push(`data: ${data}`)
    server.emit('cut')
  })
  await closed
  seen[name] = `${events.join(', ')}; rstCode ${request.rstCode}`
  client.close()
}
server.close()
console.log(JSON.stringify(seen, null, 2))
MJS

cat >expected.json <<'JSON'
{
  "node": "26.9.0",
  "close(INTERNAL_ERROR)": "data: a half, end; rstCode 0",
  "close(INTERNAL_ERROR), waitForTrailers": "data: a half, error ERR_HTTP2_STREAM_ERROR; rstCode 2",
  "destroy(error)": "data: a half, error ERR_HTTP2_STREAM_ERROR; rstCode 2"
}
JSON
node_modules/.bin/node close.mjs >seen.json
cat seen.json
diff expected.json seen.json
echo 'As described.'
