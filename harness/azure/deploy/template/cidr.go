package template

import (
	"math/big"
	"net/netip"
)

// networks are the functions of address ranges (learn.microsoft.com "CIDR functions for ARM templates").
func networks() map[string]function {
	return map[string]function{
		"parsecidr":  pure(1, 1, parseCIDR),
		"cidrsubnet": pure(3, 3, cidrSubnet),
		"cidrhost":   pure(2, 2, cidrHost),
	}
}

func network(name string, v any) (netip.Prefix, error) {
	t, _ := v.(string)
	p, err := netip.ParsePrefix(t)
	if err != nil || p.Addr().Is4In6() {
		return p, wrong(name, "an address range of CIDR", v)
	}
	return p.Masked(), nil
}

// moved is an address so and so many behind another, which the caller knows to be there.
func moved(a netip.Addr, by *big.Int) netip.Addr {
	sum := new(big.Int).Add(new(big.Int).SetBytes(a.AsSlice()), by)
	out, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, a.BitLen()/8)))
	return out
}

// count is how many addresses, or ranges, so many bits make.
func count(bits int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(bits)) } //nolint:gosec // 0 to 128

func parseCIDR(a []any) (any, error) {
	p, err := network("parseCidr", a[0])
	if err != nil {
		return nil, err
	}
	all := count(p.Addr().BitLen() - p.Bits())
	last := moved(p.Addr(), new(big.Int).Sub(all, big.NewInt(1)))
	mask, _ := netip.AddrFromSlice(new(big.Int).Sub(count(p.Addr().BitLen()), all).FillBytes(make([]byte, p.Addr().BitLen()/8)))
	out := map[string]any{"network": p.Addr().String(), "netmask": mask.String(), "firstUsable": p.Addr().String(), "lastUsable": last.String(), "cidr": int64(p.Bits())}
	if p.Addr().Is4() {
		out["broadcast"] = last.String()
		if p.Bits() < 31 { // two addresses or one are all usable (RFC 3021)
			out["firstUsable"], out["lastUsable"] = p.Addr().Next().String(), last.Prev().String()
		}
	}
	return out, nil
}

func cidrSubnet(a []any) (any, error) {
	p, err := network("cidrSubnet", a[0])
	if err != nil {
		return nil, err
	}
	bits, ok := whole(a[1])
	at, ok2 := whole(a[2])
	if !ok || !ok2 || bits < int64(p.Bits()) || bits > int64(p.Addr().BitLen()) || at < 0 || big.NewInt(at).Cmp(count(int(bits)-p.Bits())) >= 0 {
		return nil, errorf("Unable to evaluate template language function 'cidrSubnet': the range '%s' has no subnet of length '%s' at '%s'. Please see https://aka.ms/arm-functions/#cidrsubnet for usage details.", p, text(a[1]), text(a[2]))
	}
	from := moved(p.Addr(), new(big.Int).Mul(big.NewInt(at), count(p.Addr().BitLen()-int(bits))))
	return netip.PrefixFrom(from, int(bits)).String(), nil
}

// cidrHost counts usable addresses from 0.
func cidrHost(a []any) (any, error) {
	p, err := network("cidrHost", a[0])
	if err != nil {
		return nil, err
	}
	at, ok := whole(a[1])
	free, first := count(p.Addr().BitLen()-p.Bits()), int64(0)
	switch {
	case p.Addr().Is4() && p.Bits() < 31:
		free, first = free.Sub(free, big.NewInt(2)), 1
	case p.Addr().Is6() && p.Bits() < 128: // the documentation's first host of a /52 is ::1
		free, first = free.Sub(free, big.NewInt(1)), 1
	}
	if !ok || at < 0 || big.NewInt(at).Cmp(free) >= 0 {
		return nil, errorf("Unable to evaluate template language function 'cidrHost': the range '%s' has no usable host at '%s'. Please see https://aka.ms/arm-functions/#cidrhost for usage details.", p, text(a[1]))
	}
	host := moved(p.Addr(), big.NewInt(at+first))
	return host.String(), nil
}
