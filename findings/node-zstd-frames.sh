#!/usr/bin/env bash
# Node 26.9.0 (npm package `node`), zlib.zstdDecompressSync(), against fzstd 0.1.1 (npm). Open there as nodejs/node#64741.
#
# Input: frames one behind the other, each made by zlib.zstdCompressSync(). RFC 8878, 3: zstd data is one or more frames, and what they
# hold is the contents one behind the other.
#
# Seen: of frames in one buffer Node gives out the first one and nothing of the others, without an error. fzstd gives out all of them,
# and so does Node itself with the members of a gzip file (zlib.gunzipSync).
#
# Needs npm. Exit status 1: it is not so any more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@26.9.0 fzstd@0.1.1

cat >frames.mjs <<'EOF'
import { decompress } from 'fzstd'
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
const lines = ['one\n', 'two\n', 'three\n']
const together = Buffer.concat(lines.map(line => zstdCompressSync(line)))
const seen = {
  node: process.versions.node,
  'zstdDecompressSync, one buffer': zstdDecompressSync(together).toString(),
  'fzstd, one buffer': Buffer.from(decompress(together)).toString(),
  'gunzipSync, one buffer of gzip members': gunzipSync(Buffer.concat(lines.map(line => gzipSync(line)))).toString(),
}
console.log(JSON.stringify(seen, null, 2))
EOF

cat >expected.json <<'EOF'
{
  "node": "26.9.0",
  "zstdDecompressSync, one buffer": "one\n",
  "fzstd, one buffer": "one\ntwo\nthree\n",
  "gunzipSync, one buffer of gzip members": "one\ntwo\nthree\n"
}
EOF
node_modules/.bin/node frames.mjs >seen.json
cat seen.json
diff expected.json seen.json
echo 'As described.'
