package replicate

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
)

func sampleManifest() *manifest {
	h := func(b byte) (h hash) { h[0] = b; return h }
	return &manifest{
		Version: 2, DBName: "myapp", Revision: 9, Nonce: token{1}, Epoch: 4, NodeID: "n1", ClaimToken: token{2}, ClaimedAt: 1000,
		Head: link{Sequence: 50, Hash: h(50), MaxTime: 500}, Floor: link{Sequence: 0, Hash: h(1)},
		Lineage: []lineageEntry{
			{Node: "n0", Epoch: 1, End: &link{Sequence: 10, Hash: h(10), MaxTime: 100}},
			{Node: "n1", Epoch: 3, End: &link{Sequence: 40, Hash: h(40), MaxTime: 400}},
		},
		Snapshots: []snapshotEntry{{
			Key: "databases/myapp/nodes/n0/00000001/snapshots/000000000005-77.sqlite.gz", Sequence: 5, Hash: h(5), Time: 77, MaxTime: 70,
			Length: 8192, SHA256: h(6), StoredSize: 900, StoredSHA256: h(7),
		}},
		Points:    []pointEntry{{Name: "before-2.0", Sequence: 7, Hash: h(8), Time: 1500, MaxTime: 70}},
		UpdatedAt: 2000,
	}
}

// The bytes of the manifest are the format: this test changes only with docs/format.md.
func TestManifestGolden(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	b, err := sampleManifest().encode()
	is.NoErr(err)
	zeros := func(first string) string { return first + strings.Repeat("0", 62) }
	want := `{"version":2,"dbName":"myapp","revision":9,"nonce":"01` + strings.Repeat("0", 30) + `","epoch":4,"nodeId":"n1","claimToken":"02` + strings.Repeat("0", 30) + `","claimedAt":1000,"released":false,` +
		`"head":{"sequence":50,"hash":"` + zeros("32") + `","maxTime":500},"floor":{"sequence":0,"hash":"` + zeros("01") + `","maxTime":0},` +
		`"lineage":[{"node":"n0","epoch":1,"end":{"sequence":10,"hash":"` + zeros("0a") + `","maxTime":100}},{"node":"n1","epoch":3,"end":{"sequence":40,"hash":"` + zeros("28") + `","maxTime":400}}],` +
		`"snapshots":[{"key":"databases/myapp/nodes/n0/00000001/snapshots/000000000005-77.sqlite.gz","sequence":5,"hash":"` + zeros("05") + `","time":77,"maxTime":70,"length":8192,"sha256":"` + zeros("06") + `","storedSize":900,"storedSha256":"` + zeros("07") + `"}],` +
		`"packs":[],"points":[{"name":"before-2.0","sequence":7,"hash":"` + zeros("08") + `","time":1500,"maxTime":70}],"updatedAt":2000}`
	is.Equal(cmp.Diff(want, string(b)), "")
	m, err := parseManifest(b, "myapp")
	is.NoErr(err)
	again, err := m.encode()
	is.NoErr(err)
	is.True(bytes.Equal(again, b))
}

func TestManifestRefused(t *testing.T) {
	t.Parallel()
	good, err := sampleManifest().encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		old, new string
		want     error
	}{
		"v1":                {`"version":2,`, ``, ErrV1Manifest},
		"newer":             {`"version":2`, `"version":3`, ErrVersion},
		"older":             {`"version":2`, `"version":1`, ErrCorrupt},
		"text version":      {`"version":2`, `"version":"2"`, ErrCorrupt},
		"unknown member":    {`"packs":[]`, `"packs":[],"more":1`, ErrCorrupt},
		"member missing":    {`"released":false,`, ``, ErrCorrupt},
		"member twice":      {`"released":false,`, `"released":true,"released":false,`, ErrCorrupt},
		"white space":       {`"version":2,`, `"version": 2,`, ErrCorrupt},
		"trailing":          {`"updatedAt":2000}`, `"updatedAt":2000}x`, ErrCorrupt},
		"cut":               {`"updatedAt":2000}`, `"updatedAt":2000`, ErrCorrupt},
		"empty":             {string(good), ``, ErrCorrupt},
		"an array":          {string(good), `[]`, ErrCorrupt},
		"other database":    {`"dbName":"myapp"`, `"dbName":"other"`, ErrCorrupt},
		"bad node":          {`"nodeId":"n1"`, `"nodeId":"../n1"`, ErrCorrupt},
		"no epoch":          {`"epoch":4,`, `"epoch":0,`, ErrCorrupt},
		"no nonce":          {`"nonce":"01`, `"nonce":"00`, ErrCorrupt},
		"upper-case hex":    {`"claimToken":"02`, `"claimToken":"AB`, ErrCorrupt},
		"short hash":        {`"hash":"32`, `"hash":"`, ErrCorrupt},
		"head below floor":  {`"floor":{"sequence":0`, `"floor":{"sequence":51`, ErrCorrupt},
		"lineage order":     {`"epoch":3,"end"`, `"epoch":1,"end"`, ErrCorrupt},
		"lineage too new":   {`"epoch":3,"end"`, `"epoch":4,"end"`, ErrCorrupt},
		"end beyond head":   {`"end":{"sequence":40`, `"end":{"sequence":51`, ErrCorrupt},
		"ends not rising":   {`"end":{"sequence":40`, `"end":{"sequence":10`, ErrCorrupt},
		"after open":        {`"epoch":1,"end":{"sequence":10,"hash":"0a` + strings.Repeat("0", 62) + `","maxTime":100}`, `"epoch":1,"end":null`, ErrCorrupt},
		"snapshot key":      {`"key":"databases/myapp/nodes/n0/00000001/snap`, `"key":"databases/myapp/../n0/00000001/snap`, ErrCorrupt},
		"snapshot of other": {`"key":"databases/myapp/nodes/n0`, `"key":"databases/other/nodes/n0`, ErrCorrupt},
		"snapshot sequence": {`"sequence":5,"hash"`, `"sequence":6,"hash"`, ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			bad := strings.Replace(string(good), c.old, c.new, 1)
			is.True(bad != string(good))
			_, err := parseManifest([]byte(bad), "myapp")
			is.True(errors.Is(err, c.want)) // want the named error
		})
	}
}

func TestLineage(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	m := sampleManifest()
	m.closeEpoch("n1", 4, link{Sequence: 40}) // shipped nothing: no entry
	is.Equal(len(m.Lineage), 2)
	m.closeEpoch("n1", 4, link{Sequence: 45})
	is.Equal(len(m.Lineage), 3)
	m.Floor.Sequence = 40
	m.trim() // ends at or below the floor go
	is.Equal(len(m.Lineage), 1)
	is.Equal(m.Lineage[0].Epoch, uint32(4))

	c := m.clone()
	c.Lineage[0].Epoch = 99
	is.Equal(m.Lineage[0].Epoch, uint32(4)) // a clone shares nothing that is changed in place
}

func FuzzParseManifest(f *testing.F) {
	b, err := sampleManifest().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"latestSnapshotKey":null,"latestLogSequence":3}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseManifest(in, "myapp")
		if err != nil {
			return
		}
		out, err := m.encode()
		if err != nil || !bytes.Equal(in, out) {
			t.Fatalf("accepted, but encodes to %s (%v)", out, err)
		}
	})
}
