package s3store

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
)

// TestSlowUploadIsNotSilence: a body that takes ten times the timeout to send
// keeps the connection alive, whose reader waits for the answer all the while.
func TestSlowUploadIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		near, far := net.Pipe()
		conn := &progressConn{Conn: near, timeout: time.Minute}
		start := time.Now()

		answer := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(conn, make([]byte, 2))
			answer <- err
		}()
		server := make(chan error, 1)
		go func() {
			buf := make([]byte, pieceSize)
			for range 20 {
				time.Sleep(30 * time.Second) //nolint:forbidigo // time in a synctest bubble
				if _, err := io.ReadFull(far, buf); err != nil {
					server <- err
					return
				}
			}
			time.Sleep(50 * time.Second) //nolint:forbidigo // time in a synctest bubble
			_, err := far.Write([]byte("ok"))
			server <- err
		}()
		_, err := conn.Write(make([]byte, 20*pieceSize))
		is.NoErr(err)
		is.NoErr(<-server)
		is.NoErr(<-answer)
		is.Equal(time.Since(start), 650*time.Second)

		// Now nothing moves, in either direction.
		_, err = conn.Read(make([]byte, 1))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(time.Since(start), 710*time.Second)
		_, err = conn.Write(make([]byte, 1))
		is.True(errors.Is(err, os.ErrDeadlineExceeded))
		is.Equal(time.Since(start), 770*time.Second)
		is.NoErr(errors.Join(near.Close(), far.Close()))
	})
}
