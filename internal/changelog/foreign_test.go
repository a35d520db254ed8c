package changelog_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/changelog"
)

// childEnv makes the test binary another program: it runs statements on a file
// with database/sql as anybody would, without a pragma of ours.
const childEnv = "CHANGELOG_TEST_CHILD"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestChild is the other program, and nothing when it is run by itself.
func TestChild(t *testing.T) {
	if job := os.Getenv(childEnv); job != "" {
		must(t, child(job))
	}
}

type childJob struct {
	Path  string   `json:"path"`
	Stmts []string `json:"stmts"`
}

func child(job string) (err error) {
	var j childJob
	if err := json.Unmarshal([]byte(job), &j); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", j.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, s := range j.Stmts {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	return nil
}

// otherProcess runs statements in another process.
func (f *file) otherProcess(stmts ...string) {
	f.t.Helper()
	job, err := json.Marshal(childJob{f.path, stmts})
	f.must(err)
	exe, err := os.Executable()
	f.must(err)
	cmd := exec.CommandContext(f.t.Context(), exe, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(job))
	if out, err := cmd.CombinedOutput(); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
}

// Rows that another program writes with the driver's defaults come back, and
// the rows that its REPLACE removed without a word do not.
func TestOtherProgram(t *testing.T) {
	is := is.New(t)
	f := newFile(t, world()...)
	f.tx(`INSERT INTO users (email, nick) VALUES ('a', 'ann'), ('b', 'bob'), ('c', 'cy')`)
	f.otherProcess(
		`INSERT OR REPLACE INTO users (email, nick) VALUES ('d', 'ann')`, // a is gone
		`UPDATE OR REPLACE users SET nick = 'bob' WHERE email = 'c'`,     // b is gone
		`INSERT INTO teams VALUES (1, 'one'), (2, 'two')`,
		`REPLACE INTO teams VALUES (3, 'ONE')`, // NOCASE: 1 is gone
		`UPDATE teams SET name = 'Two' WHERE id = 2`,
	)
	is.Equal(f.value(`SELECT group_concat(email || nick) FROM users`), "cbob,dann")
	is.Equal(f.value(`SELECT group_concat(id || name) FROM teams`), "2Two,3ONE")
	is.Equal(f.value(`SELECT count(*) FROM _driftdb_log WHERE operation = 'delete'`), "0") // nothing said so
	checkReplay(t, f, changelog.CutOptions{})
	// Its transactions have no mark; the next of ours closes them.
	f.tx(`DELETE FROM users WHERE email = 'd'`)
	checkReplay(t, f, changelog.CutOptions{Entries: 1})
}

// A SQLite too old to log exactly is refused with a message, and the row stays
// as it was.
func TestOldShell(t *testing.T) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("SKIPPED: needs the sqlite3 shell in a version before 3.42: ", err)
	}
	out, err := exec.CommandContext(t.Context(), shell, "-version").Output()
	must(t, err)
	version := strings.Split(string(out), ".")
	minor, err := strconv.Atoi(version[1])
	must(t, err)
	if version[0] != "3" || minor >= 42 {
		t.Skip("SKIPPED: needs the sqlite3 shell in a version before 3.42, this one is ", string(out))
	}
	f := newFile(t, numbersTable())
	f.tx(`INSERT INTO numbers VALUES (1, 'one')`)
	before := query(t, f.w, `SELECT * FROM numbers`)
	log := f.value(`SELECT count(*) FROM _driftdb_log`)
	for _, stmt := range []string{
		`UPDATE numbers SET t = 'changed'`,
		`UPDATE OR IGNORE numbers SET t = 'changed'`,
		`INSERT INTO numbers VALUES (2, 'two')`,
		`INSERT OR IGNORE INTO numbers VALUES (2, 'two')`,
		`INSERT OR FAIL INTO numbers VALUES (2, 'two')`,
		`INSERT OR REPLACE INTO numbers VALUES (1, 'two')`,
		`REPLACE INTO numbers VALUES (2, 'two')`,
		`DELETE FROM numbers`,
	} {
		t.Run(stmt, func(t *testing.T) {
			is := is.New(t)
			out, err := exec.CommandContext(t.Context(), shell, f.path, stmt).CombinedOutput()
			is.True(err != nil)
			if !strings.Contains(string(out), "3.42 or newer") {
				t.Errorf("the message is %q", out)
			}
			is.Equal(query(t, f.w, `SELECT * FROM numbers`), before)
			is.Equal(f.value(`SELECT count(*) FROM _driftdb_log`), log)
		})
	}
}

// However a conflict is handled, what is stored is logged.
func TestNoRowWithoutItsEntry(t *testing.T) {
	for _, stmt := range []string{
		`INSERT OR IGNORE INTO users (email, nick) VALUES ('a', 'x'), ('new', 'y'), ('newer', 'ann'), (NULL, 'z')`,
		`INSERT OR FAIL INTO users (email, nick) VALUES ('new', 'y'), ('a', 'x'), ('newer', 'z')`,
		`INSERT OR ROLLBACK INTO users (email, nick) VALUES ('new', 'y'), ('a', 'x')`,
		`INSERT OR ABORT INTO users (email, nick) VALUES ('new', 'y'), ('a', 'x')`,
		`INSERT OR REPLACE INTO users (email, nick) VALUES ('new', 'ann'), ('a', 'bob')`,
		`UPDATE OR IGNORE users SET nick = 'same'`,
		`UPDATE OR FAIL users SET nick = 'same'`,
		`UPDATE OR REPLACE users SET nick = 'same'`,
	} {
		t.Run(stmt, func(t *testing.T) {
			f := newFile(t, world()...)
			f.tx(`INSERT INTO users (email, nick) VALUES ('a', 'ann'), ('b', 'bob')`)
			_ = f.try(stmt)
			checkReplay(t, f, changelog.CutOptions{})
			f.otherProcess(`INSERT OR IGNORE INTO users (email, nick) VALUES ('a', 'x'), ('q', 'y')`)
			checkReplay(t, f, changelog.CutOptions{})
		})
	}
}
