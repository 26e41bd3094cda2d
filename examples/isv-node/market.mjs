// The requests that an ISV makes to the marketplace, each signed afresh.
import { createHash, createHmac, randomUUID } from 'node:crypto'

const stamp = (at) => at.toISOString().replace(/[-:]|\.\d{3}/g, '') // yyyyMMdd'T'HHmmss'Z'
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase())

/** Market is the open API of the marketplace. */
export class Market {
  #url
  #ak
  #sk
  #baseKey

  constructor(url, ak, sk, baseKey) {
    this.#url = new URL(url)
    this.#ak = ak
    this.#sk = sk
    this.#baseKey = baseKey
  }

  /** The line of an order, or an error. */
  async orderLine(orderId, orderLineId) {
    const answer = await this.#ask('GET', '/api/mkp-openapi-public/global/v1/order/query', { orderId })
    if (answer.resultCode !== 'MKT.0000') throw new Error(`order query: ${answer.resultCode} ${answer.resultMsg}`)
    const line = answer.orderInfo.orderLine.find((l) => l.orderLineId === orderLineId)
    if (!line) throw new Error('order query: the order has no such line')
    return line
  }

  /** Pushes usage records, and gives those that were refused, with their error_code. */
  async pushUsage(records) {
    const body = JSON.stringify({ usage_records: records }) // their members are in order already, so that sent and signed bytes are the same
    const [ts, nonce] = [String(Date.now()), randomUUID()]
    const signature = createHmac('sha256', this.#baseKey).update(`ts=${ts}&nonce=${nonce}&body=${body}`).digest('base64')
    const answer = await this.#ask('POST', '/api/mkp-openapi-public/global/v1/isv/usage-data', {}, body, { ts, nonce, signature })
    const refused = answer.data?.abnormal_usage_data ?? []
    if (answer.error_code !== 'MKT.0000' && refused.length === 0) throw new Error(`usage push: ${answer.error_code} ${answer.error_msg}`)
    return refused
  }

  // AK/SK: SDK-HMAC-SHA256 over method, path, query, two headers and the body.
  async #ask(method, path, query, body, more = {}) {
    const date = stamp(new Date())
    const search = Object.keys(query).sort().map((name) => `${encode(name)}=${encode(query[name])}`).join('&')
    const hash = (data) => createHash('sha256').update(data).digest('hex')
    const canonical = [method, path + '/', search, `host:${this.#url.host}`, `x-sdk-date:${date}`, '', 'host;x-sdk-date', hash(body ?? '')].join('\n')
    const signature = createHmac('sha256', this.#sk).update(`SDK-HMAC-SHA256\n${date}\n${hash(canonical)}`).digest('hex')
    const url = new URL(path, this.#url)
    url.search = search
    const response = await fetch(url, {
      method,
      body,
      signal: AbortSignal.timeout(8000),
      redirect: 'error',
      headers: {
        'Content-Type': 'application/json',
        'X-Sdk-Date': date,
        Authorization: `SDK-HMAC-SHA256 Access=${this.#ak}, SignedHeaders=host;x-sdk-date, Signature=${signature}`,
        ...more,
      },
    })
    return response.json()
  }

  /** A record of what an instance used, with an id that stays the same when it is pushed again. */
  static record(instanceId, begin, end) {
    return {
      begin_time: stamp(begin),
      end_time: stamp(end),
      instance_id: instanceId,
      metering_sn: randomUUID(),
      record_time: stamp(new Date()),
      usage_value: String((end - begin) / 1000), // this CRM is charged by the second
    }
  }
}
