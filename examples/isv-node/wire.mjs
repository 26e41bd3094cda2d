// What every call must be: rightly signed, fresh, not seen before, and with parameters as the contract says.
import { createHmac, timingSafeEqual } from 'node:crypto'

/** A call that is answered with a result code other than success. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

const bad = (message) => new Refusal('000002', message)
const hmac = (key, data) => createHmac('sha256', key).update(data).digest()

/** Nonces of accepted calls, kept longer than a call is fresh. Several replicas would share them, say in Redis. */
export class Nonces {
  #until = new Map()

  use(nonce, now) {
    for (const [old, until] of this.#until) { // the oldest come first
      if (until > now) break
      this.#until.delete(old)
    }
    if (this.#until.has(nonce)) return false
    this.#until.set(nonce, now + 150_000)
    return true
  }
}

/** verify gives the call in a body, once its signature is known to be right. */
export function verify(raw, query, keys, nonces) {
  const one = (name) => {
    const values = query.getAll(name)
    if (values.length !== 1 || values[0] === '') throw new Refusal('000001', `expected the parameter ${name} once`)
    return values[0]
  }
  const [signature, timestamp, nonce] = ['signature', 'timestamp', 'nonce'].map(one)
  const call = parse(raw)
  const key = call?.activity === 'orderNotify' ? keys.general : keys.base // each interface class has a key of its own
  if (!key) throw bad('order notify is not configured')

  const right = (payload) => {
    const given = /^[0-9a-f]{64}$/i.test(signature) ? Buffer.from(signature, 'hex') : Buffer.alloc(32)
    const inner = hmac(key, payload).toString('hex')
    return timingSafeEqual(hmac(key, key + nonce + timestamp + inner), given)
  }
  // The marketplace signs what it sends, which is sorted; the guide speaks of the sorted form, so that is good, too.
  if (!right(raw) && !(call && right(sorted(call)))) throw new Refusal('000001', 'the signature is wrong')

  const now = Date.now()
  if (!/^[0-9]{13}$/.test(timestamp) || Math.abs(now - Number(timestamp)) > 60_000) throw bad('the timestamp is not fresh')
  if (!nonces.use(nonce, now)) throw new Refusal('000001', 'the call was made before')
  if (!call) throw bad('the body is no JSON object')
  return call
}

function parse(raw) {
  try {
    const value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw))
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

function sorted(call) {
  const names = Object.keys(call).filter((name) => call[name] !== null).sort()
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, call[name]])))
}

// ---- parameters ---------------------------------------------------------------------------------------------------------------

const length = (text) => [...text].length // in characters
const text = (most) => (value) => typeof value === 'string' && length(value) <= most
const among = (...values) => (value) => values.includes(value)
const id = text(64)

const ids = (value) => {
  const list = typeof value === 'string' ? value.split(',') : []
  return list.length <= 100 && list.every((one) => one !== '' && length(one) <= 64)
}

const time = (value) => {
  const found = typeof value === 'string' && value.match(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})?$/)
  if (!found) return false
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number)
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  return at.getUTCMonth() === month - 1 && at.getUTCDate() === day && hour < 24 && minute < 60 && second < 60
}

const product = (value) => {
  try {
    const read = typeof value === 'string' ? JSON.parse(value) : value
    return read !== null && typeof read === 'object' && !Array.isArray(read)
  } catch {
    return false
  }
}

const order = { orderId: id, orderLineId: id }
const scene = among('TRIAL_TO_FORMAL', 'RENEWAL', 'UNSUBSCRIBE_RENEWAL_PERIOD', 'RENEWAL_CHANGE')

// By activity: parameters that must be there, and those that may. Whatever else comes is ignored.
const activities = {
  newInstance: [{ ...order, businessId: id }, {}],
  queryInstance: [{ instanceId: ids }, {}],
  refreshInstance: [{ ...order, instanceId: id, scene, expireTime: time }, { productId: id }],
  updateInstanceStatus: [{ instanceId: id, status: among('FREEZE', 'UNFREEZE') }, {}],
  releaseInstance: [{ instanceId: id }, order],
  upgradeInstance: [{ ...order, instanceId: id }, {}],
  changeInstanceCheck: [{ instanceId: id, productInfo: product }, {}],
  orderNotify: [order, {}],
}

/** readCall refuses a call whose parameters are not as the contract says. */
export function readCall(call) {
  if (!Object.hasOwn(activities, call.activity)) throw bad('the activity is not known')
  const [needed, optional] = activities[call.activity]
  const absent = (name) => !Object.hasOwn(call, name) || call[name] === null || call[name] === ''
  for (const [name, fits] of Object.entries({ ...needed, ...optional, testFlag: text(2) })) {
    if (absent(name)) {
      if (name in needed) throw bad(`the parameter ${name} is missing`)
      continue
    }
    if (!fits(call[name])) throw bad(`the parameter ${name} is not as expected`)
  }
  return call
}
