//go:build !cgo

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// ErrNoCompiler is what every use of SQLite says in a program that was built
// without cgo, which Go does by itself where it finds no C compiler.
var ErrNoCompiler = errors.New(`this program was built without SQLite, which is C code: Go found no C compiler, or CGO_ENABLED is 0. Install one and build again:
  Debian, Ubuntu:  sudo apt-get install gcc libc6-dev
  macOS:           xcode-select --install
  Windows:         MSYS2 (https://www.msys2.org), then pacman -S mingw-w64-ucrt-x86_64-gcc`)

type connector struct{}

// Connector returns a connector whose every connection is ErrNoCompiler.
func Connector(string, Mode) driver.Connector { return connector{} }

// Connect implements driver.Connector.
func (connector) Connect(context.Context) (driver.Conn, error) { return nil, ErrNoCompiler }

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c }

// Open implements driver.Driver.
func (connector) Open(string) (driver.Conn, error) { return nil, ErrNoCompiler }

// SetDDLOnly is ErrNoCompiler.
func SetDDLOnly(*sql.Conn, bool) error { return ErrNoCompiler }

// Backup is ErrNoCompiler.
func Backup(context.Context, string, *sql.Conn) error { return ErrNoCompiler }

// Version returns "".
func Version() string { return "" }

// Classify reports false: there is no error of SQLite.
func Classify(error) (Constraint, bool) { return Constraint{}, false }

// IsBusy reports false.
func IsBusy(error) bool { return false }

// IsFull reports false.
func IsFull(error) bool { return false }

// IsCorrupt reports false.
func IsCorrupt(error) bool { return false }

// IsSQL reports false.
func IsSQL(error) bool { return false }

// IsReadOnly reports false.
func IsReadOnly(error) bool { return false }
