package health

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"drydock.dev/drydock/harness/etcd"
	"drydock.dev/drydock/harness/observe"
)

// quoted is how many lines of one program a verdict has room for.
const quoted = 3

// words is what the machines that a message names said of themselves: the errors of their programs that did not answer, and what the repair of
// a fault on them was answered. It ends a failed check's message, so that whoever reads it can search for the words.
func (r *Record) words(message string) string {
	var out strings.Builder
	for _, s := range r.Said {
		if names(message, s.Machine) && (names(message, called(s.Program)) || !r.namesAny(message, s.Machine)) {
			fmt.Fprintf(&out, "; %s on %s said: %s", s.Program, s.Machine, quote(s.Lines))
		}
	}
	for _, w := range r.Windows {
		if w.Refused != "" && slices.ContainsFunc(w.Machines, func(m string) bool { return names(message, m) }) {
			fmt.Fprintf(&out, "; its repair said: %s", w.Refused)
		}
	}
	return out.String()
}

// crashed reports whether a member on a machine that the message names ended its own process, as its log says. No lateness makes etcd do that:
// it panics over what it finds. Who holds a lease ends itself as soon as it renews that too late, and is not asked here.
func (r *Record) crashed(message string) bool {
	return slices.ContainsFunc(r.Said, func(s observe.Said) bool {
		return s.Program == etcd.Program && names(message, s.Machine) && slices.ContainsFunc(s.Lines, func(l observe.Line) bool { return l.Fatal })
	})
}

// namesAny reports whether the message speaks of a certain program of the machine; otherwise all of them are meant.
func (r *Record) namesAny(message, machine string) bool {
	return slices.ContainsFunc(r.Said, func(s observe.Said) bool { return s.Machine == machine && names(message, called(s.Program)) })
}

// called is what checks call a program.
func called(program string) string {
	if program == etcd.Program {
		return "member"
	}
	return program
}

// names reports whether the message has the name as a whole: a name may be part of a longer one, which then is meant.
func names(message, what string) bool {
	return regexp.MustCompile(`(^|[^\w.-])` + regexp.QuoteMeta(what) + `($|[^\w.-]|[.-]+($|[^\w]))`).MatchString(message)
}

// quote chooses what the process ended with, and then what it said last; in the order it was said, and nothing that is part of another.
func quote(lines []observe.Line) string {
	var chosen []int
	for _, fatal := range []bool{true, false} {
		for i, l := range slices.Backward(lines) {
			if l.Fatal == fatal && len(chosen) < quoted && !partOfAnother(lines, i) {
				chosen = append(chosen, i)
			}
		}
	}
	slices.Sort(chosen)
	var out []string
	for _, i := range chosen {
		said := fmt.Sprintf("%q", lines[i].Text)
		if n := lines[i].Times; n > 1 {
			said += fmt.Sprintf(" (%d times)", n)
		}
		out = append(out, said)
	}
	return strings.Join(out, ", ")
}

func partOfAnother(lines []observe.Line, i int) bool {
	text := strings.TrimPrefix(lines[i].Text, "panic: ")
	return slices.ContainsFunc(append(slices.Clone(lines[:i]), lines[i+1:]...), func(l observe.Line) bool { return strings.Contains(l.Text, text) })
}

// named is how many offenders a message names.
const named = 6

// some joins what is wrong with several offenders: all of them, or as many as a reader takes in and how many more there are.
func some(wrong []string) string {
	if len(wrong) > named {
		wrong = append(slices.Clone(wrong[:named]), fmt.Sprintf("and %d more", len(wrong)-named))
	}
	return strings.Join(wrong, "; ")
}
