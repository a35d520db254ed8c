package s3store

import (
	"io"
	"net/http"
	"sync/atomic"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
)

// Counters are what a Store has sent and received since it was made. Requests
// that failed and parts that were sent again count; bytes are those of bodies.
type Counters struct {
	Puts      int64 // PutObject and every request of a multipart upload
	Gets      int64 // GetObject
	Lists     int64 // ListObjectsV2, one per page
	Deletes   int64 // DeleteObject, DeleteObjects and AbortMultipartUpload
	Heads     int64 // HeadObject, around multipart uploads
	BytesUp   int64
	BytesDown int64
}

type counters struct {
	puts, gets, lists, deletes, heads, up, down atomic.Int64
}

// Counters returns the counts so far.
func (s *Store) Counters() Counters {
	c := s.counters
	return Counters{
		Puts: c.puts.Load(), Gets: c.gets.Load(), Lists: c.lists.Load(),
		Deletes: c.deletes.Load(), Heads: c.heads.Load(),
		BytesUp: c.up.Load(), BytesDown: c.down.Load(),
	}
}

// countingClient counts each request as it goes out.
type countingClient struct {
	next interface {
		Do(*http.Request) (*http.Response, error)
	}
	counters *counters
}

// Do sends the request.
func (c *countingClient) Do(r *http.Request) (*http.Response, error) {
	c.counters.request(awsmiddleware.GetOperationName(r.Context()))
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &countingBody{ReadCloser: r.Body, n: &c.counters.up}
	}
	resp, err := c.next.Do(r)
	if err == nil {
		resp.Body = &countingBody{ReadCloser: resp.Body, n: &c.counters.down}
	}
	return resp, err
}

func (c *counters) request(operation string) {
	switch operation {
	case "GetObject":
		c.gets.Add(1)
	case "HeadObject":
		c.heads.Add(1)
	case "ListObjectsV2":
		c.lists.Add(1)
	case "DeleteObject", "DeleteObjects", "AbortMultipartUpload":
		c.deletes.Add(1)
	case "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload":
		c.puts.Add(1)
	}
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
