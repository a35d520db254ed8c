// Package kinds has a column of every Go type that can be one.
package kinds

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/driftdb/driftdb/gen_test/kinds/other"
)

//go:generate go tool driftgen

// Numbers has every width.
type Numbers struct {
	ID  uuid.UUID `drift:"pk,uuid7"`
	I   int
	I8  int8
	I16 int16
	I32 int32
	I64 int64
	U8  uint8
	U16 uint16
	U32 uint32
	U64 uint64  `drift:"type=TEXT"`
	P64 *uint64 `drift:"type=TEXT"`
	F32 float32
	F64 float64
	P8  *int8
	PF  *float64
}

// Flag is a boolean with a type of its own.
type Flag bool

// Blob is bytes with a type of its own.
type Blob []byte

// Times has every precision.
type Times struct {
	ID    [16]byte     `drift:"pk,uuid4"`
	MS    time.Time    // the default
	S     time.Time    `drift:"time=s"`
	US    time.Time    `drift:"time=us"`
	NS    time.Time    `drift:"time=ns"`
	Text  time.Time    `drift:"time=rfc3339"`
	PText *time.Time   `drift:"time=rfc3339"`
	Null  sql.NullTime `drift:"time=us"`
	Made  time.Time    `drift:"created,time=rfc3339"`
	On    Flag
	POn   *Flag
	Blob  Blob
	NBlob Blob `drift:"null"`
}

// Address is stored as JSON.
type Address struct {
	Street string   `json:"street"`
	Lines  []string `json:"lines,omitempty"`
	Geo    *Geo     `json:"geo,omitempty"`
}

// Geo is a part of an Address.
type Geo struct{ Lat, Lon float64 }

// Doc has JSON of every shape.
type Doc struct {
	ID    string          `drift:"pk,uuid7"`
	Meta  map[string]any  `drift:"json,null"`
	Tags  []string        `drift:"json"`
	Addr  Address         `drift:"json"`
	PAddr *Address        `drift:"json"`
	Raw   json.RawMessage `drift:"json,null,name=RawCol"`
	Any   any             `drift:"json"`
	Pairs [2]int          `drift:"json,default='[0,0]',omitzero"`
}

// Role is text with constants.
type Role string

// The roles, in the order in which they rank.
const (
	RoleLead   Role = "lead"
	RoleMember Role = "member"
	RoleIt     Role = "it's"
)

// Grade counts from 1.
type Grade int

// The grades.
const (
	GradeA Grade = iota + 1
	GradeB
)

// Person has enums.
type Person struct {
	ID    int64       `drift:"pk,auto"`
	Role  Role        `drift:"enum,default=member,omitzero"`
	Other *Role       `drift:"enum"`
	Grade Grade       `drift:"enum,index"`
	Level other.Level `drift:"enum,default=2,omitzero"`
}

// Money has Scan and Value, and is stored as an INTEGER.
type Money struct{ Cents int64 } //nolint:recvcheck // a Valuer is asked of values, a Scanner of pointers

// Value implements driver.Valuer.
func (m Money) Value() (driver.Value, error) {
	if m.Cents < 0 {
		return nil, errors.New("money is not negative")
	}
	return m.Cents, nil
}

// Scan implements sql.Scanner.
func (m *Money) Scan(src any) error {
	n, ok := src.(int64)
	if !ok {
		return errors.New("money is an integer")
	}
	m.Cents = n
	return nil
}

// Upper is text with Scan and Value of its own: stored as TEXT without type=.
type Upper string //nolint:recvcheck // as Money

// Value implements driver.Valuer.
func (u Upper) Value() (driver.Value, error) { return "<" + string(u) + ">", nil }

// Scan implements sql.Scanner.
func (u *Upper) Scan(src any) error {
	s, ok := src.(string)
	if !ok || len(s) < 2 {
		return errors.New("not an Upper")
	}
	*u = Upper(s[1 : len(s)-1])
	return nil
}

// Custom has types that say themselves how they are stored.
type Custom struct {
	ID    string      `drift:"pk,uuid7"`
	Price Money       `drift:"type=INTEGER,index"`
	Sale  *Money      `drift:"type=INTEGER"`
	Name  Upper       `drift:"unique"`
	Addr  netip.Addr  `drift:"type=TEXT"`
	From  *netip.Addr `drift:"type=TEXT"`
	Owner uuid.UUID
	Boss  *uuid.UUID
	Key   [16]byte
	NStr  sql.NullString `drift:"unique"`
	NInt  sql.NullInt64
	NGen  sql.Null[int16]
	NBool sql.NullBool
	NF    sql.NullFloat64
}
