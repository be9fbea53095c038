package arm

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Lenient makes JSON of what the service's JSON library takes for it: names without quotes, quotes of either kind, texts of several lines, comments and commas
// before a closing bracket. The Azure CLI sends deployments so: the template's file as it is, behind a name without quotes (azure-cli,
// JsonCTemplatePolicy: `", template:" + template`). What is not JSON after that is no JSON.
func Lenient(raw []byte) []byte {
	out, _ := LenientPlaces(raw)
	return out
}

// LenientPlaces is Lenient, and tells of a byte of what it makes where in raw that stands: for one within a word or a text, where that begins.
func LenientPlaces(raw []byte) (out []byte, place func(at int) int) {
	l := lenient{in: raw}
	var tokens [][2]int // where each begins: in what is made, and in raw
	for l.at < len(l.in) {
		if n := l.out.Len(); len(tokens) == 0 || l.at-n != tokens[len(tokens)-1][1]-tokens[len(tokens)-1][0] {
			tokens = append(tokens, [2]int{n, l.at})
		}
		l.token()
	}
	return l.out.Bytes(), func(at int) int {
		i, found := slices.BinarySearchFunc(tokens, at, func(t [2]int, at int) int { return t[0] - at })
		if !found {
			i--
		}
		if i < 0 {
			return at
		}
		return tokens[i][1] + at - tokens[i][0]
	}
}

type lenient struct {
	in  []byte
	at  int
	out bytes.Buffer
}

func (l *lenient) token() {
	c := l.in[l.at]
	switch {
	case c == '/' && l.at+1 < len(l.in) && (l.in[l.at+1] == '/' || l.in[l.at+1] == '*'):
		l.comment()
	case c == '"' || c == '\'':
		l.text(c)
	case c == ',' && l.closes(l.at+1):
		l.at++
	case c == '_' || c == '$' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= utf8.RuneSelf:
		l.word()
	case c == '-' || c >= '0' && c <= '9': // of a number the e is no word
		for l.at < len(l.in) && strings.IndexByte("+-.0123456789eE", l.in[l.at]) >= 0 {
			l.out.WriteByte(l.in[l.at])
			l.at++
		}
	default:
		l.out.WriteByte(c)
		l.at++
	}
}

// comment goes behind one.
func (l *lenient) comment() {
	end := "\n"
	if l.in[l.at+1] == '*' {
		end = "*/"
	}
	i := bytes.Index(l.in[l.at+2:], []byte(end))
	if i < 0 {
		l.at = len(l.in)
		return
	}
	l.at += 2 + i + len(end)
	l.out.WriteByte(' ')
}

// closes says whether a bracket closes next.
func (l *lenient) closes(at int) bool {
	ahead := lenient{in: l.in, at: at}
	for ahead.at < len(ahead.in) {
		switch c := ahead.in[ahead.at]; {
		case c == '}' || c == ']':
			return true
		case strings.IndexByte(" \t\r\n", c) >= 0:
			ahead.at++
		case c == '/' && ahead.at+1 < len(ahead.in) && (ahead.in[ahead.at+1] == '/' || ahead.in[ahead.at+1] == '*'):
			ahead.comment()
		default:
			return false
		}
	}
	return false
}

// text writes one with double quotes, and its lines' ends as escapes.
func (l *lenient) text(quote byte) {
	l.out.WriteByte('"')
	for l.at++; l.at < len(l.in); l.at++ {
		switch c := l.in[l.at]; {
		case c == quote:
			l.out.WriteByte('"')
			l.at++
			return
		case c == '\\' && l.at+1 < len(l.in):
			l.at++
			if l.in[l.at] != '\'' {
				l.out.WriteByte('\\')
			}
			l.out.WriteByte(l.in[l.at])
		case c == '"':
			l.out.WriteString(`\"`)
		case c < 0x20:
			q := strconv.QuoteToASCII(string(rune(c)))
			if strings.HasPrefix(q, `"\x`) || strings.HasPrefix(q, `"\a`) || strings.HasPrefix(q, `"\v`) {
				q = `"\u00` + strconv.FormatInt(int64(c>>4), 16) + strconv.FormatInt(int64(c&15), 16) + `"`
			}
			l.out.WriteString(q[1 : len(q)-1])
		default:
			l.out.WriteByte(c)
		}
	}
}

// word writes true, false and null as they are, and any other as a text.
func (l *lenient) word() {
	begun := l.at
	for l.at < len(l.in) {
		c := l.in[l.at]
		if c != '_' && c != '$' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c < utf8.RuneSelf {
			break
		}
		l.at++
	}
	w := string(l.in[begun:l.at])
	if w != "true" && w != "false" && w != "null" {
		w = `"` + w + `"`
	}
	l.out.WriteString(w)
}
