// Package sqlite is the only importer of the SQLite driver. It opens
// connections with the settings each job needs, creates files 0600 before
// SQLite sees them, copies a file that is in use, and reads SQLite's error
// codes and texts, so that no other package does.
package sqlite
