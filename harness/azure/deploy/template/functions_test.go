package template

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// values are expressions and what they give. Where the documentation has an example, it is that: learn.microsoft.com "ARM template functions",
// by theme; those of uniqueString are Bicep's own values, and those of format github.com/Azure/bicep's EvaluationTests.cs.
func values() map[string]string {
	return map[string]string{
		// URIs and zones
		"[buildUri(createObject('scheme', 'https', 'host', 'mystorage.blob.core.windows.net', 'port', 8080, 'path', '/templates/nestedTemplate.json', 'query', '?st=2025-05-09'))]": `"https://mystorage.blob.core.windows.net:8080/templates/nestedTemplate.json?st=2025-05-09"`,
		"[buildUri(createObject('scheme', 'https', 'host', 'x', 'port', null(), 'path', 'a'))]":                                                                                     `"https://x/a"`,
		"[parseUri('https://mystorage.blob.core.windows.net:8080/templates/nestedTemplate.json?st=2025-05-09')]":                                                                    `{"host":"mystorage.blob.core.windows.net","path":"/templates/nestedTemplate.json","port":8080,"query":"?st=2025-05-09","scheme":"https"}`,
		"[parseUri('https://x:443')]":                                        `{"host":"x","path":"/","port":null,"query":"","scheme":"https"}`,
		"[toPhysicalZone('s', 'West Europe', '2')]":                          `"westeurope-az2"`,
		"[toLogicalZone('s', 'westeurope', 'westeurope-AZ3')]":               `"3"`,
		"[toPhysicalZones('s', 'westeurope', createArray('1', '3'))]":        `["westeurope-az1","westeurope-az3"]`,
		"[toLogicalZones('s', 'westeurope', createArray('westeurope-az1'))]": `["1"]`,
		// strings
		"[padLeft('123', 10, '0')]": `"0000000123"`, "[padLeft(7, 3)]": `"  7"`, "[padLeft('1234', 3, '0')]": `"1234"`,
		"[base64ToString('b25lLCB0d28sIHRocmVl')]": `"one, two, three"`, "[base64('one, two, three')]": `"b25lLCB0d28sIHRocmVl"`,
		`[base64ToJson(base64('{"one":"a"}')).one]`: `"a"`, "[dataUri('Hello')]": `"data:text/plain;charset=utf8;base64,SGVsbG8="`,
		"[dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')]": `"Hello, World!"`, "[toLower('One Two Three')]": `"one two three"`,
		"[startsWith('abcdef', 'A')]": `true`, "[endsWith('abcdef', 'E')]": `false`, "[indexOf('test', 't')]": `0`, "[lastIndexOf('test', 't')]": `3`,
		"[indexOf('abcdef', 'CD')]": `2`, "[lastIndexOf('abcdef', 'AB')]": `0`, "[indexOf('abcdef', 'z')]": `-1`, "[replace('123-123-1234', '-', '')]": `"1231231234"`,
		"[format('{0}, {1}. Formatted number: {2:N0}', 'Hello', 'User', 8175133)]":                                            `"Hello, User. Formatted number: 8,175,133"`,
		"[format('>{0}<>{1}<>{2}<>{3}<', false(), 12948, createObject('a', 'b', '!c', 2), createArray(true(), 2893, 'abc'))]": `">False<>12948<>{'!c':2,'a':'b'}<>[true,2893,'abc']<"`,
		"[format('{{{0,4}}}{1:D3}{2:x}', 'ab', -7, 255)]":                                                                     `"{  ab}-007ff"`, "[format('{0}{0}', '{0}')]": `"{0}{0}"`,
		"[split('one,two,three', ',')]": `["one","two","three"]`, "[split('one;two,three', createArray(',', ';'))]": `["one","two","three"]`,
		"[join(createArray('one', 'two', 3), '_')]": `"one_two_3"`, "[substring('one two three', 4, 3)]": `"two"`, "[trim('    one two three   ')]": `"one two three"`,
		"[take('one two three', 3)]": `"one"`, "[skip('one two three', 4)]": `"two three"`, "[first('One Two Three')]": `"O"`, "[last('One Two Three')]": `"e"`,
		"[string(createObject('a', '<b>'))]": `"{\"a\":\"<b>\"}"`, "[string(true())]": `"True"`, "[length('żółw')]": `4`, "[length('😀')]": `2`,
		"[uri('http://contoso.com/resources/', 'nested/azuredeploy.json')]": `"http://contoso.com/resources/nested/azuredeploy.json"`,
		"[uri('http://contoso.org/firstpath', 'myscript.sh')]":              `"http://contoso.org/myscript.sh"`, "[uri('http://contoso.org', '/a')]": `"http://contoso.org/a"`,
		"[uriComponent('http://contoso.com/resources/nested/azuredeploy.json')]": `"http%3A%2F%2Fcontoso.com%2Fresources%2Fnested%2Fazuredeploy.json"`,
		"[uriComponentToString(uriComponent('a b/c'))]":                          `"a b/c"`, "[guid('a')]": `"3703365d-5a9f-59b4-bca7-b9681389e4c1"`, "[guid('a', 'b')]": `"2d796349-8c7e-55ec-9624-54ece82ed031"`,
		"[uniqueString('test')]": `"rbgf3xv4ufgzg"`, "[uniqueString('hello', 'world')]": `"a7wkljktk6wne"`, "[uniqueString('abc')]": `"cgtzqvhu4i23s"`,
		"[uniqueString('/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg')]": `"bmg7c6xu4tw46"`, "[uniqueString('foo', 'bar', 'baz')]": `"xzi4ioaxtmth4"`,
		// arrays
		"[array(1)]": `[1]`, "[concat(createArray('1-1'), createArray('2-1'))]": `["1-1","2-1"]`, "[contains('OneTwoThree', 'e')]": `true`, "[contains('OneTwoThree', 'z')]": `false`,
		"[contains(createObject('One', 1), 'one')]": `true`, "[contains(createArray('one'), 'One')]": `false`, "[intersection(createArray(1, 2, 3), createArray(3, 2))]": `[2,3]`,
		"[intersection(createObject('one', 'a', 'two', 'b', 'three', 'c'), createObject('one', 'a', 'two', 'z', 'three', 'c'))]": `{"one":"a","three":"c"}`,
		"[indexOf(createArray('a', 'b', 'a'), 'a')]": `0`, "[lastIndexOf(createArray('a', 'b', 'a'), 'a')]": `2`, "[indexOf(createArray('a'), 'A')]": `-1`,
		"[max(0, 3, 2, 5, 4)]": `5`, "[min(createArray(0, 3, 2, 5, 4))]": `0`, "[range(5, 3)]": `[5,6,7]`, "[range(-2, 2)]": `[-2,-1]`,
		"[union(createArray('one', 'two', 'three'), createArray('three', 'four'))]": `["one","two","three","four"]`, "[flatten(createArray(createArray(1, 2), createArray(3)))]": `[1,2,3]`,
		"[skip(createArray('one', 'two', 'three'), 2)]": `["three"]`, "[empty(createArray())]": `true`, "[last(createArray('one', 'three'))]": `"three"`, "[first(createArray())]": `null`,
		"[indexFromEnd(createArray(1, 2, 3), 1)]": `3`, "[tryIndexFromEnd(createArray(1), 2)]": `null`,
		// objects
		"[union(createObject('one', 'a', 'two', 'b', 'three', 'c1'), createObject('three', 'c2', 'four', 'd', 'five', 'e'))]":                                      `{"five":"e","four":"d","one":"a","three":"c2","two":"b"}`,
		`[union(json('{"property":{"one":"a","two":"b","three":"c1"},"nestedArray":[1,2]}'), json('{"property":{"three":"c2","four":"d"},"nestedArray":[3,4]}'))]`: `{"nestedArray":[3,4],"property":{"four":"d","one":"a","three":"c2","two":"b"}}`,
		`[shallowMerge(createArray(createObject('a', createObject('x', 1)), createObject('a', createObject('y', 2))))]`:                                            `{"a":{"y":2}}`,
		`[items(json('{"item002":{"enabled":false},"item001":{"enabled":true}}'))]`:                                                                                `[{"key":"item001","value":{"enabled":true}},{"key":"item002","value":{"enabled":false}}]`,
		"[objectKeys(createObject('b', 1, 'a', 2))]":                          `["a","b"]`,
		"[tryGet(createObject('a', createArray(1, 2)), 'a', 1)]":              `2`,
		"[tryGet(createObject('a', 1), 'b', 'c')]":                            `null`,
		"[empty(json('null'))]":                                               `true`,
		"[createObject('intProp', 1, 'stringProp', 'abc')]":                   `{"intProp":1,"stringProp":"abc"}`,
		"[coalesce(tryGet(createObject(), 'a'), 'd', parameters('nothing'))]": `"d"`,
		"[length(createObject('a', 1, 'b', 2))]":                              `2`,
		"[equals(createObject('a', createArray(1)), json('{\"a\":[1.0]}'))]":  `true`,
		"[equals('a', 'A')]":                                                  `false`,
		// numbers and logic
		"[float('3.5')]": `3.5`, "[int('4')]": `4`, "[div(8, 3)]": `2`, "[mod(7, 3)]": `1`, "[bool('1')]": `true`, "[bool('False')]": `false`, "[greater(float('1.5'), 1)]": `true`,
		"[less('A', 'a')]": `true`, "[and(true(), or(false(), true()), not(false()))]": `true`, "[if(true(), 1, parameters('nothing'))]": `1`,
		// dates
		"[dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')]": `"2023-04-07 14:53:14Z"`, "[dateTimeAdd('2020-04-07 14:53:14Z', '-P9D')]": `"2020-03-29 14:53:14Z"`,
		"[dateTimeAdd('20200407T145314Z', 'PT1H')]": `"20200407T155314Z"`, "[dateTimeAdd('2024-01-31', 'P1M')]": `"2024-02-29"`, "[dateTimeAdd('2020-04-07T00:00:00Z', 'P1D', 'M d')]": `"4 8"`,
		"[dateTimeToEpoch('2023-05-02T15:16:13Z')]": `1683040573`, "[dateTimeFromEpoch(1683040573)]": `"2023-05-02T15:16:13Z"`,
		// cidr
		"[parseCidr('10.144.0.0/20')]":         `{"broadcast":"10.144.15.255","cidr":20,"firstUsable":"10.144.0.1","lastUsable":"10.144.15.254","netmask":"255.255.240.0","network":"10.144.0.0"}`,
		"[parseCidr('fdad:3236:5555::/48')]":   `{"cidr":48,"firstUsable":"fdad:3236:5555::","lastUsable":"fdad:3236:5555:ffff:ffff:ffff:ffff:ffff","netmask":"ffff:ffff:ffff::","network":"fdad:3236:5555::"}`,
		"[cidrSubnet('10.144.0.0/20', 24, 4)]": `"10.144.4.0/24"`, "[cidrSubnet('fdad:3236:5555::/48', 52, 3)]": `"fdad:3236:5555:3000::/52"`,
		"[cidrHost('10.144.3.0/24', 0)]": `"10.144.3.1"`, "[cidrHost('fdad:3236:5555:3000::/52', 4)]": `"fdad:3236:5555:3000::5"`,
		// lambdas
		"[filter(variables('dogs'), lambda('dog', greaterOrEquals(lambdaVariables('dog').age, 5)))]":                                                                     `[{"age":5,"name":"Evie"},{"age":8,"name":"Kira"}]`,
		"[map(variables('dogs'), lambda('dog', format('Hello {0}!', lambdaVariables('dog').name)))]":                                                                     `["Hello Evie!","Hello Casper!","Hello Indy!","Hello Kira!"]`,
		"[map(range(0, 2), lambda('i', createObject('i', lambdaVariables('i'), 'dog', variables('dogs')[lambdaVariables('i')].name)))]":                                  `[{"dog":"Evie","i":0},{"dog":"Casper","i":1}]`,
		"[map(createArray('a', 'b'), lambda('x', 'n', format('{0}{1}', lambdaVariables('x'), lambdaVariables('n'))))]":                                                   `["a0","b1"]`,
		"[reduce(map(variables('dogs'), lambda('dog', lambdaVariables('dog').age)), 1, lambda('cur', 'next', add(lambdaVariables('cur'), lambdaVariables('next'))))]":    `19`,
		"[reduce(createArray(createObject('foo', 123), createObject('bar', 456)), createObject(), lambda('c', 'n', union(lambdaVariables('c'), lambdaVariables('n'))))]": `{"bar":456,"foo":123}`,
		"[map(sort(variables('dogs'), lambda('a', 'b', less(lambdaVariables('a').age, lambdaVariables('b').age))), lambda('d', lambdaVariables('d').name))]":             `["Indy","Casper","Evie","Kira"]`,
		"[toObject(take(variables('dogs'), 1), lambda('e', lambdaVariables('e').name), lambda('e', lambdaVariables('e').age))]":                                          `{"Evie":5}`,
		"[groupBy(createArray('foo', 'bar', 'far'), lambda('x', substring(lambdaVariables('x'), 0, 1)))]":                                                                `{"b":["bar"],"f":["foo","far"]}`,
		"[mapValues(createObject('a', 1), lambda('v', add(lambdaVariables('v'), 1)))]":                                                                                   `{"a":2}`,
		"[map(createArray(1, 2), lambda('x', map(createArray(10), lambda('y', add(lambdaVariables('x'), lambdaVariables('y'))))))]":                                      `[[11],[12]]`,
		// scopes and ids
		"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'r')]":  `"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/r"`,
		"[subscriptionResourceId('t', 'Microsoft.Resources/deployments', 'd')]":     `"/subscriptions/t/providers/Microsoft.Resources/deployments/d"`,
		"[tenantResourceId('Microsoft.Authorization/policyDefinitions', 'p')]":      `"/providers/Microsoft.Authorization/policyDefinitions/p"`,
		"[extensionResourceId('/subscriptions/s', 'My.Rp/parent/child', 'p', 'c')]": `"/subscriptions/s/providers/My.Rp/parent/p/child/c"`,
		"[managementGroupResourceId('m', 'My.Rp/things', 'x')]":                     `"/providers/Microsoft.Management/managementGroups/m/providers/My.Rp/things/x"`,
		"[resourceId('s2', 'g2', 'Microsoft.Storage/storageAccounts/', 'x')]":       `"g2|Microsoft.Storage/storageAccounts|x"`,
		"[environment().suffixes.storage]":                                          `"core.windows.net"`,
		"[environment().resourceManager]":                                           `"https://management.azure.com/"`,
		"[pickZones('Microsoft.Network', 'publicIPAddresses', 'westus2', 2, 1)]":    `["2","3"]`,
		"[providers('Microsoft.Compute', 'VirtualMachines').apiVersions[0]]":        `"2024-07-01"`,
		"[length(providers('Microsoft.Compute').resourceTypes)]":                    `1`,
		"[pickZones('Microsoft.Cdn', 'profiles', 'westus2')]":                       `[]`,
		"[listKeys('sa', '2019-06-01').keys[0].value]":                              `"listKeys of sa"`,
		"[map(references('vms'), lambda('v', lambdaVariables('v').x))]":             `[1,2]`,
		"[contoso.uniqueName('Abc')]":                                               `"abc-1"`,
		"[__bicep.twice(contoso.uniqueName('b'))]":                                  `"b-1b-1"`,
		"[variables('files.a.b')]":                                                  `"c"`, "[variables('loop')[2].n]": `2`,
		"[variables('holder').disks[1]]": `"d1"`,
	}
}

