package schema_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	osexec "os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/driftdb/driftdb/schema"
	"github.com/matryer/is"
)

// TestRealsComeBackBitForBit reads what the trigger printed with Go's own
// parser, as a restore does.
func TestRealsComeBackBitForBit(t *testing.T) {
	is := is.New(t)
	reals := schema.Table{
		Name: "reals", Model: "Real",
		Columns: []schema.Column{{Name: "id", Type: schema.Integer, NotNull: true}, {Name: "v", Type: schema.Real}, {Name: "a", Type: schema.Any}},
		Key:     []string{"id"},
	}
	db := openLogged(t, "", reals)
	r := rand.New(rand.NewPCG(1, 2))
	values := []float64{0, 0.1, 1e23, 5e-324, -5e-324, math.MaxFloat64, -math.MaxFloat64, 1 << 53, 1<<53 + 2, 1e60, 1e-60, 1e61, 1e-61, math.Pi, 1e15, 1e16, 1e17}
	for len(values) < 5000 {
		if v := math.Float64frombits(r.Uint64()); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v, r.Float64(), float64(r.Int64N(1e12))/1000)
		}
	}
	tx, err := db.Begin()
	is.NoErr(err)
	for i, v := range values {
		_, err := tx.Exec(`INSERT INTO reals VALUES (?, ?, ?)`, i, v, v)
		is.NoErr(err)
	}
	is.NoErr(tx.Commit())
	rows, err := db.Query(`SELECT data FROM _driftdb_log ORDER BY sequence`)
	is.NoErr(err)
	defer func() { is.NoErr(rows.Close()) }()
	for _, want := range values {
		is.True(rows.Next())
		var text string
		is.NoErr(rows.Scan(&text))
		var entry struct{ V, A json.Number }
		is.NoErr(json.Unmarshal([]byte(text), &entry))
		for _, printed := range []json.Number{entry.V, entry.A} {
			got, err := strconv.ParseFloat(printed.String(), 64)
			if err != nil || got != want || !strings.ContainsAny(printed.String(), ".e") {
				t.Fatalf("%g was printed as %s", want, printed)
			}
		}
	}
	is.NoErr(rows.Err())
}

// TestJSONTextIsQuoted: SQLite marks what its JSON functions return, and
// json_quote leaves what is marked as it is.
func TestJSONTextIsQuoted(t *testing.T) {
	is := is.New(t)
	db := openLogged(t, "", things)
	exec(t, db, `INSERT INTO things (id, s, a) VALUES (json('["x"]'), json('{"a":1}'), json_array(7))`)
	exec(t, db, `UPDATE things SET id = json_quote('y'), s = json_set(s, '$.b', 2), a = json('null')`)
	exec(t, db, `DELETE FROM things`)
	const rest = `"b":null,"a":%s,"say \"it's\" \\ now":null,"must":0}`
	all := entries(t, db)
	is.Equal(all[0], `things insert - {"id":"[\"x\"]","n":null,"r":null,"s":"{\"a\":1}",`+fmt.Sprintf(rest, `"[7]"`)+` -`)
	is.Equal(all[1], `things update {"id":"[\"x\"]"} {"id":"\"y\"","s":"{\"a\":1,\"b\":2}","a":"null"} {"id":"[\"x\"]","s":"{\"a\":1}","a":"[7]"}`)
	is.Equal(all[2], `things delete {"id":"\"y\""} - {"id":"\"y\"","n":null,"r":null,"s":"{\"a\":1,\"b\":2}",`+fmt.Sprintf(rest, `"null"`))
}

// TestWidestTable has as many columns as SQLite allows.
func TestWidestTable(t *testing.T) {
	is := is.New(t)
	wide := schema.Table{Name: "wide", Model: "Wide", Key: []string{"c0"}}
	for i := range 2000 {
		types := []schema.Type{schema.Integer, schema.Real, schema.Text, schema.Blob, schema.Any}
		wide.Columns = append(wide.Columns, schema.Column{Name: "c" + strconv.Itoa(i), Type: types[i%len(types)], NotNull: i == 0})
	}
	db := openLogged(t, "", wide)
	exec(t, db, `INSERT INTO wide (c0, c1999) VALUES (1, 'x')`)
	exec(t, db, `UPDATE wide SET c1998 = x'01', c1 = 2`)
	exec(t, db, `UPDATE wide SET c1998 = x'01', c1 = 2`)
	exec(t, db, `DELETE FROM wide`)
	all := entries(t, db)
	is.Equal(len(all), 3)
	is.True(strings.HasPrefix(all[0], `wide insert - {"c0":1,"c1":null,`) && strings.HasSuffix(all[0], `,"c1999":"x"} -`))
	is.Equal(all[1], `wide update {"c0":1} {"c1":2.0,"c1998":{"x":"01"}} {"c1":null,"c1998":null}`)
}

// TestOtherPrograms writes with the sqlite3 shell that is installed: one that
// cannot log exactly is refused and changes nothing.
func TestOtherPrograms(t *testing.T) {
	shell, err := osexec.LookPath("sqlite3")
	if err != nil {
		t.Skip("no sqlite3 shell on this machine: ", err)
	}
	is := is.New(t)
	version, err := osexec.Command(shell, "--version").Output()
	is.NoErr(err)
	var major, minor int
	_, err = fmt.Sscanf(string(version), "%d.%d", &major, &minor)
	is.NoErr(err)
	db := openLogged(t, "", things)
	var path string
	is.NoErr(db.QueryRow(`SELECT file FROM pragma_database_list`).Scan(&path))
	for _, c := range []struct {
		query string
		needs int // minor version
	}{
		{`INSERT OR IGNORE INTO things (id, n) VALUES ('y', 2)`, 42},
		{`INSERT OR REPLACE INTO things (id, n) VALUES ('z', 1)`, 42},
		{`UPDATE OR IGNORE things SET n = 5`, 42},
		{`UPDATE things SET r = 1e300`, 53},
		{`DELETE FROM things`, 42},
	} {
		exec(t, db, `DELETE FROM things`)
		exec(t, db, `INSERT INTO things (id, n, r) VALUES ('x', 1, 0.5)`)
		exec(t, db, `DELETE FROM _driftdb_log`)
		before := dump(t, db)
		out, err := osexec.Command(shell, path, c.query).CombinedOutput()
		if minor >= c.needs {
			is.NoErr(err)
			is.Equal(len(entries(t, db)), 1)
			continue
		}
		if err == nil || !strings.Contains(string(out), "SQLite 3.") {
			t.Errorf("%s: SQLite 3.%d was not refused: %v %s", c.query, minor, err, out)
		}
		is.Equal(dump(t, db), before)
		is.Equal(len(entries(t, db)), 0)
	}
}

func TestHostileTableName(t *testing.T) {
	is := is.New(t)
	name := `it's "t" \ ; --`
	table := withColumn(schema.Column{Name: `'||x"`, Type: schema.Text})
	table.Name = name
	db := openLogged(t, "", table)
	exec(t, db, `INSERT INTO `+schema.QuoteIdent(name)+` VALUES ('a', 'b')`)
	exec(t, db, `UPDATE `+schema.QuoteIdent(name)+` SET `+schema.QuoteIdent(`'||x"`)+` = 'c'`)
	all := entries(t, db)
	is.Equal(all[0], name+` insert - {"id":"a","'||x\"":"b"} -`)
	is.Equal(all[1], name+` update {"id":"a"} {"'||x\"":"c"} {"'||x\"":"b"}`)
}
