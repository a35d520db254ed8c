package orm_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// The benchmarks compare generated code with database/sql written by hand:
// prepared statements on a file with the same table, indexes and change-log
// triggers, in the same run.

const benchRows = 10_000

const (
	handInsert = `INSERT INTO users (id, created_at, updated_at, name, email, age, score, active, avatar, seen, team_id, nick) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	handSelect = `SELECT id, created_at, updated_at, name, email, age, score, active, avatar, seen, team_id, nick FROM users`
)

func benchDB(b *testing.B, rows int) (db *orm.DB, hand *sql.DB, ids []string) {
	b.Helper()
	is := is.New(b)
	db, err := driftdb.Open(context.Background(), filepath.Join(b.TempDir(), "b.sqlite"), basic.Schema, driftdb.Options{})
	is.NoErr(err)
	b.Cleanup(func() { is.NoErr(db.Close()) })
	all := make([]basic.User, rows)
	for i := range all {
		all[i] = benchUser(i)
	}
	is.NoErr(users.CreateMany(context.Background(), db, all))
	for _, u := range all {
		ids = append(ids, u.ID)
	}
	hand = db.SQL()
	hand.SetMaxOpenConns(1)
	return db, hand, ids
}

func benchUser(i int) basic.User {
	name := fmt.Sprintf("user %d", i)
	return basic.User{Name: name, Email: name, Nick: name, Age: new(i), Score: float64(i), Active: true}
}

func prepare(b *testing.B, db *sql.DB, query string) *sql.Stmt {
	b.Helper()
	s, err := db.Prepare(query)
	is.New(b).NoErr(err)
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// handArgs are what a careful person binds for a benchUser.
func handArgs(u *basic.User, now int64) []any {
	return []any{uuid.Must(uuid.NewV7()).String(), now, now, u.Name, u.Email, *u.Age, u.Score, 1, []byte{}, nil, nil, u.Nick}
}

func handScan(row interface{ Scan(...any) error }, u *basic.User) error {
	var created, updated int64
	var seen *int64
	return row.Scan(&u.ID, &created, &updated, &u.Name, &u.Email, &u.Age, &u.Score, &u.Active, &u.Avatar, &seen, &u.TeamID, &u.Nick)
}

func BenchmarkCreate(b *testing.B) {
	b.Run("driftdb", func(b *testing.B) {
		db, _, _ := benchDB(b, 0)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			u := benchUser(i)
			if err := users.Create(context.Background(), db, &u); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hand", func(b *testing.B) {
		_, hand, _ := benchDB(b, 0)
		s := prepare(b, hand, handInsert)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			u := benchUser(i)
			if _, err := s.Exec(handArgs(&u, 1)...); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	db, hand, ids := benchDB(b, benchRows)
	b.Run("driftdb", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := users.Find(context.Background(), db, ids[i%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hand", func(b *testing.B) {
		s := prepare(b, hand, handSelect+` WHERE id = ?`)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			var u basic.User
			if err := handScan(s.QueryRow(ids[i%len(ids)]), &u); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	db, hand, _ := benchDB(b, benchRows)
	b.Run("driftdb", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range users.Where().Each(context.Background(), db) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != benchRows {
				b.Fatal(n)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
	})
	b.Run("hand", func(b *testing.B) {
		s := prepare(b, hand, handSelect)
		b.ReportAllocs()
		for b.Loop() {
			rows, err := s.Query()
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for rows.Next() {
				var u basic.User
				if err := handScan(rows, &u); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if err := rows.Err(); err != nil || n != benchRows {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
	})
}

func BenchmarkBulk(b *testing.B) {
	const rows = 1000
	b.Run("driftdb", func(b *testing.B) {
		db, _, _ := benchDB(b, 0)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			all := make([]basic.User, rows)
			for j := range all {
				all[j] = benchUser(i*rows + j)
			}
			if err := users.CreateMany(context.Background(), db, all); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	})
	b.Run("hand", func(b *testing.B) {
		_, hand, _ := benchDB(b, 0)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			tx, err := hand.Begin()
			if err != nil {
				b.Fatal(err)
			}
			s, err := tx.Prepare(handInsert)
			if err != nil {
				b.Fatal(err)
			}
			for j := range rows {
				u := benchUser(i*rows + j)
				if _, err := s.Exec(handArgs(&u, 1)...); err != nil {
					b.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	})
}
