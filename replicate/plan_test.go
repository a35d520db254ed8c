package replicate

import (
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/envelope"
)

func batchKey(epoch uint32, from, to int64) objectKey {
	return objectKey{kind: envelope.Batch, db: "d", node: "n", epoch: epoch, from: from, to: to, part: 1, parts: 1, gzip: true}
}

func TestFindPaths(t *testing.T) {
	t.Parallel()
	span := func(k objectKey) [3]int64 { return [3]int64{int64(k.epoch), k.from, k.to} }
	for name, c := range map[string]struct {
		keys    []objectKey
		at, end int64
		want    [][][3]int64
	}{
		"nothing to do":       {nil, 5, 5, [][][3]int64{{}}},
		"one way":             {[]objectKey{batchKey(1, 1, 3), batchKey(1, 4, 4), batchKey(2, 5, 9)}, 0, 9, [][][3]int64{{{1, 1, 3}, {1, 4, 4}, {2, 5, 9}}}},
		"begins within":       {[]objectKey{batchKey(1, 1, 3), batchKey(1, 4, 4)}, 3, 4, [][][3]int64{{{1, 4, 4}}}},
		"gap":                 {[]objectKey{batchKey(1, 1, 3), batchKey(1, 5, 9)}, 0, 9, nil},
		"over the end":        {[]objectKey{batchKey(1, 1, 3), batchKey(1, 4, 10)}, 0, 9, nil},
		"starts inside batch": {[]objectKey{batchKey(1, 1, 3)}, 1, 3, nil},
		"two, one leads on":   {[]objectKey{batchKey(1, 1, 3), batchKey(2, 1, 2), batchKey(1, 4, 9)}, 0, 9, [][][3]int64{{{1, 1, 3}, {1, 4, 9}}}},
		"two ways": {[]objectKey{batchKey(1, 1, 3), batchKey(2, 1, 2), batchKey(2, 3, 3), batchKey(1, 4, 9)}, 0, 9,
			[][][3]int64{{{2, 1, 2}, {2, 3, 3}, {1, 4, 9}}, {{1, 1, 3}, {1, 4, 9}}}},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			next := map[int64][]objectKey{}
			for _, k := range c.keys {
				next[k.from] = append(next[k.from], k)
			}
			var got [][][3]int64
			for _, p := range findPaths(next, c.at, c.end) {
				one := [][3]int64{}
				for _, k := range p {
					one = append(one, span(k))
				}
				got = append(got, one)
			}
			is.Equal(got, c.want)
		})
	}
}

// Many ways must not take for ever, nor a long way the stack.
func TestFindPathsBounded(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	next := map[int64][]objectKey{}
	for i := int64(0); i < 200; i += 2 {
		next[i+1] = []objectKey{batchKey(1, i+1, i+2), batchKey(1, i+1, i+1)}
		next[i+2] = []objectKey{batchKey(1, i+2, i+2)}
	}
	is.Equal(len(findPaths(next, 0, 200)), maxPaths)
	delete(next, 199)
	is.Equal(len(findPaths(next, 0, 200)), 0)

	next = map[int64][]objectKey{}
	for i := int64(1); i <= 500_000; i++ {
		next[i] = []objectKey{batchKey(1, i, i)}
	}
	is.Equal(len(findPaths(next, 0, 500_000)[0]), 500_000)
}
