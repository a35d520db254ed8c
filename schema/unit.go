package schema

import "fmt"

// perSecond is how many of a unit are a second; 0 for text.
func perSecond(unit string) int64 {
	return map[string]int64{"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
}

// converts says whether the times of a column are written in another unit, so
// that a copy of its values would say something else.
func converts(was, to Column) bool { return was.Unit != "" && to.Unit != "" && was.Unit != to.Unit }

// inUnit is SQL for a time of one unit in another one. What does not fit in a
// coarser unit is cut off, as Create does.
func inUnit(value, from, to string) string {
	old, per := perSecond(from), perSecond(to)
	floor := func(v string, by int64) string { // division that rounds down, also before 1970
		return fmt.Sprintf("((%[1]s - (%[1]s %% %[2]d + %[2]d) %% %[2]d) / %[2]d)", v, by)
	}
	switch {
	case old == 0: // text with nine digits of a second, or what a program of one's own has written
		return fmt.Sprintf("CASE length(%[1]s) WHEN 30 THEN unixepoch(substr(%[1]s, 1, 19)) * %[2]d + CAST(substr(%[1]s, 21, 9) AS INTEGER) / %[3]d ELSE unixepoch(%[1]s) * %[2]d END",
			value, per, int64(1e9)/per)
	case per == 0: // beyond year 9999 there is no such text: the number stays, rather than to be lost
		return fmt.Sprintf("coalesce(strftime('%%Y-%%m-%%dT%%H:%%M:%%S', %s, 'unixepoch')||printf('.%%09dZ', (%[2]s %% %[3]d + %[3]d) %% %[3]d * %[4]d), %[2]s)",
			floor(value, old), value, old, int64(1e9)/old)
	case per > old:
		return fmt.Sprintf("%s * %d", value, per/old)
	}
	return floor(value, old/per)
}
