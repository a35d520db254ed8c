package changelog

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
)

// Identity is where a batch stands in the bucket: the members of a document
// that its hash does not cover.
type Identity struct {
	DBName string
	NodeID string
	Epoch  uint32
	Part   int
	Parts  int
}

// AddIdentity returns the document, section 4.1 of docs/format.md: a batch's
// canonical plaintext with id in front. The names are what docs/format.md
// allows as names.
func AddIdentity(id Identity, canonical []byte) []byte {
	b := make([]byte, 0, len(canonical)+len(id.DBName)+len(id.NodeID)+96)
	b = append(b, `{"dbName":`...)
	b = AppendString(b, id.DBName)
	b = append(b, `,"nodeId":`...)
	b = AppendString(b, id.NodeID)
	b = append(b, `,"epoch":`...)
	b = strconv.AppendUint(b, uint64(id.Epoch), 10)
	b = append(b, `,"part":`...)
	b = strconv.AppendInt(b, int64(id.Part), 10)
	b = append(b, `,"parts":`...)
	b = strconv.AppendInt(b, int64(id.Parts), 10)
	b = append(b, ',')
	return append(b, canonical[1:]...)
}

// Document is a batch read back.
type Document struct {
	Identity
	From, To      int64
	PrevHash      Hash
	SchemaVersion int64 // sequence of the last schema entry before From
	Time          int64 // of the first entry, Unix milliseconds
	MaxTime       int64 // largest timestamp up to To over the whole chain
	Tables        []Layout

	doc     string
	canon   int // where the canonical plaintext begins, less its brace
	entries int // where the first entry begins
}

// ErrBatch is a document that is not a batch as this version writes it.
var ErrBatch = errors.New("not a valid batch")

// ErrVersion is a batch of a newer format.
var ErrVersion = errors.New("the batch has a newer format: use a newer version of the program")

const (
	maxTables  = 1 << 16 // elements of a batch's tables
	maxColumns = 1 << 15 // SQLite's own limit
)

// ParseBatch reads a document strictly: what it accepts (with every entry of
// Entries) encodes to the same bytes again.
func ParseBatch(doc []byte) (*Document, error) {
	d := &Document{doc: string(doc)}
	c := cursor{s: d.doc}
	c.lit(`{"dbName":"`)
	d.DBName = c.name()
	c.lit(`","nodeId":"`)
	d.NodeID = c.name()
	c.lit(`","epoch":`)
	d.Epoch = uint32(c.integer(1, 1<<32-1))
	c.lit(`,"part":`)
	d.Part = int(c.integer(1, 1<<16-1))
	c.lit(`,"parts":`)
	d.Parts = int(c.integer(int64(d.Part), 1<<16-1))
	c.lit(`,`)
	d.canon = c.i
	c.lit(`"version":`)
	if v := c.integer(1, 1<<31); c.err == nil && v != 2 {
		return nil, fmt.Errorf("version %d: %w", v, ErrVersion)
	}
	d.header(&c)
	d.entries = c.i
	if c.err != nil {
		return nil, c.err
	}
	return d, nil
}

// header reads from behind the version to the first entry.
func (d *Document) header(c *cursor) {
	c.lit(`,"fromSequence":`)
	d.From = c.integer(1, 1<<62)
	c.lit(`,"toSequence":`)
	d.To = c.integer(d.From, 1<<62)
	c.lit(`,"prevHash":"`)
	d.PrevHash = c.hash()
	c.lit(`","schemaVersion":`)
	d.SchemaVersion = c.integer(0, d.From-1)
	c.lit(`,"time":`)
	d.Time = c.integer(-maxTime, maxTime)
	c.lit(`,"maxTime":`)
	d.MaxTime = c.integer(d.Time, maxTime)
	c.lit(`,"tables":[`)
	for c.err == nil && !c.has(']') {
		if len(d.Tables) > 0 {
			c.lit(`,`)
		}
		if len(d.Tables) == maxTables {
			c.fail("too many tables")
			return
		}
		var l Layout
		c.lit(`{"name":`)
		l.Name = c.text()
		c.lit(`,"columns":`)
		l.Columns = c.names()
		c.lit(`,"key":`)
		l.Key = c.names()
		c.lit(`}`)
		d.Tables = append(d.Tables, l)
	}
	c.lit(`],"entries":[`)
}

// Hash returns the document's own link: Chain(PrevHash, Canonical()).
func (d *Document) Hash() Hash {
	return chain(d.PrevHash, []byte("{"), []byte(d.doc[d.canon:]))
}

// Canonical returns a copy of the canonical plaintext.
func (d *Document) Canonical() []byte {
	b := make([]byte, 0, len(d.doc)-d.canon+1)
	b = append(b, '{')
	return append(b, d.doc[d.canon:]...)
}

// Entry is one entry of a document. The values are JSON tokens as section 4.1
// of docs/format.md has them.
type Entry struct {
	Sequence int64
	Time     int64 // Unix milliseconds
	Op       Op
	Table    int      // index into Tables; rows only
	Key      []string // the old key, in the order of the table's Key; updates and deletes
	Columns  []int    // updates: the changed columns, indexes into the table's Columns
	New      []string // inserts: one value per column; updates: one per changed column
	Old      []string // updates and deletes: the old values, empty where the log keeps none
	Schema   string   // the log's object; see ParseSchemaEntry
}

// Entries yields every entry in order and checks it. The error, if any, is the
// last thing yielded. An Entry and its slices are valid until the next.
func (d *Document) Entries() iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		r := d.reader()
		for r.next() {
			if !yield(&r.e, nil) {
				return
			}
		}
		if r.c.err != nil {
			yield(nil, r.c.err)
		}
	}
}

func (d *Document) reader() *entryReader {
	return &entryReader{d: d, c: cursor{s: d.doc, i: d.entries}}
}
