package s3store

import (
	"context"
	"net"
	"time"
)

// progressDialer makes connections that fail when nothing has moved for
// timeout. The SDK's own read timeout would also cut an upload that takes
// longer than that to send, while the server has nothing to say yet: here a
// write is progress too.
func progressDialer(d *net.Dialer, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &progressConn{Conn: conn, timeout: timeout}, nil
	}
}

type progressConn struct {
	net.Conn
	timeout time.Duration
}

// Read waits for the next byte for at most timeout, unless a Write extends it.
func (c *progressConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// pieceSize is what must leave within the timeout for a line to count as
// alive: 1 kB/s by default.
const pieceSize = 64 << 10

// Write sends p in pieces, so that a slow line is seen to move, and moves the
// deadline of a Read that waits for the answer meanwhile: before each piece,
// for the Read of a connection that was idle, and after it.
func (c *progressConn) Write(p []byte) (int, error) {
	var done int
	for {
		if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
			return done, err
		}
		n, err := c.Conn.Write(p[done:min(len(p), done+pieceSize)])
		done += n
		if err != nil {
			return done, err
		}
		if done == len(p) {
			return done, c.SetReadDeadline(time.Now().Add(c.timeout))
		}
	}
}
