// Writes a bucket as the original does, in its format 1, by what the original stands
// on: Node's JSON, zlib and crypto, and the SQLite driver better-sqlite3.
//
//   npm install better-sqlite3@12 && node bucket.mjs SEED [STEPS] > SEED.json
//
// Tables, values, conditions, batches and snapshots are random, and of a kind that the
// format carries exactly. The output has the objects that are stored, and the rows as
// the driver reads them: TestImportV1Driver. The same seed makes the same bucket but
// for the bytes of encryption.
import Database from 'better-sqlite3'
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, constants } from 'node:zlib'

const seed = process.argv[2] ?? '1'
let counter = 0
const bits = () => createHash('sha256').update(seed + ':' + counter++).digest()
const below = n => bits().readUInt32LE(0) % n
const pick = all => all[below(all.length)]
const chance = percent => below(100) < percent

const dir = mkdtempSync(join(tmpdir(), 'v1-'))
const path = join(dir, 'app.sqlite')
const db = new Database(path)
db.pragma('journal_mode = WAL')
db.pragma('foreign_keys = ON')
const node = bits().toString('hex').slice(0, 12)
const name = pick(['app', 'My App', 'naïve/app', 'a..b', 'ünï'])
const gzip = chance(60)
const key = chance(50) ? bits() : null
let clock = 1795400705407

db.exec(`
CREATE TABLE _driftdb_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE _driftdb_log(sequence INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, nodeId TEXT NOT NULL, \`table\` TEXT NOT NULL,
  operation TEXT NOT NULL, data TEXT, synced INTEGER NOT NULL DEFAULT 0);
CREATE INDEX idx_driftdb_log_synced ON _driftdb_log(synced, sequence);
CREATE TABLE _driftdb_queue(id TEXT PRIMARY KEY, type TEXT NOT NULL, payload TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
  nextRetryAt INTEGER NOT NULL DEFAULT 0, createdAt INTEGER NOT NULL, error TEXT);
CREATE INDEX idx_driftdb_queue_status ON _driftdb_queue(status, nextRetryAt);`)
db.prepare('INSERT INTO _driftdb_meta VALUES (?, ?)').run('nodeId:' + name, node)

const q = id => '"' + id.replaceAll('"', '""') + '"'
// kinds has one that is none: the original checks nothing.
const kinds = ['TEXT', 'INTEGER', 'REAL', 'BLOB', 'BOOLEAN', 'WHATEVER']
const tables = {}
const schema = []
for (let i = 0; i < 1 + below(3); i++) {
  const table = pick(['users', 'odd "name"', 'Ünï', 'select', 'x y']) + i
  const columns = []
  let ddl = `CREATE TABLE IF NOT EXISTS ${q(table)} (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL`
  for (let j = 0; j < 2 + below(6); j++) {
    const column = pick(['title', 'a b', 'quo"te', 'Größe', 'from', 'n']) + j
    const kind = pick(kinds)
    columns.push(column)
    ddl += `, ${q(column)} ${kind}` + (chance(10) ? ' UNIQUE' : '') + (chance(15) ? ` DEFAULT ${pick(["'v'", '7', 'true', 'null', '0.5'])}` : '')
  }
  schema.push(ddl + ')')
  if (chance(50)) schema.push(`CREATE INDEX IF NOT EXISTS ${q('idx_' + table + '_' + columns[0])} ON ${q(table)} (${q(columns[0])})`)
  tables[table] = columns
}
for (const s of schema) db.exec(s)

const numbers = [0, 1, -1, 42, 0.1 + 0.2, 1 / 3, 1e21, 1e-7, 123456789012345680000, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 2 ** 63, -(2 ** 63), 2 ** 31, 5e-324, 1.7976931348623157e308,
  100, 1e15, 1e16, 999999999999999.9, 4503599627370497.5, 1.5, -2.5, 1e100]
const strings = ['', 'a', 'A', 't', '42', '42.0', '1e3', ' 12 ', '0x10', '-0', 'true', 'null', '\u0000', 'a\u0000b', '\u2028\u2029', '"\'\\/', 'é', 'e\u0301', '😀', '\ud800', 'x\udc00y',
  '%', '_', 'a%b', '9007199254740993', '1970-01-01T00:00:00.000Z', '{"a":1}', '[1]', '\t\n\r\b\f\u001f\u007f', 'Infinity', 'NaN', '９', 'ß', 'İ', '\ufeffx', '\uffff']
