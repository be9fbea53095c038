package main

import "testing"

func TestPartOfQEMUIsProgramsLibrariesAndFirmware(t *testing.T) {
	for name, want := range map[string]bool{
		program: true, daemon: true, plugin: true, "usr/lib/x86_64-linux-gnu/libglib-2.0.so.0": true, "lib/x86_64-linux-gnu/" + loader: true,
		"usr/lib/x86_64-linux-gnu/pulseaudio/libpulsecommon-16.1.so": true, "usr/share/seabios/bios-256k.bin": true,
		"usr/bin/qemu-system-i386": false, plugins + "/hw-display-qxl.so": false, "usr/share/doc/qemu/README.so": false, "etc/ld.so.conf": false,
	} {
		if got := partOfQEMU(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
