// Bare is what full does, written by hand with database/sql: the same tables,
// with the same kinds of columns, and the same reads and writes.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/google/uuid"
	_ "github.com/mattn/go-sqlite3"
)

const tables = `CREATE TABLE IF NOT EXISTS teams (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE COLLATE NOCASE, age INTEGER CHECK (age >= 0),
	role TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'lead')), active INTEGER NOT NULL DEFAULT 1, meta TEXT CHECK (json_valid(meta)),
	team_id TEXT REFERENCES teams ON DELETE SET NULL, version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS posts (id TEXT PRIMARY KEY, author_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE, title TEXT NOT NULL,
	views INTEGER NOT NULL DEFAULT 0, published INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS members (team_id TEXT REFERENCES teams ON DELETE CASCADE, user_id TEXT REFERENCES users ON DELETE CASCADE,
	PRIMARY KEY (team_id, user_id)) STRICT`

type team struct{ id, name string }

type user struct {
	id, name, email, role string
	age                   sql.Null[int]
	active                bool
	meta                  map[string]any
	teamID                sql.NullString
	version               int64
	created, updated      time.Time
	deleted               sql.Null[time.Time]

	team  *team
	posts []post
}

type post struct {
	id, author, title string
	views             int64
	published         bool
}

func main() {
	db, err := sql.Open("sqlite3", "app.sqlite?_foreign_keys=1&_journal_mode=WAL")
	if err != nil {
		log.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n)
	if err := models(context.Background(), db); err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}

func models(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, tables); err != nil {
		return err
	}
	if err := write(ctx, db); err != nil {
		return err
	}
	users, err := list(ctx, db)
	if err != nil {
		return err
	}
	for _, u := range users {
		if _, err := find(ctx, db, u.id); err != nil {
			return err
		}
		var posts int64
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM posts WHERE author_id = ?`, u.id).Scan(&posts); err != nil {
			return err
		}
		fmt.Println(u.name, u.email, posts, u.team.name, len(u.posts))
		if _, err := db.ExecContext(ctx, `UPDATE users SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL`, time.Now().UnixMilli(), u.id); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, `DELETE FROM posts WHERE views = 0`)
	return err
}

func write(ctx context.Context, db *sql.DB) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	t := team{name: "Core"}
	if err := tx.QueryRowContext(ctx, `INSERT INTO teams (id, name) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id`,
		newID(), t.name).Scan(&t.id); err != nil {
		return err
	}
	u := user{id: newID(), name: "Alice", email: "alice@example.com", role: "member", teamID: sql.NullString{String: t.id, Valid: true}, version: 1, created: time.Now(), updated: time.Now()}
	meta, err := json.Marshal(u.meta)
	if err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, `INSERT INTO users (id, name, email, role, active, meta, team_id, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (email) DO UPDATE SET name = excluded.name, team_id = excluded.team_id, version = version + 1, updated_at = excluded.updated_at RETURNING id, version`,
		u.id, u.name, u.email, u.role, u.active, string(meta), u.teamID, u.version, u.created.UnixMilli(), u.updated.UnixMilli()).Scan(&u.id, &u.version); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO posts (id, author_id, title, views, published) VALUES (?, ?, ?, 0, ?)`, newID(), u.id, "Hello", false); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO members (team_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, t.id, u.id); err != nil {
		return err
	}
	r, err := tx.ExecContext(ctx, `UPDATE users SET name = ?, email = ?, role = ?, active = ?, age = ?, version = version + 1, updated_at = ? WHERE id = ? AND version = ?`,
		u.name, u.email, u.role, u.active, 30, time.Now().UnixMilli(), u.id, u.version)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, errors.New("the user is stale"))
	}
	if _, err := tx.ExecContext(ctx, `UPDATE users SET active = ?, version = version + 1, updated_at = ? WHERE id = ?`, true, time.Now().UnixMilli(), u.id); err != nil {
		return err
	}
	return tx.Commit()
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

const userColumns = `id, name, email, age, role, active, meta, team_id, version, created_at, updated_at, deleted_at`

func scanUser(row interface{ Scan(...any) error }) (u user, err error) {
	var meta sql.NullString
	var created, updated int64
	var deleted sql.NullInt64
	if err := row.Scan(&u.id, &u.name, &u.email, &u.age, &u.role, &u.active, &meta, &u.teamID, &u.version, &created, &updated, &deleted); err != nil {
		return u, err
	}
	u.created, u.updated = time.UnixMilli(created), time.UnixMilli(updated)
	if deleted.Valid {
		u.deleted = sql.Null[time.Time]{V: time.UnixMilli(deleted.Int64), Valid: true}
	}
	if meta.Valid {
		err = json.Unmarshal([]byte(meta.String), &u.meta)
	}
	return u, err
}

func find(ctx context.Context, db *sql.DB, id string) (user, error) {
	return scanUser(db.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE id = ? AND deleted_at IS NULL`, id))
}

func list(ctx context.Context, db *sql.DB) (all []user, err error) {
	rows, err := db.QueryContext(ctx, `SELECT `+userColumns+` FROM users WHERE deleted_at IS NULL AND age >= ? AND (role = ? OR name GLOB ?) ORDER BY name LIMIT 10`, 18, "lead", "A*")
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range all {
		u := &all[i]
		u.team = new(team)
		if err := db.QueryRowContext(ctx, `SELECT id, name FROM teams WHERE id = ?`, u.teamID).Scan(&u.team.id, &u.team.name); err != nil {
			return nil, err
		}
		if u.posts, err = postsOf(ctx, db, u.id); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func postsOf(ctx context.Context, db *sql.DB, author string) (all []post, err error) {
	rows, err := db.QueryContext(ctx, `SELECT id, author_id, title, views, published FROM posts WHERE author_id = ? AND NOT published LIMIT 3`, author)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err says what went wrong
	for rows.Next() {
		var p post
		if err := rows.Scan(&p.id, &p.author, &p.title, &p.views, &p.published); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}