func richScope() *Scope {
	s := scope()
	s.Variables = map[string]any{
		"dogs":  []any{map[string]any{"name": "Evie", "age": 5.0}, map[string]any{"name": "Casper", "age": 3.0}, map[string]any{"name": "Indy", "age": 2.0}, map[string]any{"name": "Kira", "age": 8.0}},
		"copy":  []any{map[string]any{"name": "loop", "count": "[length(range(0, 3))]", "input": map[string]any{"n": "[copyIndex('loop')]"}}},
		"files": map[string]any{"a": map[string]any{"b": "c"}}, "holder": map[string]any{"copy": []any{map[string]any{"name": "disks", "count": 2.0, "input": "[concat('d', copyIndex('disks'))]"}}},
	}
	s.Functions = []any{
		map[string]any{"namespace": "contoso", "members": map[string]any{"uniqueName": map[string]any{
			"parameters": []any{map[string]any{"name": "prefix", "type": "string"}}, "output": map[string]any{"type": "string", "value": "[concat(toLower(parameters('prefix')), '-1')]"},
		}}},
		map[string]any{"namespace": "__bicep", "members": map[string]any{"twice": map[string]any{
			"parameters": []any{map[string]any{"name": "x", "type": "string"}}, "output": map[string]any{"type": "string", "value": "[format('{0}{0}', parameters('x'))]"},
		}, "forever": map[string]any{"output": map[string]any{"type": "string", "value": "[__bicep.forever()]"}}, "leaks": map[string]any{"output": map[string]any{"type": "string", "value": "[variables('dogs')]"}}}},
	}
	s.Provider = func(namespace string) map[string]any {
		if namespace != "Microsoft.Compute" {
			return nil
		}
		return map[string]any{"resourceTypes": []any{map[string]any{"resourceType": "virtualMachines", "apiVersions": []any{"2024-07-01", "2019-12-01"}}}}
	}
	s.Zones = func(_, typ, _ string) int {
		if typ == "publicIPAddresses" {
			return 3
		}
		return 0
	}
	s.List = func(action, id string, _ any) (any, error) {
		return map[string]any{"keys": []any{map[string]any{"value": action + " of " + id}}}, nil
	}
	s.References = func(string, bool) (any, error) {
		return []any{map[string]any{"x": 1.0}, map[string]any{"x": 2.0}}, nil
	}
	return s
}

