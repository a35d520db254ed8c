#!/usr/bin/env python3
"""Rebuilds a database from a copy of its bucket, with nothing but Python:

    driftread.py DIRECTORY NAME OUT.sqlite [SEQUENCE]

DIRECTORY is what `aws s3 sync s3://bucket/prefix DIRECTORY` makes; below it lies databases/NAME.
SEQUENCE ends the rebuild with the last whole transaction up to it. Every hash is checked.
docs/format.md describes what is read here; sealed backups need AES-GCM, which Python does not have.
"""
import gzip, hashlib, json, os, re, sqlite3, struct, sys

def fail(text):
    sys.exit("driftread: " + text)
class Reader:
    def __init__(self, directory, name):
        self.root, self.name = directory, name
        text = self.bytes(f"databases/{name}/manifest.json")
        self.m = {} if text[:7] == b"DRIFTDB" else json.loads(text)
        if self.m.get("version") != 2:
            fail("the backup is sealed, or not of version 2")
    def bytes(self, key):
        with open(os.path.join(self.root, *key.split("/")), "rb") as f:
            return f.read()

    def batches(self, after):
        """The stored batches by their first sequence: (from, to) -> [bytes], packs first (4.5)."""
        head = self.m["head"]["sequence"]
        epochs = [(l["node"], l["epoch"], l["end"]["sequence"] if l["end"] else head) for l in self.m["lineage"]]
        epochs.append((self.m["nodeId"], self.m["epoch"], head))
        found = {}
        for p in self.m["packs"]:
            if p["to"] > after:
                stored = self.bytes(p["key"])
                if hashlib.sha256(stored).hexdigest() != p["storedSha256"]:
                    fail("damaged: " + p["key"])
                at = 44 + 1 + stored[44]
                at += 1 + stored[at]
                (n,) = struct.unpack(">I", stored[at : at + 4])
                body = stored[at + 4 + n :]
                for e in json.loads(stored[at + 4 : at + 4 + n]):
                    self.add(found, e["name"], head, lambda e=e, body=body: body[e["offset"] : e["offset"] + e["size"]])
        for node, epoch, end in epochs:
            folder = f"databases/{self.name}/nodes/{node}/{epoch:08d}/logs"
            path = os.path.join(self.root, *folder.split("/"))
            for name in os.listdir(path) if os.path.isdir(path) else []:
                self.add(found, name, end, lambda key=f"{folder}/{name}": self.bytes(key))
        return found

    @staticmethod
    def add(found, name, end, read):
        k = re.fullmatch(r"(\d{12,})-(\d{12,})(?:-p\d+of\d+)?\.json(\.gz)?", name)
        if k and int(k[2]) <= end:
            unzip = gzip.decompress if k[3] else bytes
            found.setdefault(int(k[1]), []).append((int(k[2]), lambda: unzip(read())))

    def chain(self, sequence, link, end):
        """The documents from sequence to end, each checked to follow the one before."""
        found = self.batches(sequence)
        while sequence < end["sequence"]:
            for to, read in found.get(sequence + 1, []):
                text = read()
                canonical = b"{" + text[text.index(b'"version":') :]
                d = json.loads(text)
                if d["prevHash"] == link and d["toSequence"] == to:
                    link = hashlib.sha256(bytes.fromhex(link) + canonical).hexdigest()
                    sequence = to
                    yield d
                    break
            else:
                fail(f"no batch follows {sequence}")
        if link != end["hash"]:
            fail("the chain ends in another hash than the manifest's")

    def restore(self, out, to=None):
        if os.path.exists(out):
            fail(out + " exists")
        to, end = to or self.m["head"]["sequence"], self.m["head"]
        for gap in reversed(self.m.get("gaps", [])):
            if gap["from"]["sequence"] < to < gap["to"]["sequence"]:
                fail("%d lies in the gap behind %d up to %d" % (to, gap["from"]["sequence"], gap["to"]["sequence"]))
            end = gap["from"] if to <= gap["from"]["sequence"] else end
        zero = {"sequence": 0, "hash": hashlib.sha256(b"driftdb2\0" + self.name.encode()).hexdigest()}
        start = zero if self.m["floor"] == {**zero, "maxTime": 0} else None
        for s in self.m["snapshots"]:
            if s["sequence"] <= to:
                start = s
        if start is None:
            fail("nothing to begin with so far back")
        if "key" in start:
            stored = self.bytes(start["key"])
            plain = gzip.decompress(stored) if start["key"].endswith(".gz") else stored
            if hashlib.sha256(plain).hexdigest() != start["sha256"]:
                fail("damaged: " + start["key"])
            with open(out, "wb") as f:
                f.write(plain)
        db = sqlite3.connect(out, isolation_level=None)
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {quote(name)}")
        db.execute("BEGIN")
        db.execute("SAVEPOINT tx")
        marked = db_at = start["sequence"]
        for d in self.chain(start["sequence"], start["hash"], end):
            for e in d["entries"]:
                db_at += 1
                if db_at > to:
                    continue
                apply(db, d["tables"], e)
                if e[0] == "m" or db_at == d["toSequence"] and d["part"] == d["parts"]:  # a transaction ends
                    db.execute("RELEASE tx")
                    db.execute("SAVEPOINT tx")
                    marked = db_at
        db.execute("ROLLBACK TO tx")
        db.execute("COMMIT")
        if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            fail("the rebuilt file is damaged")
        db.close()
        return marked

def quote(name):
    return '"' + name.replace('"', '""') + '"'

def bind(values):
    """Placeholders and arguments: {"x": hex} is a blob, {"t": hex} text that is not UTF-8 (1.1)."""
    marks = ["CAST(? AS TEXT)" if isinstance(v, dict) and "t" in v else "?" for v in values]
    return marks, [bytes.fromhex(next(iter(v.values()))) if isinstance(v, dict) else v for v in values]

def apply(db, tables, e):
    if e[0] == "s":
        for stmt in e[2]["sql"]:
            if not stmt.startswith("CREATE TRIGGER") and not stmt.startswith("DROP TRIGGER"):
                db.execute(stmt)
    if e[0] not in "iud":
        return
    t = tables[e[2]]
    marks, args = bind(e[3])
    if e[0] == "i":
        db.execute(f"INSERT OR REPLACE INTO {quote(t['name'])} ({', '.join(map(quote, t['columns']))}) VALUES ({', '.join(marks)})", args)
        return
    where = " AND ".join(f"{quote(c)} IS {m}" for c, m in zip(t["key"], marks))
    if e[0] == "d":
        db.execute(f"DELETE FROM {quote(t['name'])} WHERE {where}", args)
        return
    new, values = bind(e[5])
    sets = ", ".join(f"{quote(t['columns'][c])} = {m}" for c, m in zip(e[4], new))
    db.execute(f"UPDATE OR REPLACE {quote(t['name'])} SET {sets} WHERE {where}", values + args)

if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    print("rebuilt up to", Reader(*sys.argv[1:3]).restore(sys.argv[3], *map(int, sys.argv[4:])))
