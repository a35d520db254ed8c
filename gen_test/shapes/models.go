// Package shapes has models whose Go is legal and seldom seen: names that the
// output uses itself, types that a plain copy shares memory with, fields that
// JSON sees otherwise.
package shapes

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	stdfmt "fmt"
	"iter"
	"math/big"
	"strings"

	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// Names of packages that the output imports.
const (
	slices = "slices"
	maps   = "maps"
	slog   = "slog"
	embed  = "embed"
)

func fmt() string { return slices + maps + slog + embed }

func testing() string { return fmt() }

// Names uses what has the names of packages.
func Names() string { return testing() }

// Flag is a bool of its own.
type Flag bool

// Gadget has a column with the name of a patch's method.
type Gadget struct {
	ID    string `drift:"pk,uuid7"`
	Sets  int
	On    Flag `drift:"default=true,omitzero"`
	Photo sql.Null[[]byte]
}

// Shown prints itself.
type Shown struct {
	ID    string `drift:"pk,uuid7"`
	Token string `drift:"secret"`
}

// Format implements fmt.Formatter.
func (s Shown) Format(f stdfmt.State, _ rune) { _, _ = stdfmt.Fprint(f, "shown ", s.ID) }

// Logged has a secret; its methods are those of the output.
type Logged struct {
	ID    string `drift:"pk,uuid7"`
	Token []byte `drift:"secret"`
}

// Pair is flattened with types for T.
type Pair[T any] struct {
	V T `drift:"json"`
	W int
}

// Paired is made of pairs.
type Paired struct {
	ID string `drift:"pk,uuid7"`
	Pair[string]
	X Pair[map[string]int] `drift:"embed,prefix=x_"`
}

// Address is flattened twice.
type Address struct {
	Street string `json:"street"`
	City   string
	Code   string `json:"-"`
}

// Account keeps columns out of JSON.
type Account struct {
	ID   string  `drift:"pk,uuid7"`
	Home Address `drift:"embed,prefix=home_"`
	Work Address `drift:"embed,prefix=work_"`
	Old  Address `drift:"embed,prefix=old_" json:"-"`
	Hash string  `json:"-"`
	Dash string  `json:"-,"` //nolint:staticcheck // the name -
}

// Tags are stored as one text.
type Tags []string //nolint:recvcheck // as Scan and Value are written

// Value implements driver.Valuer.
func (t Tags) Value() (driver.Value, error) { return strings.Join(t, ","), nil }

// Scan implements sql.Scanner.
func (t *Tags) Scan(src any) error {
	s, ok := src.(string)
	if !ok {
		return stdfmt.Errorf("not text: %T", src)
	}
	*t = strings.Split(s, ",")
	return nil
}

// Counts are stored as JSON by their own methods.
type Counts map[string]int //nolint:recvcheck // as Scan and Value are written

// Value implements driver.Valuer.
func (c Counts) Value() (driver.Value, error) {
	b, err := json.Marshal(map[string]int(c))
	return string(b), err
}

// Scan implements sql.Scanner.
func (c *Counts) Scan(src any) error {
	s, _ := src.(string)
	return json.Unmarshal([]byte(s), (*map[string]int)(c))
}

// Box holds memory that a copy of it shares.
type Box struct{ raw *[]byte } //nolint:recvcheck // as Scan and Value are written

// NewBox returns a box with s.
func NewBox(s string) Box { return Box{new([]byte(s))} }

// Set changes what the box holds, in place.
func (b Box) Set(s string) { copy(*b.raw, s) }

// String returns what the box holds.
func (b Box) String() string { return string(*b.raw) }

// Value implements driver.Valuer.
func (b Box) Value() (driver.Value, error) {
	if b.raw == nil {
		return []byte{}, nil
	}
	return *b.raw, nil
}

// Scan implements sql.Scanner. It keeps what it is given.
func (b *Box) Scan(src any) error {
	raw, ok := src.([]byte)
	if !ok {
		return stdfmt.Errorf("not a blob: %T", src)
	}
	b.raw = &raw
	return nil
}

// Plain has nothing that a copy shares, and a member that JSON does not have.
type Plain struct {
	A int
	B int `json:"-"`
}

// Deep has every kind of column that a plain copy shares memory with.
type Deep struct {
	ID     string         `drift:"pk,uuid7"`
	Tags   Tags           `drift:"type=TEXT"`
	PTags  *Tags          `drift:"type=TEXT"`
	NTags  sql.Null[Tags] `drift:"type=TEXT"`
	Counts Counts         `drift:"type=TEXT"`
	Box    Box            `drift:"type=BLOB"`
	PBox   *Box           `drift:"type=BLOB"`
	Big    big.Int        `drift:"type=TEXT"`
	List   []Plain        `drift:"json"`
	One    Plain          `drift:"json"`
	Nested [][]int        `drift:"json"`
	Any    any            `drift:"json,null"`
}

// Line is the row of a query.
//
//drift:row
type Line struct {
	Tags string
	N    int64
}

// DeepQueries have parameters with names that the output uses itself.
//
//drift:query
type DeepQueries interface {
	// SELECT token AS tags, 1 AS n FROM showns WHERE token = ?
	Ptr(ctx context.Context, r orm.Reader, one string) (*Line, error)
	// SELECT token AS tags, 1 AS n FROM showns WHERE token = ?
	Each(ctx context.Context, r orm.Reader, orm string) iter.Seq2[Line, error]
	// SELECT token AS tags, ? AS n FROM showns WHERE token <> ?
	All(ctx context.Context, r orm.Reader, Line int, _ string) ([]Line, error)
	// WITH fresh (token) AS (SELECT 'it''s new' /* RETURNING */), replace AS (SELECT 1)
	// UPDATE showns SET token = (SELECT token FROM fresh) WHERE token = ?
	Renew(ctx context.Context, w orm.Writer, token string) (int64, error)
	// WITH fresh AS (SELECT 'newer' AS token)
	// UPDATE showns SET token = (SELECT token FROM fresh) WHERE token = ? RETURNING token AS tags, 1 AS n
	Again(ctx context.Context, w orm.Writer, token string) ([]Line, error)
	// WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) FROM n
	Count(ctx context.Context, r orm.Reader, to int) (int, error)
}
