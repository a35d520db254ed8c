package replicate

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/matryer/is"
)

func pipeContent(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// TestPipePassesEverythingOn, in whatever pieces it is read.
func TestPipePassesEverythingOn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, pipeBlockSize - 1, pipeBlockSize, pipeBlockSize + 1, 7*pipeBlockSize + 13} {
		want := pipeContent(n)
		for name, src := range map[string]io.Reader{
			"whole": bytes.NewReader(want), "halves": iotest.HalfReader(bytes.NewReader(want)), "data with EOF": iotest.DataErrReader(bytes.NewReader(want)),
		} {
			t.Run(name, func(t *testing.T) {
				is := is.New(t)
				p := newPipe(src)
				defer p.stop()
				var got bytes.Buffer
				copied, err := io.Copy(&got, p)
				is.NoErr(err)
				is.Equal(copied, int64(n))
				is.True(bytes.Equal(got.Bytes(), want))
				is.NoErr(iotest.TestReader(bytes.NewReader(got.Bytes()), want))
			})
		}
		t.Run("read", func(t *testing.T) {
			is := is.New(t)
			p := newPipe(bytes.NewReader(want))
			defer p.stop()
			got, err := io.ReadAll(iotest.HalfReader(p))
			is.NoErr(err)
			is.True(bytes.Equal(got, want))
			_, err = p.Read(make([]byte, 1))
			is.Equal(err, io.EOF) // and again
		})
	}
}

// TestPipeError: what came before the error is read first, then the error itself.
func TestPipeError(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	want, broken := pipeContent(2*pipeBlockSize+5), errors.New("the line is down")
	for _, read := range []func(io.Reader) ([]byte, error){
		io.ReadAll,
		func(r io.Reader) ([]byte, error) {
			var b bytes.Buffer
			_, err := io.Copy(&b, r)
			return b.Bytes(), err
		},
	} {
		p := newPipe(io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken)))
		got, err := read(p)
		is.True(errors.Is(err, broken))
		is.True(bytes.Equal(got, want))
		p.stop()
	}
}

// TestPipeStops in the middle, while it has read ahead as far as it may.
func TestPipeStops(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	p := newPipe(iotest.HalfReader(neverEnding{}))
	_, err := io.ReadFull(p, make([]byte, 3*pipeBlockSize/2))
	is.NoErr(err)
	p.stop() // goleak tells whether it did
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

// TestWriteBack: what is written is there, however large.
func TestWriteBack(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	want := pipeContent(writeBackSize + writeBackSize/2)
	f, err := os.Create(filepath.Join(t.TempDir(), "large"))
	is.NoErr(err)
	n, err := io.Copy(&writeBack{file: f}, bytes.NewReader(want))
	is.NoErr(err)
	is.Equal(n, int64(len(want)))
	is.NoErr(f.Close())
	got, err := os.ReadFile(f.Name())
	is.NoErr(err)
	is.True(bytes.Equal(got, want))
	_, err = (&writeBack{file: f}).Write([]byte("closed"))
	is.True(errors.Is(err, os.ErrClosed))
}