func TestFunctions(t *testing.T) {
	for in, want := range values() {
		got, err := richScope().Eval(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if raw := compact(got); raw != want {
			t.Errorf("%s is %s instead of %s", in, raw, want)
		}
	}
}

func TestFunctionsThatRefuse(t *testing.T) {
	for in, want := range map[string]string{
		"[toLogicalZone('s', 'westus', 'z')]": "a zone that the region has", "[newGuid()]": "The template function 'newGuid' is not expected at this location",
		"[utcNow()]": "The template function 'utcNow' is not expected at this location", "[lambda('x', 1)]": "'lambda' is not expected", "[lambdaVariables('x')]": "has no variable 'x'",
		"[filter(createArray(1), 'x')]": "a lambda of 1 to 2 variables is expected", "[managementGroup()]": "'managementGroup' is not expected at this location",
		"[contoso.nope()]": "The template function 'contoso.nope' is not valid", "[contoso.uniqueName(1)]": "is of type 'string', and a value of type 'Integer'",
		"[__bicep.forever()]": "is called within itself", "[__bicep.leaks()]": "'variables' is not expected", "[cidrHost('10.0.0.0/30', 2)]": "no usable host", "[cidrSubnet('10.0.0.0/24', 16, 0)]": "no subnet",
		"[parseCidr('10.0.0.0')]": "an address range", "[createObject('a')]": "an even number of parameters", "[json('{')]": "cannot be parsed as JSON", "[int('x')]": "cannot be converted to the target type",
		"[fail('no such size')]": "no such size", "[concat(createArray(1), 'a')]": "an array, as the first argument is one", "[concat('a', createArray(1))]": "Either all or none of the parameters must be an array",
		"[format('{1}', 'a')]": "less than the size of the argument list", "[format('{0:C}', 1)]": "not one of the twin's", "[format('{', 1)]": "the format is invalid", "[bool('yes')]": "is expected",
		"[add('1', 2)]": "whole numbers are expected", "[add(9223372036854775807, 1)]": "no whole number", "[dateTimeAdd('2020-01-01', 'P')]": "a duration of ISO 8601", "[guid(1)]": "must be string literals",
		"[items('a')]": "an object", "[indexFromEnd(createArray(1), 2)]": "out of bounds", "[variables('loop')[3]]": "out of bounds", "[substring('😀', 0, 3)]": "the length of the string parameter: '2'",
	} {
		_, err := richScope().Eval(in)
		var mistake *Error
		if err == nil || !errors.As(err, &mistake) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", in, err, want)
		}
	}
}

