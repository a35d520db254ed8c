// Package faultproxy is an HTTP proxy before a real S3 server that makes chosen
// requests go wrong on the wire: refused with a code of S3, done but without a
// reply, cut in the middle of the body, hanging. Tests script it with rules.
package faultproxy