const double = () => { for (;;) { const v = bits().readDoubleLE(0); if (Number.isFinite(v) && !Object.is(v, -0)) return v } }
const text = () => chance(80) ? pick(strings) : bits().toString('base64').slice(0, below(30))
const json = depth => {
  switch (below(depth > 2 ? 4 : 7)) {
    case 0: return pick(numbers)
    case 1: return text()
    case 2: return chance(50)
    case 3: return null
    case 4: return Array.from({ length: below(4) }, () => json(depth + 1))
    case 5: return { [text()]: json(depth + 1), [pick(['1', 'b', '__x', '$gt'])]: json(depth + 1), u: undefined }
    default: return pick([Buffer.from([1, 2]), new Uint8Array([1, 2]), new Date(0), NaN, -0, 1e21])
  }
}
// value is one that the log carries exactly: no undefined, Date, NaN or Infinity, but inside of an object.
const value = () => {
  switch (below(8)) {
    case 0: return pick(numbers)
    case 1: return double()
    case 2: case 3: return text()
    case 4: return chance(50)
    case 5: return null
    case 6: return bits().subarray(0, below(8))
    default: return pick([[], {}, [json(0)], { k: json(0) }, new Uint8Array([7, 8]), { type: 'Buffer' }, { type: 'Buffer', data: 1, x: [json(1)] }])
  }
}
// serialise is how the original binds a value.
const serialise = v => {
  if (v === undefined || v === null) return null
  if (typeof v === 'boolean') return v ? 1 : 0
  if (Buffer.isBuffer(v)) return v
  if (typeof v === 'object') return JSON.stringify(v)
  return v
}
const operators = [['$gt', '>'], ['$gte', '>='], ['$lt', '<'], ['$lte', '<='], ['$ne', '!='], ['$like', 'LIKE']]
const scalar = () => chance(60) ? pick(numbers) : text()
// where is a condition as a program gives it; conditions is what the original makes of it.
const where = (columns, ids) => {
  const out = {}
  if (chance(60) && ids.length) out.id = pick(ids)
  for (let i = 0; i < below(3); i++) {
    const c = pick([...columns, 'createdAt'])
    switch (below(8)) {
      case 0: out[c] = scalar(); break
      case 1: out[c] = null; break
      case 2: out[c] = undefined; break
      case 3: out[c] = { $in: Array.from({ length: below(4) }, scalar) }; break
      case 4: out[c] = pick([{}, { $foo: 1 }, Buffer.from([1]), { $in: 'abc' }, { $eq: 1 }]); break
      case 5: out[c] = [scalar()]; break
      default: {
        const w = {}
        for (let j = 0; j < 1 + below(2); j++) w[pick(operators)[0]] = scalar()
        if (chance(10)) w.$ne = null
        if (chance(15)) w.$in = [scalar(), scalar()]
        out[c] = w
      }
    }
  }
  return out
}
const conditions = w => {
  const parts = [], args = []
  for (const [k, v] of Object.entries(w)) {
    if (v === undefined) continue
    if (v === null) { parts.push(`${q(k)} IS NULL`); continue }
    if (typeof v === 'object' && !Array.isArray(v)) {
      for (const [op, sql] of operators) if (op in v) { parts.push(`${q(k)} ${sql} ?`); args.push(v[op]) }
      if ('$in' in v && Array.isArray(v.$in)) {
        if (v.$in.length === 0) parts.push('0 = 1')
        else { parts.push(`${q(k)} IN (${v.$in.map(() => '?').join(', ')})`); args.push(...v.$in) }
      }
      continue
    }
    parts.push(`${q(k)} = ?`); args.push(v)
  }
  return [parts.length ? ' WHERE ' + parts.join(' AND ') : '', args]
}
const log = (table, operation, data) => {
  const s = JSON.stringify(data)
  db.prepare('INSERT INTO _driftdb_log (timestamp, nodeId, `table`, operation, data) VALUES (?, ?, ?, ?, ?)').run(clock, node, table, operation, s)
}
const ids = {}
const insert = (table, columns) => {
  const row = { id: chance(95) ? 'i' + counter : text() + counter, createdAt: clock, updatedAt: clock }
  for (const c of columns) if (chance(80)) row[c] = value()
  const names = Object.keys(row)
  db.prepare(`INSERT INTO ${q(table)} (${names.map(q).join(', ')}) VALUES (${names.map(() => '?').join(', ')})`).run(...names.map(n => serialise(row[n])))
  log(table, 'insert', row);
  (ids[table] ??= []).push(row.id)
}
const update = (table, columns) => {
  const w = where(columns, ids[table] ?? [])
  const data = { updatedAt: clock }
  for (const c of columns) if (chance(30)) data[c] = value()
  const [sql, args] = conditions(w)
  const names = Object.keys(data)
  const { changes } = db.prepare(`UPDATE ${q(table)} SET ${names.map(n => q(n) + ' = ?').join(', ')}${sql}`).run(...names.map(n => serialise(data[n])), ...args.flat())
  if (changes > 0) log(table, 'update', { where: w, data })
}
const remove = (table, columns) => {
  const w = where(columns, ids[table] ?? [])
  if (!('id' in w) && chance(90)) return
  const [sql, args] = conditions(w)
  const { changes } = db.prepare(`DELETE FROM ${q(table)}${sql}`).run(...args.flat())
  if (changes > 0) log(table, 'delete', { where: w })
}
const step = () => {
  clock += below(50)
  const table = pick(Object.keys(tables)), columns = tables[table]
  try {
    db.transaction(() => {
      pick([insert, insert, insert, update, update, remove])(table, columns)
      if (chance(5)) { update(table, columns); throw new Error('rolled back') }
    })()
  } catch (e) {
    if (e.message !== 'rolled back' && !/^UNIQUE|too few|too many|bind/i.test(e.message)) throw e
  }
}

