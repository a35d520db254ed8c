package embeddeds3

import (
	"io"
	"net/http"
	"sync/atomic"
)

// Requests are counts of requests by kind, refused ones included.
type Requests struct {
	Gets    int64 // GET of an object
	Heads   int64 // HEAD
	Lists   int64 // GET of a listing
	Puts    int64 // PUT of an object or a part
	Posts   int64 // POST: multipart uploads and deletions of many objects
	Deletes int64 // DELETE
}

type counter struct {
	gets, heads, lists, puts, posts, deletes atomic.Int64
}

func (c *counter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Has("list-type"):
			c.lists.Add(1)
		case r.Method == http.MethodGet:
			c.gets.Add(1)
		case r.Method == http.MethodHead:
			c.heads.Add(1)
		case r.Method == http.MethodPut:
			c.puts.Add(1)
		case r.Method == http.MethodPost:
			c.posts.Add(1)
		case r.Method == http.MethodDelete:
			c.deletes.Add(1)
		}
		next.ServeHTTP(w, r)
		// A request refused at its headers: its client is still sending, and
		// would see a broken connection in place of the answer.
		_, _ = io.Copy(io.Discard, r.Body) // fails when the client has gone
	})
}

func (c *counter) requests() Requests {
	return Requests{
		Gets: c.gets.Load(), Heads: c.heads.Load(), Lists: c.lists.Load(),
		Puts: c.puts.Load(), Posts: c.posts.Load(), Deletes: c.deletes.Load(),
	}
}
