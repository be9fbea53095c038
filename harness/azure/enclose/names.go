package enclose

import (
	"net"

	"golang.org/x/net/dns/dnsmessage"

	"drydock.dev/drydock/harness/azure/proxy"
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
	known := proxy.Below(e.Hosts, q.Name.String())
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
