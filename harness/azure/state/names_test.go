package state

import (
	"fmt"
	"testing"

	"drydock.dev/drydock/harness/azure/arm"
)

const group = "/subscriptions/S/resourceGroups/g"

func parsed(tb testing.TB, path string) arm.ID {
	tb.Helper()
	id, ok := arm.ParseID(path)
	if !ok {
		tb.Fatalf("%s is no id", path)
	}
	return id
}

func nameOf(docs []*Document) (out []string) {
	for _, d := range docs {
		out = append(out, d.ID.Name())
	}
	return out
}

func TestWhoNamesAResourceIsKnownAsDocumentsComeAndGo(t *testing.T) {
	docs := newDocuments()
	network := parsed(t, group+"/providers/Microsoft.Network/virtualNetworks/net")
	subnet := parsed(t, network.String()+"/subnets/a")
	docs.put(network, map[string]any{"id": network.String(), "properties": map[string]any{"subnets": []any{map[string]any{"id": subnet.String()}}}})
	cards := []arm.ID{}
	for i := range 3 {
		id := parsed(t, fmt.Sprintf("%s/providers/Microsoft.Network/networkInterfaces/nic-%d", group, i))
		// Each writes the name in a case of its own, and twice.
		docs.put(id, map[string]any{"id": id.String(), "properties": map[string]any{"ipConfigurations": []any{
			map[string]any{"subnet": map[string]any{"id": subnet.String()}}, map[string]any{"subnet": map[string]any{"ID": "/SUBSCRIPTIONS/s/resourcegroups/G/providers/microsoft.network/virtualnetworks/NET/subnets/A"}},
		}}})
		cards = append(cards, id)
	}
	want := func(what string, id arm.ID, names ...string) {
		t.Helper()
		if got := nameOf(docs.naming(id)); fmt.Sprint(got) != fmt.Sprint(names) {
			t.Errorf("%s: named by %v, want %v", what, got, names)
		}
	}
	want("a subnet", subnet, "nic-0", "nic-1", "nic-2")
	want("its network, which the cards do not name", network)
	docs.put(cards[1], map[string]any{"id": cards[1].String()})
	want("after one let go", subnet, "nic-0", "nic-2")
	docs.remove(cards[0])
	docs.remove(cards[0])
	want("after one was deleted, twice", subnet, "nic-2")
	docs.remove(network)
	want("after it is gone itself", subnet, "nic-2")
	docs.remove(cards[2])
	if len(docs.named) != 0 {
		t.Errorf("nothing is there, and the table still has %v", docs.named)
	}
}

func TestBelowAResourceIsWhatItsPathBegins(t *testing.T) {
	docs := newDocuments()
	for _, path := range []string{
		group, group + "/providers/Microsoft.Compute/virtualMachines/vm", group + "/providers/Microsoft.Compute/virtualMachines/vm/extensions/e",
		group + "/providers/Microsoft.Compute/virtualMachines/vm-2", "/subscriptions/S/resourceGroups/g2/providers/Microsoft.Compute/disks/d", "/subscriptions/S2/resourceGroups/g/providers/Microsoft.Compute/disks/d",
	} {
		docs.put(parsed(t, path), map[string]any{})
	}
	for path, want := range map[string]string{
		group: "[vm vm-2 e]", group + "/providers/Microsoft.Compute/virtualMachines/VM": "[e]", "/subscriptions/s/resourceGroups/G2": "[d]", "/subscriptions/S/resourceGroups/none": "[]",
	} {
		if got := fmt.Sprint(nameOf(docs.below(parsed(t, path)))); got != want {
			t.Errorf("below %s: %s, want %s", path, got, want)
		}
	}
}

// BenchmarkHundredThousand is what a page of a list, a write and a delete take among 100,000 resources, half of which name one subnet.
func BenchmarkHundredThousand(b *testing.B) {
	docs := newDocuments()
	subnet := group + "/providers/Microsoft.Network/virtualNetworks/net/subnets/a"
	card := func(i int) (arm.ID, map[string]any) {
		id := parsed(b, fmt.Sprintf("%s/providers/Microsoft.Network/networkInterfaces/nic-%06d", group, i))
		return id, map[string]any{"id": id.String(), "properties": map[string]any{"ipConfigurations": []any{map[string]any{"properties": map[string]any{"subnet": map[string]any{"id": subnet}}}}}}
	}
	for i := range 50_000 {
		docs.put(card(i))
		vm := parsed(b, fmt.Sprintf("%s/providers/Microsoft.Compute/virtualMachines/vm-%06d", group, i))
		docs.put(vm, map[string]any{"id": vm.String(), "properties": map[string]any{}})
	}
	middle, body := card(25_000)
	b.Run("list", func(b *testing.B) {
		collection := parsed(b, group+"/providers/Microsoft.Network/networkInterfaces")
		for b.Loop() {
			if page, _ := docs.list(collection, middle.Key(), 100); len(page) != 100 {
				b.Fatal(len(page))
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			docs.put(middle, body)
		}
	})
	b.Run("delete", func(b *testing.B) {
		for b.Loop() {
			docs.below(middle)
			docs.remove(middle)
			docs.put(middle, body)
		}
	})
}
