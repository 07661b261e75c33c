#!/usr/bin/env bash
# swc 1.16.22 (npm package `@swc/core`), parser.syntax "typescript", against TypeScript 6.0.3 and swc's own syntax "ecmascript".
#
# Input: for…of with a variable that is called `of`. ECMAScript 2026, 14.7.5, ForInOfStatement: `for ( ForDeclaration of AssignmentExpression )`, and `of`
# is no reserved word (12.7.2), so that it may be the ForDeclaration's binding.
#
# Seen: as TypeScript it is refused with "Variable declaration list cannot be empty", with const, let and var alike. As ECMAScript, or with the name
# in a pattern, the same text is taken. TypeScript itself compiles all of them.
#
# Needs npm. Exit status 1: it is not so any more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @swc/core@1.16.22 typescript@6.0.3

cat >parse.mjs <<'END'
import swc from '@swc/core'
import ts from 'typescript'
const loops = ['for (const of of [1]) console.log(of)', 'for (var of of [1]) console.log(of)', 'for (const { of } of [{ of: 1 }]) console.log(of)']
const bySwc = (text, syntax) => {
  try {
    swc.transformSync(text, { jsc: { parser: { syntax }, target: 'es2022' } })
    return 'taken'
  } catch (error) {
    return String(error.message).includes('Variable declaration list cannot be empty') ? 'refused: declaration list empty' : String(error.message)
  }
}
const byTypescript = text => {
  const { diagnostics } = ts.transpileModule(text, { reportDiagnostics: true })
  return diagnostics.length === 0 ? 'taken' : ts.flattenDiagnosticMessageText(diagnostics[0].messageText, ' ')
}
for (const text of loops)
  console.log([text, 'swc typescript: ' + bySwc(text, 'typescript'), 'swc ecmascript: ' + bySwc(text, 'ecmascript'), 'typescript: ' + byTypescript(text)].join('\n  '))
END

cat >expected <<'END'
for (const of of [1]) console.log(of)
  swc typescript: refused: declaration list empty
  swc ecmascript: taken
  typescript: taken
for (var of of [1]) console.log(of)
  swc typescript: refused: declaration list empty
  swc ecmascript: taken
  typescript: taken
for (const { of } of [{ of: 1 }]) console.log(of)
  swc typescript: taken
  swc ecmascript: taken
  typescript: taken
END
node parse.mjs >seen
cat seen
diff expected seen
echo 'As described.'
