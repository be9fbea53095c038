package vm

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
)

// Paths in the root of the process that holds a VM machine.
const (
	kitDir    = "/vm"       // the kit, read-only
	shareDir  = "/share"    // all that the machine sees of it
	workDir   = "/work"     // of this process
	labSocket = "/lab.sock" // what the machine may ask of its lab
	fsdSocket = workDir + "/fs.sock"
	initramfs = workDir + "/initramfs"
)

// The machine has a second card, which leads nowhere but to the process that holds it, by QEMU's own network (its user network: fixed addresses).
const (
	holderAddr  = "10.0.2.2"  // that process, on its loopback
	machineAddr = "10.0.2.15" // the machine
	controlPort = 7000        // where the machine answers its owner
	labPort     = 7001        // where its lab answers it
	cableCard   = "eth0"      // in the machine: the lab's cable
	holderCard  = "eth1"
	shareTag    = "share"
)

// Size of a VM machine. A kubelet and a few pods take about 600 MiB of it.
const (
	memoryMiB  = 1280
	processors = 2
)

// files serves the shared directory to QEMU.
func (k Kit) files(ctx context.Context) *exec.Cmd {
	// What it could do more to shut itself in (a user namespace, a seccomp filter) has been done to its parent, or is not there in a user namespace.
	return k.command(ctx, k.FSD, "--socket-path="+fsdSocket, "-o", "source="+shareDir, "-o", "sandbox=chroot", "-o", "cache=auto", "--rlimit-nofile=0", "-f")
}

// machine is QEMU; its fourth file is the machine's end of the wire, its output the serial console.
func (k Kit) machine(ctx context.Context, card *os.File, mac net.HardwareAddr) *exec.Cmd {
	var firmware []string
	for _, dir := range k.Firmware {
		firmware = append(firmware, "-L", dir)
	}
	mem := strconv.Itoa(memoryMiB) + "M"
	const wireFD = 3
	cmd := k.command(ctx, k.QEMU, append(firmware,
		"-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none",
		"-machine", "q35,memory-backend=mem", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", strconv.Itoa(processors), "-m", mem,
		"-object", "memory-backend-memfd,id=mem,share=on,size="+mem, // shared with virtiofsd
		"-kernel", k.Kernel, "-initrd", initramfs,
		// A panic reboots after as many seconds as /proc/sys/kernel/panic says, which is none until somebody sets it: nothing is set here.
		"-append", "console=ttyS0 rdinit=/"+initFile+" loglevel=6 -- "+GuestCommand,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-netdev", fmt.Sprintf("dgram,id=cable,local.type=fd,local.str=%d", wireFD), "-device", "virtio-net-pci,netdev=cable,romfile=,mac="+mac.String(),
		"-netdev", fmt.Sprintf("user,id=holder,ipv6=off,hostfwd=tcp:127.0.0.1:%d-%s:%d", controlPort, machineAddr, controlPort),
		"-device", "virtio-net-pci,netdev=holder,romfile=",
		"-chardev", "socket,id=files,path="+fsdSocket, "-device", "vhost-user-fs-pci,chardev=files,tag="+shareTag,
		"-device", "virtio-rng-pci",
	)...)
	cmd.ExtraFiles = []*os.File{card}
	return cmd
}
