declare module 'undici/lib/llhttp/llhttp-wasm.js' {
  const wasm: Buffer
  export = wasm
}
