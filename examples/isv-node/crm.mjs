// The product, and the only part of this example that an ISV would write anew. Its state is one JSON file, written whole at each change;
// a real one has a database, with a unique index over order and order line.
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Market } from './market.mjs'
import { Refusal } from './wire.mjs'

const now = () => new Date(Math.floor(Date.now() / 1000) * 1000) // whole seconds
const passes = '013' // of the codes of refused records the one that another push can mend

export class Crm {
  #market
  #file
  #state = { instances: {}, lines: {}, usage: [] } // lines: the instance of each order line, for ever; usage: not accepted yet
  #pushing = false

  constructor(market, file) {
    this.#market = market
    this.#file = file
    if (existsSync(file)) this.#state = JSON.parse(readFileSync(file, 'utf8'))
  }

  #save() {
    writeFileSync(this.#file + '.new', JSON.stringify(this.#state))
    renameSync(this.#file + '.new', this.#file) // whole, or not at all
  }

  /** serve carries a call out, and gives the fields of its answer besides the result code. */
  async serve(call) {
    if (call.testFlag === '1') return this.#debug(call)
    return this[call.activity](call)
  }

  // A debug call is answered and does nothing.
  #debug(call) {
    if (call.activity === 'newInstance') return { instanceId: 'debug-' + randomUUID() }
    if (call.activity === 'queryInstance') return { info: call.instanceId.split(',').map((id) => ({ instanceId: id, appInfo: { frontEndUrl: 'https://crm.example.com/debug' } })) }
    return {}
  }

  #instance(id) {
    const instance = Object.hasOwn(this.#state.instances, id) ? this.#state.instances[id] : undefined
    if (!instance || instance.released) throw new Refusal('000003', 'there is no such instance')
    return instance
  }

  async newInstance({ orderId, orderLineId }) {
    const line = JSON.stringify([orderId, orderLineId]) // never businessId, which differs on every repeat
    if (!Object.hasOwn(this.#state.lines, line)) {
      const bought = await this.#market.orderLine(orderId, orderLineId)
      if (!Object.hasOwn(this.#state.lines, line)) { // a repeat may have overtaken this call
        const id = randomUUID()
        this.#state.lines[line] = id
        this.#state.instances[id] = { bought, expires: bought.expireTime, orders: [], used: 0, metered: now().toISOString() }
        this.#save()
      }
    }
    return { instanceId: this.#state.lines[line] }
  }

  queryInstance({ instanceId }) {
    const info = []
    for (const id of new Set(instanceId.split(','))) {
      const instance = Object.hasOwn(this.#state.instances, id) && this.#state.instances[id]
      if (!instance || instance.released) continue
      const entry = { instanceId: id, appInfo: { frontEndUrl: `https://crm.example.com/${id}`, memo: '首次登录请修改密码' } }
      if (instance.bought.chargingMode.startsWith('ON_DEMAND')) { // packages, too
        entry.usageInfo = [{ usageValue: instance.used, statisticalTime: new Date().toISOString().replace(/\D/g, '') }]
      }
      info.push(entry)
    }
    if (info.length === 0) throw new Refusal('000003', 'there is no such instance')
    return { info }
  }

  async refreshInstance({ instanceId, orderId, orderLineId, scene, expireTime, productId }) {
    this.#instance(instanceId)
    const changed = scene === 'RENEWAL_CHANGE' ? await this.#market.orderLine(orderId, orderLineId) : undefined
    const instance = this.#instance(instanceId) // it may have been released in the meantime
    instance.expires = expireTime.slice(0, 14) // set, not added: a repeat changes nothing
    if (changed) instance.bought = changed
    if (productId) instance.bought.productInfo[0].productId = productId
    this.#save()
  }

  updateInstanceStatus({ instanceId, status }) {
    const instance = this.#instance(instanceId)
    this.#meter(instanceId, instance)
    instance.frozen = status === 'FREEZE'
    this.#save()
  }

  releaseInstance({ instanceId }) {
    if (!Object.hasOwn(this.#state.instances, instanceId)) return {} // nothing is left to release
    const instance = this.#state.instances[instanceId]
    if (!instance.released) this.#meter(instanceId, instance)
    instance.released = true
    this.#save()
  }

  async upgradeInstance({ instanceId, orderId, orderLineId }) {
    this.#instance(instanceId)
    const bought = await this.#market.orderLine(orderId, orderLineId)
    const instance = this.#instance(instanceId)
    if (instance.orders.includes(orderId)) return // a repeat upgrades nothing twice
    instance.orders.push(orderId)
    instance.bought = { ...instance.bought, productInfo: bought.productInfo }
    this.#save()
  }

  changeInstanceCheck({ instanceId, productInfo }) {
    this.#instance(instanceId)
    const { linearValue } = typeof productInfo === 'string' ? JSON.parse(productInfo) : productInfo
    if (linearValue < 1) throw new Refusal('000103', 'one seat is in use')
  }

  async orderNotify({ orderId, orderLineId }) {
    await this.#market.orderLine(orderId, orderLineId)
  }

  // ---- usage ---------------------------------------------------------------------------------------------------------------

  // Puts down what was used since the last time. What was frozen is not billed.
  #meter(id, instance) {
    const [begin, end] = [new Date(instance.metered), now()]
    instance.metered = end.toISOString()
    if (instance.bought.chargingMode !== 'ON_DEMAND' || instance.frozen || end <= begin) return
    this.#state.usage.push(Market.record(id, begin, end))
    instance.used += (end - begin) / 1000
  }

  /** Pushes what was used. A record stays until it is accepted, and keeps its metering_sn, so that nothing is billed twice. */
  async pushUsage() {
    if (this.#pushing) return
    this.#pushing = true
    try {
      for (const [id, instance] of Object.entries(this.#state.instances)) if (!instance.released) this.#meter(id, instance)
      this.#save() // before anybody hears of it
      const records = this.#state.usage.slice(0, 1000)
      if (records.length === 0) return
      const refused = new Map((await this.#market.pushUsage(records)).map((r) => [r.metering_sn, r]))
      for (const { error_code, error_msg, metering_sn } of refused.values()) console.error(`isv-node: usage record ${metering_sn}: ${error_code} ${error_msg}`)
      const again = (record) => refused.get(record.metering_sn)?.error_code === passes
      this.#state.usage = this.#state.usage.filter((record) => !records.includes(record) || again(record))
      this.#save()
    } catch (problem) {
      console.error('isv-node: usage will be pushed again:', problem.message)
    } finally {
      this.#pushing = false
    }
  }
}
