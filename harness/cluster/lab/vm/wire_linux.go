package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A VM machine's network card is a pair of sockets that carry one frame a message: QEMU has one end, and the other is joined here to the machine's
// end of its cable, by a packet socket that sees every frame. It asks for no device of the host, which a tap would.

// frameMost is more than the largest frame of the cable.
const frameMost = 64 << 10

// wire joins the interface to a new pair of sockets and returns the end for QEMU. The frames that come by the interface must be whole: with checksums,
// and not larger than its MTU (labinit.plug sees to that).
func wire(iface string) (*os.File, error) {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("wire: %s: %w", iface, err)
	}
	const all = unix.ETH_P_ALL
	proto := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, all)))
	card, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // of no protocol yet: nothing comes before it is bound
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(card, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptPacketMreq(card, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(link.Index), Type: unix.PACKET_MR_PROMISC}),
	)
	if err == nil {
		err = unix.Bind(card, &unix.SockaddrLinklayer{Protocol: uint16(proto), Ifindex: link.Index})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wire: %s: %w", iface, err), unix.Close(card))
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wire: %w", err), unix.Close(card))
	}
	go carry(ends[0], card)
	go carry(card, ends[0])
	return os.NewFile(uintptr(ends[1]), "card"), nil
}

// carry copies frames until one end is closed. A frame that cannot be delivered is lost, as on any cable.
func carry(to, from int) {
	buf := make([]byte, frameMost)
	for {
		n, err := unix.Read(from, buf)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
			continue
		case err != nil:
			return
		}
		_, _ = unix.Write(to, buf[:n])
	}
}
