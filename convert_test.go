package driftdb_test

import (
	"database/sql"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/matryer/is"
)

// testConversions runs the programs of docs/from-gorm.md and docs/from-ent.md, which
// copy a file as these libraries make it: the statements are theirs, with rows as
// they write them.
func testConversions(t *testing.T, m userModule) {
	t.Helper()
	programs := t.TempDir()
	m.run(t, "build", "-o", programs+string(filepath.Separator), "./from-gorm", "./from-ent")
	for page, tt := range map[string]struct {
		old   []string
		query string // of the new file, one text
		want  string
	}{
		"from-gorm.md": {
			old: []string{
				"CREATE TABLE `users` (`id` integer PRIMARY KEY AUTOINCREMENT,`name` text,`email` text,`active` numeric DEFAULT true,`created_at` datetime,`updated_at` datetime,`deleted_at` datetime)",
				"CREATE INDEX `idx_users_deleted_at` ON `users`(`deleted_at`)",
				"INSERT INTO users VALUES (7, 'Ann', 'ann@example.com', 1, '2024-01-02 03:04:05.678+00:00', '2024-01-03 03:04:05+00:00', NULL)",
				"INSERT INTO users VALUES (9, 'Bob', NULL, 0, '2024-01-02 05:04:05+02:00', '2024-01-02 03:04:05+00:00', '2024-02-02 00:00:00+00:00')",
			},
			query: `SELECT group_concat(concat_ws(' ', id, name, coalesce(email, '-'), active, created_at, updated_at, coalesce(deleted_at, '-')), '; ') FROM (SELECT * FROM users ORDER BY id)`,
			want:  "7 Ann ann@example.com 1 1704164645678 1704251045000 -; 9 Bob - 0 1704164645000 1704164645000 1706832000000",
		},
		"from-ent.md": {
			old: []string{
				"CREATE TABLE `users` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `name` text NOT NULL, `age` integer NULL, `created_at` datetime NOT NULL)",
				"CREATE TABLE `cars` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `model` text NOT NULL, `user_cars` integer NULL, CONSTRAINT `cars_users_cars` FOREIGN KEY (`user_cars`) REFERENCES `users` (`id`) ON DELETE SET NULL)",
				"INSERT INTO users VALUES (3, 'Ann', 30, '2024-01-02 03:04:05.678+00:00'), (4, 'Bob', NULL, '2024-01-02 03:04:05+00:00')",
				"INSERT INTO cars VALUES (1, 'Beetle', 3), (2, 'Golf', NULL)",
			},
			query: `SELECT (SELECT group_concat(concat_ws(' ', id, name, coalesce(age, '-'), created_at), '; ') FROM users)||' | '||(SELECT group_concat(concat_ws(' ', id, model, coalesce(user_cars, '-')), '; ') FROM cars)`,
			want:  "3 Ann 30 1704164645678; 4 Bob - 1704164645000 | 1 Beetle 3; 2 Golf -",
		},
	} {
		t.Run(page, func(t *testing.T) {
			is := is.New(t)
			dir, program := t.TempDir(), filepath.Join(programs, pageDir(page))
			from, to := filepath.Join(dir, "old.sqlite"), filepath.Join(dir, "new.sqlite")
			old, err := sql.Open("sqlite3", from)
			is.NoErr(err)
			for _, stmt := range tt.old {
				_, err := old.ExecContext(t.Context(), stmt)
				is.NoErr(err)
			}
			is.NoErr(old.Close())
			out, err := exec.CommandContext(t.Context(), program, from, to).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}

			made, err := sql.Open("sqlite3", to)
			is.NoErr(err)
			defer func() { is.NoErr(made.Close()) }()
			var got string
			is.NoErr(made.QueryRowContext(t.Context(), tt.query).Scan(&got))
			is.Equal(got, tt.want)
			if out, err := exec.CommandContext(t.Context(), program, from, to).CombinedOutput(); err == nil { // the rows are there already
				t.Errorf("copied twice: %s", out)
			}
		})
	}
}