const objects = {}
const put = (k, body) => {
  let b = Buffer.from(body)
  if (gzip) b = gzipSync(b, { level: constants.Z_BEST_SPEED })
  if (key) {
    const iv = randomBytes(12), c = createCipheriv('aes-256-gcm', key, iv)
    const sealed = Buffer.concat([c.update(b), c.final()])
    b = Buffer.concat([iv, c.getAuthTag(), sealed])
  }
  objects[k] = b.toString('base64')
}
let synced = 0
const manifest = { dbName: name, nodeId: node, latestSnapshotKey: null, latestSnapshotTimestamp: null, latestLogSequence: 0, updatedAt: clock }
const writeManifest = () => {
  manifest.updatedAt = clock
  objects[`databases/${name}/manifest.json`] = Buffer.from(JSON.stringify(manifest)).toString('base64')
}
const flush = most => {
  const entries = db.prepare('SELECT sequence, timestamp, `table`, operation, data FROM _driftdb_log WHERE sequence > ? ORDER BY sequence LIMIT ?').all(synced, most)
    .map(e => ({ ...e, data: e.data === null ? null : JSON.parse(e.data) }))
  if (entries.length === 0) return false
  const from = entries[0].sequence, to = entries.at(-1).sequence, pad = n => String(n).padStart(12, '0')
  put(`databases/${name}/nodes/${node}/logs/${pad(from)}-${pad(to)}.json`, JSON.stringify({ version: 1, nodeId: node, fromSequence: from, toSequence: to, entries }))
  db.prepare('UPDATE _driftdb_log SET synced = 1 WHERE sequence BETWEEN ? AND ?').run(from, to)
  synced = to
  manifest.latestLogSequence = Math.max(manifest.latestLogSequence, to)
  writeManifest()
  return true
}
const snapshot = () => {
  db.pragma('wal_checkpoint(FULL)')
  const k = `databases/${name}/nodes/${node}/snapshots/${clock}.sqlite`
  put(k, readFileSync(path))
  manifest.latestSnapshotKey = k
  manifest.latestSnapshotTimestamp = clock
  writeManifest()
}

const wanted = Number(process.argv[3] ?? 0) // steps; 0: some
const most = wanted ? 100 : pick([1, 3, 7, 100]), steps = wanted || 20 + below(100), snapshots = below(3)
for (let i = 0; i < steps; i++) {
  step()
  if (chance(15)) flush(most)
  if (snapshots > 0 && chance(100 * snapshots / steps)) snapshot()
}
while (flush(most));
const rows = {}
for (const [table, columns] of Object.entries(tables)) {
  const of = ['id', 'createdAt', 'updatedAt', ...columns].map(c => `typeof(${q(c)}) || ' ' || CASE typeof(${q(c)}) WHEN 'text' THEN hex(${q(c)}) ELSE quote(${q(c)}) END`)
  rows[table] = db.prepare(`SELECT ${of.join(" || ', ' || ")} FROM ${q(table)} ORDER BY id`).pluck().all()
}
const last = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = '_driftdb_log'").pluck().get() ?? 0
console.log(JSON.stringify({
  seed, node: process.version, sqlite: db.prepare('SELECT sqlite_version()').pluck().get(),
  name, key: key?.toString('hex') ?? '', schema, tables: Object.keys(tables).sort(), last, rows, objects,
}))
db.close()
rmSync(dir, { recursive: true })
