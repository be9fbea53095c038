package enclose

import (
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// names answers the questions inside: 127.0.0.1 for the hosts, and that there is no such name for all others. It ends with the connection.
func (e Enclosure) names(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if answer, err := e.answer(buffer[:n]); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

func (e Enclosure) answer(raw []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	head.Response, head.RecursionAvailable, head.Authoritative = true, true, true
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	known := Matches(e.Hosts, name)
	if !known {
		head.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, head)
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(q); err != nil {
		return nil, err
	}
	if known && q.Type == dnsmessage.TypeA {
		if err := b.StartAnswers(); err != nil {
			return nil, err
		}
		if err := b.AResource(dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}, dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// Matches reports whether a host, in lower case, is one of a list in which *.example.com is all below one.
func Matches(hosts []string, host string) bool {
	for _, known := range hosts {
		known = strings.ToLower(known)
		if below, ok := strings.CutPrefix(known, "*"); ok && strings.HasSuffix(host, below) || host == known {
			return true
		}
	}
	return false
}