func TestFormatsOfTime(t *testing.T) {
	now := time.Date(2019, 3, 5, 17, 53, 18, 120_000_000, time.UTC)
	for form, want := range map[string]string{
		"yyyyMMddTHHmmssZ": "20190305T175318Z", "d": "03/05/2019", "M d": "3 5", "u": "2019-03-05 17:53:18Z", "o": "2019-03-05T17:53:18.1200000Z", "s": "2019-03-05T17:53:18",
		"R": "Tue, 05 Mar 2019 17:53:18 GMT", "yyyy-MM-dd'T'HH:mm:ss.fff": "2019-03-05T17:53:18.120", "%H": "17", "h:mm tt": "5:53 PM", "dddd": "Tuesday",
	} {
		if got, err := written("utcNow", now, form); got != want || err != nil {
			t.Errorf("%s is %v instead of %s (%v)", form, got, want, err)
		}
	}
	if _, err := written("utcNow", now, "ggg yyy"); err == nil {
		t.Error("a form that is not known passes")
	}
}

// Bicep's functions that stand in what it compiles, with those it writes for its operators (github.com/Azure/bicep, SystemNamespaceType, AzNamespaceType and
// ExpressionConverter; learn.microsoft.com "Bicep functions"). Those that load files are gone when it has compiled, and those of parameters files never were
// in a template.
func TestEveryFunctionThatBicepEmitsIsKnown(t *testing.T) {
	const emitted = `array base64 base64ToJson base64ToString bool buildUri cidrHost cidrSubnet coalesce concat contains dataUri dataUriToString dateTimeAdd dateTimeFromEpoch dateTimeToEpoch
		empty endsWith fail filter first flatten format groupBy guid indexOf int intersection items join json last lastIndexOf length map mapValues max min newGuid objectKeys padLeft parseCidr
		parseUri range reduce replace shallowMerge skip sort split startsWith string substring take toLower toObject toUpper trim union uniqueString uri uriComponent uriComponentToString utcNow
		deployer deployment environment extensionResourceId listKeys managementGroup managementGroupResourceId pickZones providers reference references resourceGroup resourceId subscription
		subscriptionResourceId tenant tenantResourceId toLogicalZone toLogicalZones toPhysicalZone toPhysicalZones
		add sub mul div mod equals not and or less lessOrEquals greater greaterOrEquals if createArray createObject true false null lambda lambdaVariables tryGet tryIndexFromEnd indexFromEnd
		parameters variables copyIndex`
	s := richScope()
	for _, name := range strings.Fields(emitted) {
		if _, known, err := s.function(name); !known || err != nil {
			t.Errorf("%s: known %v, %v", name, known, err)
		}
	}
}
