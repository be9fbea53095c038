package template

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func scope() *Scope {
	return &Scope{
		Parameters: map[string]any{"name": "k8s", "count": float64(3), "zones": []any{"1", "2"}, "o": map[string]any{"Inner": map[string]any{"x": "y"}}},
		Variables: map[string]any{
			"prefix": "[concat(parameters('name'), '-master-')]", "vm": "[concat(variables('prefix'), variables('offset'))]", "offset": float64(2),
			"a": "[variables('b')]", "b": "[variables('a')]",
		},
		Subscription: map[string]any{"subscriptionId": "s"}, ResourceGroup: map[string]any{"name": "g", "location": "westeurope", "id": "/subscriptions/s/resourceGroups/g"},
		ResourceID: func(_, group, typ string, names []string) (string, error) {
			return group + "|" + typ + "|" + strings.Join(names, "/"), nil
		},
		Reference: func(id string, _ bool) (any, error) {
			if id == "later" {
				return nil, ErrNotReady
			}
			return map[string]any{"ipAddress": "20.0.0.1"}, nil
		},
	}
}

func TestExpressions(t *testing.T) {
	for in, want := range map[string]string{
		"plain": `"plain"`, "[[escaped]": `"[escaped]"`, "[concat('it''s ', parameters('NAME'))]": `"it's k8s"`,
		"[variables('prefix')]": `"k8s-master-"`, "[variables('vm')]": `"k8s-master-2"`,
		"[add(parameters('count'), mul(2, sub(7, div(9, 2))))]": `9`, "[mod(-7, 3)]": `-1`,
		"[parameters('o').inner.x]": `"y"`, "[parameters('o')['Inner']['x']]": `"y"`, "[parameters('zones')[1]]": `"2"`,
		"[if(equals(parameters('count'), 3), 'three', parameters('nothing'))]":           `"three"`,
		"[resourceId('Microsoft.Compute/virtualMachines/extensions', 'vm', 'cse')]":      `"|Microsoft.Compute/virtualMachines/extensions|vm/cse"`,
		"[resourceId('g2', 'Microsoft.Network/networkInterfaces', concat('nic-', '1'))]": `"g2|Microsoft.Network/networkInterfaces|nic-1"`,
		"[reference('ip').ipAddress]":    `"20.0.0.1"`,
		"[take(split('a,b,c', ','), 2)]": `["a","b"]`, "[length('abc')]": `3`, "[toLower(substring('ABCDEF', 1, 3))]": `"bcd"`,
		"[base64('x')]": `"eA=="`, "[string(createArray(1, 'a'))]": `"[1,\"a\"]"`,
		"[or(false(), endsWith('vm-X', '-x'))]": `true`, "[resourceGroup().location]": `"westeurope"`, "[int('42')]": `42`, "[replace('a-b', '-', '')]": `"ab"`,
		"[copyIndex('loop', 1)]": `5`, "[min(3, 1, 2)]": `1`, "[contains(parameters('o'), 'inner')]": `true`, "[empty(null())]": `true`,
	} {
		got, err := scope().Loop("loop", 4).Eval(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		raw, _ := json.Marshal(got)
		if string(raw) != want {
			t.Errorf("%s is %s instead of %s", in, raw, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"[nope('a')]": "The template function 'nope' is not valid", "[parameters('x')]": "The template parameter 'x' is not found", "[variables('x')]": "The template variable 'x' is not found",
		"[concat('a']": "',' or ')' is expected", "[concat]": "'(' is expected", "['open]": "the end of a string", "[add(1)]": "'2' argument(s) while '1'", "[parameters('zones')[7]]": "out of bounds",
		"[parameters('o').nope]": "available properties are 'Inner'", "[div(1, 0)]": "no whole number", "[substring('abc', 2, 5)]": "within the string", "[variables('a')]": "Circular dependency detected in template language expression: variables a → b → a",
		"[resourceId('Microsoft.Compute/virtualMachines', 'a', 'b')]": "requires '1' resource name", "[if('x', 1, 2)]": "a boolean is expected", "[copyIndex()]": "can only be used in a resource with copy",
	} {
		_, err := scope().Eval(in)
		var mistake *Error
		if err == nil || !errors.As(err, &mistake) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", in, err, want)
		}
	}
	if _, err := scope().Eval("[reference('later').x]"); !errors.Is(err, ErrNotReady) {
		t.Errorf("a reference to what is not there: %v", err)
	}
}

func TestLoopsInProperties(t *testing.T) {
	var v any
	if err := json.Unmarshal([]byte(`{"copy":[{"name":"disks","count":"[parameters('count')]","input":{"lun":"[copyIndex('disks')]"}}],"x":1}`), &v); err != nil {
		t.Fatal(err)
	}
	got, err := scope().Eval(v)
	raw, _ := json.Marshal(got)
	if err != nil || string(raw) != `{"disks":[{"lun":0},{"lun":1},{"lun":2}],"x":1}` {
		t.Errorf("%s, %v", raw, err)
	}
}

// FuzzEval: whatever an expression is, it is a value or a mistake, within bounds of time and memory.
func FuzzEval(f *testing.F) {
	for _, s := range []string{
		"[concat('a', parameters('name'))]", "[[x]", "[if(equals(1,1),'a','b')]", "[parameters('o').inner.x]", "[split('a,b', ',')[0]]", "[substring('abc',0,1)]",
		"[copyIndex('l')]", "[resourceId('a/b','c')]", "[format('{0}{0}', 'x')]", "[range(0, 10)]", "[json('{}')]", "[variables('a')]", "[mod(-9223372036854775808, -1)]", "[union(createArray(1),createArray(1))]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := scope().Loop("l", 1).Eval(s)
		var mistake *Error
		if err != nil && !errors.As(err, &mistake) && !errors.Is(err, ErrNotReady) {
			t.Fatalf("%q: %v", s, err)
		}
		if _, bad := json.Marshal(v); err == nil && bad != nil {
			t.Fatalf("%q made %v, which is no JSON: %v", s, v, bad)
		}
		_ = scope().Check(s)
	})
}
