package template

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// encodings are the functions that write a text in another way, or a hash of it.
func encodings() map[string]function {
	return map[string]function{
		"base64":         onText("base64", 1, func(a []string) (any, error) { return base64.StdEncoding.EncodeToString([]byte(a[0])), nil }),
		"base64tostring": onText("base64ToString", 1, func(a []string) (any, error) { return unbase64("base64ToString", a[0]) }),
		"base64tojson": onText("base64ToJson", 1, func(a []string) (any, error) {
			t, err := unbase64("base64ToJson", a[0])
			if err != nil {
				return nil, err
			}
			return parsedJSON("base64ToJson", t)
		}),
		"datauri": onText("dataUri", 1, func(a []string) (any, error) {
			return "data:text/plain;charset=utf8;base64," + base64.StdEncoding.EncodeToString([]byte(a[0])), nil
		}),
		"datauritostring":      onText("dataUriToString", 1, func(a []string) (any, error) { return unURI(a[0]) }),
		"uri":                  onText("uri", 2, func(a []string) (any, error) { return joinURI(a[0], a[1]), nil }),
		"uricomponent":         onText("uriComponent", 1, func(a []string) (any, error) { return escaped(a[0]), nil }),
		"uricomponenttostring": onText("uriComponentToString", 1, func(a []string) (any, error) { return unescaped(a[0]) }),
		"guid": named("guid", func(t string) string {
			// A name-based UUID (version 5) in the namespace that learn.microsoft.com "String functions" names.
			return uuid.NewSHA1(uuid.MustParse("11fb06fb-712d-4ddd-98c7-e71bbd588830"), []byte(t)).String()
		}),
		"uniquestring": named("uniqueString", unique),
		"newguid": {do: func(s *Scope, _ []any) (any, error) {
			if s.place != aDefault {
				return nil, unexpected("newGuid")
			}
			return uuid.NewString(), nil
		}},
	}
}

// named is a function whose value follows from its arguments, joined.
func named(name string, do func(string) string) function {
	return pure(1, -1, func(a []any) (any, error) {
		words := make([]string, len(a))
		for i, x := range a {
			t, ok := x.(string)
			if !ok {
				return nil, errorf("Unable to evaluate template language function '%s': all function parameters must be string literals, and there is one of type '%s'. Please see https://aka.ms/arm-functions/#%s for usage details.", name, kind(x), strings.ToLower(name))
			}
			words[i] = t
		}
		return do(strings.Join(words, "-")), nil
	})
}

func unbase64(name, s string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", wrong(name, "base64", s)
	}
	return string(raw), nil
}

func unURI(s string) (any, error) {
	head, data, ok := strings.Cut(s, ",")
	if !ok || !hasPrefixFold(head, "data:") {
		return nil, wrong("dataUriToString", "a data URI", s)
	}
	if !strings.HasSuffix(strings.ToLower(head), ";base64") {
		return unescaped(data)
	}
	t, err := unbase64("dataUriToString", data)
	return t, err
}

// joinURI puts a relative URI behind a base: as its documentation has it, what follows the base's last slash goes, if there is one but those after the scheme.
func joinURI(base, relative string) string {
	switch at := strings.LastIndexByte(base, '/'); {
	case strings.HasSuffix(base, "/"):
		return base + strings.TrimPrefix(relative, "/")
	case at >= 0 && at > strings.Index(base, "//")+1:
		return base[:at+1] + strings.TrimPrefix(relative, "/")
	default:
		return base + "/" + strings.TrimPrefix(relative, "/")
	}
}

// escaped is what .NET's Uri.EscapeDataString makes: all but letters, digits and -_.~ .
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func unescaped(s string) (any, error) {
	t, err := url.PathUnescape(s)
	if err != nil {
		return nil, wrong("uriComponentToString", "an escaped text", s)
	}
	return t, nil
}

// unique is 13 letters and digits: the service's own 64-bit variant of MurmurHash3, in base 32. Microsoft publishes the hash in Azure's
// storage extensions ("MurmurHash64" for long keys of tables); values of Bicep's own uniqueString are in the test.
func unique(t string) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], murmur64([]byte(t)))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:]))
}

func murmur64(data []byte) uint64 {
	const c1, c2 = 0x239b961b, 0xab0e9789
	var h1, h2 uint32
	n := uint32(len(data))
	mix1 := func(k uint32) { h1 ^= bits.RotateLeft32(k*c1, 15) * c2 }
	mix2 := func(k uint32) { h2 ^= bits.RotateLeft32(k*c2, 17) * c1 }
	for ; len(data) >= 8; data = data[8:] {
		mix1(binary.LittleEndian.Uint32(data))
		h1 = (bits.RotateLeft32(h1, 19)+h2)*5 + 0x561ccd1b
		mix2(binary.LittleEndian.Uint32(data[4:]))
		h2 = (bits.RotateLeft32(h2, 13)+h1)*5 + 0x0bcaa747
	}
	if len(data) > 0 {
		var tail [8]byte
		copy(tail[:], data)
		mix1(binary.LittleEndian.Uint32(tail[:]))
		if len(data) > 4 {
			mix2(binary.LittleEndian.Uint32(tail[4:]))
		}
	}
	final := func(h uint32) uint32 {
		h = (h ^ h>>16) * 0x85ebca6b
		h = (h ^ h>>13) * 0xc2b2ae35
		return h ^ h>>16
	}
	h1, h2 = h1^n, h2^n
	h1 += h2
	h2 += h1
	h1, h2 = final(h1), final(h2)
	h1 += h2
	h2 += h1
	return uint64(h2)<<32 | uint64(h1)
}
