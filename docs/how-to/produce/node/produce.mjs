// Adds documents straight to Kafka and reads them back: a client that sees its own writes, without a library of ours.
import { randomUUID } from 'node:crypto'
import { Kafka, Partitioners, logLevel } from 'kafkajs'

const collection = 'from-node'
const ids = ['oak', '年輪/第一章', 'été à Orléans', 'a/b?c#d', '🌲', '50%25']
const textOf = (id) => `Written in Node.js: ${id}`

/** The document as a CloudEvent in Kafka's binary mode: attributes in headers, data in the value. */
const message = (id) => ({
  key: `${collection}/${id}`,
  value: JSON.stringify({ collection, document_id: id, text: textOf(id), title: 'Node.js', metadata: { lang: 'js' } }),
  headers: {
    ce_specversion: '1.0',
    ce_id: randomUUID(),
    ce_source: '/examples/node',
    ce_type: 'nenrin.document.added.v1',
    'content-type': 'application/json',
  },
})

/** The version that covers what was acknowledged: the next offset of each partition. */
function token(places) {
  const next = {}
  for (const { partition, baseOffset } of places) {
    next[partition] = Math.max(next[partition] ?? 0, Number(baseOffset) + 1)
  }
  return Buffer.from(JSON.stringify({ v: 1, o: { documents: next } })).toString('base64url')
}

/** A document as it is at the version of the token or later, waiting up to 30 seconds for it. */
async function read(id, token) {
  const address = `${process.env.NENRIN_QUERY}/v1/collections/${collection}/documents/${encodeURIComponent(id)}`
  const answer = await fetch(address, { headers: { 'Nenrin-At-Least': token, Prefer: 'wait=30' } })
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()).document
}

const kafka = new Kafka({ brokers: process.env.NENRIN_KAFKA.split(','), logLevel: logLevel.ERROR })
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner }) // murmur2, as in Java
await producer.connect()
const places = []
for (const id of ids) {
  // one message a call, for its answer tells the offset of a call's first message only; acks -1: all in-sync replicas
  places.push(...(await producer.send({ topic: 'documents', acks: -1, messages: [message(id)] })))
}
await producer.disconnect()

const written = token(places)
for (const id of ids) {
  const { text } = await read(id, written)
  if (text !== textOf(id)) throw new Error(`${id} reads ${text}`)
}
console.log(written)
