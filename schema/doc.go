// Package schema describes tables: the grammar of drift tags, the structure of
// a table, its SQL and its change-log triggers. It is data and text only; it
// opens no file and no database.
package schema
