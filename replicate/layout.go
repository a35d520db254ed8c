package replicate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/driftdb/driftdb/internal/envelope"
)

const root = "databases/"

// checkName says why s is no name of a database or node. what names it in the
// error.
func checkName(what, s string) error {
	ok := len(s) >= 1 && len(s) <= 63 && !strings.Contains(s, "..")
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		ok = alnum || i > 0 && (c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%s %q: want 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit, without \"..\"", what, s)
	}
	return nil
}

// objectKey is the parsed key of a batch, snapshot or pack. The builder
// (String) and the parser (parseKey) are each other's inverse.
type objectKey struct {
	kind        envelope.Kind // Batch, Snapshot or Pack
	db, node    string
	epoch       uint32
	from, to    int64 // a snapshot has from 0 and its sequence in to
	part, parts int   // 1 of 1 but for the parts of one transaction
	millis      int64 // snapshot only: when it was taken, Unix ms
	gzip        bool  // not for packs
	sealed      bool  // not for packs
}

func manifestKey(db string) string { return root + db + "/manifest.json" }

// epochPrefix is what all keys of one node's epoch begin with.
func epochPrefix(db, node string, epoch uint32) string {
	return fmt.Sprintf("%s%s/nodes/%s/%08d/", root, db, node, epoch)
}

func logsPrefix(db, node string, epoch uint32) string {
	return epochPrefix(db, node, epoch) + "logs/"
}

// logsAfter is where a listing of the batches that begin above sequence may
// start. From 10¹¹ on it starts at the first: keys of 13 digits are due, and
// they do not sort by number.
func logsAfter(db, node string, epoch uint32, sequence int64) string {
	if sequence >= 100_000_000_000 {
		return ""
	}
	return fmt.Sprintf("%s%012d-~", logsPrefix(db, node, epoch), sequence)
}

func (k objectKey) String() string {
	var b strings.Builder
	b.WriteString(epochPrefix(k.db, k.node, k.epoch))
	switch k.kind {
	case envelope.Batch:
		fmt.Fprintf(&b, "logs/%012d-%012d", k.from, k.to)
		if k.parts > 1 {
			fmt.Fprintf(&b, "-p%dof%d", k.part, k.parts)
		}
		b.WriteString(".json")
	case envelope.Snapshot:
		fmt.Fprintf(&b, "snapshots/%012d-%d.sqlite", k.to, k.millis)
	case envelope.Pack:
		fmt.Fprintf(&b, "packs/%012d-%012d.pack", k.from, k.to)
	}
	if k.gzip {
		b.WriteString(".gz")
	}
	if k.sealed {
		b.WriteString(".enc")
	}
	return b.String()
}

// header is what the header of the object at k must say. Length is not in a
// key.
func (k objectKey) header() envelope.Header {
	h := envelope.Header{
		Kind: k.kind, Gzip: k.gzip, Epoch: k.epoch, From: k.from, To: k.to,
		Part: uint16(k.part), Parts: uint16(k.parts), Length: -1, DB: k.db, Node: k.node,
	}
	if k.sealed {
		h.Seal = &envelope.Seal{}
	}
	return h
}

// parseKey accepts exactly the keys that String builds.
func parseKey(s string) (objectKey, error) {
	k, ok := splitKey(s)
	if !ok || k.String() != s {
		return objectKey{}, fmt.Errorf("%q is not a key of this format", s)
	}
	return k, nil
}

func splitKey(s string) (k objectKey, ok bool) {
	rest, ok := strings.CutPrefix(s, root)
	if !ok {
		return k, false
	}
	p := strings.Split(rest, "/") // db nodes node epoch kind name
	if len(p) != 6 || p[1] != "nodes" || checkName("", p[0]) != nil || checkName("", p[2]) != nil {
		return k, false
	}
	epoch, ok := number(p[3])
	if !ok || epoch > 1<<32-1 {
		return k, false
	}
	k = objectKey{db: p[0], node: p[2], epoch: uint32(epoch), part: 1, parts: 1}
	name := p[5]
	name, k.sealed = strings.CutSuffix(name, ".enc")
	name, k.gzip = strings.CutSuffix(name, ".gz")
	switch p[4] {
	case "logs":
		k.kind = envelope.Batch
		if name, ok = strings.CutSuffix(name, ".json"); !ok {
			return k, false
		}
		if span, parts, found := strings.Cut(name, "-p"); found {
			i, n, _ := strings.Cut(parts, "of")
			part, ok1 := number(i)
			of, ok2 := number(n)
			if !ok1 || !ok2 || part < 1 || part > of || of < 2 || of > 1<<16-1 {
				return k, false
			}
			name, k.part, k.parts = span, int(part), int(of)
		}
		k.from, k.to, ok = pair(name)
		ok = ok && 1 <= k.from && k.from <= k.to
	case "packs":
		k.kind = envelope.Pack
		if name, ok = strings.CutSuffix(name, ".pack"); !ok {
			return k, false
		}
		k.from, k.to, ok = pair(name)
		ok = ok && 1 <= k.from && k.from <= k.to && !k.gzip && !k.sealed
	case "snapshots":
		k.kind = envelope.Snapshot
		if name, ok = strings.CutSuffix(name, ".sqlite"); !ok {
			return k, false
		}
		k.to, k.millis, ok = pair(name)
	default:
		return k, false
	}
	return k, ok
}

func pair(s string) (a, b int64, ok bool) {
	left, right, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, false
	}
	a, ok1 := number(left)
	b, ok2 := number(right)
	return a, b, ok1 && ok2
}

// number parses digits only: no sign, no underscore.
func number(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
