package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"github.com/spf13/pflag"

	"github.com/driftdb/driftdb/replicate"
)

func fullRead(r io.Reader, b []byte) (int, error) { return io.ReadFull(r, b) }

func bytesBody(b []byte) replicate.Body {
	return replicate.Body{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func TestParseMoment(t *testing.T) {
	is := is.New(t)
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for text, want := range map[string]replicate.Moment{
		"":                              {},
		"4711":                          {Sequence: 4711},
		"-1h30m":                        {At: now.Add(-90 * time.Minute)},
		"2026-05-04":                    {At: time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)},
		"2026-05-04 03:02:01":           {At: now},
		"2026-05-04T03:02:01":           {At: now},
		"2026-05-04T05:02:01.000+02:00": {At: now},
		"before-migration":              {Point: "before-migration"},
	} {
		got, err := parseMoment(text, now)
		is.NoErr(err)
		is.True(got.At.Equal(want.At))
		got.At, want.At = time.Time{}, time.Time{}
		is.Equal(got, want)
	}
	_, err := parseMoment("-soon", now)
	is.True(err != nil)
}

func TestParseKey(t *testing.T) {
	is := is.New(t)
	for text, want := range map[string]string{
		`id=u1`:         `{"id":"u1"}`,
		`id=42`:         `{"id":42}`,
		`id="42"`:       `{"id":"42"}`,
		`a=x,b=2`:       `{"a":"x","b":2}`,
		`{"a":"x,y=z"}`: `{"a":"x,y=z"}`,
	} {
		got, err := parseKey(text)
		is.NoErr(err)
		is.Equal(cmp.Diff(want, got), "")
	}
	_, err := parseKey("u1")
	is.True(err != nil)
}

func TestProgressLine(t *testing.T) {
	is := is.New(t)
	p := &progress{what: "restore", tty: true}
	is.Equal(p.line(5<<20, 10<<20, 17, 40, 2*time.Second), "restore [==========          ]  50 % of 10.0 MiB  2.5 MiB/s  2s left  entry 17 of 40")
	is.Equal((&progress{what: "restore"}).line(5<<20, 10<<20, 0, 0, 2*time.Second), "restore  50 % of 10.0 MiB  2.5 MiB/s  2s left")
	is.Equal((&progress{what: "verify"}).line(100, 0, 0, 0, time.Second), "verify 100 B  100 B/s")
}

// Where no terminal is a line is written from time to time, nothing that moves a
// cursor.
func TestPlainProgress(t *testing.T) {
	is := is.New(t)
	var errs bytes.Buffer
	p := (&cli{err: &errs}).progress("restore")
	p.draw(1, 2, 0, 0)
	is.Equal(errs.String(), "")
	p.drawn = p.drawn.Add(-plainEvery)
	p.draw(1, 2, 0, 0)
	p.draw(2, 2, 0, 0)
	p.end()
	is.True(strings.HasPrefix(errs.String(), "restore  50 % of 2 B"))
	is.Equal(strings.Count(errs.String(), "\n"), 1)
	is.True(!strings.ContainsAny(errs.String(), "\r\x1b"))
	is.Equal((&cli{err: &errs, json: true}).progress("x"), nil)
}

func TestShare(t *testing.T) {
	is := is.New(t)
	for text, want := range map[string]float64{"5%": 0.05, "0.05": 0.05, "100 %": 1, "1": 1} {
		var s share
		is.NoErr(s.Set(text))
		is.Equal(float64(s), want)
	}
	for _, text := range []string{"", "x", "0", "-1%", "5", "NaN"} {
		var s share
		is.True(s.Set(text) != nil)
	}
}

// Every verb says what it wants when it is called without it.
func TestUsage(t *testing.T) {
	is := is.New(t)
	var out, errs bytes.Buffer
	root := (&cli{out: &out, err: &errs}).root()
	for _, cmd := range root.Commands() {
		if !cmd.Runnable() || cmd.Name() == "keygen" {
			continue
		}
		errs.Reset()
		is.Equal(run(t.Context(), []string{cmd.Name()}, &out, &errs), exitUsage)
		is.True(strings.Contains(errs.String(), "usage: drift "+cmd.Name()))
		is.True(cmd.Short != "" && cmd.Long != "")
	}
}

// docs/cli.md and the package comment name every verb.
func TestDocs(t *testing.T) {
	is := is.New(t)
	docs, err := os.ReadFile("../../docs/cli.md")
	is.NoErr(err)
	source, err := os.ReadFile("main.go")
	is.NoErr(err)
	for _, cmd := range (&cli{}).root().Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if !strings.Contains(string(docs), "`"+cmd.Use) && !strings.Contains(string(docs), " `"+cmd.Use) {
			t.Errorf("docs/cli.md does not have %q", cmd.Use)
		}
		if !strings.Contains(string(source), "//\tdrift "+cmd.Use+" ") {
			t.Errorf("the package comment does not have %q", cmd.Use)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "dir" && !strings.Contains(string(docs), "`--"+f.Name) {
				t.Errorf("docs/cli.md does not have --%s of %s", f.Name, cmd.Name())
			}
		})
	}
	for _, code := range []int{exitOK, exitFailed, exitUsage, exitNoBackup, exitRefused, exitDamaged, exitKey, exitStopped} {
		is.True(strings.Contains(string(docs), fmt.Sprintf("\n| %d | ", code)))
	}
}
