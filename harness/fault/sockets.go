package fault

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// halfOpen looks into a table of TCP's sockets (proc(5), /proc/net/tcp and tcp6) for one on a port that a machine has knocked at and that is not connected.
func halfOpen(table string, port int, from netip.Addr) bool {
	const synRecv = "03" // include/net/tcp_states.h
	for line := range strings.Lines(table) {
		words := strings.Fields(line) // sl local_address rem_address st …
		if len(words) < 4 || words[3] != synRecv {
			continue
		}
		_, local, _ := strings.Cut(words[1], ":")
		remote, _, _ := strings.Cut(words[2], ":")
		if local == fmt.Sprintf("%04X", port) && kernelAddr(remote) == from {
			return true
		}
	}
	return false
}

// kernelAddr reads an address as those tables have it: words of 32 bits, each in the processor's order, which is little-endian wherever Drydock is built for.
func kernelAddr(s string) netip.Addr {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw)%4 != 0 {
		return netip.Addr{}
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	a, _ := netip.AddrFromSlice(raw)
	return a.Unmap()
}
