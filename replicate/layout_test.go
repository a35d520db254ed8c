package replicate

import (
	"strings"
	"testing"

	"github.com/matryer/is"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb/internal/envelope"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	is.Equal(manifestKey("myapp"), "databases/myapp/manifest.json")
	base := objectKey{db: "myapp", node: "0123456789ab", epoch: 3, part: 1, parts: 1}

	k := base
	k.kind, k.from, k.to, k.gzip = envelope.Batch, 1, 25, true
	is.Equal(k.String(), "databases/myapp/nodes/0123456789ab/00000003/logs/000000000001-000000000025.json.gz")
	k.part, k.parts, k.gzip, k.sealed = 2, 3, false, true
	is.Equal(k.String(), "databases/myapp/nodes/0123456789ab/00000003/logs/000000000001-000000000025-p2of3.json.enc")

	k = base
	k.kind, k.from, k.to = envelope.Pack, 1, 1_000_000_000_000
	is.Equal(k.String(), "databases/myapp/nodes/0123456789ab/00000003/packs/000000000001-1000000000000.pack")

	k = base
	k.kind, k.to, k.millis, k.gzip = envelope.Snapshot, 77, 1_700_000_000_123, true
	is.Equal(k.String(), "databases/myapp/nodes/0123456789ab/00000003/snapshots/000000000077-1700000000123.sqlite.gz")
}

func TestKeysRoundTrip(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[a-z0-9]([a-z0-9_-][.]?){0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		k := objectKey{
			kind: rapid.SampledFrom([]envelope.Kind{envelope.Batch, envelope.Snapshot, envelope.Pack}).Draw(t, "kind"),
			db:   name.Draw(t, "db"), node: name.Draw(t, "node"),
			epoch: rapid.Uint32().Draw(t, "epoch"), part: 1, parts: 1,
			to: rapid.Int64Range(1, 1<<62).Draw(t, "to"),
		}
		if k.kind != envelope.Snapshot {
			k.from = rapid.Int64Range(1, k.to).Draw(t, "from")
		} else {
			k.millis = rapid.Int64Range(0, 1<<50).Draw(t, "ms")
		}
		if k.kind != envelope.Pack {
			k.gzip, k.sealed = rapid.Bool().Draw(t, "gz"), rapid.Bool().Draw(t, "enc")
		}
		if k.kind == envelope.Batch && rapid.Bool().Draw(t, "parts") {
			k.parts = rapid.IntRange(2, 65535).Draw(t, "n")
			k.part = rapid.IntRange(1, k.parts).Draw(t, "i")
		}
		back, err := parseKey(k.String())
		if err != nil || back != k {
			t.Fatalf("%v: %+v came back as %+v (%v)", k, k, back, err)
		}
	})
}

func TestKeysRefused(t *testing.T) {
	t.Parallel()
	const good = "databases/myapp/nodes/n1/00000003/logs/000000000001-000000000025.json.gz"
	if _, err := parseKey(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"databases/", "database/"}, {"databases/", "/databases/"}, {"myapp", "My App"}, {"myapp", ""}, {"myapp", "a..b"}, {"myapp", ".."},
		{"/n1/", "/../"}, {"/n1/", "/-n/"}, {"nodes", "node"}, {"00000003", "3"}, {"00000003", "000000003"}, {"00000003", "99999999999"}, {"00000003", "-0000003"},
		{"logs", "log"}, {"logs", "snapshots"}, {"logs", "packs"}, {"000000000001", "1"}, {"000000000001", "0000000000001"},
		{"000000000001", "000000000026"}, {"000000000001", "000000000000"}, {"000000000001", "+00000000001"}, {"000000000001", "0000000000_1"},
		{".json", ".sqlite"}, {".json", "-p1of1.json"}, {".json", "-p3of2.json"}, {".json", "-p01of2.json"}, {".json", "-p0of2.json"}, {".json", "-p1of99999.json"},
		{".gz", ".enc.gz"}, {".gz", ".gz.gz"}, {".gz", ".gz/"}, {".gz", ".gz "},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if _, err := parseKey(bad); err == nil || bad == good {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	for _, ok := range []string{"a", "0", "my-app_1.prod", strings.Repeat("x", 63)} {
		is.NoErr(checkName("name", ok))
	}
	for _, bad := range []string{"", ".", "..", "a..b", "-a", "_a", ".a", "A", "a b", "a/b", "ä", "a\x00", "a\n", strings.Repeat("x", 64)} {
		is.True(checkName("name", bad) != nil)
	}
}

// A listing that begins after logsAfter(s) leaves out nothing that begins
// above s.
func TestLogsAfter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.Int64Range(0, 2e11), rapid.Int64Range(0, 50)).Draw(t, "s")
		from := rapid.OneOf(rapid.Int64Range(1, 2e13), rapid.Int64Range(1, 50)).Draw(t, "from")
		k := objectKey{kind: envelope.Batch, db: "d", node: "n", epoch: 1, from: from, to: from + 5, part: 1, parts: 1, gzip: true}
		listed := k.String() > logsAfter("d", "n", 1, s)
		if from > s && !listed || from <= s && s < 1e11 && listed {
			t.Fatalf("from %d after %d: listed %v", from, s, listed)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add("databases/myapp/nodes/n1/00000003/logs/000000000001-000000000025-p1of2.json.gz.enc")
	f.Add("databases/myapp/nodes/n1/00000003/packs/000000000001-000000000025.pack")
	f.Add("databases/myapp/nodes/n1/00000003/snapshots/000000000001-1700000000000.sqlite.gz")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseKey(s)
		if err == nil && k.String() != s {
			t.Fatalf("%q was accepted and is built as %q", s, k)
		}
	})
}
