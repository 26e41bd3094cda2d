// An ISV without any dependency: the production address of a CRM that is sold by period, once, by the second of use, and in packages.
// server.mjs reads HTTP, wire.mjs has the signatures and the rules of the fields, crm.mjs is the product.
import { createServer } from 'node:http'
import { Crm } from './crm.mjs'
import { Market } from './market.mjs'
import { Nonces, Refusal, readCall, verify } from './wire.mjs'

const env = (name, fallback) => {
  const value = process.env[name] ?? fallback
  if (!value) {
    console.error(`isv-node: set ${name}`)
    process.exit(2)
  }
  return value
}

const keys = { base: env('ISVKIT_BASE_KEY'), general: process.env.ISVKIT_GENERAL_KEY }
const market = new Market(env('ISVKIT_MARKET_URL'), env('ISVKIT_AK'), env('ISVKIT_SK'), keys.base)
const crm = new Crm(market, process.env.ISV_STATE ?? 'isv-node.json')
const nonces = new Nonces()

const mostBody = 1 << 20 // bytes; a call has a few hundred

async function body(request) {
  const parts = []
  let size = 0
  for await (const part of request) {
    size += part.length
    if (size <= mostBody) parts.push(part) // the rest is read, too, or the caller would get no answer
  }
  if (size > mostBody) throw new Refusal('000002', 'the body is too large')
  return Buffer.concat(parts)
}

// The answer to one call. Whatever is wrong is said by the result code, never by the HTTP status.
async function answer(request, query) {
  try {
    if (request.method !== 'POST') throw new Refusal('000002', 'calls are made with POST')
    const raw = await body(request)
    const call = verify(raw, query, keys, nonces)
    return { resultCode: '000000', resultMsg: 'success', ...(await crm.serve(readCall(call))) }
  } catch (problem) {
    if (problem instanceof Refusal) return { resultCode: problem.code, resultMsg: problem.message }
    console.error('isv-node:', problem.message) // the details stay here
    return { resultCode: '000005', resultMsg: 'internal error' }
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://isv')
  if (url.pathname !== '/saasproduce') {
    response.writeHead(404).end()
    return
  }
  const text = JSON.stringify(await answer(request, url.searchParams))
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text)
})
server.requestTimeout = 30_000 // for the whole request, so that nobody holds a connection for ever
server.on('clientError', (_, socket) => socket.destroy())

const [host, port] = env('ISV_LISTEN', '127.0.0.1:9000').split(':')
server.listen(Number(port), host, () => {
  const { address, port } = server.address()
  console.log(`isv-node: production address http://${address}:${port}/saasproduce`)
})

const every = Number(env('ISV_USAGE_EVERY', '3600')) // seconds
const metering = setInterval(() => crm.pushUsage(), every * 1000)
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    clearInterval(metering)
    server.close(() => process.exit(0))
    server.closeAllConnections()
  })
}
